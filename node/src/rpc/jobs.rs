//! The `jobs_…` methods: the market as the chain has it. They only read, so they are open to all.

use std::sync::Arc;

use futures::{StreamExt, future::ready};
use jsonrpsee::{
    PendingSubscriptionSink, SubscriptionMessage,
    core::{RpcResult, SubscriptionResult, async_trait},
    proc_macros::rpc,
};
use labora_artifacts::Store;
use labora_consensus_api::PouwApi;
use labora_market::types::{JobChange, JobInfo, JobList, MarketInfo, WantedInfo, WorkerInfo};
use labora_runtime::{AccountId, opaque::Block};
use pallet_jobs::{
    Job, JobId,
    api::{JobsApi, MAX_PAGE},
};
use sc_client_api::BlockchainEvents;
use sp_api::ProvideRuntimeApi;
use sp_blockchain::HeaderBackend;
use sp_core::H256;
use tokio::sync::Semaphore;

use super::{
    error::Error,
    explain::{Explanation, Kept, Known, explain},
    mined::Mined,
};

/// Jobs of a page, if nobody says how many.
const USUAL_PAGE: u32 = 20;

/// Most jobs that a subscription follows: each is looked at in every block.
const MAX_FOLLOWED: usize = 16;

/// Most subscriptions at a time.
const MAX_SUBSCRIPTIONS: usize = 64;

/// The market of jobs.
#[rpc(server, client)]
pub trait Jobs {
    /// Terms and prices.
    #[method(name = "jobs_market")]
    fn market(&self) -> RpcResult<MarketInfo>;

    /// Jobs that are all of what is `wanted` (default: all), the newest first: those below number `below` (default: from the
    /// newest on), at most `most` (default: 20, at most 100).
    #[method(name = "jobs_list", blocking)]
    fn list(
        &self,
        wanted: Option<WantedInfo>,
        below: Option<JobId>,
        most: Option<u32>,
    ) -> RpcResult<JobList>;

    /// A job, with who audits it, and the blocks that were mined on its matrices.
    #[method(name = "jobs_get", blocking)]
    fn get(&self, job: JobId) -> RpcResult<JobInfo>;

    /// Why a job stands where it stands, and what can be done about it, in words and figures.
    #[method(name = "jobs_explain", blocking)]
    fn explain(&self, job: JobId) -> RpcResult<Explanation>;

    /// What is known of an account as a worker.
    #[method(name = "jobs_worker", blocking)]
    fn worker(&self, account: AccountId) -> RpcResult<WorkerInfo>;

    /// How up to 16 jobs stand: at once, and whenever one stands otherwise on the best chain. It ends when none of them is there
    /// any more.
    #[subscription(
        name = "jobs_subscribe" => "jobs_change",
        unsubscribe = "jobs_unsubscribe",
        item = JobChange
    )]
    async fn follow(&self, jobs: Vec<JobId>) -> SubscriptionResult;
}

/// Implements the methods.
pub struct JobsRpc<C> {
    client: Arc<C>,
    /// The matrices that this node keeps, if it does.
    artifacts: Option<Store>,
    mined: Mined,
    subscriptions: Arc<Semaphore>,
}

impl<C> JobsRpc<C> {
    /// On this chain, for a node that keeps these matrices.
    pub fn new(client: Arc<C>, artifacts: Option<Store>) -> Self {
        Self {
            client,
            artifacts,
            mined: Mined::default(),
            subscriptions: Arc::new(Semaphore::new(MAX_SUBSCRIPTIONS)),
        }
    }
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::Internal(error.to_string())
}

/// The job as block `at` has it, and what is told of it, with its auditors.
fn job_at<C>(
    client: &C,
    at: H256,
    number: JobId,
) -> Result<Option<(Job<AccountId>, JobInfo)>, Error>
where
    C: ProvideRuntimeApi<Block>,
    C::Api: JobsApi<Block, AccountId>,
{
    let api = client.runtime_api();
    let Some(job) = api.job(at, number).map_err(internal)? else {
        return Ok(None);
    };
    let committee = api.auditors(at, number).map_err(internal)?;
    let info = JobInfo::new(number, &job).with_auditors(committee.as_ref());
    Ok(Some((job, info)))
}

#[async_trait]
impl<C> JobsServer for JobsRpc<C>
where
    C: HeaderBackend<Block> + ProvideRuntimeApi<Block> + BlockchainEvents<Block>,
    C: Send + Sync + 'static,
    C::Api: JobsApi<Block, AccountId> + PouwApi<Block>,
{
    fn market(&self) -> RpcResult<MarketInfo> {
        let best = self.client.info().best_hash;
        let market = self.client.runtime_api().market(best).map_err(internal)?;
        Ok(market.into())
    }

    fn list(
        &self,
        wanted: Option<WantedInfo>,
        below: Option<JobId>,
        most: Option<u32>,
    ) -> RpcResult<JobList> {
        let most = most.unwrap_or(USUAL_PAGE);
        if !(1..=MAX_PAGE).contains(&most) {
            let reason =
                format!("a page has 1 to {MAX_PAGE} jobs; give its `below` for the next one");
            return Err(Error::Malformed(reason).into());
        }
        let best = self.client.info().best_hash;
        let wanted = wanted.unwrap_or_default().into();
        let api = self.client.runtime_api();
        let page = api.jobs(best, wanted, below, most).map_err(internal)?;
        let jobs = page.jobs.iter();
        Ok(JobList {
            jobs: jobs
                .map(|(number, job)| JobInfo::new(*number, job))
                .collect(),
            below: page.below,
        })
    }

    fn get(&self, job: JobId) -> RpcResult<JobInfo> {
        let best = self.client.info().best_hash;
        let (it, info) = job_at(&*self.client, best, job)?.ok_or(Error::UnknownJob(job))?;
        let mined = self.mined.on(&*self.client, job, &it);
        Ok(JobInfo {
            mined: Some(mined),
            ..info
        })
    }

    fn explain(&self, job: JobId) -> RpcResult<Explanation> {
        let (chain, api) = (self.client.info(), self.client.runtime_api());
        let best = chain.best_hash;
        let it = api.job(best, job).map_err(internal)?;
        let it = it.ok_or(Error::UnknownJob(job))?;
        let market = api.market(best).map_err(internal)?;
        let committee = api.auditors(best, job).map_err(internal)?;
        let known = Known {
            market: &market,
            committee: committee.as_ref(),
            accused: api.accused(best, job).map_err(internal)?.len(),
            now: chain.best_number,
            block_ms: api.target_block_time_ms(best).map_err(internal)?,
            kept: self
                .artifacts
                .as_ref()
                .map(|store| Kept::of(&it.batch, |root| store.info(root).is_some())),
        };
        Ok(explain(job, &it, &known))
    }

    fn worker(&self, account: AccountId) -> RpcResult<WorkerInfo> {
        let (best, api) = (self.client.info().best_hash, self.client.runtime_api());
        let market = api.market(best).map_err(internal)?;
        let record = api.worker(best, account).map_err(internal)?;
        Ok(WorkerInfo::new(record, &market.terms))
    }

    async fn follow(
        &self,
        pending: PendingSubscriptionSink,
        jobs: Vec<JobId>,
    ) -> SubscriptionResult {
        if !(1..=MAX_FOLLOWED).contains(&jobs.len()) {
            let reason = format!("a subscription follows 1 to {MAX_FOLLOWED} jobs");
            pending.reject(Error::Malformed(reason)).await;
            return Ok(());
        }
        let Ok(_permit) = self.subscriptions.clone().try_acquire_owned() else {
            let reason = format!("{MAX_SUBSCRIPTIONS} subscriptions to jobs are open");
            pending.reject(Error::Busy(reason)).await;
            return Ok(());
        };
        // Before the first look, so that no block is missed between.
        let imported = self.client.import_notification_stream();
        let mut best = imported.filter(|block| ready(block.is_new_best));
        let sink = pending.accept().await?;
        let mut last: Vec<Option<Option<JobInfo>>> = vec![None; jobs.len()];
        loop {
            let chain = self.client.info();
            for (job, last) in jobs.iter().zip(&mut last) {
                let Ok(found) = job_at(&*self.client, chain.best_hash, *job) else {
                    // The state of a block that was best a moment ago may be gone; the next one comes soon.
                    continue;
                };
                let info = found.map(|(_, info)| info);
                if last.as_ref() == Some(&info) {
                    continue;
                }
                *last = Some(info.clone());
                let change = JobChange {
                    job: *job,
                    at: chain.best_hash,
                    number: chain.best_number,
                    info,
                };
                // Into the connection's own bounded buffer: while it is full this waits.
                sink.send(SubscriptionMessage::from_json(&change)?).await?;
            }
            if last.iter().all(|last| matches!(last, Some(None))) {
                return Ok(());
            }
            tokio::select! {
                () = sink.closed() => return Ok(()),
                block = best.next() => if block.is_none() {
                    return Ok(());
                },
            }
        }
    }
}
