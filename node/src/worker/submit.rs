//! Takes winning tiles from the device threads to the engine, one at a time, and counts what became of them.

use std::{future::Future, sync::Arc};

use labora_consensus::{MiningHandle, SubmitError};
use labora_kernels::Winner;
use labora_pouw::{Proof, Seal};
use sp_core::H256;
use tokio::{sync::mpsc, task::JoinHandle};

use super::{queue::Purpose, stats::Stats};

/// Winners on their way. A block needs one; several wait only while the engine is busy importing.
const MAX_WAITING_WINNERS: usize = 32;

/// What the engine, or the node that it was sent to, said to a seal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The block with this hash was imported.
    Imported(H256),
    /// It was counted as a share, and won no block.
    Share,
    /// Another block was faster, or this one is known already: ordinary.
    TooLate,
    /// It reached nobody.
    Dropped,
    /// The seal was refused, which honest work never is.
    Refused(String),
}

/// Where winning tiles go.
pub trait SubmitSeal: Send + Sync + 'static {
    /// Offers a seal for the block whose header without a seal hashes to `pre_hash`.
    fn submit(
        &self,
        pre_hash: H256,
        seal: Seal,
        proof: Proof,
    ) -> impl Future<Output = Verdict> + Send;

    /// Is told of a winning tile that is not offered, since one before it became the block.
    fn is_settled(&self) {}
}

impl<B: sp_runtime::traits::Block<Hash = H256>> SubmitSeal for MiningHandle<B> {
    async fn submit(&self, pre_hash: H256, seal: Seal, proof: Proof) -> Verdict {
        match MiningHandle::submit(self, pre_hash, seal, proof).await {
            Ok(hash) => Verdict::Imported(hash),
            Err(SubmitError::Stale { .. } | SubmitError::Duplicate { .. }) => Verdict::TooLate,
            Err(error) => Verdict::Refused(error.to_string()),
        }
    }
}

/// One winning tile.
pub(super) struct Found {
    pub pre_hash: [u8; 32],
    pub winner: Winner,
    pub purpose: Purpose,
    pub device: Arc<str>,
}

/// Starts the task; it ends when the last sender is gone and all that was sent is settled.
pub(super) fn start<S: SubmitSeal>(
    submit: S,
    stats: Arc<Stats>,
) -> (mpsc::Sender<Found>, JoinHandle<()>) {
    let (sender, mut found) = mpsc::channel::<Found>(MAX_WAITING_WINNERS);
    let task = tokio::spawn(async move {
        let mut imported = None;
        while let Some(Found {
            pre_hash,
            winner,
            purpose,
            device,
        }) = found.recv().await
        {
            // One product can hold several winners for a block; the first settles it.
            if imported == Some(pre_hash) {
                stats.too_late();
                submit.is_settled();
                continue;
            }
            let (root_a, root_b) = (
                hex::encode(winner.seal.root_a()),
                hex::encode(winner.seal.root_b()),
            );
            match submit
                .submit(H256(pre_hash), winner.seal, winner.proof)
                .await
            {
                Verdict::Imported(hash) => {
                    imported = Some(pre_hash);
                    stats.block(purpose);
                    let source = source(purpose);
                    // The engine has told of the block; here is on what it was mined.
                    tracing::debug!(target: "labora", block = ?hash, source, %device, root_a, root_b, "mined a block");
                }
                Verdict::Share => {}
                Verdict::TooLate => stats.too_late(),
                Verdict::Dropped => stats.dropped(),
                Verdict::Refused(reason) => {
                    stats.refused();
                    tracing::warn!(target: "labora", %reason, %device, "a seal was refused");
                }
            }
        }
    });
    (sender, task)
}

fn source(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Request => "product",
        Purpose::Filler => "filler",
    }
}
