//! What a chain spec's chain begins with, as a node makes it.

use std::{env, path::PathBuf, sync::Arc};

use labora_runtime::opaque::Block;
use sc_chain_spec::{BuildGenesisBlock as _, GenesisBlockBuilder};
use sc_client_api::in_mem;
use sc_executor::{DEFAULT_HEAP_ALLOC_STRATEGY, HeapAllocStrategy, WasmExecutor};
use sc_service::Configuration;
use sp_core::{H256, storage::Storage};
use sp_runtime::traits::Block as _;

/// Runs a chain's code.
pub type Executor = WasmExecutor<sp_io::SubstrateHostFunctions>;

/// Names a folder in which nodes share compiled code. Whoever can write there can have them run what they like.
pub const CACHE_VARIABLE: &str = "LABORA_WASM_CACHE";

/// What runs a chain's code in a node: as the SDK's own, but that what the code is compiled to is kept, with the chain's database
/// or where [`CACHE_VARIABLE`] says, so that only the first start on a code takes seconds of all processors for it.
pub fn executor(config: &Configuration) -> Executor {
    let options = &config.executor;
    let heap = options
        .default_heap_pages
        .map_or(DEFAULT_HEAP_ALLOC_STRATEGY, |pages| {
            HeapAllocStrategy::Static {
                extra_pages: u32::try_from(pages).unwrap_or(u32::MAX),
            }
        });
    let own = || config.base_path.config_dir(config.chain_spec.id());
    Executor::builder()
        .with_execution_method(options.wasm_method)
        .with_onchain_heap_alloc_strategy(heap)
        .with_offchain_heap_alloc_strategy(heap)
        .with_max_runtime_instances(options.max_runtime_instances)
        .with_runtime_cache_size(options.runtime_cache_size)
        .with_cache_path(kept_in(named_cache().unwrap_or_else(own)))
        .build()
}

/// The same for a look at a chain without a node; `cache` where nothing else is named.
pub fn passing_executor(cache: Option<PathBuf>) -> Executor {
    let builder = Executor::builder();
    match named_cache().or(cache) {
        Some(folder) => builder.with_cache_path(kept_in(folder)).build(),
        None => builder.build(),
    }
}

/// The folder that [`CACHE_VARIABLE`] names.
pub fn named_cache() -> Option<PathBuf> {
    let named = env::var_os(CACHE_VARIABLE)?;
    (!named.is_empty()).then(|| named.into())
}

/// Where compiled code is kept within a folder. A place of its own: the cache removes what it finds there and did not write.
fn kept_in(folder: PathBuf) -> PathBuf {
    let place = folder.join("compiled-runtimes");
    // The cache takes no other paths.
    std::path::absolute(&place).unwrap_or(place)
}

/// The state with which a chain begins. Where the spec is no raw one its own code runs for it, for a second or two.
///
/// # Errors
///
/// If the spec's figures make no genesis.
pub fn storage_of(spec: &dyn sc_service::ChainSpec) -> sp_blockchain::Result<Storage> {
    let built = spec.as_storage_builder().build_storage();
    built.map_err(sp_blockchain::Error::Storage)
}

/// Hash of the block with this state, of which the code says how it is summed up.
///
/// # Errors
///
/// If the state has no code that says how it is summed up.
pub fn hash_of(storage: Storage, executor: Executor) -> sp_blockchain::Result<H256> {
    // Nothing is written to it: it only sums up the state.
    let backend = Arc::new(in_mem::Backend::<Block>::new());
    let builder =
        GenesisBlockBuilder::<Block, _, _>::new_with_storage(storage, false, backend, executor)?;
    let (block, _) = builder.build_genesis_block()?;
    Ok(block.hash())
}
