//! What the user takes on trust: which blocks go without a proof of work, and a block that is final for certain.

use labora_consensus::{TrustedTarget, VerifyBlocks};
use sc_service::error::Error as ServiceError;
use sp_blockchain::HeaderBackend;

use crate::service::FullClient;

/// What the user takes on trust.
#[derive(Clone, Copy, Debug)]
pub struct Trust {
    /// Which blocks need a proof of work.
    pub verify: VerifyBlocks,
    /// A block that is final for certain.
    pub checkpoint: Option<TrustedTarget>,
}

impl Trust {
    /// Refuses a database whose chain has another block than the checkpoint.
    ///
    /// # Errors
    ///
    /// That, with what to do; or the database fails.
    pub fn check_database(&self, client: &FullClient) -> Result<(), ServiceError> {
        let Some(TrustedTarget { number, hash }) = self.checkpoint else {
            return Ok(());
        };
        let best = client.info().best_number;
        if best < number && self.verify != VerifyBlocks::All {
            tracing::warn!(
                target: "labora",
                "Takes blocks without proof of work up to {number}, which --checkpoint names: {} above the newest one here. If this network \
                 has no such block yet, its number is wrong",
                number - best
            );
        }
        match client.hash(number)?.filter(|found| *found != hash) {
            Some(found) => Err(ServiceError::Other(format!(
                "block {number} is {found:?} in this database, and --checkpoint says {hash:?}: if that is right, this node has \
                 followed a false history; take blocks back that are not final with `labora revert`, or remove all with \
                 `labora purge-chain`, and sync again"
            ))),
            None => Ok(()),
        }
    }
}
