//! What is remembered of every batch that sync hands to the import queue: who sent it and what follows what, so that the
//! verifier asks the right peer, and for a batch of proofs instead of one.

use std::sync::Arc;

use parking_lot::Mutex;
use sc_consensus::{IncomingBlock, import_queue::RuntimeOrigin};
use schnellru::{ByLength, LruMap};
use sp_core::H256;
use sp_runtime::traits::Block as BlockT;

use super::{Hints, MAX_HASHES};

/// Blocks remembered: sync queues up to 2,048 blocks; 64 bytes each.
const MAX_REMEMBERED: u32 = 4096;

/// Who sent which block, and what follows it.
pub struct Lookahead {
    blocks: Mutex<LruMap<H256, Place>>,
}

struct Place {
    batch: Arc<[H256]>,
    at: usize,
    sender: Option<RuntimeOrigin>,
}

impl Lookahead {
    /// Remembers nothing yet.
    pub fn new() -> Arc<Self> {
        Self::of(MAX_REMEMBERED)
    }

    pub(crate) fn of(most: u32) -> Arc<Self> {
        Arc::new(Self {
            blocks: Mutex::new(LruMap::new(ByLength::new(most))),
        })
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.blocks.lock().len()
    }

    pub(crate) fn remember<B: BlockT<Hash = H256>>(&self, blocks: &[IncomingBlock<B>]) {
        let batch: Arc<[H256]> = blocks.iter().map(|block| block.hash).collect();
        let mut places = self.blocks.lock();
        for (at, block) in blocks.iter().enumerate() {
            places.insert(
                block.hash,
                Place {
                    batch: batch.clone(),
                    at,
                    sender: block.origin,
                },
            );
        }
    }

    /// What is known of a block; forgotten once asked.
    pub(crate) fn hints(&self, block: H256) -> Hints {
        let Some(place) = self.blocks.lock().remove(&block) else {
            return Hints::default();
        };
        let next = place
            .batch
            .iter()
            .skip(place.at + 1)
            .take(MAX_HASHES - 1)
            .copied()
            .collect();
        Hints {
            sender: place.sender,
            next,
        }
    }
}
