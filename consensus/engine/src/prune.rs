//! Dropping proofs that finality has made worthless, some depth below the finalised block, and with them the notes of
//! who vouched for a block without one.

use std::{future::Future, sync::Arc};

use futures::StreamExt;
use parity_scale_codec::{Decode, Encode};
use sc_client_api::{AuxStore, BlockchainEvents};
use sp_blockchain::HeaderBackend;
use sp_core::H256;
use sp_runtime::traits::{Block as BlockT, NumberFor};

use crate::{
    chain::number_of,
    error::EngineError,
    store::{proof_key, vouched_key},
};

/// Number of the first block whose proof may still be stored.
const FIRST_KEPT_KEY: &[u8] = b"pouw:first-kept";

/// Proofs dropped in one go: an hour of blocks, and about a millisecond of deletions.
pub const MAX_DROPPED_AT_ONCE: u32 = 300;

/// Which proofs to keep.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeepProofs {
    /// All, for those who want to audit the chain from its genesis.
    Archive,
    /// Those of unfinalised blocks and of this many finalised ones.
    Finalised(u32),
}

/// What of a block is worth nothing any more.
fn records_of(block: H256) -> [Vec<u8>; 2] {
    [proof_key(block), vouched_key(block)]
}

/// Drops the proofs of blocks that lie `keep` or more below the finalised block `finalised`, at most
/// [`MAX_DROPPED_AT_ONCE`] of them. Returns how many were dropped; call again to go on.
pub fn drop_proofs<B, C>(client: &C, finalised: u32, keep: u32) -> Result<u32, EngineError>
where
    B: BlockT<Hash = H256>,
    C: AuxStore + HeaderBackend<B>,
{
    let first = match client.get_aux(FIRST_KEPT_KEY)? {
        // Genesis has no proof.
        None => 1,
        Some(bytes) => u32::decode(&mut &bytes[..]).map_err(|_| EngineError::Record {
            what: "first kept proof",
            block: client.info().genesis_hash,
        })?,
    };
    let end = finalised
        .saturating_sub(keep)
        .min(first.saturating_add(MAX_DROPPED_AT_ONCE));
    if end <= first {
        return Ok(0);
    }
    let mut keys = Vec::new();
    for number in first..end {
        if let Some(hash) = client.hash(NumberFor::<B>::from(number))? {
            keys.extend(records_of(hash));
        }
    }
    let delete: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    client.insert_aux(&[(FIRST_KEPT_KEY, &end.encode()[..])], &delete)?;
    Ok(end - first)
}

/// Drops proofs as blocks become final, from this call on until the client goes. Proofs of branches that finality cut off
/// go at once.
pub fn drop_proofs_on_finality<B, C>(
    client: Arc<C>,
    keep: KeepProofs,
) -> impl Future<Output = ()> + Send
where
    B: BlockT<Hash = H256>,
    C: AuxStore + HeaderBackend<B> + BlockchainEvents<B> + Send + Sync,
{
    let mut finality = client.finality_notification_stream();
    async move {
        let KeepProofs::Finalised(keep) = keep else {
            return;
        };
        while let Some(notice) = finality.next().await {
            let stale: Vec<_> = notice
                .stale_blocks
                .iter()
                .flat_map(|block| records_of(block.hash))
                .collect();
            let stale: Vec<&[u8]> = stale.iter().map(Vec::as_slice).collect();
            let dropped = client
                .insert_aux(&[], &stale)
                .map_err(EngineError::from)
                .and_then(|()| drop_proofs::<B, C>(&client, number_of(&notice.header), keep));
            if let Err(error) = dropped {
                tracing::warn!(%error, "Old proofs are not dropped");
            }
        }
    }
}
