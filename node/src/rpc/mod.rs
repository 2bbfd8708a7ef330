//! JSON-RPC beyond what every SDK node has: account nonces, fees, finality, [`pouw`], [`jobs`] and [`grants`].

pub mod error;
mod explain;
mod grants;
mod jobs;
mod mined;
pub mod pouw;
pub mod share_types;
mod shares;
pub mod types;
mod work;

use std::sync::Arc;

use jsonrpsee::RpcModule;
use labora_artifacts::Store;
use labora_runtime::{AccountId, Balance, Nonce, opaque::Block};
use pallet_transaction_payment_rpc::{TransactionPayment, TransactionPaymentApiServer};
use sc_client_api::BlockchainEvents;
use sc_consensus_grandpa_rpc::GrandpaApiServer;
use sc_transaction_pool_api::TransactionPool;
use sp_api::ProvideRuntimeApi;
use sp_block_builder::BlockBuilder;
use sp_blockchain::{Error as BlockChainError, HeaderBackend, HeaderMetadata};
use substrate_frame_rpc_system::{System, SystemApiServer};

use crate::finality::GrandpaRpc;
pub(crate) use explain::{Explanation, in_words};
use grants::{GrantsRpc, GrantsServer};
use jobs::{JobsRpc, JobsServer};
use pouw::{PouwRpc, PouwServer};

/// What the methods need of the node.
pub struct FullDeps<C, P> {
    /// The chain.
    pub client: Arc<C>,
    /// Transactions that wait.
    pub pool: Arc<P>,
    /// The `pouw_…` methods.
    pub pouw: PouwRpc<C>,
    /// The `grandpa_…` methods.
    pub grandpa: GrandpaRpc,
    /// The matrices that the node keeps, if it does.
    pub artifacts: Option<Store>,
}

/// All methods that this node adds to the SDK's.
pub fn create_full<C, P>(
    deps: FullDeps<C, P>,
) -> Result<RpcModule<()>, Box<dyn std::error::Error + Send + Sync>>
where
    C: ProvideRuntimeApi<Block>
        + HeaderBackend<Block>
        + HeaderMetadata<Block, Error = BlockChainError>
        + BlockchainEvents<Block>,
    C: Send + Sync + 'static,
    C::Api: substrate_frame_rpc_system::AccountNonceApi<Block, AccountId, Nonce>,
    C::Api: pallet_transaction_payment_rpc::TransactionPaymentRuntimeApi<Block, Balance>,
    C::Api: BlockBuilder<Block>,
    C::Api: labora_consensus_api::PouwApi<Block>,
    C::Api: pallet_jobs::api::JobsApi<Block, AccountId>,
    C::Api: pallet_grants::api::GrantsApi<Block, AccountId>,
    P: TransactionPool + 'static,
{
    let FullDeps {
        client,
        pool,
        pouw,
        grandpa,
        artifacts,
    } = deps;
    let mut module = RpcModule::new(());
    module.merge(System::new(client.clone(), pool).into_rpc())?;
    module.merge(TransactionPayment::new(client.clone()).into_rpc())?;
    module.merge(JobsRpc::new(client.clone(), artifacts).into_rpc())?;
    module.merge(GrantsRpc::new(client).into_rpc())?;
    module.merge(pouw.into_rpc())?;
    module.merge(grandpa.into_rpc())?;
    Ok(module)
}
