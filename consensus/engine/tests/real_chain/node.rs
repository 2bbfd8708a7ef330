//! A node without a network: client, pool, import queue and authoring loop, and a miner that multiplies by definition.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, LazyLock},
    time::Duration,
};

use futures::future::BoxFuture;
use labora_consensus::{
    AuthoringParams, Engine, MiningHandle, NoFinality, Peers, PouwBlockImport, ProofSource,
    Sources, SubmitError, Template, VerifyBlocks, import_queue, start_authoring, system_clock,
};
use labora_pouw::{Difficulty, Shape, reference};
use labora_runtime::{
    BalancesCall, Runtime, RuntimeCall, SystemCall, TxExtension, UncheckedExtrinsic,
    apis::RuntimeApi,
};
use parity_scale_codec::Encode;
use sc_chain_spec::{GenesisBlockBuilder, GenesisConfigBuilderRuntimeCaller};
use sc_client_api::{BlockBackend, execution_extensions::ExecutionExtensions};
use sc_client_db::{BlocksPruning, DatabaseSettings, DatabaseSource, PruningMode};
use sc_consensus::IncomingBlock;
use sc_executor::WasmExecutor;
use sc_service::{TFullBackend, TFullClient};
use sc_transaction_pool::BasicPool;
use sc_transaction_pool_api::{TransactionPool, TransactionSource};
use sp_blockchain::HeaderBackend;
use sp_consensus::NoNetwork;
use sp_core::{
    H256, Pair,
    traits::{SpawnEssentialNamed, SpawnNamed},
};
use sp_io::SubstrateHostFunctions;
use sp_keyring::Sr25519Keyring;
use sp_runtime::{MultiAddress, MultiSignature, OpaqueExtrinsic, generic};
use tempfile::TempDir;

use crate::sync::Queue;

pub use labora_runtime::opaque::Block;

/// Difficulty of block 1: the lowest there is, one product of the smallest shape.
pub const DIFFICULTY: u64 = 32 * 32 * 256;

/// Longest wait for a condition; only a failing test gets there.
pub const DEADLINE: Duration = Duration::from_secs(240);

type Executor = WasmExecutor<SubstrateHostFunctions>;
pub type Client = TFullClient<Block, RuntimeApi, Executor>;
type Pool = BasicPool<sc_transaction_pool::FullChainApi<Client, Block>, Block>;

#[derive(Clone)]
struct Spawner(tokio::runtime::Handle);

impl SpawnNamed for Spawner {
    fn spawn_blocking(
        &self,
        _: &'static str,
        _: Option<&'static str>,
        future: BoxFuture<'static, ()>,
    ) {
        let handle = self.0.clone();
        self.0.spawn_blocking(move || handle.block_on(future));
    }

    fn spawn(&self, _: &'static str, _: Option<&'static str>, future: BoxFuture<'static, ()>) {
        self.0.spawn(future);
    }
}

impl SpawnEssentialNamed for Spawner {
    fn spawn_essential_blocking(
        &self,
        name: &'static str,
        group: Option<&'static str>,
        future: BoxFuture<'static, ()>,
    ) {
        self.spawn_blocking(name, group, future);
    }

    fn spawn_essential(
        &self,
        name: &'static str,
        group: Option<&'static str>,
        future: BoxFuture<'static, ()>,
    ) {
        self.spawn(name, group, future);
    }
}

/// A fresh folder for a database, removed with its last user.
pub fn folder() -> Arc<TempDir> {
    Arc::new(tempfile::tempdir().unwrap())
}

/// Runs a node's life on a runtime of its own; all its tasks have ended when this returns.
pub fn run<T>(life: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(life)
}

/// One for all nodes of a test, so that the runtime is compiled once.
static EXECUTOR: LazyLock<Executor> = LazyLock::new(|| Executor::builder().build());

/// The development chain at the lowest difficulty, with a half-life that a test does not feel.
fn genesis() -> sp_core::storage::Storage {
    let code = labora_runtime::WASM_BINARY.expect("tests build the runtime's WASM");
    let caller = GenesisConfigBuilderRuntimeCaller::<SubstrateHostFunctions>::new(code);
    let mut preset = caller
        .get_named_preset(Some(&"development".to_string()))
        .unwrap();
    preset["work"]["initialDifficulty"] = serde_json::json!(format!("{DIFFICULTY:#x}"));
    preset["work"]["halfLifeMs"] = serde_json::json!(3_600_000);
    let mut storage = caller.get_storage_for_patch(preset).unwrap();
    storage.top.insert(
        sp_core::storage::well_known_keys::CODE.to_vec(),
        code.to_vec(),
    );
    storage
}

pub struct Node {
    pub client: Arc<Client>,
    pub backend: Arc<TFullBackend<Block>>,
    pub engine: Arc<Engine<Block>>,
    import: PouwBlockImport<Block, Arc<Client>>,
    pool: Arc<Pool>,
    spawner: Spawner,
    author: Sr25519Keyring,
    _folder: Arc<TempDir>,
}

impl Node {
    pub fn new() -> Self {
        Self::mining_for(Sr25519Keyring::Alice)
    }

    pub fn mining_for(author: Sr25519Keyring) -> Self {
        Self::open(folder(), author)
    }

    pub fn open(folder: Arc<TempDir>, author: Sr25519Keyring) -> Self {
        Self::try_open(folder, author).unwrap()
    }

    fn try_open(folder: Arc<TempDir>, author: Sr25519Keyring) -> sp_blockchain::Result<Self> {
        let spawner = Spawner(tokio::runtime::Handle::current());
        let backend: Arc<TFullBackend<Block>> = sc_service::new_db_backend(DatabaseSettings {
            trie_cache_maximum_size: Some(16 << 20),
            state_pruning: Some(PruningMode::ArchiveAll),
            source: DatabaseSource::RocksDb {
                path: folder.path().into(),
                cache_size: 16,
            },
            blocks_pruning: BlocksPruning::KeepAll,
            pruning_filters: Vec::new(),
            metrics_registry: None,
        })?;
        let executor = EXECUTOR.clone();
        let genesis = GenesisBlockBuilder::new_with_storage(
            genesis(),
            true,
            backend.clone(),
            executor.clone(),
        )?;
        let client = Arc::new(sc_service::new_client(
            backend.clone(),
            executor.clone(),
            genesis,
            None,
            None,
            ExecutionExtensions::new(None, Arc::new(executor)),
            Box::new(spawner.clone()),
            None,
            None,
            Default::default(),
        )?);
        let pool = Arc::new(BasicPool::new_full(
            Default::default(),
            true.into(),
            None,
            spawner.clone(),
            client.clone(),
        ));
        let engine = Engine::new(client.clone(), system_clock(), None);
        let import = PouwBlockImport::new(client.clone(), engine.clone());
        Ok(Self {
            client,
            backend,
            engine,
            import,
            pool,
            spawner,
            author,
            _folder: folder,
        })
    }

    /// Starts the authoring loop.
    pub fn start(&self, peers: Peers) -> MiningHandle<Block> {
        let (handle, run) = start_authoring(AuthoringParams {
            client: self.client.clone(),
            engine: self.engine.clone(),
            block_import: Box::new(self.import.clone()),
            proposers: sc_basic_authorship::ProposerFactory::new(
                self.spawner.clone(),
                self.client.clone(),
                self.pool.clone(),
                None,
                None,
            ),
            transactions: self.pool.import_notification_stream(),
            sync: NoNetwork,
            justifications: Arc::new(()),
            author: self.author.to_account_id(),
            peers,
        });
        tokio::spawn(run);
        handle
    }

    /// Mines so many blocks on the best one, each on the template that follows the last.
    pub async fn mine(&self, blocks: u32) -> Vec<H256> {
        let handle = self.start(Peers::NotRequired);
        let mut templates = handle.templates();
        let mut mined = Vec::new();
        for _ in 0..blocks {
            let number = self.client.info().best_number + 1;
            let wanted =
                |next: &Option<Template>| next.as_ref().is_some_and(|next| next.number == number);
            let template = tokio::time::timeout(DEADLINE, templates.wait_for(wanted)).await;
            let template = template.expect("in time").unwrap().clone().unwrap();
            mined.push(self.seal(&handle, &template).await.unwrap());
        }
        mined
    }

    /// Finds a winner for a template and submits it.
    pub async fn seal(
        &self,
        handle: &MiningHandle<Block>,
        template: &Template,
    ) -> Result<H256, SubmitError> {
        let shape = Shape::new(32, 32, 256).unwrap();
        let difficulty = Difficulty::new(template.difficulty).unwrap();
        let winner = (0..)
            .find_map(|attempt| {
                let (a, bt) = reference::matrices(&format!("chain {attempt}"), shape);
                let proved =
                    reference::prove(&template.pre_hash.0, &a, &bt, shape, difficulty).unwrap();
                proved.winners.into_iter().next()
            })
            .unwrap();
        handle
            .submit(template.pre_hash, winner.seal, winner.proof)
            .await
    }

    /// A block as sync hands it to an import queue.
    pub fn incoming(&self, hash: H256) -> IncomingBlock<Block> {
        let block = self.client.block(hash).unwrap().unwrap().block;
        IncomingBlock {
            hash,
            header: Some(block.header),
            body: Some(block.extrinsics),
            indexed_body: None,
            justifications: None,
            origin: None,
            allow_missing_state: false,
            skip_execution: false,
            import_existing: false,
            state: None,
        }
    }

    /// The import queue, running.
    pub fn queue(&self, source: Arc<dyn ProofSource>) -> Queue {
        let queue = import_queue(
            self.engine.clone(),
            Sources {
                proofs: source,
                finality: Arc::new(NoFinality),
                verify: VerifyBlocks::Unfinalised,
            },
            self.import.clone(),
            None,
            &self.spawner,
            None,
        );
        Queue::run(queue)
    }

    fn signed(&self, call: RuntimeCall, signer: Sr25519Keyring) -> OpaqueExtrinsic {
        let genesis = self.client.info().genesis_hash;
        let version = labora_runtime::VERSION;
        let extension: TxExtension = (
            frame_system::CheckNonZeroSender::<Runtime>::new(),
            frame_system::CheckSpecVersion::<Runtime>::new(),
            frame_system::CheckTxVersion::<Runtime>::new(),
            frame_system::CheckGenesis::<Runtime>::new(),
            frame_system::CheckEra::<Runtime>::from(generic::Era::Immortal),
            frame_system::CheckNonce::<Runtime>::from(0),
            frame_system::CheckWeight::<Runtime>::new(),
            pallet_transaction_payment::ChargeTransactionPayment::<Runtime>::from(0),
            frame_metadata_hash_extension::CheckMetadataHash::<Runtime>::new(false),
            frame_system::WeightReclaim::<Runtime>::new(),
        );
        let implicit = (
            (),
            version.spec_version,
            version.transaction_version,
            genesis,
            genesis,
            (),
            (),
            (),
            None,
            (),
        );
        let payload =
            labora_runtime::SignedPayload::from_raw(call.clone(), extension.clone(), implicit);
        let signature = payload.using_encoded(|bytes| signer.pair().sign(bytes));
        let address = MultiAddress::Id(signer.to_account_id());
        UncheckedExtrinsic::new_signed(call, address, MultiSignature::Sr25519(signature), extension)
            .into()
    }

    /// A signer's first transaction: a transfer of so many of the smallest units above what keeps an account.
    pub fn transfer(
        &self,
        from: Sr25519Keyring,
        to: Sr25519Keyring,
        value: u128,
    ) -> OpaqueExtrinsic {
        let call = BalancesCall::transfer_keep_alive {
            dest: MultiAddress::Id(to.to_account_id()),
            value,
        };
        self.signed(RuntimeCall::Balances(call), from)
    }

    /// Root's first transaction: the same code again.
    pub fn upgrade(&self) -> OpaqueExtrinsic {
        let code = labora_runtime::WASM_BINARY
            .expect("tests build the runtime's WASM")
            .to_vec();
        let call = Box::new(RuntimeCall::System(SystemCall::set_code_without_checks {
            code,
        }));
        // Computing a blob's version takes longer than a transaction's default weight tells: root says so.
        let weight = Default::default();
        let call = pallet_sudo::Call::sudo_unchecked_weight { call, weight };
        self.signed(RuntimeCall::Sudo(call), Sr25519Keyring::Alice)
    }

    /// Puts a transaction into the pool.
    pub async fn submit(&self, transaction: OpaqueExtrinsic) {
        let at = self.client.info().best_hash;
        self.pool
            .submit_one(at, TransactionSource::Local, transaction)
            .await
            .unwrap();
    }

    /// Waits until a condition holds.
    pub fn wait_until<'a>(
        &self,
        mut holds: impl FnMut() -> bool + Send + 'a,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            let deadline = std::time::Instant::now() + DEADLINE;
            while !holds() {
                assert!(
                    std::time::Instant::now() < deadline,
                    "the condition does not come to hold"
                );
                tokio::task::yield_now().await;
            }
        })
    }
}
