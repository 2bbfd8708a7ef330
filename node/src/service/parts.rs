//! What a node is made of before there is a network: database, state, pool, engine and import queue.

use std::sync::Arc;

use labora_consensus::{
    Engine, NetworkProofs, PouwImportQueue, Sources, exchange::protocol_name, system_clock,
};
use labora_runtime::{apis::RuntimeApi, opaque::Block};
use sc_service::{Configuration, PartialComponents, error::Error as ServiceError};
use sc_telemetry::{Telemetry, TelemetryWorker};
use sp_blockchain::HeaderBackend;

use super::database;
use crate::{finality, trust::Trust};

/// The chain as this node has it: database, state, runtime.
pub type FullClient = sc_service::TFullClient<
    Block,
    RuntimeApi,
    sc_executor::WasmExecutor<sp_io::SubstrateHostFunctions>,
>;
/// Its database.
pub type FullBackend = sc_service::TFullBackend<Block>;

/// Transactions that wait.
pub type Pool = sc_transaction_pool::TransactionPoolHandle<Block, FullClient>;

/// Beside the SDK's usual parts.
pub struct Other {
    /// What the parts of consensus share.
    pub engine: Arc<Engine<Block>>,
    /// Takes proved blocks, and chooses the best chain by work.
    pub block_import: finality::BlockImport,
    /// Votes, and knows what is final.
    pub finality: finality::Finality,
    /// Gets proofs from peers, once it is bound to the network.
    pub peers_proofs: Arc<NetworkProofs<Block>>,
    /// Reports to telemetry servers, if the chain names any.
    pub telemetry: Option<Telemetry>,
}

/// Parts that do not run yet.
pub type Partial =
    PartialComponents<FullClient, FullBackend, (), PouwImportQueue<Block>, Pool, Other>;

/// Opens the database and builds what needs no network; `is_author` says whether the node will make blocks.
pub fn new_partial(
    config: &Configuration,
    trust: Trust,
    is_author: bool,
) -> Result<Partial, ServiceError> {
    let telemetry = config
        .telemetry_endpoints
        .clone()
        .filter(|endpoints| !endpoints.is_empty())
        .map(|endpoints| -> Result<_, sc_telemetry::Error> {
            let worker = TelemetryWorker::new(16)?;
            let telemetry = worker.handle().new_telemetry(endpoints);
            Ok((worker, telemetry))
        })
        .transpose()?;

    let (client, backend, keystore_container, task_manager) = database::open(
        config,
        telemetry.as_ref().map(|(_, telemetry)| telemetry.handle()),
    )?;
    let client = Arc::new(client);

    let telemetry = telemetry.map(|(worker, telemetry)| {
        task_manager
            .spawn_handle()
            .spawn("telemetry", None, worker.run());
        telemetry
    });

    let transaction_pool = Arc::from(
        sc_transaction_pool::Builder::new(
            task_manager.spawn_essential_handle(),
            client.clone(),
            // Whether to keep what is not passed on to others, such as the report of a double vote. The SDK asks whether
            // this node validates, for on its own chains validators make blocks.
            (is_author || config.role.is_authority()).into(),
        )
        .with_options(config.transaction_pool.clone())
        .with_prometheus(config.prometheus_registry())
        .build(),
    );

    trust.check_database(&client)?;
    let engine = Engine::new(client.clone(), system_clock(), trust.checkpoint);
    let (block_import, justifications, finality) = finality::new_partial(
        config,
        &client,
        &backend,
        &engine,
        telemetry.as_ref().map(Telemetry::handle),
    )?;
    let genesis = client.info().genesis_hash;
    let peers_proofs = NetworkProofs::new(protocol_name(genesis, config.chain_spec.fork_id()));
    let import_queue = labora_consensus::import_queue(
        engine.clone(),
        Sources {
            proofs: peers_proofs.clone(),
            finality: finality.source.clone(),
            verify: trust.verify,
        },
        block_import.clone(),
        Some(justifications),
        &task_manager.spawn_essential_handle(),
        config.prometheus_registry(),
    );

    Ok(PartialComponents {
        client,
        backend,
        task_manager,
        import_queue,
        keystore_container,
        // GRANDPA, which alone asks, has its own.
        select_chain: (),
        transaction_pool,
        other: Other {
            engine,
            block_import,
            finality,
            peers_proofs,
            telemetry,
        },
    })
}
