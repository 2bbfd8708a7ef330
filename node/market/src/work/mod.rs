//! A worker: weighs open jobs, fetches what they want multiplied, claims, multiplies, makes the results available, submits
//! them, and keeps all of it until it is paid.
//!
//! Matrices are fetched *before* a job is claimed, so that a poster who withholds them costs nobody a bond. One job is worked
//! on at a time; devices mine on filler meanwhile. What is claimed and what is audited is read from the chain, so a restart
//! loses no claim and claims nothing twice.

pub mod choose;
mod done;
mod paid;
mod shunned;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use labora_pouw::Shape;
use labora_runtime::RuntimeCall;
use pallet_jobs::{Call, JobId};
use parking_lot::Mutex;

use crate::{
    FETCH_LIMIT, LOOK_EVERY, PAUSE,
    account::Account,
    chain::{Chain, ChainError},
    matrices::{Matrices, MatrixError},
    types::{JobInfo, StageInfo, WantedInfo},
    words::lab,
};
use choose::{Limits, Means, No, Offer, best, weigh};
use shunned::Shunned;

/// Most open jobs that are weighed at a time.
const MAX_WEIGHED: usize = 2_000;

/// What multiplies.
pub trait Multiply: Send + Sync {
    /// C = A·B: m×n, row-major. `a` is m×k and `bt` n×k, row-major, any int8.
    ///
    /// # Errors
    ///
    /// Why there is no product, in words.
    fn multiply<'a>(
        &'a self,
        shape: Shape,
        a: &'a [i8],
        bt: &'a [i8],
    ) -> BoxFuture<'a, Result<Vec<i32>, String>>;

    /// Multiply-accumulates per second over the last minute; none where nothing was multiplied.
    fn macs_per_s(&self) -> Option<f64>;
}

/// What a worker is told.
#[derive(Clone, Debug)]
pub struct WorkTerms {
    /// Whose bond is at stake, and who is paid.
    pub account: Account,
    /// Least that it works for: for 10¹² multiply-accumulates, in the token's smallest unit.
    pub least_price: u128,
    /// What fits.
    pub limits: Limits,
}

/// What a worker has done since its start.
#[derive(Debug, Default)]
pub struct Tally {
    /// Jobs claimed.
    pub claimed: AtomicU64,
    /// Jobs whose results were submitted.
    pub submitted: AtomicU64,
    /// Jobs paid.
    pub paid: AtomicU64,
    /// Jobs that ended without being paid.
    pub failed: AtomicU64,
    /// What was paid, in millionths of a LAB.
    pub earned: AtomicU64,
}

/// Why a job is not done.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Matrix(#[from] MatrixError),
    #[error("no product: {0}")]
    Product(String),
    #[error("it has a shape that no product has")]
    Shape,
}

/// A worker; see the module.
pub struct Worker {
    chain: Chain,
    matrices: Arc<dyn Matrices>,
    devices: Arc<dyn Multiply>,
    terms: WorkTerms,
    tally: Arc<Tally>,
    /// Claims to be worked on.
    claimed: Mutex<BTreeMap<JobId, JobInfo>>,
    /// Results that are not paid yet.
    awaited: Mutex<BTreeMap<JobId, JobInfo>>,
    shunned: Mutex<Shunned>,
    /// The reason that was last given for having nothing to do.
    idle: Mutex<String>,
}

impl Worker {
    /// A worker that has not begun.
    pub fn new(
        chain: Chain,
        matrices: Arc<dyn Matrices>,
        devices: Arc<dyn Multiply>,
        terms: WorkTerms,
        tally: Arc<Tally>,
    ) -> Self {
        Self {
            chain,
            matrices,
            devices,
            terms,
            tally,
            claimed: Mutex::default(),
            awaited: Mutex::default(),
            shunned: Mutex::default(),
            idle: Mutex::default(),
        }
    }

    /// Works for as long as it is polled.
    pub async fn run(self) {
        let account = self.terms.account.id();
        let price = lab(self.terms.least_price);
        tracing::info!(target: "labora", "works on jobs as {account}, for {price} or more per 10¹² multiply-accumulates");
        while let Err(error) = self.take_up().await {
            tracing::warn!(target: "labora", "jobs are not worked on yet: {error}");
            tokio::time::sleep(PAUSE).await;
        }
        if let Err(error) = self.let_go_of_rests().await {
            tracing::info!(target: "labora", "what an earlier run kept is not looked through: {error}");
        }
        futures::join!(self.work(), self.be_paid());
    }

    /// Reads from the chain what an earlier run left.
    async fn take_up(&self) -> Result<(), ChainError> {
        let account = self.terms.account.id();
        while self.chain.is_behind().await? {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.chain.settled(account).await?;
        for (stage, jobs) in [
            (StageInfo::Claimed, &self.claimed),
            (StageInfo::Submitted, &self.awaited),
        ] {
            for job in self.chain.jobs_of_worker(account, stage).await? {
                tracing::info!(target: "labora", "takes up job {}, which it has {}", job.job, match stage {
                    StageInfo::Claimed => "claimed",
                    _ => "submitted",
                });
                jobs.lock().insert(job.job, job);
            }
        }
        Ok(())
    }

    async fn work(&self) {
        loop {
            let pause = match self.turn().await {
                Ok(true) => Duration::ZERO,
                Ok(false) => LOOK_EVERY,
                Err(error) => {
                    tracing::warn!(target: "labora", "no work on jobs for {} s: {error}", PAUSE.as_secs());
                    PAUSE
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Does the next thing there is to do; whether there was one.
    async fn turn(&self) -> Result<bool, Trouble> {
        if self.chain.is_behind().await? {
            self.say_idle("behind", "this node is behind its peers");
            return Ok(false);
        }
        let soonest = {
            let claimed = self.claimed.lock();
            let soonest = claimed.values().min_by_key(|job| job.claimed_until);
            soonest.cloned()
        };
        if let Some(job) = soonest {
            self.finish(job).await?;
            return Ok(true);
        }
        let Some(job) = self.choose().await? else {
            return Ok(self.reopen_late().await?);
        };
        self.claim(job).await?;
        Ok(true)
    }

    /// Opens a job again whose worker is late; whether there was one.
    async fn reopen_late(&self) -> Result<bool, ChainError> {
        let claimed = WantedInfo::at(StageInfo::Claimed);
        let jobs = self.chain.jobs(&claimed, MAX_WEIGHED).await?;
        let now = self.chain.best().await?.number;
        let is_late = |job: &&JobInfo| job.claimed_until.is_some_and(|until| now > until);
        let Some(late) = jobs.iter().find(is_late) else {
            return Ok(false);
        };
        let poke = RuntimeCall::Jobs(Call::poke { job: late.job });
        match self.chain.call(&self.terms.account, poke).await {
            Ok(_) => {
                tracing::info!(target: "labora", "ended the claim of job {}, whose worker was late", late.job)
            }
            // Another was faster.
            Err(error) if error.is_refusal() => {}
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// The open job that is most worth taking.
    async fn choose(&self) -> Result<Option<JobInfo>, ChainError> {
        let open = WantedInfo::at(StageInfo::Open);
        let account = self.terms.account.id();
        let jobs = self.chain.jobs(&open, MAX_WEIGHED).await?;
        if jobs.is_empty() {
            self.say_idle("none", "there is no open job");
            return Ok(None);
        }
        let market = self.chain.market().await?;
        let record = self.chain.worker(account).await?;
        let means = Means {
            account: account.clone(),
            least_price: self.terms.least_price,
            macs_per_s: self.devices.macs_per_s(),
            bytes_per_s: self.matrices.bytes_per_s(),
            free: self.chain.money(account).await?.free,
            claims_left: record.may_have.saturating_sub(record.open),
            limits: self.terms.limits,
            now: self.chain.best().await?.number,
            block_ms: self.chain.block_ms(),
        };
        let weighed: Vec<(&JobInfo, Result<Offer, No>)> = {
            let now = Instant::now();
            let shunned = self.shunned.lock();
            let known = jobs.iter().filter(|job| !shunned.is(job.job, now));
            known
                .map(|job| (job, weigh(job, &market, &means)))
                .collect()
        };
        let offers = weighed.iter().filter_map(|(_, offer)| offer.clone().ok());
        let Some(offer) = best(offers, account) else {
            let open = jobs.len();
            match weighed
                .iter()
                .find_map(|(job, no)| Some((job.job, no.as_ref().err()?)))
            {
                Some((job, no)) => {
                    let reason = format!("{job} {:?}", std::mem::discriminant(no));
                    let why = format!("of {open} open jobs none is taken; job {job}: {no}");
                    self.say_idle(&reason, &why);
                }
                None => {
                    let why = format!("the matrices of {open} open jobs cannot be fetched");
                    self.say_idle("matrices", &why);
                }
            }
            return Ok(None);
        };
        self.idle.lock().clear();
        Ok(jobs.into_iter().find(|job| job.job == offer.job))
    }

    /// Says why there is nothing to do, once for each reason, however its figures change.
    fn say_idle(&self, reason: &str, why: &str) {
        let mut last = self.idle.lock();
        if *last != reason {
            tracing::info!(target: "labora", "waits for jobs: {why}");
            *last = reason.into();
        }
    }

    /// Whether there is no room for a job's results, which is then tried again later.
    async fn is_too_much(&self, job: &JobInfo) -> Result<bool, Trouble> {
        let Some(why) = self.lacks_room(job).await? else {
            return Ok(false);
        };
        let again = self.shunned.lock().shun(job.job, Instant::now());
        tracing::info!(target: "labora", "job {} is not claimed: {why}; tried again in {} s", job.job, again.as_secs());
        Ok(true)
    }

    /// Fetches what a job wants multiplied, and claims it.
    async fn claim(&self, job: JobInfo) -> Result<(), Trouble> {
        // Before anything is fetched, and again once that has taken room.
        if self.is_too_much(&job).await? {
            return Ok(());
        }
        let fetched = tokio::time::timeout(FETCH_LIMIT, self.hold(&job)).await;
        let late = MatrixError::Unavailable {
            root: job.b.0,
            why: format!("its matrices do not come in {} s", FETCH_LIMIT.as_secs()),
        };
        match fetched.unwrap_or(Err(late)) {
            Ok(()) => {}
            Err(error @ MatrixError::Unavailable { .. }) => {
                let again = self.shunned.lock().shun(job.job, Instant::now());
                tracing::info!(target: "labora", "job {} is not claimed: {error}; tried again in {} s", job.job, again.as_secs());
                self.let_go(&job).await;
                return Ok(());
            }
            Err(error) => {
                // This machine is in the way, a full store perhaps: another job may fit it better.
                self.shunned.lock().rest(job.job, Instant::now());
                self.let_go(&job).await;
                return Err(error.into());
            }
        }
        let is_too_much = self.is_too_much(&job).await;
        if !matches!(is_too_much, Ok(false)) {
            self.let_go(&job).await;
            return is_too_much.map(drop);
        }
        let call = RuntimeCall::Jobs(Call::claim { job: job.job });
        match self.chain.call(&self.terms.account, call).await {
            Ok(_) => {}
            Err(error) if error.is_refusal() => {
                tracing::info!(target: "labora", "job {} went to another: {error}", job.job);
                self.let_go(&job).await;
                return Ok(());
            }
            Err(error) => {
                // It may have been included all the same.
                self.take_up().await?;
                if !self.claimed.lock().contains_key(&job.job) {
                    self.let_go(&job).await;
                }
                return Err(error.into());
            }
        }
        self.tally.claimed.fetch_add(1, Relaxed);
        let claimed = self.chain.job(job.job).await?.unwrap_or(job);
        tracing::info!(target: "labora", "claimed job {}: {} products for {}, until block {}",
            claimed.job, claimed.products.len(), lab(claimed.fee.parse().unwrap_or_default()),
            claimed.claimed_until.unwrap_or_default());
        self.claimed.lock().insert(claimed.job, claimed);
        Ok(())
    }
}

pub(crate) fn signed(bytes: Vec<u8>) -> Vec<i8> {
    bytes.into_iter().map(u8::cast_signed).collect()
}
