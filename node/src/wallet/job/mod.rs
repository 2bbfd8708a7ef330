//! `labora job`: jobs, as their posters see them.

mod calls;
mod files;
mod list;
mod post;
mod prove;
mod record;
mod result;
mod told;
mod watch;

pub use calls::{AgentOptions, CallOptions, RaiseOptions, ReleaseOptions};
pub use list::{GetOptions, ListOptions};
pub use post::PostOptions;
pub(super) use post::{Draft, Posting};
pub use prove::ProveOptions;
pub use result::ResultOptions;
pub use watch::WatchOptions;

use labora_market::{
    chain::Chain,
    types::{JobInfo, StageInfo},
};
use pallet_jobs::JobId;

use super::{WalletError, act::Trace};

/// About jobs.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum JobCommand {
    /// Post products with a price; the matrices are kept by a node until they are fetched.
    Post(Box<PostOptions>),
    /// Show a job.
    Get(GetOptions),
    /// Fetch the results of a job, check them, and write them as .npy.
    Result(Box<ResultOptions>),
    /// Say why a job stands where it stands, and what can be done about it.
    Explain(GetOptions),
    /// Take back an open job: fee and deposit come back whole.
    Cancel(ReleaseOptions),
    /// Raise the fee of an open job.
    Raise(RaiseOptions),
    /// Take a result as it is, before its audit is over: it is paid at once.
    Accept(CallOptions),
    /// Look for a wrong entry in a result, and prove it: half of the worker's bond is yours then, and the job is open again.
    Prove(ProveOptions),
    /// Drop a settled job: its deposit comes back.
    Forget(ReleaseOptions),
    /// Do what is due: a claim that is late, an audit that is over, a deadline. For no fee, if something was.
    Poke(CallOptions),
    /// List jobs, the newest first.
    List(ListOptions),
    /// Follow a job until it is settled, refunded or gone.
    Watch(WatchOptions),
    /// Let another account attest for this validator, or nobody any more.
    Agent(AgentOptions),
}

pub(super) async fn run(command: &JobCommand, trace: &Trace) -> Result<(), WalletError> {
    match command {
        JobCommand::Post(options) => post::run(options, trace).await,
        JobCommand::Get(options) => list::get(options, trace).await,
        JobCommand::Result(options) => result::run(options, trace).await,
        JobCommand::Explain(options) => list::explain(options, trace).await,
        JobCommand::Cancel(options) => calls::cancel(options, trace).await,
        JobCommand::Raise(options) => calls::raise(options, trace).await,
        JobCommand::Accept(options) => calls::accept(options, trace).await,
        JobCommand::Prove(options) => prove::run(options, trace).await,
        JobCommand::Forget(options) => calls::forget(options, trace).await,
        JobCommand::Poke(options) => calls::poke(options, trace).await,
        JobCommand::List(options) => list::list(options, trace).await,
        JobCommand::Watch(options) => watch::run(options, trace).await,
        JobCommand::Agent(options) => calls::agent(options, trace).await,
    }
}

/// A job, which must be there.
async fn job(chain: &Chain, job: JobId) -> Result<JobInfo, WalletError> {
    chain.job(job).await?.ok_or(WalletError::NoJob(job))
}

/// An amount that the node wrote.
fn amount(text: &str, job: JobId) -> Result<u128, WalletError> {
    text.parse().map_err(|_| WalletError::NoSense(job))
}

/// A stage's name, as people write it.
fn stage_name(stage: StageInfo) -> &'static str {
    match stage {
        StageInfo::Open => "open",
        StageInfo::Claimed => "claimed",
        StageInfo::Submitted => "submitted",
        StageInfo::Settled => "settled",
    }
}
