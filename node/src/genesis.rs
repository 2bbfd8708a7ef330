//! What a chain spec's chain begins with, as a node makes it.

use std::sync::Arc;

use labora_runtime::opaque::Block;
use sc_chain_spec::{BuildGenesisBlock as _, GenesisBlockBuilder};
use sc_client_api::in_mem;
use sc_executor::WasmExecutor;
use sp_core::{H256, storage::Storage};
use sp_runtime::traits::Block as _;

/// Runs a chain's code.
pub type Executor = WasmExecutor<sp_io::SubstrateHostFunctions>;

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
