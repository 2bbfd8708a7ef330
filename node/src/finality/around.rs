//! What the guard before GRANDPA's voter asks of the node, and has it do.

use std::{collections::BTreeMap, sync::Arc};

use labora_consensus::{Blocks, ENDED_ROUNDS, EndedRound, FinalCommit, Surroundings, last_ended};
use labora_runtime::opaque::Block;
use parity_scale_codec::Encode;
use parking_lot::Mutex;
use sc_client_api::AuxStore;
use sc_consensus::import_queue::ImportQueueService;
use sc_consensus_grandpa::{GrandpaJustification, SharedAuthoritySet};
use sc_network::{
    NetworkPeers as _, NetworkSyncForkRequest as _, PeerId, ReputationChange,
    service::traits::NetworkService,
};
use sc_network_sync::SyncingService;
use sc_service::SpawnTaskHandle;
use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_api::{ApiExt, ProvideRuntimeApi};
use sp_blockchain::{HeaderBackend, HeaderMetadata};
use sp_consensus_grandpa::{
    AuthorityId, AuthorityList, EquivocationProof, GRANDPA_ENGINE_ID, GrandpaApi,
};
use sp_core::{ByteArray, H256, crypto::key_types};
use sp_keystore::KeystorePtr;

use crate::{
    metrics::votes::VoteCounts,
    service::{FullClient, Hash},
};

/// What the guard has around it.
pub(super) struct Around {
    pub(super) client: Arc<FullClient>,
    pub(super) authorities: SharedAuthoritySet<Hash, u32>,
    /// Keys that may vote.
    pub(super) keystore: Option<KeystorePtr>,
    pub(super) transactions: OffchainTransactionPoolFactory<Block>,
    pub(super) sync: Arc<SyncingService<Block>>,
    pub(super) network: Arc<dyn NetworkService>,
    pub(super) justifications: Mutex<Box<dyn ImportQueueService<Block>>>,
    pub(super) spawner: SpawnTaskHandle,
    pub(super) counts: Arc<VoteCounts>,
    /// In which set and round a validator was last reported.
    pub(super) reported: Mutex<BTreeMap<AuthorityId, (u64, u64)>>,
}

/// What a peer loses for a vote that its voter did not sign: some dozens are a ban. Whoever relays votes checks them first.
const UNSIGNED: ReputationChange = ReputationChange::new(-(1 << 25), "Vote that nobody signed");

impl Around {
    /// Whether a validator is this node's own.
    fn has_key(&self, id: &AuthorityId) -> bool {
        let keystore = self.keystore.as_ref();
        let named = [(id.to_raw_vec(), key_types::GRANDPA)];
        keystore.is_some_and(|keystore| keystore.has_keys(&named))
    }
}

/// Rounds after which a validator that still votes twice is reported again. One report is enough, but it may be lost with the branch
/// that had it.
const REPORTED_FOR: u64 = 10;

impl Around {
    /// Whether this validator was not reported a moment ago; notes that it is now.
    fn is_time_to_report(&self, proof: &EquivocationProof<H256, u32>) -> bool {
        let (set, round) = (proof.set_id(), proof.round());
        let mut reported = self.reported.lock();
        // Of this set alone, so that there are never more than it has members.
        reported.retain(|_, (of, _)| *of == set);
        let last = reported.get(proof.offender());
        if last.is_some_and(|(_, last)| round < last.saturating_add(REPORTED_FOR)) {
            return false;
        }
        reported.insert(proof.offender().clone(), (set, round));
        true
    }
}

impl Blocks for Around {
    fn finalised(&self) -> (H256, u32) {
        let info = self.client.info();
        (info.finalized_hash, info.finalized_number)
    }

    fn block(&self, hash: H256) -> Option<(u32, H256)> {
        let known = self.client.header_metadata(hash).ok()?;
        Some((known.number, known.parent))
    }

    fn is_final(&self, hash: H256) -> bool {
        let (_, last) = self.finalised();
        let number = self.block(hash).map(|(number, _)| number);
        let number = number.filter(|number| *number <= last);
        number.is_some_and(|number| self.client.hash(number).ok().flatten() == Some(hash))
    }
}

impl Surroundings for Around {
    fn authorities(&self) -> (u64, AuthorityList) {
        loop {
            let id = self.authorities.set_id();
            let members = self.authorities.current_authorities();
            // The two are read apart, and a change may have come between.
            if self.authorities.set_id() == id {
                let members = members.iter();
                let members = members.map(|(key, info)| (key.clone(), info.weight().get()));
                return (id, members.collect());
            }
        }
    }

    fn own(&self, authorities: &AuthorityList) -> Option<AuthorityId> {
        let mut members = authorities.iter().map(|(id, _)| id);
        let own = members.find(|id| self.has_key(id)).cloned();
        self.counts
            .has_key(self.keystore.is_some().then_some(own.is_some()));
        if self.keystore.is_some() && own.is_none() {
            tracing::warn!(
                target: "labora",
                "This node runs with --validator and does not vote: its keystore has the key of none of the {} validators of now. \
                 `labora doctor` tells what is wrong; a key that was announced votes from the next era on",
                authorities.len()
            );
        }
        own
    }

    fn another_votes(&self) {
        self.counts.voted_twice(true);
        tracing::error!(
            target: "labora",
            "Another process votes with this validator's key: this one votes no more, since the chain slashes for two votes. Stop one of \
             the two; this one votes again once it is restarted"
        );
    }

    fn last_ended(&self) -> Option<(u64, EndedRound)> {
        let record = self.client.get_aux(ENDED_ROUNDS).ok().flatten()?;
        last_ended(&record)
    }

    fn report(&self, proof: EquivocationProof<H256, u32>) {
        let is_own = self.has_key(proof.offender());
        self.counts.voted_twice(is_own);
        if is_own {
            tracing::error!(
                "This node's own validator voted twice: another process votes with its key. Stop one of the two at once; the \
                 chain slashes for this"
            );
            return;
        }
        if !self.is_time_to_report(&proof) {
            return;
        }
        let (client, transactions) = (self.client.clone(), self.transactions.clone());
        self.spawner
            .spawn_blocking("grandpa-report-double-vote", Some("grandpa"), async move {
                if let Err(error) = report(&client, &transactions, proof) {
                    tracing::warn!(%error, "A double vote could not be reported");
                }
            });
    }

    fn best_number(&self) -> u32 {
        self.client.info().best_number
    }

    fn waiting(&self, precommits: usize) {
        self.counts.wait(precommits);
    }

    fn blame(&self, peer: PeerId) {
        self.network.report_peer(peer, UNSIGNED);
    }

    fn want(&self, peer: PeerId, block: H256, number: u32) {
        self.sync.set_sync_fork_request(vec![peer], block, number);
    }

    fn import(&self, peer: PeerId, round: u64, commit: FinalCommit) {
        let (block, number) = (commit.target_hash, commit.target_number);
        match GrandpaJustification::<Block>::from_commit(&self.client, round, commit) {
            Ok(justification) => {
                let encoded = (GRANDPA_ENGINE_ID, justification.encode());
                let mut queue = self.justifications.lock();
                queue.import_justifications(peer, block, number, encoded.into());
            }
            Err(error) => tracing::warn!(%error, number, "A commit makes no justification"),
        }
    }
}

/// The last block of the best chain, of those from `from` to `to`, in whose state a set votes that `set_at` tells, as it does the
/// hash. The set that votes may be of a block long before the best one, while finality stalls: who votes is then proved by its state.
/// Where there is no state any more, the set was this one or an earlier one.
fn last_of_set<Hash>(
    set: u64,
    from: u32,
    to: u32,
    set_at: impl Fn(u32) -> Option<(Hash, u64)>,
) -> Option<Hash> {
    let is_later = |number| set_at(number).is_some_and(|(_, of)| of > set);
    let (mut low, mut high) = (from, to);
    while low < high {
        // Above `low`, so that it ends.
        let middle = high - (high - low) / 2;
        match is_later(middle) {
            true => high = middle - 1,
            false => low = middle,
        }
    }
    let (hash, of) = set_at(low)?;
    (of == set).then_some(hash)
}

/// Has the chain slash whoever voted twice, as the SDK's voter does of what it sees itself.
fn report(
    client: &FullClient,
    transactions: &OffchainTransactionPoolFactory<Block>,
    proof: EquivocationProof<H256, u32>,
) -> Result<(), sp_api::ApiError> {
    let info = client.info();
    let set_at = |number: u32| {
        let hash = client.hash(number).ok().flatten()?;
        Some((hash, client.runtime_api().current_set_id(hash).ok()?))
    };
    let (from, to) = (info.finalized_number, info.best_number);
    let owner = match last_of_set(proof.set_id(), from, to, set_at) {
        Some(at) => client.runtime_api().generate_key_ownership_proof(
            at,
            proof.set_id(),
            proof.offender().clone(),
        )?,
        None => None,
    };
    let Some(owner) = owner else {
        tracing::debug!("Whoever voted twice is no validator any more");
        return Ok(());
    };
    let mut api = client.runtime_api();
    api.register_extension(transactions.offchain_transaction_pool(info.best_hash));
    api.submit_report_equivocation_unsigned_extrinsic(info.best_hash, proof, owner)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_votes_is_proved_by_the_last_state_in_which_its_set_votes() {
        // Set 3 until block 40, 4 until 90, 5 from there on; states below 30 are gone.
        let set_at = |number: u32| {
            let set = match number {
                0..=40 => 3,
                41..=90 => 4,
                _ => 5,
            };
            (number >= 30).then_some((number, set))
        };
        for (set, from, to, last) in [
            (3, 10, 200, Some(40)),
            (4, 10, 200, Some(90)),
            (5, 10, 200, Some(200)),
            (4, 60, 60, Some(60)),
            (4, 60, 70, Some(70)),
            (3, 10, 25, None),
            (2, 10, 200, None),
            (6, 10, 200, None),
            (3, 50, 200, None),
        ] {
            assert_eq!(last_of_set(set, from, to, set_at), last, "set {set}");
        }
    }
}
