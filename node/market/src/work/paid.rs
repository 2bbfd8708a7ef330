//! What becomes of submitted results: an audit that is over is brought to its end, and what a job needed is let go.

use std::sync::atomic::Ordering::Relaxed;

use labora_runtime::{MICRO_LAB, RuntimeCall};
use pallet_jobs::Call;

use super::Worker;
use crate::{
    LOOK_EVERY,
    chain::ChainError,
    types::{JobInfo, StageInfo},
    words::{lab, share},
};

/// What became of a result.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    /// It is being audited.
    Audited,
    /// Its audit is over, and nobody has said so to the chain.
    Due,
    /// It was paid.
    Paid,
    /// The job is no longer there.
    Gone,
    /// It failed: an entry was proved wrong, or auditors could not fetch it.
    Failed,
}

/// What became of the result `then`, by how its job stands now.
pub(super) fn fate(then: &JobInfo, now: Option<&JobInfo>, best: u32) -> Fate {
    let Some(job) = now else {
        return Fate::Gone;
    };
    let is_mine = job.worker == then.worker;
    match job.stage {
        StageInfo::Settled if is_mine => Fate::Paid,
        StageInfo::Submitted if is_mine => {
            let is_over = job.window.as_ref().is_some_and(|window| best > window.ends);
            if is_over { Fate::Due } else { Fate::Audited }
        }
        _ => Fate::Failed,
    }
}

impl Worker {
    /// Looks after submitted results for as long as it is polled.
    pub(super) async fn be_paid(&self) {
        loop {
            if let Err(error) = self.look_after().await {
                tracing::debug!(target: "labora", "submitted jobs are not looked after: {error}");
            }
            tokio::time::sleep(2 * LOOK_EVERY).await;
        }
    }

    pub(super) async fn look_after(&self) -> Result<(), ChainError> {
        let awaited: Vec<JobInfo> = self.awaited.lock().values().cloned().collect();
        let mut best = self.chain.best().await?.number;
        for then in awaited {
            let now = self.chain.job(then.job).await?;
            let (number, fee) = (then.job, then.fee.parse().unwrap_or(0u128));
            match fate(&then, now.as_ref(), best) {
                Fate::Audited => continue,
                Fate::Due => {
                    let poke = RuntimeCall::Jobs(Call::poke { job: number });
                    match self.chain.call(&self.terms.account, poke).await {
                        // Another was faster.
                        Err(error) if error.is_refusal() => {}
                        done => drop(done?),
                    }
                    // That took blocks.
                    best = self.chain.best().await?.number;
                    continue;
                }
                Fate::Paid => {
                    // By what was agreed at the claim; a node before this one doesn't say.
                    let ppb = match then.agreed {
                        Some(agreed) => agreed.worker_share_ppb,
                        None => self.chain.market().await?.worker_share_ppb,
                    };
                    let paid = share(fee, ppb);
                    let micro = u64::try_from(paid / MICRO_LAB).unwrap_or(u64::MAX);
                    self.tally.paid.fetch_add(1, Relaxed);
                    self.tally.earned.fetch_add(micro, Relaxed);
                    tracing::info!(target: "labora", "job {number} is paid: {}", lab(paid));
                }
                Fate::Gone => {
                    // Which of the two, the state no longer tells.
                    tracing::warn!(target: "labora", "job {number} is gone: it was refunded, since too few auditors said anything, or \
                        paid and forgotten at once; the bond is back");
                }
                Fate::Failed => {
                    self.tally.failed.fetch_add(1, Relaxed);
                    tracing::warn!(target: "labora", "job {number} failed: an entry was proved wrong, or auditors could not fetch \
                        its matrices, and the bond is lost in whole or in part; `labora job explain {number}` tells more");
                }
            }
            self.awaited.lock().remove(&number);
            self.let_go(&then).await;
        }
        Ok(())
    }
}
