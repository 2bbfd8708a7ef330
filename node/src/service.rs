//! How a node is put together: the SDK's parts, with our import queue, announcements, proof exchange and mining in their
//! places. [`parts`] are those that need no network. What mines and serves products beside it is started in [`crate::mining`].

mod database;
mod parts;

use std::sync::{Arc, OnceLock};

use futures::FutureExt;
use labora_consensus::{Bound, InTurn, PouwAnnounceValidator, ProofRequestHandler};
use labora_market::node::InProcess;
use labora_runtime::opaque::Block;
use sc_client_api::Backend as _;
use sc_network::{NetworkBackend, NetworkBlock, NetworkWorker, config::FullNetworkConfiguration};
use sc_network_sync::{
    block_relay_protocol::BlockRelayParams, block_request_handler::BlockRequestHandler,
    service::network::NetworkServiceProvider, strategy::warp::WarpSyncConfig,
};
use sc_service::{Configuration, PartialComponents, TaskManager, error::Error as ServiceError};
use sc_telemetry::Telemetry;
use sc_transaction_pool_api::{OffchainTransactionPoolFactory, TransactionPool};
use sp_blockchain::HeaderBackend;
use sp_runtime::traits::Block as BlockT;

use crate::{artifacts, finality, market, mining, rig, rpc};
pub use parts::{FullBackend, FullClient, Other, Pool, new_partial};

type Network = NetworkWorker<Block, Hash>;
/// Names a block.
pub type Hash = <Block as BlockT>::Hash;

/// Starts a node; it runs until the task manager is dropped. `database` is given what is to be closed after that.
pub async fn new_full(
    config: Configuration,
    options: mining::Options,
    database: &OnceLock<Arc<FullBackend>>,
) -> Result<TaskManager, ServiceError> {
    let PartialComponents {
        client,
        backend,
        mut task_manager,
        import_queue,
        keystore_container,
        select_chain: (),
        transaction_pool,
        other:
            Other {
                engine,
                block_import,
                finality,
                peers_proofs,
                mut telemetry,
            },
    } = new_partial(&config, options.trust, options.author.is_some())?;
    // Set once, here; a second start in one process would be another cell's.
    let _ = database.set(backend.clone());
    let registry = config.prometheus_registry().cloned();
    let spawner = task_manager.spawn_handle();

    let mut net_config =
        FullNetworkConfiguration::<Block, Hash, Network>::new(&config.network, registry.clone());
    let (proof_requests, proof_protocol) =
        ProofRequestHandler::new::<Network>(client.clone(), config.chain_spec.fork_id());
    net_config.add_request_response_protocol(proof_protocol);
    spawner.spawn(
        "pouw-proof-requests",
        Some("networking"),
        proof_requests.run(),
    );

    let artifacts = artifacts::open(options.gemm.as_ref()).map_err(|error| {
        ServiceError::Application(Box::new(mining::WorkshopError::Listen(error)))
    })?;
    let artifacts = artifacts.map(|store| {
        let chain = (client.info().genesis_hash, config.chain_spec.fork_id());
        artifacts::Served::new(store, &mut net_config, chain, &spawner)
    });

    let metrics = Network::register_notification_metrics(registry.as_ref());
    let votes = finality::protocol_name(&config, &client.info().genesis_hash);
    let (votes_config, notifications) =
        sc_consensus_grandpa::grandpa_peers_set_config::<Block, Network>(
            votes.clone(),
            metrics.clone(),
            net_config.peer_store_handle(),
        );
    net_config.add_notification_protocol(votes_config);

    // The SDK's own download of blocks, with the import queue's word on whom to ask.
    let downloads = NetworkServiceProvider::new();
    let peers = &config.network.default_peers_set;
    let relay = BlockRequestHandler::new::<Network>(
        downloads.handle(),
        &config.protocol_id(),
        config.chain_spec.fork_id(),
        client.clone(),
        peers.in_peers as usize + peers.out_peers as usize,
    );
    let block_relay = BlockRelayParams {
        downloader: InTurn::new(relay.downloader, import_queue.lanes().clone()),
        ..relay
    };

    let justifications = sc_consensus::ImportQueue::service(&import_queue);
    let validator = PouwAnnounceValidator::new(engine.clone(), peers_proofs.clone());
    let (network, system_rpc_tx, tx_handler_controller, sync_service, _bitswap) =
        sc_service::build_network(sc_service::BuildNetworkParams {
            config: &config,
            net_config,
            client: client.clone(),
            transaction_pool: transaction_pool.clone(),
            spawn_handle: task_manager.spawn_handle(),
            spawn_essential_handle: task_manager.spawn_essential_handle(),
            import_queue,
            block_announce_validator_builder: Some(Box::new(move |_| Box::new(validator))),
            warp_sync_config: Some(WarpSyncConfig::WithProvider(finality.provider.clone())),
            block_relay: Some(block_relay),
            metrics,
            gap_sync_body_policy: None,
        })?;
    spawner.spawn(
        "pouw-downloads",
        Some("networking"),
        downloads.run(Arc::new(network.clone())),
    );
    let bound = Bound {
        network: network.clone(),
        sync: sync_service.clone(),
    };
    peers_proofs.bind(bound.clone());
    finality.source.bind(bound);

    let votes_at_all = !config.disable_grandpa;
    let voters = sc_consensus_grandpa::SharedVoterState::empty();
    let grandpa_rpc = finality.rpc(&backend, &voters);
    let forced_changes = finality.forced_changes();
    let voting = finality::Voting {
        role: config.role,
        name: config.network.node_name.clone(),
        registry: registry.clone(),
        telemetry: telemetry.as_ref().map(Telemetry::handle),
        state: voters,
        protocol: votes,
        notifications,
        network: network.clone(),
        sync: sync_service.clone(),
        pool: transaction_pool.clone(),
        keystore: keystore_container.keystore(),
        justifications,
        client: client.clone(),
        has_checkpoint: options.trust.checkpoint.is_some(),
    };

    let announce = {
        let sync = sync_service.clone();
        Arc::new(move |block, proof| sync.announce_block(block, proof))
    };
    if let Some(registry) = &registry {
        let engine = engine.clone();
        crate::metrics::engine::register_all(registry, &(Arc::new(move || engine.stats()) as _))?;
        crate::metrics::disk::register_all(registry, config.base_path.path().to_owned())?;
        if let Some(served) = &artifacts {
            crate::metrics::artifacts::register_all(registry, served.tally())?;
        }
        #[cfg(target_os = "linux")]
        crate::metrics::memory::register_all(registry)?;
    }
    let relay = labora_consensus::announce_imported(client.clone(), engine.clone(), announce);
    spawner.spawn("pouw-announce", Some("networking"), relay);
    let dropping = labora_consensus::drop_proofs_on_finality(client.clone(), options.keep_proofs);
    spawner.spawn("pouw-drop-proofs", None, dropping);

    if config.offchain_worker.enabled {
        start_offchain_workers(
            &config,
            &client,
            &backend,
            &keystore_container,
            &transaction_pool,
            &network,
            &spawner,
        );
    }

    let engine_handle = options.author.clone().map(|author| {
        let proposers = sc_basic_authorship::ProposerFactory::new(
            task_manager.spawn_handle(),
            client.clone(),
            transaction_pool.clone(),
            registry.as_ref(),
            telemetry.as_ref().map(Telemetry::handle),
        );
        let (handle, authoring) =
            labora_consensus::start_authoring(labora_consensus::AuthoringParams {
                client: client.clone(),
                engine,
                block_import: Box::new(block_import),
                proposers,
                transactions: transaction_pool.import_notification_stream(),
                sync: sync_service.clone(),
                justifications: sync_service.clone(),
                author,
                peers: options.peers,
            });
        // Not as a blocking task: those outlive tokio's clock when the node ends, and asking that clock for the next tick
        // is then a panic. The proposer builds blocks on blocking threads by itself.
        task_manager.spawn_essential_handle().spawn(
            "pouw-authoring",
            Some("block-authoring"),
            authoring,
        );
        handle
    });

    // From here on the workshop's own drop ends what it started, should anything below fail.
    let artifacts =
        artifacts.map(|served| served.start(network.clone(), sync_service.clone(), &spawner));
    let matrices = artifacts.clone();
    let kept = artifacts.as_ref().map(|artifacts| artifacts.store.clone());
    let (engine, tokio) = (engine_handle.clone(), config.tokio_handle.clone());
    let workshop = mining::Workshop::start(&options, engine, artifacts, tokio)
        .await
        .map_err(|error| ServiceError::Application(Box::new(error)))?;

    if let Some(registry) = &registry {
        let worker = workshop.worker();
        rig::metrics::register_all(registry, &(Arc::new(move || worker.stats()) as _))?;
    }

    let rpc_builder = {
        let (client, pool, worker) = (client.clone(), transaction_pool.clone(), workshop.worker());
        let submissions = Arc::<rpc::pouw::Submissions>::default();
        let shares = options
            .share_macs
            .map(|macs| Arc::new(crate::shares::Shares::new(macs)));
        let author = options.author.as_ref().map(ToString::to_string);
        Box::new(move |executor| {
            let (store, worker) = (client.clone(), worker.clone());
            let pouw = rpc::pouw::PouwRpc {
                client: client.clone(),
                proofs: Arc::new(move |block| labora_consensus::block_proof(&*store, block)),
                mining: engine_handle
                    .clone()
                    .map(|handle| Arc::new(handle) as Arc<dyn rpc::pouw::Mining>),
                author: author.clone(),
                worker: Arc::new(move || worker.stats()),
                submissions: submissions.clone(),
                shares: shares.clone(),
                forced_changes: forced_changes.clone(),
            };
            rpc::create_full(rpc::FullDeps {
                client: client.clone(),
                pool: pool.clone(),
                pouw,
                grandpa: grandpa_rpc(executor),
                artifacts: kept.clone(),
            })
            .map_err(ServiceError::Application)
        })
    };

    let methods = sc_service::spawn_tasks(sc_service::SpawnTasksParams {
        config,
        client,
        backend,
        task_manager: &mut task_manager,
        keystore: keystore_container.keystore(),
        transaction_pool,
        rpc_builder,
        network,
        system_rpc_tx,
        tx_handler_controller,
        sync_service,
        telemetry: telemetry.as_mut(),
        tracing_execute_block: None,
    })?;
    if let Some(jobs) = options.jobs {
        let place = market::Place {
            node: Arc::new(InProcess::new(methods.handle())),
            matrices: market::matrices(matrices)
                .map_err(|error| ServiceError::Application(Box::new(error)))?,
            devices: workshop.worker(),
        };
        market::start(jobs, place, registry.as_ref(), |task| {
            spawner.spawn("jobs", Some("jobs"), task);
        })?;
    }

    if votes_at_all {
        // After the tasks above, which put the keys of a well-known account into the keystore.
        finality.start(&task_manager, voting)?;
    } else {
        tracing::warn!(target: "labora", "Neither votes nor counts votes, as --no-grandpa wants: what is final it learns late, if at all");
    }
    task_manager.keep_alive(workshop);
    Ok(task_manager)
}

/// Runs what the runtime wants done beside blocks. A machine without certificate authorities cannot, and needs not: the
/// runtime has no such work today.
fn start_offchain_workers(
    config: &Configuration,
    client: &Arc<FullClient>,
    backend: &Arc<FullBackend>,
    keystore: &sc_service::KeystoreContainer,
    pool: &Arc<Pool>,
    network: &Arc<dyn sc_network::service::traits::NetworkService>,
    spawner: &sc_service::SpawnTaskHandle,
) {
    let workers = sc_offchain::OffchainWorkers::new(sc_offchain::OffchainWorkerOptions {
        runtime_api_provider: client.clone(),
        is_validator: config.role.is_authority(),
        keystore: Some(keystore.keystore()),
        offchain_db: backend.offchain_storage(),
        transaction_pool: Some(OffchainTransactionPoolFactory::new(pool.clone())),
        network_provider: Arc::new(network.clone()),
        enable_http_requests: true,
        custom_extensions: |_| Vec::new(),
    });
    match workers {
        Ok(workers) => spawner.spawn(
            "offchain-workers-runner",
            "offchain-worker",
            workers.run(client.clone(), spawner.clone()).boxed(),
        ),
        Err(error) => tracing::warn!(target: "labora", %error, "off-chain workers do not run"),
    }
}
