//! Which chain it is: its genesis, and whether the node that answers has the same.

use std::{net::SocketAddr, sync::Arc};

use labora_runtime::opaque::Block;
use sc_chain_spec::{BuildGenesisBlock as _, GenesisBlockBuilder};
use sc_client_api::in_mem;
use sc_executor::WasmExecutor;
use sp_core::H256;
use sp_runtime::traits::Block as _;

use super::{Finding, database::Database, network::Need};

/// Hash of the block that a chain's spec begins with, as a node makes it: the chain's own code runs, for a second or two.
pub(super) fn of_spec(spec: &dyn sc_service::ChainSpec) -> sp_blockchain::Result<H256> {
    // Nothing is written to it: it only sums up the state.
    let backend = Arc::new(in_mem::Backend::<Block>::new());
    let executor = WasmExecutor::<sp_io::SubstrateHostFunctions>::default();
    let builder = GenesisBlockBuilder::<Block, _, _>::new(
        spec.as_storage_builder(),
        false,
        backend,
        executor,
    )?;
    let (block, _) = builder.build_genesis_block()?;
    Ok(block.hash())
}

/// A node that answers on RPC's port and is of another chain than the one that was asked about.
pub(super) struct Stranger {
    /// Where it answers.
    pub address: SocketAddr,
    /// Its genesis.
    pub theirs: H256,
    /// That of the chain that was asked about.
    pub ours: H256,
}

impl Stranger {
    /// What to say of it. The node on this data folder may be it, if the folder was made by another version.
    pub(super) fn finding(&self, need: Need, database: &Database) -> Finding {
        let (what, address) = ("port of RPC", self.address);
        let found = format!(
            "{address} is answered by a node of another chain: its genesis is {}, and this chain's {}",
            self.theirs, self.ours
        );
        if database.is_in_use() {
            return Finding::warning(
                what,
                found,
                "give the --chain and --rpc-port of the node that runs on this data folder; a chain that is named, and not a file, \
                 has another genesis in another version",
            );
        }
        let other = "to look at that node, give its --chain and --base-path";
        match need {
            Need::Asked => Finding::bad(
                what,
                found,
                format!("choose another --rpc-port, since that node has this one; {other}"),
            ),
            Need::Default => Finding::warning(
                what,
                found,
                format!("the node takes another port; --rpc-port names one that is free; {other}"),
            ),
        }
    }
}
