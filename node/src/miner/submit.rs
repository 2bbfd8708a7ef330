//! Takes winning tiles from the worker to the node that is connected.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use labora_pouw::{Proof, Seal, verify};
use sp_core::H256;
use tokio::sync::watch;

use super::{link::State, session::Sent, status::Tally};
use crate::{
    shares::RigName,
    worker::{SubmitSeal, Verdict},
};

/// Submits to whatever node the link has.
pub(super) struct RemoteSubmit {
    state: watch::Receiver<State>,
    rig: Option<RigName>,
    tally: Arc<Tally>,
    /// Connections that there had been when a lost tile was last told of.
    told_of: AtomicU64,
}

impl RemoteSubmit {
    /// Follows the link by `state`; shares are counted for `rig`.
    pub(super) fn new(
        state: watch::Receiver<State>,
        rig: Option<RigName>,
        tally: Arc<Tally>,
    ) -> Self {
        RemoteSubmit {
            state,
            rig,
            tally,
            told_of: AtomicU64::new(0),
        }
    }

    /// Counts a tile that is lost, and tells of the first in each outage; the status line has the number.
    fn dropped(&self, why: &str) -> Verdict {
        let dropped = self.tally.dropped();
        let outage = self.tally.connections();
        if self.told_of.swap(outage, Relaxed) == outage {
            tracing::debug!(target: "labora", dropped, "a winning tile is lost: {why}");
        } else {
            tracing::warn!(target: "labora", dropped, "a winning tile is lost: {why}");
        }
        Verdict::Dropped
    }

    fn late(&self) -> Verdict {
        self.tally.late();
        Verdict::TooLate
    }
}

impl SubmitSeal for RemoteSubmit {
    fn is_settled(&self) {
        self.tally.late();
    }

    async fn submit(&self, pre_hash: H256, seal: Seal, proof: Proof) -> Verdict {
        let mut state = self.state.clone();
        // A node that is silent for a moment answers again soon, or is given up: the link sees to that.
        let settled = state
            .wait_for(|state| !matches!(state, State::Silent))
            .await
            .map(|state| state.clone());
        let Ok(State::Up(session)) = settled else {
            return self.dropped("no node is connected");
        };
        let Some(difficulty) = session.wanted(pre_hash) else {
            return self.late();
        };
        let is_gone = |state: &State| match state {
            State::Down => true,
            State::Silent => false,
            State::Up(now) => !Arc::ptr_eq(now, &session),
        };
        let sending = async {
            let sent = session.submit(self.rig.as_ref(), pre_hash, &seal, &proof);
            match sent.await {
                // A node with too many shares still wants its blocks.
                Sent::Busy(_) if verify(&pre_hash.0, &seal, &proof, difficulty).is_ok() => {
                    session.submit(None, pre_hash, &seal, &proof).await
                }
                sent => sent,
            }
        };
        let sent = tokio::select! {
            sent = sending => sent,
            _ = state.wait_for(is_gone) => Sent::Unanswered("the connection was lost".into()),
        };
        match sent {
            Sent::Block(hash) => {
                self.tally.block();
                if self.rig.is_some() && session.share().is_some() {
                    self.tally.share();
                }
                tracing::info!(target: "labora", block = ?hash, "mined a block");
                Verdict::Imported(hash)
            }
            Sent::Share => {
                self.tally.share();
                Verdict::Share
            }
            Sent::Late => self.late(),
            Sent::Refused(reason) | Sent::Busy(reason) => {
                self.tally.refused();
                Verdict::Refused(reason)
            }
            Sent::Unanswered(why) => self.dropped(&why),
        }
    }
}
