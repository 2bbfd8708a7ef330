//! Changes of authorities that finality did not make: what the runbook does when so many are gone that nothing becomes final.
//!
//! Such a change is in the chain of work, but nobody who knows only the old authorities can tell by a proof of finality that it
//! is right. So whoever comes later has to be told of it, in the chain spec. The proofs of nodes name it: between what the
//! old authorities signed and what the new ones did stands the block after which the new ones count, with a justification that
//! means nothing. The SDK's verifier takes it for good where it was told of the change, and nowhere else.

use std::sync::Arc;

use parity_scale_codec::{DecodeAll, Encode};
use sc_consensus_grandpa::{
    AuthoritySetHardFork, SharedAuthoritySet, find_forced_change, find_scheduled_change,
    warp_proof::WarpSyncFragment,
};
use sc_network_sync::strategy::warp::{EncodedProof, Verifier, WarpSyncProvider};
use serde::{Deserialize, Serialize};
use sp_blockchain::{Error as ChainError, HeaderBackend};
use sp_consensus_grandpa::AuthorityList;
use sp_core::H256;
use sp_runtime::{
    SaturatedConversion,
    traits::{Block as BlockT, NumberFor},
};

use crate::{
    chain::number_of,
    warp::{Failure, Fragments},
};

/// Bytes of a proof after which no further piece is added to it. A piece has at most 8 MiB by the SDK, and an answer 16.
const FULL_BYTES: usize = 7 << 20;

/// A forced change of authorities, as a chain spec tells of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ForcedChange {
    /// The last block that was final before it: what comes after is signed by the new authorities.
    pub number: u32,
    /// Hash of that block.
    pub hash: H256,
    /// The block with which the new authorities took over.
    pub effective: u32,
    /// Number of their set.
    pub set_id: u64,
    /// They, with their weights.
    pub authorities: AuthorityList,
}

impl ForcedChange {
    /// The same for GRANDPA's verifier of warp proofs. Not for its import, which finds the change in the chain by itself.
    pub fn hard_fork<B: BlockT<Hash = H256>>(&self) -> AuthoritySetHardFork<B> {
        AuthoritySetHardFork {
            set_id: self.set_id,
            block: (self.hash, self.number.into()),
            authorities: self.authorities.clone(),
            last_finalized: None,
        }
    }
}

/// Why what a node was told of forced changes cannot be.
#[derive(Debug, thiserror::Error)]
pub enum ForcedChangeError {
    /// It contradicts itself or the chain.
    #[error("the forced change after block {number} {why}")]
    Wrong {
        /// The last block that was final before the change.
        number: u32,
        /// In what way.
        why: &'static str,
    },
    /// The database failed.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// A set of authorities that ended by force.
struct Ended {
    /// Its number.
    set_id: u64,
    /// The last block that was final before.
    number: u32,
    /// The last block of the next set, or else the best one.
    until: u32,
}

/// The forced changes of a chain, and the warp proofs that lead past them.
pub struct ForcedChanges<B: BlockT<Hash = H256>> {
    told: Vec<ForcedChange>,
    headers: Arc<dyn HeaderBackend<B>>,
    authorities: SharedAuthoritySet<H256, NumberFor<B>>,
    proofs: Arc<dyn WarpSyncProvider<B>>,
}

impl<B: BlockT<Hash = H256>> ForcedChanges<B> {
    /// `told` are those of the chain spec, which `proofs`, GRANDPA's own, must have been told too.
    pub fn new(
        told: Vec<ForcedChange>,
        headers: Arc<dyn HeaderBackend<B>>,
        authorities: SharedAuthoritySet<H256, NumberFor<B>>,
        proofs: Arc<dyn WarpSyncProvider<B>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            told,
            headers,
            authorities,
            proofs,
        })
    }

    /// All that this node knows of, as a chain spec should tell of them: what it went through itself, and what it was told.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn known(&self) -> Result<Vec<ForcedChange>, ChainError> {
        let mut known = Vec::new();
        for ended in self.seen(0)? {
            let found = self.announced(ended.number, ended.until)?;
            known.extend(found.map(|change| ForcedChange {
                set_id: ended.set_id + 1,
                ..change
            }));
        }
        for told in &self.told {
            if known.iter().all(|change| change.number != told.number) {
                known.push(told.clone());
            }
        }
        known.sort_by_key(|change| change.number);
        Ok(known)
    }

    /// Holds what this node was told against its chain, as far as that is here.
    ///
    /// # Errors
    ///
    /// [`ForcedChangeError::Wrong`] if it cannot be.
    pub fn check(&self) -> Result<(), ForcedChangeError> {
        for (place, told) in self.told.iter().enumerate() {
            let number = told.number;
            let wrong = |why| Err(ForcedChangeError::Wrong { number, why });
            if told.authorities.is_empty() || told.effective <= number {
                return wrong("names no authorities, or took effect before it");
            }
            if told.authorities.iter().any(|(_, weight)| *weight == 0) {
                return wrong("names authorities whose votes weigh nothing");
            }
            // The first set is that of the genesis, and after the last one none could come.
            if matches!(told.set_id, 0 | u64::MAX) {
                return wrong("names a set of authorities that no change makes");
            }
            let mut before = self.told[..place].iter();
            if before.any(|other| other.number == number) {
                return wrong("is told of twice");
            }
            let here = self.headers.hash(number.into())?;
            if here.is_some_and(|here| here != told.hash) {
                return wrong("names another block than this chain's of that number");
            }
            let finalised: u32 = self.headers.info().finalized_number.saturated_into();
            if finalised < told.effective || self.header((number + 1).into())?.is_none() {
                continue;
            }
            let found = self.announced(number, told.effective)?;
            let is_it = found.is_some_and(|found| {
                (found.effective, &found.authorities) == (told.effective, &told.authorities)
            });
            if !is_it {
                return wrong("is not the one that this chain announced there");
            }
            let seen = self.seen(number)?;
            let mut seen = seen.iter().filter(|ended| ended.number == number);
            if seen.any(|ended| ended.set_id + 1 != told.set_id) {
                return wrong("names another set of authorities than took over there");
            }
        }
        Ok(())
    }

    /// Sets of authorities that ended by force after a block from number `from` on, of several after one block the last.
    fn seen(&self, from: u32) -> Result<Vec<Ended>, ChainError> {
        let changes = self.authorities.authority_set_changes();
        let before = from.saturating_sub(1);
        let Some(changes) = changes.iter_from(before.into()) else {
            return Ok(Vec::new());
        };
        let best: u32 = self.headers.info().best_number.saturated_into();
        let (mut seen, mut last) = (Vec::<Ended>::new(), None);
        for (set_id, number) in changes {
            // Where a set ends as it should, its last block says so; one block cannot end two.
            let ended_before = last.replace(*number) == Some(*number);
            let header = self.header(*number)?;
            let is_scheduled =
                header.is_some_and(|header| find_scheduled_change::<B>(&header).is_some());
            let (set_id, number): (u64, u32) = (*set_id, (*number).saturated_into());
            if let Some(ended) = seen.last_mut() {
                ended.until = ended.until.min(number.max(ended.number + 1));
            }
            if !ended_before && is_scheduled || number < from {
                continue;
            }
            // Noting a stall twice forces two changes from the same block on.
            seen.retain(|ended| ended.number != number);
            seen.push(Ended {
                set_id,
                number,
                until: best,
            });
        }
        Ok(seen)
    }

    /// The last change after block `number` that the chain announces to be forced and that took effect up to block `until`.
    /// Which set that makes, it does not say.
    fn announced(&self, number: u32, until: u32) -> Result<Option<ForcedChange>, ChainError> {
        let Some(hash) = self.headers.hash(number.into())? else {
            return Ok(None);
        };
        let mut found = None;
        for at in number.saturating_add(1)..=until {
            let Some(header) = self.header(at.into())? else {
                break;
            };
            let Some((median, change)) = find_forced_change::<B>(&header) else {
                continue;
            };
            let effective = at.saturating_add(change.delay.saturated_into());
            if median == number.into() && effective <= until {
                found = Some(ForcedChange {
                    number,
                    hash,
                    effective,
                    set_id: 0,
                    authorities: change.next_authorities,
                });
            }
        }
        Ok(found)
    }

    fn header(&self, number: NumberFor<B>) -> Result<Option<B::Header>, ChainError> {
        match self.headers.hash(number)? {
            Some(hash) => self.headers.header(hash),
            None => Ok(None),
        }
    }

    /// Numbers of the last final blocks before forced changes, from `from` on, after which something has become final here.
    fn breaks(&self, from: u32) -> Result<Vec<u32>, ChainError> {
        let finalised: u32 = self.headers.info().finalized_number.saturated_into();
        let seen = self.seen(from)?.into_iter().map(|ended| ended.number);
        let mut breaks: Vec<u32> = seen.collect();
        for told in &self.told {
            if self.headers.hash(told.number.into())? == Some(told.hash) {
                breaks.push(told.number);
            }
        }
        breaks.retain(|at| (from..finalised).contains(at));
        breaks.sort_unstable();
        breaks.dedup();
        Ok(breaks)
    }

    fn piece(&self, from: H256) -> Result<Fragments<B>, Failure> {
        let proof = self.proofs.generate(from)?;
        Ok(Fragments::<B>::decode_all(&mut &proof.0[..])?)
    }

    /// The pieces of a proof from `start` on that has to pass `breaks`, or nothing where there is none.
    fn past(&self, start: H256, breaks: &[u32]) -> Result<Option<Fragments<B>>, Failure> {
        let (mut at, mut passed) = (start, Passed::default());
        for number in breaks {
            let (fragments, is_finished) = self.piece(at)?;
            let up_to = ends_of_sets(fragments, *number);
            let last = up_to.last().map(|last| number_of(&last.header));
            let is_cut = !is_finished && last < Some(*number);
            passed.fragments.extend(up_to);
            if is_cut || passed.fragments.encoded_size() > FULL_BYTES {
                return Ok(passed.end(false));
            }
            let before = self.header((*number).into())?;
            passed.by_force(before.ok_or("the block before a forced change is not known")?);
            // Not from that block itself: where two changes were forced after it, the SDK may go on with the second.
            let next = self.headers.hash((*number + 1).into())?;
            at = next.ok_or("the block after a forced change is not known")?;
        }
        let (fragments, is_finished) = self.piece(at)?;
        passed.fragments.extend(fragments);
        Ok(passed.end(is_finished))
    }
}

/// Of a piece the fragments by which a set ends as it should, up to block `number`.
fn ends_of_sets<B: BlockT<Hash = H256>>(
    fragments: Vec<WarpSyncFragment<B>>,
    number: u32,
) -> Vec<WarpSyncFragment<B>> {
    let mut last = None;
    let ends = fragments.into_iter().take_while(|fragment| {
        let at = number_of(&fragment.header);
        let follows = last.replace(at).is_none_or(|last| last < at);
        follows && at <= number && find_scheduled_change::<B>(&fragment.header).is_some()
    });
    ends.collect()
}

/// A proof as far as it is made.
struct Passed<B: BlockT> {
    fragments: Vec<WarpSyncFragment<B>>,
    /// Blocks after which authorities were changed by force, and where among the fragments they come.
    by_force: Vec<(usize, B::Header)>,
}

impl<B: BlockT> Default for Passed<B> {
    fn default() -> Self {
        Self {
            fragments: Vec::new(),
            by_force: Vec::new(),
        }
    }
}

impl<B: BlockT> Passed<B> {
    fn by_force(&mut self, header: B::Header) {
        self.by_force.push((self.fragments.len(), header));
    }

    /// With a justification of another block at each forced change, since some must be there.
    fn end(mut self, is_finished: bool) -> Option<(Vec<WarpSyncFragment<B>>, bool)> {
        let justification = self.fragments.last()?.justification.clone();
        for (place, header) in self.by_force.into_iter().rev() {
            let justification = justification.clone();
            let fragment = WarpSyncFragment {
                header,
                justification,
            };
            self.fragments.insert(place, fragment);
        }
        Some((self.fragments, is_finished))
    }
}

impl<B: BlockT<Hash = H256>> WarpSyncProvider<B> for ForcedChanges<B> {
    fn generate(&self, start: H256) -> Result<EncodedProof, Failure> {
        let from = self
            .headers
            .number(start)?
            .map(|number| number.saturated_into());
        // What is not known is for the SDK to refuse.
        let breaks = from.map_or(Ok(Vec::new()), |from| self.breaks(from))?;
        if !breaks.is_empty()
            && let Some(proof) = self.past(start, &breaks)?
        {
            return Ok(EncodedProof(proof.encode()));
        }
        self.proofs.generate(start)
    }

    fn create_verifier(&self) -> Box<dyn Verifier<B>> {
        self.proofs.create_verifier()
    }
}
