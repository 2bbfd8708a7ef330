//! A node of the SDK's parts alone, on this chain: what a node costs that knows nothing of proofs.
//!
//! Configuration, database, runtime, network and GRANDPA are those of `labora`. In the place of our import queue is the
//! SDK's own with the least that can import these blocks, and the longest chain is the best one. A node with Aura or BABE
//! would do more: check the seal's signature, ask the runtime for authorities, check inherents. The SDK's manual-seal
//! verifier does as little, but takes blocks that have no seal, and these have one.

mod import;

use std::{sync::Arc, time::Duration};

use clap::Parser;
use labora_runtime::{apis::RuntimeApi, opaque::Block};
use sc_cli::{RunCmd, SubstrateCli};
use sc_consensus::{BasicQueue, LongestChain};
use sc_consensus_grandpa::{Config, GrandpaParams, SharedVoterState, VotingRulesBuilder};
use sc_network::{
    NetworkBackend, NetworkWorker,
    config::{FullNetworkConfiguration, NetworkBackendType},
};
use sc_network_sync::strategy::warp::WarpSyncConfig;
use sc_service::{Configuration, TaskManager, error::Error as ServiceError};
use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_blockchain::HeaderBackend;
use sp_runtime::traits::Block as BlockT;

type Hash = <Block as BlockT>::Hash;
type Network = NetworkWorker<Block, Hash>;

/// As `labora` has it.
const JUSTIFICATION_PERIOD: u32 = 512;

/// As `labora` has it.
const GOSSIP_DURATION: Duration = Duration::from_millis(333);

/// The SDK's flags of a running node.
#[derive(Debug, Parser)]
struct Cli {
    #[clap(flatten)]
    run: RunCmd,
}

impl SubstrateCli for Cli {
    fn impl_name() -> String {
        "Plain SDK node".into()
    }

    fn impl_version() -> String {
        env!("CARGO_PKG_VERSION").into()
    }

    fn description() -> String {
        env!("CARGO_PKG_DESCRIPTION").into()
    }

    fn author() -> String {
        env!("CARGO_PKG_AUTHORS").into()
    }

    fn support_url() -> String {
        env!("CARGO_PKG_REPOSITORY").into()
    }

    fn copyright_start_year() -> i32 {
        2026
    }

    fn load_spec(&self, id: &str) -> Result<Box<dyn sc_service::ChainSpec>, String> {
        let spec = labora_chain_spec::load(id).map_err(|error| error.to_string())?;
        Ok(Box::new(spec))
    }
}

/// Runs until a signal ends it; `arguments` begins with the program's name.
pub fn run(arguments: impl Iterator<Item = String>) -> sc_cli::Result<()> {
    let cli = Cli::from_iter(arguments);
    let mut runner = cli.create_runner(&cli.run)?;
    let config = runner.config_mut();
    // As `labora` has it. What this node announced would come without a proof.
    config.announce_block = false;
    config.network.network_backend = NetworkBackendType::Libp2p;
    runner.run_node_until_exit(|config| async move { start(config).map_err(Into::into) })
}

fn start(config: Configuration) -> Result<TaskManager, ServiceError> {
    let executor = sc_service::new_wasm_executor::<sp_io::SubstrateHostFunctions>(&config.executor);
    let (client, backend, keystore, mut task_manager) =
        sc_service::new_full_parts::<Block, RuntimeApi, _>(&config, None, executor, Vec::new())?;
    let client = Arc::new(client);
    let transaction_pool = Arc::from(
        sc_transaction_pool::Builder::new(
            task_manager.spawn_essential_handle(),
            client.clone(),
            config.role.is_authority().into(),
        )
        .with_options(config.transaction_pool.clone())
        .build(),
    );

    let (grandpa, link) = sc_consensus_grandpa::block_import(
        client.clone(),
        JUSTIFICATION_PERIOD,
        &client,
        LongestChain::new(backend.clone()),
        None,
    )?;
    let import_queue = BasicQueue::new(
        import::SealOff,
        Box::new(import::WarpHeaders(grandpa.clone())),
        Some(Box::new(grandpa)),
        &task_manager.spawn_essential_handle(),
        None,
    );

    let mut net_config =
        FullNetworkConfiguration::<Block, Hash, Network>::new(&config.network, None);
    let metrics = Network::register_notification_metrics(None);
    let genesis = client.info().genesis_hash;
    let votes = sc_consensus_grandpa::protocol_standard_name(&genesis, &config.chain_spec);
    let (votes_config, notifications) =
        sc_consensus_grandpa::grandpa_peers_set_config::<Block, Network>(
            votes.clone(),
            metrics.clone(),
            net_config.peer_store_handle(),
        );
    net_config.add_notification_protocol(votes_config);
    let warp = sc_consensus_grandpa::warp_proof::NetworkProvider::new(
        backend.clone(),
        link.shared_authority_set().clone(),
        Vec::new(),
    );
    let (network, system_rpc_tx, tx_handler_controller, sync_service, _bitswap) =
        sc_service::build_network(sc_service::BuildNetworkParams {
            config: &config,
            net_config,
            client: client.clone(),
            transaction_pool: transaction_pool.clone(),
            spawn_handle: task_manager.spawn_handle(),
            spawn_essential_handle: task_manager.spawn_essential_handle(),
            import_queue,
            // The chain stands still while it is synced, so nothing is announced.
            block_announce_validator_builder: None,
            warp_sync_config: Some(WarpSyncConfig::WithProvider(Arc::new(warp))),
            block_relay: None,
            metrics,
            gap_sync_body_policy: None,
        })?;

    let voter = sc_consensus_grandpa::run_grandpa_voter(GrandpaParams {
        config: Config {
            gossip_duration: GOSSIP_DURATION,
            justification_generation_period: JUSTIFICATION_PERIOD,
            observer_enabled: false,
            local_role: config.role,
            name: Some(config.network.node_name.clone()),
            keystore: None,
            telemetry: None,
            protocol_name: votes,
        },
        link,
        network: network.clone(),
        sync: sync_service.clone(),
        notification_service: notifications,
        voting_rule: VotingRulesBuilder::default().build(),
        prometheus_registry: None,
        shared_voter_state: SharedVoterState::empty(),
        telemetry: None,
        offchain_tx_pool_factory: OffchainTransactionPoolFactory::new(transaction_pool.clone()),
    })?;
    task_manager
        .spawn_essential_handle()
        .spawn_blocking("grandpa-voter", None, voter);

    sc_service::spawn_tasks(sc_service::SpawnTasksParams {
        config,
        client,
        backend,
        task_manager: &mut task_manager,
        keystore: keystore.keystore(),
        transaction_pool,
        // What the SDK serves by itself is enough to watch it.
        rpc_builder: Box::new(|_| Ok(jsonrpsee::RpcModule::new(()))),
        network,
        system_rpc_tx,
        tx_handler_controller,
        sync_service,
        telemetry: None,
        tracing_execute_block: None,
    })?;
    Ok(task_manager)
}
