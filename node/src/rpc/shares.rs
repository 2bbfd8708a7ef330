//! `pouw_submitShare`: from a miner's parameters to the engine's verdict and the ledger.

use std::sync::Arc;

use jsonrpsee::core::server::ConnectionId;
use labora_consensus::SubmitError;

use super::{
    error::Error,
    pouw::{PouwRpc, decode},
    share_types::ShareAnswer,
};
use crate::shares::{Reason, RigName};

impl<C> PouwRpc<C> {
    /// Verifies and counts a share, and seals what wins. Once it is decoded that runs to its end even if the connection is
    /// lost.
    pub(super) async fn try_share(
        &self,
        connection: ConnectionId,
        rig: &str,
        pre_hash: &str,
        seal: &str,
        proof: &str,
    ) -> Result<ShareAnswer, Error> {
        let mining = Arc::clone(self.mining.as_ref().ok_or(Error::NotMining)?);
        let shares = Arc::clone(self.shares.as_ref().ok_or(Error::SharesOff)?);
        let rig = RigName::new(rig).map_err(|error| Error::Malformed(error.to_string()))?;
        let busy = |why: &str| {
            shares.ledger.reject(&rig, Reason::Busy);
            Error::Busy(why.to_owned())
        };
        let Ok(waiting) = Arc::clone(&shares.waiting).try_acquire_owned() else {
            return Err(busy(
                "too many shares wait to be verified; the node's --share-macs is too low for its rigs",
            ));
        };
        if shares.patience.is_exhausted(connection) {
            return Err(busy(
                "too many shares of this connection were refused; see their messages, and wait a moment",
            ));
        }
        let (pre_hash, seal, proof) = match decode(pre_hash, seal, proof) {
            Ok(decoded) => decoded,
            Err(error) => {
                shares.patience.in_vain(connection);
                shares.ledger.reject(&rig, Reason::Malformed);
                return Err(error);
            }
        };
        let submissions = Arc::clone(&self.submissions);
        let work = async move {
            let _waiting = waiting;
            let proof = Arc::new(proof);
            let check = mining.check_share(pre_hash, seal, Arc::clone(&proof), shares.worth);
            let share = match check.await {
                Ok(share) => share,
                Err(error) => {
                    let (reason, cost) = reason(&error);
                    if cost == Cost::Verification {
                        shares.patience.in_vain(connection);
                    }
                    shares.ledger.reject(&rig, reason);
                    return Err(error.into());
                }
            };
            shares.patience.rewarded(connection);
            // At most what a share is asked to be worth, which is a u64.
            shares.ledger.accept(&rig, share.macs.get().low_u128());
            let mut answer = ShareAnswer {
                macs: share.macs.get().to_string(),
                block: None,
            };
            if share.wins {
                let sealed = mining
                    .submit(pre_hash, seal, Arc::unwrap_or_clone(proof))
                    .await;
                submissions.count(&sealed);
                match sealed {
                    Ok(block) => {
                        shares.ledger.block(&rig);
                        answer.block = Some(block);
                    }
                    // Somebody else was faster, or the engine has said what was wrong. The share counts.
                    Err(error) => {
                        tracing::debug!(target: "labora", %rig, %error, "a share that wins made no block")
                    }
                }
            }
            Ok(answer)
        };
        tokio::spawn(work)
            .await
            .map_err(|_| Error::Internal("the node is shutting down".into()))?
    }
}

/// What a refused share has cost the node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Cost {
    /// A look.
    Nothing,
    /// A proof was verified.
    Verification,
}

fn reason(error: &SubmitError) -> (Reason, Cost) {
    match error {
        SubmitError::Malformed(_) => (Reason::Malformed, Cost::Verification),
        SubmitError::Weak { .. } => (Reason::Weak, Cost::Verification),
        SubmitError::Stale { .. } => (Reason::Stale, Cost::Nothing),
        SubmitError::Duplicate { .. } => (Reason::Duplicate, Cost::Nothing),
        SubmitError::Full { .. } | SubmitError::Refused(_) => (Reason::Busy, Cost::Nothing),
    }
}

#[cfg(test)]
mod tests;
