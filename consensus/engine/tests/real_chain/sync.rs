//! What brings blocks and proofs to a node: a running import queue, and peers that are other nodes' stores.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures::{StreamExt, channel::mpsc};
use labora_consensus::{
    PouwImportQueue, ProofSource, block_proof,
    exchange::{AskError, Offence},
};
use labora_pouw::Proof;
use parking_lot::Mutex;
use sc_consensus::{
    BlockImportError, BlockImportStatus, ImportQueue, IncomingBlock, Link,
    import_queue::ImportQueueService,
};
use sc_network_types::PeerId;
use sp_consensus::BlockOrigin;
use sp_core::H256;

use crate::node::{Block, Client, DEADLINE, Node};

type Processed = Vec<(Result<BlockImportStatus<u32>, BlockImportError>, H256)>;

struct Results(mpsc::UnboundedSender<Processed>);

impl Link<Block> for Results {
    fn blocks_processed(&self, _: usize, _: usize, results: Processed) {
        let _ = self.0.unbounded_send(results);
    }
}

/// An import queue that runs.
pub struct Queue {
    service: Mutex<Box<dyn ImportQueueService<Block>>>,
    results: tokio::sync::Mutex<mpsc::UnboundedReceiver<Processed>>,
}

impl Queue {
    /// Runs a queue.
    pub fn run(queue: PouwImportQueue<Block>) -> Self {
        let service = Mutex::new(queue.service());
        let (sender, results) = mpsc::unbounded();
        tokio::spawn(async move { queue.run(&Results(sender)).await });
        Self {
            service,
            results: tokio::sync::Mutex::new(results),
        }
    }

    /// Imports a batch; the first error if any.
    pub async fn import(&self, blocks: Vec<IncomingBlock<Block>>) -> Result<(), BlockImportError> {
        self.service
            .lock()
            .import_blocks(BlockOrigin::NetworkBroadcast, blocks);
        let processed =
            tokio::time::timeout(DEADLINE, async { self.results.lock().await.next().await });
        let processed = processed.await.expect("in time").expect("the queue runs");
        processed
            .into_iter()
            .try_for_each(|(result, _)| result.map(drop))
    }
}

/// Peers that nobody may ask.
pub struct Unreachable;

#[async_trait::async_trait]
impl ProofSource for Unreachable {
    async fn peers(&self, number: u32) -> Vec<PeerId> {
        panic!("the proof of block {number} was asked for")
    }

    async fn ask(&self, _: PeerId, _: &[H256]) -> Result<Vec<Option<Proof>>, AskError> {
        Err(AskError::NoNetwork)
    }

    fn report(&self, _: PeerId, _: Offence) {}
}

/// One peer: another node's store.
pub struct StoreOf {
    client: Arc<Client>,
    peer: PeerId,
    requests: AtomicUsize,
}

impl StoreOf {
    pub fn new(node: &Node) -> Arc<Self> {
        let client = node.client.clone();
        Arc::new(Self {
            client,
            peer: PeerId::random(),
            requests: AtomicUsize::new(0),
        })
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

#[async_trait::async_trait]
impl ProofSource for StoreOf {
    async fn peers(&self, _: u32) -> Vec<PeerId> {
        vec![self.peer]
    }

    async fn ask(&self, _: PeerId, blocks: &[H256]) -> Result<Vec<Option<Proof>>, AskError> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        Ok(blocks
            .iter()
            .map(|hash| block_proof(&*self.client, *hash).unwrap())
            .collect())
    }

    fn report(&self, _: PeerId, offence: Offence) {
        panic!("a true store was reported for {offence:?}")
    }
}
