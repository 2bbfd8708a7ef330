//! What a node asks of the market.

use alloc::vec::Vec;

use frame_support::pallet_prelude::*;

use crate::{
    Accused, Agents, Committee, Config, CurrentTerms, GoingRate, Job, JobId, JobOf, Jobs, NextJob,
    Pallet, Record, Stage, Terms, Workers,
};

/// Most jobs of a page.
pub const MAX_PAGE: u32 = 100;

/// Most jobs that are looked at for a page, whether they are wanted or not: an answer takes so long and no longer.
pub const MAX_LOOKED_AT: u32 = 2_000;

/// The market as a whole. Amounts are in the token's smallest unit.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq, TypeInfo)]
pub struct Market {
    /// The terms in force.
    pub terms: Terms,
    /// Blocks for which a result can be challenged.
    pub challenge_window: u32,
    /// Held for a job's place in the state.
    pub deposit_base: u128,
    /// Held for each of its products.
    pub deposit_per_product: u128,
    /// What the last settled jobs paid for 10^12 multiply-accumulates; zero before the first.
    pub going_rate: u128,
    /// Number of the next job.
    pub next_job: JobId,
}

/// Where a job stands, by name.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq, TypeInfo)]
pub enum StageName {
    /// Nobody works on it.
    Open,
    /// Somebody does.
    Claimed,
    /// There is a result, which is audited.
    Submitted,
    /// The result was paid.
    Settled,
}

impl<AccountId> From<&Stage<AccountId>> for StageName {
    fn from(stage: &Stage<AccountId>) -> Self {
        match stage {
            Stage::Open => Self::Open,
            Stage::Claimed(_) => Self::Claimed,
            Stage::Submitted(_) => Self::Submitted,
            Stage::Settled { .. } => Self::Settled,
        }
    }
}

/// Which jobs are wanted: those that are all of what is given.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq, TypeInfo)]
pub struct Wanted<AccountId> {
    /// Standing there.
    pub stage: Option<StageName>,
    /// Of this poster.
    pub poster: Option<AccountId>,
    /// Of this worker.
    pub worker: Option<AccountId>,
}

impl<AccountId> Default for Wanted<AccountId> {
    /// All.
    fn default() -> Self {
        Self {
            stage: None,
            poster: None,
            worker: None,
        }
    }
}

impl<AccountId: PartialEq> Wanted<AccountId> {
    fn is(&self, job: &Job<AccountId>) -> bool {
        let is_at = |stage| StageName::from(&job.stage) == stage;
        self.stage.is_none_or(is_at)
            && (self.poster.as_ref()).is_none_or(|poster| *poster == job.poster)
            && (self.worker.as_ref()).is_none_or(|worker| job.worker() == Some(worker))
    }
}

/// Some jobs, the newest first.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq, TypeInfo)]
pub struct Page<AccountId> {
    /// They, with their numbers.
    pub jobs: Vec<(JobId, Job<AccountId>)>,
    /// The page after this one begins below this number. None where there is no further job.
    pub below: Option<JobId>,
}

sp_api::decl_runtime_apis! {
    /// What is known of jobs.
    pub trait JobsApi<AccountId> where AccountId: parity_scale_codec::Codec {
        /// Terms and prices.
        fn market() -> Market;

        /// A job, unless it is forgotten.
        fn job(job: JobId) -> Option<Job<AccountId>>;

        /// Jobs below number `below`, or else from the newest on: at most `most`, which is at most [`MAX_PAGE`], and those
        /// wanted among at most [`MAX_LOOKED_AT`].
        fn jobs(wanted: Wanted<AccountId>, below: Option<JobId>, most: u32) -> Page<AccountId>;

        /// Who audits a job's result: once its seal is known, and before the first of them has spoken.
        fn auditors(job: JobId) -> Option<Committee<AccountId>>;

        /// Who is accused of having vouched for a wrong result of a job, and not reported yet.
        fn accused(job: JobId) -> Vec<AccountId>;

        /// What is known of a worker.
        fn worker(account: AccountId) -> Record;

        /// Who attests for a validator.
        fn agent(auditor: AccountId) -> Option<AccountId>;
    }
}

impl<T: Config> Pallet<T> {
    /// Terms and prices.
    pub fn api_market() -> Market {
        Market {
            terms: CurrentTerms::<T>::get(),
            challenge_window: T::ChallengeWindow::get(),
            deposit_base: T::DepositBase::get(),
            deposit_per_product: T::DepositPerProduct::get(),
            going_rate: GoingRate::<T>::get().rate(),
            next_job: NextJob::<T>::get(),
        }
    }

    /// A job, unless it is forgotten.
    pub fn api_job(job: JobId) -> Option<JobOf<T>> {
        Jobs::<T>::get(job)
    }

    /// See [`JobsApi`].
    pub fn api_jobs(
        wanted: Wanted<T::AccountId>,
        below: Option<JobId>,
        most: u32,
    ) -> Page<T::AccountId> {
        let most = usize::try_from(most.min(MAX_PAGE)).unwrap_or_default();
        let mut next = below.unwrap_or(JobId::MAX).min(NextJob::<T>::get());
        let mut jobs = Vec::new();
        for _ in 0..MAX_LOOKED_AT {
            let (true, Some(number)) = (jobs.len() < most, next.checked_sub(1)) else {
                break;
            };
            next = number;
            let found = Jobs::<T>::get(number).filter(|job| wanted.is(job));
            jobs.extend(found.map(|job| (number, job)));
        }
        Page {
            jobs,
            below: (next > 0).then_some(next),
        }
    }

    /// See [`JobsApi`].
    pub fn api_auditors(job: JobId) -> Option<Committee<T::AccountId>> {
        let it = Jobs::<T>::get(job)?;
        let Stage::Submitted(submitted) = &it.stage else {
            return None;
        };
        Self::committee(job, &it, submitted).ok()
    }

    /// Who is accused, and not reported yet.
    pub fn api_accused(job: JobId) -> Vec<T::AccountId> {
        Accused::<T>::iter_key_prefix(job).collect()
    }

    /// What is known of a worker.
    pub fn api_worker(account: &T::AccountId) -> Record {
        Workers::<T>::get(account)
    }

    /// Who attests for a validator.
    pub fn api_agent(auditor: &T::AccountId) -> Option<T::AccountId> {
        Agents::<T>::get(auditor)
    }
}
