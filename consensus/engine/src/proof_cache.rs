//! Proofs of blocks that are not imported yet, in memory: those verified, those heard but not yet verifiable, and the
//! names of those refused. All bounded, oldest out first.

use std::sync::Arc;

use labora_pouw::Proof;
use parity_scale_codec::Encode;
use parking_lot::Mutex;
use sc_network_types::PeerId;
use schnellru::{ByLength, Limiter, LruMap};
use sp_core::H256;
use sp_runtime::traits::{BlakeTwo256, Hash};

use crate::{engine::Verified, machine::Limits};

/// Bytes of proofs in each of the two lists: 64 of the largest (some 525 KB), or 256 at k = 4,096 (131 KB), which is
/// more than one batch of sync or one burst of announcements brings.
pub(crate) const MAX_CACHE_BYTES: usize = 64 * Proof::MAX_ENCODED_LEN;

/// Refusals remembered: 32 bytes each, so 32 KiB.
pub(crate) const MAX_REFUSED: u32 = 1024;

/// Keeps a list under a number of bytes.
struct ByBytes {
    held: usize,
    most: usize,
}

struct Sized<T> {
    value: T,
    bytes: usize,
}

impl<T> Limiter<H256, Sized<T>> for ByBytes {
    type KeyToInsert<'a> = H256;
    type LinkType = u32;

    fn is_over_the_limit(&self, _length: usize) -> bool {
        self.held > self.most
    }

    fn on_insert(
        &mut self,
        _length: usize,
        key: H256,
        value: Sized<T>,
    ) -> Option<(H256, Sized<T>)> {
        // A single entry never exceeds the bound, since no proof is longer than `Proof::MAX_ENCODED_LEN`.
        self.held += value.bytes;
        Some((key, value))
    }

    fn on_replace(
        &mut self,
        _length: usize,
        _old_key: &mut H256,
        _new_key: H256,
        old: &mut Sized<T>,
        new: &mut Sized<T>,
    ) -> bool {
        self.held = self.held - old.bytes + new.bytes;
        true
    }

    fn on_removed(&mut self, _key: &mut H256, value: &mut Sized<T>) {
        self.held -= value.bytes;
    }

    fn on_cleared(&mut self) {
        self.held = 0;
    }

    fn on_grow(&mut self, _new_memory_usage: usize) -> bool {
        true
    }
}

type Proofs<T> = Mutex<LruMap<H256, Sized<T>, ByBytes>>;

/// A proof whose block could not be judged when it came.
#[derive(Clone, Debug)]
pub(crate) struct Unchecked {
    pub(crate) proof: Arc<Proof>,
    /// The peer that gave it when it was asked; nobody is known to have announced one.
    pub(crate) giver: Option<PeerId>,
}

/// Proofs that wait for their block.
pub(crate) struct ProofCache {
    verified: Proofs<Verified>,
    unchecked: Proofs<Unchecked>,
    refused: Mutex<LruMap<H256, ()>>,
}

impl ProofCache {
    pub(crate) fn new(limits: Limits) -> Self {
        let by_bytes = || ByBytes {
            held: 0,
            most: limits.proof_bytes,
        };
        Self {
            verified: Mutex::new(LruMap::new(by_bytes())),
            unchecked: Mutex::new(LruMap::new(by_bytes())),
            refused: Mutex::new(LruMap::new(ByLength::new(limits.refused))),
        }
    }

    /// Keeps a verified proof until its block is imported.
    pub(crate) fn keep_verified(&self, verified: Verified) {
        let bytes = verified.proof().encoded_size();
        self.unchecked.lock().remove(&verified.block());
        self.verified.lock().insert(
            verified.block(),
            Sized {
                value: verified,
                bytes,
            },
        );
    }

    /// Keeps a proof whose block cannot be judged yet.
    pub(crate) fn keep_unchecked(&self, block: H256, proof: Arc<Proof>, giver: Option<PeerId>) {
        let bytes = proof.encoded_size();
        let value = Unchecked { proof, giver };
        self.unchecked.lock().insert(block, Sized { value, bytes });
    }

    /// The verified proof of a block; stays until newer ones push it out.
    pub(crate) fn verified(&self, block: H256) -> Option<Verified> {
        self.verified
            .lock()
            .get(&block)
            .map(|entry| entry.value.clone())
    }

    /// Takes out the unverified proof of a block.
    pub(crate) fn take_unchecked(&self, block: H256) -> Option<Unchecked> {
        self.unchecked
            .lock()
            .remove(&block)
            .map(|entry| entry.value)
    }

    /// Whether any proof of this block is held.
    pub(crate) fn holds(&self, block: H256) -> bool {
        self.verified.lock().peek(&block).is_some() || self.unchecked.lock().peek(&block).is_some()
    }

    /// Drops what is held of an imported block.
    pub(crate) fn forget(&self, block: H256) {
        self.verified.lock().remove(&block);
        self.unchecked.lock().remove(&block);
    }

    /// Notes that these very bytes do not prove this block. The header alone is not condemned: somebody else may hold
    /// its true proof.
    pub(crate) fn refuse(&self, block: H256, data: &[u8]) {
        self.refused.lock().insert(name(block, data), ());
    }

    /// Bytes of all proofs.
    pub(crate) fn bytes(&self) -> usize {
        self.verified.lock().limiter().held + self.unchecked.lock().limiter().held
    }

    /// Bytes of verified proofs and of unchecked ones, and how many refusals are remembered.
    #[cfg(test)]
    pub(crate) fn sizes(&self) -> (usize, usize, usize) {
        fn bytes<T>(proofs: &Proofs<T>) -> usize {
            let proofs = proofs.lock();
            let held = proofs.iter().map(|(_, entry)| entry.bytes).sum();
            assert_eq!(
                held,
                proofs.limiter().held,
                "the limiter counts what is held"
            );
            held
        }
        let refused = self.refused.lock().len();
        (bytes(&self.verified), bytes(&self.unchecked), refused)
    }

    /// Whether these bytes were refused for this block before.
    pub(crate) fn was_refused(&self, block: H256, data: &[u8]) -> bool {
        self.refused.lock().peek(&name(block, data)).is_some()
    }
}

fn name(block: H256, data: &[u8]) -> H256 {
    BlakeTwo256::hash_of(&(block, BlakeTwo256::hash(data)))
}
