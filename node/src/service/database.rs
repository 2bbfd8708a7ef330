//! The database, opened for the chain of a spec and no other.

use std::sync::Arc;

use labora_chain_spec::is_built_in;
use labora_runtime::{apis::RuntimeApi, opaque::Block};
use sc_chain_spec::GenesisBlockBuilder;
use sc_executor::WasmExecutor;
use sc_service::{Configuration, KeystoreContainer, TaskManager, error::Error as ServiceError};
use sc_telemetry::TelemetryHandle;
use sp_blockchain::HeaderBackend;
use sp_core::storage::Storage;

use super::{FullBackend, FullClient};
use crate::genesis::{self, Executor};

/// Opens or begins the database.
///
/// # Errors
///
/// If it cannot be opened, or is of another chain than the spec's: the SDK does not look, and the node would go on on that one,
/// alone.
pub(super) fn open(
    config: &Configuration,
    telemetry: Option<TelemetryHandle>,
) -> Result<(FullClient, Arc<FullBackend>, KeystoreContainer, TaskManager), ServiceError> {
    let executor = genesis::executor(config);
    let backend = sc_service::new_db_backend::<Block>(config.db_config())?;
    let storage = genesis::storage_of(&*config.chain_spec)?;
    check(config, &backend, &storage, executor.clone())?;
    let builder = GenesisBlockBuilder::<Block, _, WasmExecutor<_>>::new_with_storage(
        storage,
        !config.no_genesis(),
        backend.clone(),
        executor.clone(),
    )?;
    sc_service::new_full_parts_with_genesis_builder::<Block, RuntimeApi, _, _>(
        config, telemetry, executor, backend, builder, false,
    )
}

fn check(
    config: &Configuration,
    backend: &FullBackend,
    storage: &Storage,
    executor: Executor,
) -> Result<(), ServiceError> {
    use sc_client_api::Backend as _;
    let has = backend.blockchain().info().genesis_hash;
    if has.is_zero() {
        return Ok(());
    }
    let wanted = genesis::hash_of(storage.clone(), executor)?;
    if has == wanted {
        return Ok(());
    }
    let name = config.chain_spec.name();
    if is_built_in(config.chain_spec.id()) {
        // Their specs are made by each version of the binary anew, with its own runtime.
        tracing::warn!(
            target: "labora",
            "This database's chain begins with {has}, and that of the spec of {name} with {wanted}, as another version makes it: the \
             node goes on with its own, and meets none that begin anew"
        );
        return Ok(());
    }
    Err(ServiceError::Other(format!(
        "the database is of another chain: it begins with {has}, and the chain spec of {name} with {wanted}. Give the --chain that \
         this database was made with, or another --base-path; or remove the database with `labora purge-chain`, which leaves the keys"
    )))
}
