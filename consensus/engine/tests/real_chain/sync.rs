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
use tokio::sync::watch;

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

    /// Hands over a batch.
    pub fn send(&self, blocks: Vec<IncomingBlock<Block>>) {
        self.service
            .lock()
            .import_blocks(BlockOrigin::NetworkBroadcast, blocks);
    }

    /// The next batch that is through, and its first error if any.
    pub async fn next(&self) -> (Vec<H256>, Result<(), BlockImportError>) {
        let processed =
            tokio::time::timeout(DEADLINE, async { self.results.lock().await.next().await });
        let processed = processed.await.expect("in time").expect("the queue runs");
        let blocks = processed.iter().map(|(_, hash)| *hash).collect();
        let result = processed
            .into_iter()
            .try_for_each(|(result, _)| result.map(drop));
        (blocks, result)
    }

    /// Imports a batch; the first error if any.
    pub async fn import(&self, blocks: Vec<IncomingBlock<Block>>) -> Result<(), BlockImportError> {
        self.send(blocks);
        self.next().await.1
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

/// One peer that has all of two nodes' proofs, and keeps those of the first back until it is told to give them.
pub struct SlowStore {
    slow: Arc<StoreOf>,
    other: Arc<StoreOf>,
    gives: watch::Sender<bool>,
}

impl SlowStore {
    pub fn new(slow: &Node, other: &Node) -> Arc<Self> {
        Arc::new(Self {
            slow: StoreOf::new(slow),
            other: StoreOf::new(other),
            gives: watch::Sender::new(false),
        })
    }

    pub fn give(&self) {
        self.gives.send_replace(true);
    }

    /// Requests for what is kept back.
    pub fn requests(&self) -> usize {
        self.slow.requests()
    }
}

#[async_trait::async_trait]
impl ProofSource for SlowStore {
    async fn peers(&self, number: u32) -> Vec<PeerId> {
        self.slow.peers(number).await
    }

    async fn ask(&self, peer: PeerId, blocks: &[H256]) -> Result<Vec<Option<Proof>>, AskError> {
        if block_proof(&*self.other.client, blocks[0])
            .unwrap()
            .is_some()
        {
            return self.other.ask(peer, blocks).await;
        }
        let answer = self.slow.ask(peer, blocks).await;
        let mut gives = self.gives.subscribe();
        gives
            .wait_for(|gives| *gives)
            .await
            .expect("the sender is here");
        answer
    }

    fn report(&self, peer: PeerId, offence: Offence) {
        self.slow.report(peer, offence);
    }
}
