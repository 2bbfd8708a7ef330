//! Telling peers of imported blocks: each once, with its proof, whoever mined it.
//!
//! The SDK's own announcement of imports (`announce_block` of its configuration) must be off: it announces without data
//! what it did not itself hear, and a peer that was told of a block without data is not told again. With it off nothing
//! is relayed at all, so this is the only place from which blocks spread.

use std::{future::Future, sync::Arc};

use futures::StreamExt;
use sc_client_api::BlockchainEvents;
use sp_core::H256;
use sp_runtime::traits::Block as BlockT;

use crate::{engine::Engine, store::encoded_proof};

/// Announces one block with the encoded proof; `NetworkBlock::announce_block` of the sync service.
pub type Announce = Arc<dyn Fn(H256, Option<Vec<u8>>) + Send + Sync>;

/// Announces each block that is imported from this call on, once, until the client goes. Blocks of the initial sync are
/// not notified, hence not announced.
pub fn announce_imported<B, C>(
    client: Arc<C>,
    engine: Arc<Engine<B>>,
    announce: Announce,
) -> impl Future<Output = ()> + Send
where
    B: BlockT<Hash = H256>,
    C: BlockchainEvents<B>,
{
    let mut imports = client.import_notification_stream();
    async move {
        while let Some(import) = imports.next().await {
            match encoded_proof(engine.chain(), import.hash) {
                Ok(Some(proof)) => announce(import.hash, Some(proof)),
                Ok(None) => {
                    tracing::debug!(block = ?import.hash, "Imported without a proof, not announced");
                }
                Err(error) => {
                    tracing::warn!(block = ?import.hash, %error, "Block is not announced");
                }
            }
        }
    }
}
