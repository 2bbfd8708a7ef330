//! `labora job list`, `get` and `explain`: what the chain says of jobs.

use clap::{Args, ValueEnum};
use labora_market::{
    node::shown,
    types::{JobInfo, StageInfo, WantedInfo},
    words::{lab, rate},
};
use labora_runtime::AccountId;
use pallet_jobs::JobId;
use serde_json::json;

use super::{amount, job, stage_name, told};
use crate::{
    cli::values::parse_address,
    rpc::Explanation,
    wallet::{
        WalletError,
        act::{Trace, Wallet},
        flags::ReadParams,
        show::{Out, count, macs, short, time_of},
    },
};

/// Jobs that are shown where nobody asks for all.
const USUAL: usize = 20;

/// Most jobs that a node gives at a time.
const PAGE: u32 = 100;

/// Most pages that are asked for: twice as many jobs as a chain has in months.
const MAX_PAGES: usize = 10_000;

/// Blocks that are named.
const MAX_MINED: usize = 10;

/// Of a job with this number.
#[derive(Args, Clone, Debug)]
pub struct GetOptions {
    /// Number of the job.
    #[arg(value_name = "JOB")]
    pub job: JobId,

    /// How.
    #[clap(flatten)]
    pub read: ReadParams,
}

/// A stage, as it is typed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum StageValue {
    /// Nobody works on it.
    Open,
    /// Somebody does.
    Claimed,
    /// There is a result, which is audited.
    Submitted,
    /// The result was paid.
    Settled,
}

impl From<StageValue> for StageInfo {
    fn from(value: StageValue) -> Self {
        match value {
            StageValue::Open => Self::Open,
            StageValue::Claimed => Self::Claimed,
            StageValue::Submitted => Self::Submitted,
            StageValue::Settled => Self::Settled,
        }
    }
}

/// Which jobs are listed: those that are all of what is given.
#[derive(Args, Clone, Debug)]
pub struct ListOptions {
    /// Standing there.
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<StageValue>,

    /// Of this poster.
    #[arg(long, value_name = "SS58", value_parser = parse_address)]
    pub poster: Option<AccountId>,

    /// Of this worker.
    #[arg(long, value_name = "SS58", value_parser = parse_address)]
    pub worker: Option<AccountId>,

    /// All of them; by default the newest 20.
    #[arg(long)]
    pub all: bool,

    /// Only those with a lower number.
    #[arg(long, value_name = "JOB")]
    pub below: Option<JobId>,

    /// How.
    #[clap(flatten)]
    pub read: ReadParams,
}

/// Lists jobs.
pub(super) async fn list(options: &ListOptions, trace: &Trace) -> Result<(), WalletError> {
    let wallet = Wallet::connect(&options.read.node, trace).await?;
    let wanted = WantedInfo {
        stage: options.stage.map(StageInfo::from),
        poster: options.poster.clone(),
        worker: options.worker.clone(),
    };
    let most = if options.all { usize::MAX } else { USUAL };
    let (mut jobs, mut below) = (Vec::new(), options.below);
    let mut more = true;
    for _ in 0..MAX_PAGES {
        let left = u32::try_from(most - jobs.len()).unwrap_or(PAGE).min(PAGE);
        let page = wallet.chain.page(&wanted, below, left).await?;
        jobs.extend(page.jobs.into_iter().take(left as usize));
        // A node that goes round in circles is not followed.
        let goes_on = page
            .below
            .filter(|next| below.is_none_or(|below| *next < below));
        more = goes_on.is_some();
        below = goes_on;
        if !more || jobs.len() >= most {
            break;
        }
    }
    let out = Out::new(options.read.json);
    out.json(&json!({"jobs": jobs, "below": below}))?;
    if out == Out::Programs {
        return Ok(());
    }
    if jobs.is_empty() {
        return out.say("No such jobs.");
    }
    let head = [
        "job",
        "stage",
        "fee",
        "per TMAC",
        "products",
        "work",
        "until block",
        "poster",
        "worker",
    ];
    let mut rows = vec![head.map(String::from)];
    for job in &jobs {
        rows.push(row(job)?);
    }
    out.table(&rows)?;
    match (more, below) {
        (true, Some(below)) => out.say(&format!(
            "There may be older ones: --below {below}, or --all."
        )),
        _ => Ok(()),
    }
}

/// The last block of where a job stands.
fn until(job: &JobInfo) -> String {
    let last = match job.stage {
        StageInfo::Open => Some(job.deadline),
        StageInfo::Claimed => job.claimed_until,
        StageInfo::Submitted => job.window.as_ref().map(|window| window.ends),
        StageInfo::Settled => None,
    };
    last.map(|last| last.to_string()).unwrap_or_default()
}

/// The shapes of a job's products.
fn shapes(job: &JobInfo) -> String {
    let rows = job.products.iter().map(|product| product.m);
    let (least, most) = (
        rows.clone().min().unwrap_or_default(),
        rows.max().unwrap_or_default(),
    );
    let m = match least == most {
        true => most.to_string(),
        false => format!("{least}…{most}"),
    };
    format!("{} of {m}×{}×{}", job.products.len(), job.n, job.k)
}

fn row(job: &JobInfo) -> Result<[String; 9], WalletError> {
    let fee = amount(&job.fee, job.job)?;
    let work: u64 = job
        .macs
        .parse()
        .map_err(|_| WalletError::NoSense(job.job))?;
    Ok([
        job.job.to_string(),
        stage_name(job.stage).into(),
        lab(fee),
        lab(rate(fee, work)),
        shapes(job),
        macs(work.into()),
        until(job),
        short(&job.poster),
        job.worker.as_ref().map(short).unwrap_or_default(),
    ])
}

/// The blocks that were mined on a job's matrices, the first few of them.
fn mined(job: &JobInfo) -> String {
    let blocks = job.mined.as_deref().unwrap_or_default();
    let names = blocks.iter().take(MAX_MINED);
    let names: Vec<String> = names.map(|block| block.number.to_string()).collect();
    let more = if blocks.len() > MAX_MINED {
        ", …"
    } else {
        ""
    };
    match blocks.is_empty() {
        true => String::new(),
        false => format!(
            "{}: {}{more}",
            count(blocks.len() as u64, "block"),
            names.join(", ")
        ),
    }
}

/// Shows a job.
pub(super) async fn get(options: &GetOptions, trace: &Trace) -> Result<(), WalletError> {
    let wallet = Wallet::connect(&options.read.node, trace).await?;
    let it = job(&wallet.chain, options.job).await?;
    let out = Out::new(options.read.json);
    out.json(&it)?;
    if out == Out::Programs {
        return Ok(());
    }
    let now = wallet.chain.best().await?.number;
    let block_ms = wallet.chain.block_ms();
    let time = |last: u32| match last.checked_sub(now) {
        Some(left) => format!("block {last}, in about {}", time_of(left, block_ms)),
        None => format!("block {last}, which is past"),
    };
    let fee = amount(&it.fee, it.job)?;
    let work: u64 = it.macs.parse().map_err(|_| WalletError::NoSense(it.job))?;
    let bond = it
        .bond
        .as_deref()
        .map(|bond| amount(bond, it.job))
        .transpose()?;
    let window = |of: fn(&labora_market::types::WindowInfo) -> u32| {
        it.window
            .as_ref()
            .map(|window| time(of(window)))
            .unwrap_or_default()
    };
    out.pairs(&[
        ("job", it.job.to_string()),
        ("stage", stage_name(it.stage).into()),
        ("poster", it.poster.to_string()),
        (
            "paid by",
            it.payer
                .as_ref()
                .map(|payer| format!("the research fund, from {payer}"))
                .unwrap_or_default(),
        ),
        (
            "fee",
            format!("{}, {} per TMAC", lab(fee), lab(rate(fee, work))),
        ),
        ("deposit", lab(amount(&it.deposit, it.job)?)),
        ("work", format!("{}, {}", macs(work.into()), shapes(&it))),
        ("can be claimed until", time(it.deadline)),
        (
            "claims that failed",
            it.last_failure
                .as_ref()
                .map(|why| format!("{}, the last one: {why}", it.failed))
                .unwrap_or_default(),
        ),
        (
            "worker",
            it.worker
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        ),
        ("bond", bond.map(lab).unwrap_or_default()),
        (
            "results until",
            it.claimed_until.map(time).unwrap_or_default(),
        ),
        ("auditors speak until", window(|window| window.attest_until)),
        ("open it until", window(|window| window.reveal_until)),
        ("can be challenged until", window(|window| window.ends)),
        (
            "settled in",
            it.settled_at
                .map(|at| format!("block {at}"))
                .unwrap_or_default(),
        ),
        ("mined on it", mined(&it)),
        ("Bt", hex::encode(it.b)),
    ])?;
    let mut rows = vec![["product", "rows", "A", "C"].map(String::from)];
    for (at, product) in it.products.iter().enumerate() {
        let c = product.c.map(hex::encode).unwrap_or_default();
        rows.push([
            at.to_string(),
            product.m.to_string(),
            hex::encode(product.a),
            c,
        ]);
    }
    out.table(&rows)?;
    let auditors = it.auditors.unwrap_or_default();
    if auditors.is_empty() {
        return Ok(());
    }
    let mut rows = vec![["auditor", "said"].map(String::from)];
    for auditor in auditors {
        rows.push([auditor.auditor.to_string(), shown(&auditor.said)]);
    }
    out.table(&rows)
}

/// Says why a job stands where it stands.
pub(super) async fn explain(options: &GetOptions, trace: &Trace) -> Result<(), WalletError> {
    let wallet = Wallet::connect(&options.read.node, trace).await?;
    let it = job(&wallet.chain, options.job).await?;
    let why: Explanation = wallet
        .chain
        .ask("jobs_explain", vec![json!(it.job)])
        .await?;
    let out = Out::new(options.read.json);
    out.json(&why)?;
    if out == Out::Programs {
        return Ok(());
    }
    out.say(&format!(
        "Job {} is {}. {}",
        it.job,
        stage_name(why.stage),
        shown(&why.summary)
    ))?;
    for reason in &why.because {
        out.say(&format!("  {}", shown(reason)))?;
    }
    for next in &why.next {
        out.say(&format!("→ {}", told::typed(next)))?;
    }
    Ok(())
}
