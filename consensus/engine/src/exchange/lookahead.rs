//! The import queue, which remembers of every batch that sync hands to it who sent it and what follows what, so that the
//! verifier asks the right peer, and for a batch of proofs instead of one.

use std::sync::Arc;

use parking_lot::Mutex;
use sc_consensus::{
    BasicQueue, IncomingBlock, Link,
    import_queue::{ImportQueue, ImportQueueService, RuntimeOrigin},
};
use schnellru::{ByLength, LruMap};
use sp_consensus::BlockOrigin;
use sp_core::H256;
use sp_runtime::{
    Justifications,
    traits::{Block as BlockT, NumberFor},
};

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

/// The SDK's sequential import queue behind a [`Lookahead`].
pub struct PouwImportQueue<B: BlockT<Hash = H256>> {
    queue: BasicQueue<B>,
    service: Service<B>,
}

impl<B: BlockT<Hash = H256>> PouwImportQueue<B> {
    /// Puts `lookahead` before `queue`; give the same to the queue's verifier.
    pub fn new(queue: BasicQueue<B>, lookahead: Arc<Lookahead>) -> Self {
        let service = Service {
            queue: queue.service(),
            lookahead,
        };
        Self { queue, service }
    }
}

struct Service<B: BlockT<Hash = H256>> {
    queue: Box<dyn ImportQueueService<B>>,
    lookahead: Arc<Lookahead>,
}

impl<B: BlockT<Hash = H256>> ImportQueueService<B> for Service<B> {
    fn import_blocks(&mut self, origin: BlockOrigin, blocks: Vec<IncomingBlock<B>>) {
        self.lookahead.remember(&blocks);
        self.queue.import_blocks(origin, blocks);
    }

    fn import_justifications(
        &mut self,
        who: RuntimeOrigin,
        hash: H256,
        number: NumberFor<B>,
        justifications: Justifications,
    ) {
        self.queue
            .import_justifications(who, hash, number, justifications);
    }
}

#[async_trait::async_trait]
impl<B: BlockT<Hash = H256>> ImportQueue<B> for PouwImportQueue<B> {
    fn service(&self) -> Box<dyn ImportQueueService<B>> {
        let lookahead = self.service.lookahead.clone();
        Box::new(Service {
            queue: self.queue.service(),
            lookahead,
        })
    }

    fn service_ref(&mut self) -> &mut dyn ImportQueueService<B> {
        &mut self.service
    }

    fn poll_actions(&mut self, context: &mut std::task::Context, link: &dyn Link<B>) {
        self.queue.poll_actions(context, link);
    }

    async fn run(self, link: &dyn Link<B>) {
        // The queue stops when its last handle goes, so the service must live as long as it runs.
        let Self { queue, service } = self;
        queue.run(link).await;
        drop(service);
    }
}
