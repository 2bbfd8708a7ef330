//! A chain that is a table, an import that only writes into it, and the node made of them and of peers that are lists.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::{BoxFuture, FutureExt, pending};
use futures_timer::Delay;
use parking_lot::Mutex;
use sc_consensus::{
    BlockCheckParams, BlockImport, BlockImportParams, ForkChoiceStrategy, ImportResult,
    ImportedAux, IncomingBlock, Verifier as _, import_queue::RuntimeOrigin,
};
use sp_consensus::{BlockOrigin, Error as ConsensusError};
use sp_core::{H256, U256};
use sp_runtime::{Digest, traits::Header as _};

use super::miner::{Block, EASY, Header, Mined, NOW_MS, mine, time_at, unsealed};
pub(super) use super::peers::{Answer, MockPeers};
use crate::{
    Chain, Engine, PouwBlockImport, PouwVerifier, SealedHeader, Sources, Tips, TrustedTarget,
    VerifyBlocks,
    exchange::{ASK_TIMEOUT, Lookahead},
    machine::Machine,
};

/// The table.
pub(super) struct MockChain {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    headers: HashMap<H256, Header>,
    records: HashMap<Vec<u8>, Vec<u8>>,
    difficulties: HashMap<H256, u64>,
    best: H256,
    genesis: H256,
    finalised: u32,
    finalised_hash: H256,
    works: HashMap<H256, u64>,
    failing: bool,
    changing: bool,
    imports: u32,
}

impl MockChain {
    pub(super) fn new() -> Arc<Self> {
        let genesis = Header::new(
            0,
            H256::zero(),
            H256::zero(),
            H256::zero(),
            Digest::default(),
        );
        let hash = genesis.hash();
        let state = State {
            headers: [(hash, genesis)].into(),
            best: hash,
            genesis: hash,
            finalised_hash: hash,
            ..Default::default()
        };
        Arc::new(Self {
            state: Mutex::new(state),
        })
    }

    pub(super) fn best(&self) -> Header {
        let state = self.state.lock();
        state.headers[&state.best].clone()
    }

    /// Difficulty of the children of `block`, where it is not [`EASY`].
    pub(super) fn set_difficulty(&self, block: H256, difficulty: u64) {
        self.state.lock().difficulties.insert(block, difficulty);
    }

    pub(super) fn set_finalised(&self, number: u32) {
        self.state.lock().finalised = number;
    }

    /// As a chain is whose finalised block came with its state, which knows the work up to it.
    pub(super) fn set_finalised_with_state(&self, header: Header, work: u64) {
        let mut state = self.state.lock();
        let hash = header.hash();
        state.finalised = *header.number();
        (state.finalised_hash, state.best) = (hash, hash);
        state.headers.insert(hash, header);
        state.works.insert(hash, work);
    }

    /// Makes every import fail, as a full disk does.
    pub(super) fn set_failing(&self, failing: bool) {
        self.state.lock().failing = failing;
    }

    /// Makes every block one by which authorities change.
    pub(super) fn set_changing(&self, changing: bool) {
        self.state.lock().changing = changing;
    }

    pub(super) fn has(&self, block: H256) -> bool {
        self.state.lock().headers.contains_key(&block)
    }

    pub(super) fn imports(&self) -> u32 {
        self.state.lock().imports
    }

    pub(super) fn records(&self) -> usize {
        self.state.lock().records.len()
    }

    pub(super) fn remove_record(&self, key: &[u8]) {
        self.state.lock().records.remove(key).unwrap();
    }

    pub(super) fn put_record(&self, key: Vec<u8>, value: Vec<u8>) {
        self.state.lock().records.insert(key, value);
    }
}

impl Chain<Block> for MockChain {
    fn tips(&self) -> Tips {
        let state = self.state.lock();
        Tips {
            best: state.best,
            finalised: state.finalised,
            finalised_hash: state.finalised_hash,
            genesis: state.genesis,
        }
    }

    fn sealed_header(&self, block: H256) -> sp_blockchain::Result<Option<Header>> {
        Ok(self.state.lock().headers.get(&block).cloned())
    }

    fn hash_at(&self, number: u32) -> sp_blockchain::Result<Option<H256>> {
        let state = self.state.lock();
        let mut at = state.best;
        while let Some(header) = state.headers.get(&at) {
            if header.number <= number {
                return Ok((header.number == number).then_some(at));
            }
            at = header.parent_hash;
        }
        Ok(None)
    }

    fn record(&self, key: &[u8]) -> sp_blockchain::Result<Option<Vec<u8>>> {
        Ok(self.state.lock().records.get(key).cloned())
    }

    fn difficulty_at(&self, block: H256) -> sp_blockchain::Result<U256> {
        Ok(self
            .state
            .lock()
            .difficulties
            .get(&block)
            .copied()
            .unwrap_or(EASY)
            .into())
    }

    fn work_at(&self, block: H256) -> sp_blockchain::Result<U256> {
        let work = self.state.lock().works.get(&block).copied();
        work.map(U256::from)
            .ok_or_else(|| sp_blockchain::Error::UnknownBlock(format!("no state of {block:?}")))
    }
}

/// What stands below the engine's import: does what it is told, as the client does.
#[derive(Clone)]
pub(super) struct MockClient(pub(super) Arc<MockChain>);

#[async_trait::async_trait]
impl BlockImport<Block> for MockClient {
    type Error = ConsensusError;

    async fn check_block(&self, _: BlockCheckParams<Block>) -> Result<ImportResult, Self::Error> {
        Ok(ImportResult::imported(false))
    }

    async fn import_block(
        &self,
        block: BlockImportParams<Block>,
    ) -> Result<ImportResult, Self::Error> {
        // Gives another import the chance to come between, were there no lock.
        tokio::task::yield_now().await;
        let hash = block.post_hash();
        let mut state = self.0.state.lock();
        if state.failing || !block.intermediates.is_empty() {
            return Err(ConsensusError::ClientImport("failing as told".into()));
        }
        if state.headers.contains_key(&hash) {
            return Ok(ImportResult::AlreadyInChain);
        }
        if !state.headers.contains_key(&block.header.parent_hash) {
            return Ok(ImportResult::UnknownParent);
        }
        let Some(ForkChoiceStrategy::Custom(is_new_best)) = block.fork_choice else {
            return Err(ConsensusError::ClientImport("no fork choice".into()));
        };
        state.headers.insert(hash, block.post_header());
        for (key, value) in block.auxiliary {
            match value {
                Some(value) => state.records.insert(key, value),
                None => state.records.remove(&key),
            };
        }
        if is_new_best {
            state.best = hash;
        }
        state.imports += 1;
        Ok(ImportResult::Imported(ImportedAux {
            is_new_best,
            needs_justification: state.changing,
            ..Default::default()
        }))
    }
}

/// One node: chain, engine, import and verifier.
pub(super) struct Node {
    pub(super) chain: Arc<MockChain>,
    pub(super) engine: Arc<Engine<Block>>,
    pub(super) import: PouwBlockImport<Block, MockClient>,
    pub(super) lookahead: Arc<Lookahead>,
    pub(super) verifier: PouwVerifier<Block>,
    salt: AtomicU64,
}

impl Node {
    pub(super) fn new() -> Self {
        Self::with_peers(MockPeers::none())
    }

    pub(super) fn with_peers(peers: Arc<MockPeers>) -> Self {
        Self::verifying(peers, VerifyBlocks::Unfinalised)
    }

    pub(super) fn verifying(peers: Arc<MockPeers>, verify: VerifyBlocks) -> Self {
        Self::on(Machine::real(Arc::new(|| NOW_MS)), peers, verify, None)
    }

    /// A node whose user knows this block to be final.
    pub(super) fn knowing(peers: Arc<MockPeers>, checkpoint: &Mined) -> Self {
        let machine = Machine::real(Arc::new(|| NOW_MS));
        let checkpoint = TrustedTarget::of::<Block>(&checkpoint.header);
        Self::on(machine, peers, VerifyBlocks::Unfinalised, Some(checkpoint))
    }

    /// A node for which what a peer may take at most never ends, and every shorter time at once.
    pub(super) fn in_no_time(peers: Arc<MockPeers>) -> Self {
        Self::with_limit(peers, || pending().boxed())
    }

    /// A node for which every time ends at once.
    pub(super) fn without_patience(peers: Arc<MockPeers>) -> Self {
        Self::with_limit(peers, at_once)
    }

    /// Shorter times than what a peer may take end at once.
    fn with_limit(peers: Arc<MockPeers>, limit: fn() -> BoxFuture<'static, ()>) -> Self {
        let machine = Machine {
            sleep: Arc::new(move |pause| match pause < ASK_TIMEOUT {
                true => at_once(),
                false => limit(),
            }),
            ..Machine::real(Arc::new(|| NOW_MS))
        };
        Self::on(machine, peers, VerifyBlocks::Unfinalised, None)
    }

    fn on(
        machine: Machine,
        peers: Arc<MockPeers>,
        verify: VerifyBlocks,
        checkpoint: Option<TrustedTarget>,
    ) -> Self {
        let chain = MockChain::new();
        let engine = Engine::on(machine, chain.clone(), checkpoint);
        let import = PouwBlockImport::new(MockClient(chain.clone()), engine.clone());
        let lookahead = Lookahead::new();
        let sources = Sources {
            proofs: peers.clone(),
            finality: peers,
            verify,
        };
        let verifier = PouwVerifier::new(engine.clone(), sources, lookahead.clone()).impatient();
        Self {
            chain,
            engine,
            import,
            lookahead,
            verifier,
            salt: AtomicU64::new(1),
        }
    }

    /// A block on `parent`, mined at the difficulty that its parent sets; not imported.
    pub(super) fn child(&self, parent: &Header) -> Mined {
        let difficulty = self
            .engine
            .difficulty_after(parent.hash())
            .unwrap()
            .get()
            .as_u64();
        let salt = self.salt.fetch_add(1, Ordering::Relaxed);
        mine(
            unsealed(parent, time_at(parent.number + 1), salt),
            difficulty,
        )
    }

    /// A block that sync brings.
    pub(super) fn from_sync(header: &Header) -> BlockImportParams<Block> {
        let mut block = BlockImportParams::new(BlockOrigin::NetworkBroadcast, header.clone());
        block.body = Some(Vec::new());
        block.post_hash = Some(header.hash());
        block
    }

    /// What the import queue does with a block.
    pub(super) async fn sync(&self, header: &Header) -> Result<ImportResult, SyncError> {
        let block = self
            .verifier
            .verify(Self::from_sync(header))
            .await
            .map_err(SyncError::SenderBanned)?;
        self.import
            .import_block(block)
            .await
            .map_err(|error| SyncError::NotNow(error.to_string()))
    }

    /// As [`sync`](Self::sync), with the proof heard before.
    pub(super) async fn hear_and_sync(&self, block: &Mined) -> Result<ImportResult, SyncError> {
        self.engine
            .proofs
            .keep_unchecked(block.hash(), Arc::new(block.proof.clone()), None);
        self.sync(&block.header).await
    }

    /// Mines and imports a child of `parent`.
    pub(super) async fn grow(&self, parent: &Header) -> Mined {
        let block = self.child(parent);
        let result = self.hear_and_sync(&block).await.unwrap();
        assert!(matches!(result, ImportResult::Imported(_)), "{result:?}");
        block
    }

    pub(super) fn open(header: &Header) -> SealedHeader<Header> {
        SealedHeader::open(header).unwrap()
    }
}

/// How the import queue ends with a block.
#[derive(Debug, PartialEq)]
pub(super) enum SyncError {
    /// The verifier refused: sync bans the sender.
    SenderBanned(String),
    /// Import refused: sync tries again.
    NotNow(String),
}

fn at_once() -> BoxFuture<'static, ()> {
    Delay::new(Duration::from_millis(1)).boxed()
}

/// A block as sync hands it to the import queue.
pub(super) fn incoming(block: &Mined, sender: Option<RuntimeOrigin>) -> IncomingBlock<Block> {
    IncomingBlock {
        hash: block.hash(),
        header: Some(block.header.clone()),
        body: Some(Vec::new()),
        indexed_body: None,
        justifications: None,
        origin: sender,
        allow_missing_state: false,
        skip_execution: false,
        import_existing: false,
        state: None,
    }
}

/// Blocks one upon the other, the same each time, that no node has seen.
pub(super) fn chain_of(length: usize) -> Vec<Mined> {
    chain_beside(&[], length)
}

/// As [`chain_of`], and none of them among `others`.
pub(super) fn chain_beside(others: &[Mined], length: usize) -> Vec<Mined> {
    let elsewhere = Node::new();
    for _ in others {
        elsewhere.child(&elsewhere.chain.best());
    }
    let mut blocks: Vec<Mined> = Vec::new();
    for _ in 0..length {
        let parent = blocks
            .last()
            .map_or(elsewhere.chain.best(), |block| block.header.clone());
        blocks.push(elsewhere.child(&parent));
    }
    blocks
}
