//! The import queue: several of the SDK's sequential ones, behind a [`Lookahead`] that remembers who sent what and [`Lanes`]
//! that say which batch waits for which.

use std::{sync::Arc, task::Context, time::Duration};

use futures::future::select_all;
use sc_consensus::{
    BasicQueue, BlockCheckParams, BlockImport, BlockImportError, BlockImportParams,
    BlockImportStatus, ImportResult, IncomingBlock, JustificationImportResult, Link,
    import_queue::{ImportQueue, ImportQueueService, RuntimeOrigin},
};
use sp_consensus::BlockOrigin;
use sp_core::H256;
use sp_runtime::{
    Justifications,
    traits::{Block as BlockT, Header, NumberFor},
};

use super::{
    Lookahead,
    lanes::{AT_ONCE, LANES, Lanes},
};

/// Between two looks at a parent that is being imported.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The import queue.
pub struct PouwImportQueue<B: BlockT<Hash = H256>> {
    queues: [BasicQueue<B>; LANES],
    service: Service<B>,
}

impl<B: BlockT<Hash = H256>> PouwImportQueue<B> {
    /// Makes the queues, each by its number; the first is the one that imports justifications. Give `lookahead` to their
    /// verifiers too.
    pub fn new(
        queue: impl FnMut(usize) -> BasicQueue<B>,
        lookahead: Arc<Lookahead>,
        lanes: Arc<Lanes<B>>,
    ) -> Self {
        let queues = std::array::from_fn(queue);
        let service = Service::of(&queues, lookahead, lanes);
        Self { queues, service }
    }

    /// Where its blocks wait.
    pub fn lanes(&self) -> &Arc<Lanes<B>> {
        &self.service.lanes
    }
}

struct Service<B: BlockT<Hash = H256>> {
    queues: [Box<dyn ImportQueueService<B>>; LANES],
    lookahead: Arc<Lookahead>,
    lanes: Arc<Lanes<B>>,
}

impl<B: BlockT<Hash = H256>> Service<B> {
    fn of(
        queues: &[BasicQueue<B>; LANES],
        lookahead: Arc<Lookahead>,
        lanes: Arc<Lanes<B>>,
    ) -> Self {
        Self {
            queues: queues.each_ref().map(|queue| queue.service()),
            lookahead,
            lanes,
        }
    }
}

impl<B: BlockT<Hash = H256>> ImportQueueService<B> for Service<B> {
    fn import_blocks(&mut self, origin: BlockOrigin, blocks: Vec<IncomingBlock<B>>) {
        self.lookahead.remember(&blocks);
        let mut batches: Vec<(usize, Vec<IncomingBlock<B>>)> = Vec::new();
        for run in runs(blocks) {
            let lane = self.lanes.enter(&run);
            match batches.last_mut() {
                // The first that fails ends the others, as in the SDK's queue: sync begins anew once and not for each.
                Some((same, batch)) if *same == lane => batch.extend(run),
                _ => batches.push((lane, run)),
            }
        }
        for (lane, batch) in batches {
            self.queues[lane].import_blocks(origin, batch);
        }
    }

    fn import_justifications(
        &mut self,
        who: RuntimeOrigin,
        hash: H256,
        number: NumberFor<B>,
        justifications: Justifications,
    ) {
        self.queues[AT_ONCE].import_justifications(who, hash, number, justifications);
    }
}

/// The parts of a batch within which each block is the next one's parent. Sync leaves out what is queued already, and a peer
/// may have put in what has nothing to do with the rest.
fn runs<B: BlockT>(blocks: Vec<IncomingBlock<B>>) -> Vec<Vec<IncomingBlock<B>>> {
    let mut runs: Vec<Vec<IncomingBlock<B>>> = Vec::new();
    for block in blocks {
        let parent = block.header.as_ref().map(|header| *header.parent_hash());
        match runs.last_mut() {
            Some(run) if run.last().map(|last| last.hash) == parent => run.push(block),
            _ => runs.push(vec![block]),
        }
    }
    runs
}

/// The import of the queues for blocks whose proofs are asked for. Where such a block's parent is in the other queue, which
/// it must not hold up, it waits here for its parent.
pub struct AfterParent<B: BlockT<Hash = H256>, I> {
    inner: I,
    lanes: Arc<Lanes<B>>,
}

impl<B: BlockT<Hash = H256>, I> AfterParent<B, I> {
    /// Wraps `inner`.
    pub fn new(inner: I, lanes: Arc<Lanes<B>>) -> Self {
        Self { inner, lanes }
    }
}

#[async_trait::async_trait]
impl<B: BlockT<Hash = H256>, I: BlockImport<B> + Send + Sync> BlockImport<B> for AfterParent<B, I> {
    type Error = I::Error;

    async fn check_block(&self, block: BlockCheckParams<B>) -> Result<ImportResult, Self::Error> {
        while self.lanes.waits_at_once(block.parent_hash) {
            self.lanes.sleep(LOOK_AGAIN).await;
        }
        self.inner.check_block(block).await
    }

    async fn import_block(&self, block: BlockImportParams<B>) -> Result<ImportResult, Self::Error> {
        self.inner.import_block(block).await
    }
}

/// Sync, which is told what became of blocks once they count as waiting no more.
struct Through<'a, B: BlockT<Hash = H256>> {
    link: &'a dyn Link<B>,
    lanes: &'a Lanes<B>,
}

impl<B: BlockT<Hash = H256>> Link<B> for Through<'_, B> {
    fn blocks_processed(
        &self,
        imported: usize,
        count: usize,
        results: Vec<(
            Result<BlockImportStatus<NumberFor<B>>, BlockImportError>,
            H256,
        )>,
    ) {
        self.lanes.leave(results.iter().map(|(_, block)| *block));
        self.link.blocks_processed(imported, count, results);
    }

    fn justification_imported(
        &self,
        who: RuntimeOrigin,
        hash: &H256,
        number: NumberFor<B>,
        result: JustificationImportResult,
    ) {
        self.link.justification_imported(who, hash, number, result);
    }

    fn request_justification(&self, hash: &H256, number: NumberFor<B>) {
        self.link.request_justification(hash, number);
    }
}

#[async_trait::async_trait]
impl<B: BlockT<Hash = H256>> ImportQueue<B> for PouwImportQueue<B> {
    fn service(&self) -> Box<dyn ImportQueueService<B>> {
        let Service {
            lookahead, lanes, ..
        } = &self.service;
        Box::new(Service::of(&self.queues, lookahead.clone(), lanes.clone()))
    }

    fn service_ref(&mut self) -> &mut dyn ImportQueueService<B> {
        &mut self.service
    }

    fn poll_actions(&mut self, context: &mut Context, link: &dyn Link<B>) {
        let lanes = &self.service.lanes;
        let through = Through { link, lanes };
        for queue in &mut self.queues {
            queue.poll_actions(context, &through);
        }
    }

    async fn run(self, link: &dyn Link<B>) {
        // A queue stops when its last handle goes, so the service must live as long as they run.
        let Self { queues, service } = self;
        let lanes = &service.lanes;
        let through = Through { link, lanes };
        // They end together, when the node does.
        select_all(queues.map(|queue| queue.run(&through))).await;
    }
}
