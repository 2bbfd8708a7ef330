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
use sp_blockchain::{Error as ChainError, HeaderBackend};
use sp_consensus_grandpa::AuthorityList;
use sp_core::H256;
use sp_runtime::{
    SaturatedConversion,
    traits::{Block as BlockT, Header as _, NumberFor},
};

use crate::warp::{Failure, Fragments};

/// Bytes of a proof after which no further piece is added to it. A piece has at most 8 MiB by the SDK, and an answer 16.
const FULL_BYTES: usize = 7 << 20;

/// A forced change of authorities.
#[derive(Clone, Debug, Eq, PartialEq)]
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

    /// All that this node knows of, as a chain spec should tell of them: what was told, and what it went through itself.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn known(&self) -> Result<Vec<ForcedChange>, ChainError> {
        let mut known = self.told.clone();
        for (set_id, number) in self.seen(0)? {
            if known.iter().all(|change| change.number != number) {
                known.extend(self.describe(set_id, number)?);
            }
        }
        known.sort_by_key(|change| change.number);
        Ok(known)
    }

    /// Sets of authorities that ended by force, and the last final blocks of them from number `from` on.
    fn seen(&self, from: u32) -> Result<Vec<(u64, u32)>, ChainError> {
        let changes = self.authorities.authority_set_changes();
        let before = from.saturating_sub(1);
        let Some(changes) = changes.iter_from(before.into()) else {
            return Ok(Vec::new());
        };
        let (mut seen, mut last) = (Vec::new(), None);
        for (set_id, number) in changes {
            // Where a set ends as it should, its last block says so; one block cannot end two.
            let ended_before = last.replace(*number) == Some(*number);
            let header = self.header(*number)?;
            let is_scheduled =
                header.is_some_and(|header| find_scheduled_change::<B>(&header).is_some());
            let number: u32 = (*number).saturated_into();
            if (ended_before || !is_scheduled) && number >= from {
                seen.push((*set_id, number));
            }
        }
        Ok(seen)
    }

    /// What the chain says of the change after block `number`, by which set `set_id` ended.
    fn describe(&self, set_id: u64, number: u32) -> Result<Option<ForcedChange>, ChainError> {
        let Some(hash) = self.headers.hash(number.into())? else {
            return Ok(None);
        };
        let best: u32 = self.headers.info().best_number.saturated_into();
        for at in number + 1..=best {
            let Some(header) = self.header(at.into())? else {
                break;
            };
            let Some((median, change)) = find_forced_change::<B>(&header) else {
                continue;
            };
            if median == number.into() {
                let delay: u32 = change.delay.saturated_into();
                return Ok(Some(ForcedChange {
                    number,
                    hash,
                    effective: at.saturating_add(delay),
                    set_id: set_id + 1,
                    authorities: change.next_authorities,
                }));
            }
        }
        Ok(None)
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
        let told = self.told.iter().map(|change| change.number);
        let seen = self.seen(from)?.into_iter().map(|(_, number)| number);
        let mut breaks: Vec<u32> = told
            .chain(seen)
            .filter(|at| (from..finalised).contains(at))
            .collect();
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
            let is_cut = !is_finished && up_to.last().is_none_or(|last| last.1 < *number);
            passed.extend(up_to.into_iter().map(|(fragment, _)| fragment));
            if is_cut || passed.bytes > FULL_BYTES {
                return Ok(passed.end(false));
            }
            at = self
                .headers
                .hash((*number).into())?
                .ok_or("the block before a forced change is not known")?;
            passed.by_force(self.headers.expect_header(at)?);
        }
        let (fragments, is_finished) = self.piece(at)?;
        passed.extend(fragments);
        Ok(passed.end(is_finished))
    }
}

/// Of a piece the fragments by which a set ends as it should, up to block `number`, with their numbers.
fn ends_of_sets<B: BlockT<Hash = H256>>(
    fragments: Vec<WarpSyncFragment<B>>,
    number: u32,
) -> Vec<(WarpSyncFragment<B>, u32)> {
    let mut last = None;
    let numbered = fragments.into_iter().map(|fragment| {
        let at: u32 = (*fragment.header.number()).saturated_into();
        (fragment, at)
    });
    numbered
        .take_while(|(fragment, at)| {
            let follows = last.replace(*at).is_none_or(|last| last < *at);
            follows && *at <= number && find_scheduled_change::<B>(&fragment.header).is_some()
        })
        .collect()
}

/// A proof as far as it is made.
struct Passed<B: BlockT> {
    fragments: Vec<WarpSyncFragment<B>>,
    bytes: usize,
    /// Blocks after which authorities were changed by force, and where among the fragments they come.
    by_force: Vec<(usize, B::Header)>,
}

impl<B: BlockT> Default for Passed<B> {
    fn default() -> Self {
        Self {
            fragments: Vec::new(),
            bytes: 0,
            by_force: Vec::new(),
        }
    }
}

impl<B: BlockT> Passed<B> {
    fn extend(&mut self, fragments: impl IntoIterator<Item = WarpSyncFragment<B>>) {
        for fragment in fragments {
            self.bytes += fragment.encoded_size();
            self.fragments.push(fragment);
        }
    }

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
