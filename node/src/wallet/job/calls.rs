//! What is done with a job in one transaction: cancel, raise, accept, forget, poke; and who attests for a validator.

use clap::Args;
use labora_artifacts::Holder;
use labora_market::{
    account::Account,
    chain::Included,
    matrices::Matrices,
    types::{JobInfo, StageInfo},
    words::{lab, parse_lab, rate},
};
use labora_runtime::{AccountId, Runtime, RuntimeCall, RuntimeEvent};
use pallet_jobs::{Call, JobId};

use super::{amount, job, stage_name, told};
use crate::{
    cli::values::parse_address,
    wallet::{
        WalletError,
        act::{Plan, Quote, Trace, Wallet, act},
        flags::{ActParams, MatricesParams},
        show::{Out, percent},
    },
};

/// A job, and how something is done with it.
#[derive(Args, Clone, Debug)]
pub struct CallOptions {
    /// Number of the job.
    #[arg(value_name = "JOB")]
    pub job: JobId,

    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

/// A job that ends.
#[derive(Args, Clone, Debug)]
pub struct ReleaseOptions {
    /// Number of the job.
    #[arg(value_name = "JOB")]
    pub job: JobId,

    /// Let the endpoint's node evict the job's matrices from now on. Not for matrices that another job needs.
    #[arg(long)]
    pub unpin: bool,

    /// Where they are.
    #[clap(flatten)]
    pub matrices: MatricesParams,

    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

/// A job that pays more.
#[derive(Args, Clone, Debug)]
pub struct RaiseOptions {
    /// Number of the job.
    #[arg(value_name = "JOB")]
    pub job: JobId,

    /// How much more it pays, in LAB, such as 0.5.
    #[arg(value_name = "LAB", value_parser = parse_lab)]
    pub by: u128,

    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

/// Who attests.
#[derive(Args, Clone, Debug)]
pub struct AgentOptions {
    /// The account that attests for this one, or `none`.
    #[arg(value_name = "SS58|none", value_parser = parse_agent)]
    pub agent: Agent,

    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

/// The value of `labora job agent`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Agent(pub Option<AccountId>);

/// Reads an agent.
fn parse_agent(value: &str) -> Result<Agent, crate::cli::values::ValueError> {
    match value {
        "none" => Ok(Agent(None)),
        address => parse_address(address).map(Some).map(Agent),
    }
}

/// A job of the account's own, in the stage in which something can be done.
async fn own(
    wallet: &Wallet<'_>,
    account: &Account,
    number: JobId,
    stage: StageInfo,
    remedy: &'static str,
) -> Result<JobInfo, WalletError> {
    let it = job(&wallet.chain, number).await?;
    if it.poster != *account.id() {
        return Err(WalletError::NotYours {
            job: number,
            poster: it.poster.to_string(),
        });
    }
    if it.stage != stage {
        return Err(WalletError::Stage {
            job: number,
            stage: stage_name(it.stage),
            remedy,
        });
    }
    Ok(it)
}

/// Does a plan about a job, and says what became of the job.
pub(super) async fn about(
    wallet: &Wallet<'_>,
    account: &Account,
    how: &ActParams,
    number: JobId,
    plan: Plan,
) -> Result<Option<Included>, WalletError> {
    let quote = Quote::of(plan, wallet, account).await?;
    if !quote.agreed(account, how).await? {
        return Ok(None);
    }
    let included = quote.send(wallet, account).await?;
    let told = included.events.iter().filter_map(|event| match event {
        RuntimeEvent::Jobs(event) => told::sentence(event, number),
        _ => None,
    });
    let told: Vec<String> = told.collect();
    quote.report(&included, Out::new(how.json), &told, &[])?;
    Ok(Some(included))
}

/// Lets the matrices of a job go.
async fn unpin(options: &ReleaseOptions, it: &JobInfo) -> Result<(), WalletError> {
    let endpoint = options.matrices.endpoint()?;
    endpoint.let_go(it.b.0, Holder::default()).await;
    for product in &it.products {
        endpoint.let_go(product.a.0, Holder::default()).await;
        if let Some(c) = product.c {
            endpoint.let_go(c.0, Holder::default()).await;
        }
    }
    Ok(())
}

/// Whose money comes back, in words.
fn payer(it: &JobInfo) -> &'static str {
    match it.payer {
        Some(_) => "the research fund",
        None => "you",
    }
}

/// Takes back an open job.
pub(super) async fn cancel(options: &ReleaseOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let remedy = "only an open job can be taken back; a claim that runs out opens it again, and poke ends a late one";
    let it = own(&wallet, &account, options.job, StageInfo::Open, remedy).await?;
    let (fee, deposit) = (amount(&it.fee, it.job)?, amount(&it.deposit, it.job)?);
    let call = RuntimeCall::Jobs(Call::<Runtime>::cancel { job: options.job });
    let plan = Plan::new(format!("Cancel job {}", options.job), call).note(format!(
        "The fee of {} and the deposit of {} go back whole to {}.",
        lab(fee),
        lab(deposit),
        payer(&it)
    ));
    let done = about(&wallet, &account, &options.act, options.job, plan).await?;
    match done.is_some() && options.unpin {
        true => unpin(options, &it).await,
        false => Ok(()),
    }
}

/// Raises the fee of an open job.
pub(super) async fn raise(options: &RaiseOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let remedy = "only the fee of an open job can be raised";
    let it = own(&wallet, &account, options.job, StageInfo::Open, remedy).await?;
    if it.payer.is_some() {
        return Err(WalletError::sentence(format!(
            "the research fund pays for job {}, and its fee cannot be raised; cancel it, and post it anew with another",
            options.job
        )));
    }
    let fee = amount(&it.fee, it.job)?.saturating_add(options.by);
    let macs = it.macs.parse().map_err(|_| WalletError::NoSense(it.job))?;
    let call = RuntimeCall::Jobs(Call::<Runtime>::raise {
        job: options.job,
        by: options.by,
    });
    let title = format!(
        "Raise the fee of job {} by {}",
        options.job,
        lab(options.by)
    );
    let plan = Plan::new(title, call)
        .costs(
            "fee of the job",
            options.by,
            "held with what is held for it already",
        )
        .note(format!(
            "It then pays {}: {} per 10¹² multiply-accumulates.",
            lab(fee),
            lab(rate(fee, macs))
        ));
    about(&wallet, &account, &options.act, options.job, plan)
        .await
        .map(drop)
}

/// Takes a result as it is.
pub(super) async fn accept(options: &CallOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let remedy = "only a result that was submitted and is not paid yet can be accepted";
    let it = own(&wallet, &account, options.job, StageInfo::Submitted, remedy).await?;
    if it.payer.is_some() && !it.is_confirmed() {
        return Err(WalletError::sentence(format!(
            "the research fund pays for job {}, so its auditors have to confirm the result first (labora job watch {}); \
             `labora job result` fetches and checks it before",
            options.job, options.job
        )));
    }
    let market = wallet.chain.market().await?;
    let call = RuntimeCall::Jobs(Call::<Runtime>::accept { job: options.job });
    let plan = Plan::new(format!("Accept the result of job {}", options.job), call)
        .note(format!(
            "Its worker gets {} of the fee of {} at once.",
            percent(market.worker_share_ppb),
            lab(amount(&it.fee, it.job)?)
        ))
        .note(format!(
            "This cannot be undone: `labora job result {} --out …` checks the result before.",
            options.job
        ));
    about(&wallet, &account, &options.act, options.job, plan)
        .await
        .map(drop)
}

/// Drops a settled job.
pub(super) async fn forget(options: &ReleaseOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let remedy = "only a settled job can be forgotten; an open one can be cancelled";
    let it = own(&wallet, &account, options.job, StageInfo::Settled, remedy).await?;
    let call = RuntimeCall::Jobs(Call::<Runtime>::forget { job: options.job });
    let plan = Plan::new(format!("Forget job {}", options.job), call)
        .note(format!(
            "The deposit of {} goes back to {}.",
            lab(amount(&it.deposit, it.job)?),
            payer(&it)
        ))
        .note("The chain no longer says where its results are: fetch them before.");
    let done = about(&wallet, &account, &options.act, options.job, plan).await?;
    match done.is_some() && options.unpin {
        true => unpin(options, &it).await,
        false => Ok(()),
    }
}

/// The plan of doing what is due.
pub(super) fn poking(number: JobId) -> Plan {
    let call = RuntimeCall::Jobs(Call::<Runtime>::poke { job: number });
    Plan::new(format!("Do what is due about job {number}"), call).free()
}

/// Does what is due.
pub(super) async fn poke(options: &CallOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let it = job(&wallet.chain, options.job).await?;
    let market = wallet.chain.market().await?;
    let now = wallet.chain.best().await?.number;
    if !told::is_due(&it, &market, now.saturating_add(1)) {
        return Err(WalletError::sentence(format!(
            "nothing is due about job {} yet; `labora job explain {}` says what is awaited",
            options.job, options.job
        )));
    }
    let plan = poking(options.job);
    about(&wallet, &account, &options.act, options.job, plan)
        .await
        .map(drop)
}

/// Lets somebody else attest.
pub(super) async fn agent(options: &AgentOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let agent = options.agent.0.clone();
    let title = match &agent {
        Some(agent) => format!("Let {agent} attest for {}", account.id()),
        None => format!("Let nobody else attest for {}", account.id()),
    };
    let call = RuntimeCall::Jobs(Call::<Runtime>::set_agent {
        agent: agent.clone(),
    });
    let mut plan = Plan::new(title, call);
    if agent.is_some() {
        plan = plan.note(
            "It can vouch for results, for which the validator's stake is liable; a node with --audit and its key does.",
        );
    }
    act(&wallet, &account, &options.act, plan).await.map(drop)
}
