//! `labora job post`: from files to a job on the chain.
//!
//! Files are read twice, one at a time: for their hashes and what the job costs, and, once somebody has said yes, to be uploaded. So at most
//! one matrix is in memory, with its padded copy.

use std::path::PathBuf;

use clap::Args;
use labora_artifacts::Holder;
use labora_market::{
    account::Account,
    chain::Chain,
    matrices::{self, Matrices},
    types::MarketInfo,
    words::{fee_at, lab, parse_lab, rate, share},
};
use labora_runtime::{Runtime, RuntimeCall, RuntimeEvent};
use pallet_jobs::{Batch, Call, Event, JobId};
use serde_json::json;
use sp_core::H256;

use super::{
    files::Files,
    record::{self, Product, Record},
};
use crate::wallet::{
    WalletError,
    act::{Plan, Quote, Trace, Wallet},
    flags::{ActParams, MatricesParams},
    progress,
    show::{Out, count, percent, time_of, warn},
};

/// How long a job stays open if nobody says: a day, as far as the chain allows.
const USUAL_OPEN_MS: u64 = 86_400_000;

/// What is to be multiplied, and for how much.
#[derive(Args, Clone, Debug)]
pub struct PostOptions {
    /// Matrices A, each m×k: .npy files of int8, or raw int8, row-major, with --k. One product A·B for each.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub a: Vec<PathBuf>,

    /// Matrix B, k×n, as NumPy multiplies: `A @ B`.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "bt",
        conflicts_with = "bt"
    )]
    pub b: Option<PathBuf>,

    /// Matrix B transposed, n×k, instead of B.
    #[arg(long, value_name = "FILE")]
    pub bt: Option<PathBuf>,

    /// Rows of each raw A; with it a raw A of another length is refused.
    #[arg(long, value_name = "ROWS")]
    pub m: Option<u32>,

    /// Columns of a raw A, rows of a raw B.
    #[arg(long, value_name = "COLUMNS")]
    pub k: Option<u32>,

    /// Columns of a raw B; with it a raw B of another length is refused.
    #[arg(long, value_name = "COLUMNS")]
    pub n: Option<u32>,

    /// What is paid for 10¹² multiply-accumulates, in LAB (`labora job list` shows what others pay).
    #[arg(long, value_name = "LAB", value_parser = parse_lab, required_unless_present = "fee", conflicts_with = "fee")]
    pub price: Option<u128>,

    /// What is paid for the whole job, in LAB.
    #[arg(long, value_name = "LAB", value_parser = parse_lab)]
    pub fee: Option<u128>,

    /// Blocks in which it can be claimed. Default: those of a day, or as many as may be.
    #[arg(long, value_name = "BLOCKS")]
    pub open_blocks: Option<u32>,

    /// File that remembers the shapes without padding, for `labora job result`. Default: job-NUMBER.json beside the first A.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,

    /// Where matrices are kept.
    #[clap(flatten)]
    pub matrices: MatricesParams,

    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

/// An amount among the market's terms.
fn term(text: &str) -> Result<u128, WalletError> {
    let nonsense =
        || WalletError::sentence("the node's terms of jobs make no sense; ask another node");
    text.parse().map_err(|_| nonsense())
}

/// The fee, and for how long the job is open.
fn offer(
    options: &PostOptions,
    macs: u64,
    market: &MarketInfo,
    block_ms: u64,
) -> Result<(u128, u32), WalletError> {
    let least = term(&market.least_fee)?;
    let fee = match (options.fee, options.price) {
        (Some(fee), _) => fee,
        // A price is one for work; a job that has hardly any still has a place in the state.
        (None, price) => fee_at(price.unwrap_or_default(), macs).max(least),
    };
    if fee < least {
        return Err(WalletError::Fee { fee, least });
    }
    let longest = market.longest_open_blocks;
    let day = u32::try_from(USUAL_OPEN_MS / block_ms.max(1)).unwrap_or(u32::MAX);
    let open = options.open_blocks.unwrap_or(day.clamp(1, longest.max(1)));
    match (1..=longest).contains(&open) {
        true => Ok((fee, open)),
        false => Err(WalletError::OpenBlocks(longest)),
    }
}

/// A job that can be posted: what its files hold, and what is offered for it.
pub(in crate::wallet) struct Draft {
    files: Files,
    market: MarketInfo,
    /// What is paid for it, in the token's smallest unit.
    pub fee: u128,
    /// Blocks in which it can be claimed.
    pub open_blocks: u32,
    block_ms: u64,
}

impl Draft {
    /// Reads the files, and asks what the chain takes.
    async fn read(options: &PostOptions, chain: &Chain) -> Result<Self, WalletError> {
        let files = Files::read(options).await?;
        let market = chain.market().await?;
        let block_ms = chain.block_ms();
        let (fee, open_blocks) = offer(options, files.macs, &market, block_ms)?;
        Ok(Self {
            files,
            market,
            fee,
            open_blocks,
            block_ms,
        })
    }

    /// Its products.
    pub(in crate::wallet) fn batch(&self) -> Batch {
        self.files.batch.clone()
    }

    /// Their multiply-accumulates.
    pub(in crate::wallet) fn macs(&self) -> u64 {
        self.files.macs
    }

    /// How many they are, in words.
    pub(in crate::wallet) fn products(&self) -> String {
        count(self.files.sides.len() as u64, "product")
    }

    /// What is held for its place in the state.
    pub(in crate::wallet) fn deposit(&self) -> Result<u128, WalletError> {
        let products = self.files.sides.len() as u128;
        let each = term(&self.market.deposit_per_product)?.saturating_mul(products);
        Ok(term(&self.market.deposit_base)?.saturating_add(each))
    }

    /// Who gets what of the fee, in words.
    pub(in crate::wallet) fn shares(&self) -> String {
        let part = |ppb: u32| lab(share(self.fee, ppb));
        let (worker, auditors) = (self.market.worker_share_ppb, self.market.auditor_share_ppb);
        let burned = 1_000_000_000_u32.saturating_sub(worker.saturating_add(auditors));
        format!(
            "held; then {} to the worker ({}), {} to auditors ({}), {} burned ({})",
            part(worker),
            percent(worker),
            part(auditors),
            percent(auditors),
            part(burned),
            percent(burned)
        )
    }

    /// A plan with what is to be known of the job, whoever pays for it.
    pub(in crate::wallet) fn told(&self, mut plan: Plan) -> Result<Plan, WalletError> {
        for note in self.files.notes() {
            plan = plan.note(note);
        }
        let offered = rate(self.fee, self.files.macs);
        let going = self.market.going_rate.as_deref().map(term).transpose()?;
        plan = plan.note(match going {
            None => format!(
                "It pays {} per 10¹² multiply-accumulates; there is no going rate yet to compare it with.",
                lab(offered)
            ),
            Some(going) => format!(
                "It pays {} per 10¹² multiply-accumulates; the going rate is {}.",
                lab(offered),
                lab(going)
            ),
        });
        Ok(plan.note(format!(
            "It can be claimed for {}, about {}; until then you can take it back.",
            count(self.open_blocks.into(), "block"),
            time_of(self.open_blocks, self.block_ms)
        )))
    }

    /// The plan of posting it at one's own cost.
    fn own(&self) -> Result<Plan, WalletError> {
        let call = RuntimeCall::Jobs(Call::<Runtime>::post {
            batch: self.batch(),
            fee: self.fee,
            open_blocks: self.open_blocks,
        });
        let plan = Plan::new(format!("Post a job of {}", self.products()), call)
            .costs("fee of the job", self.fee, self.shares())
            .costs(
                "deposit",
                self.deposit()?,
                "held; it comes back when the job is forgotten or refunded",
            );
        self.told(plan)
    }
}

/// Somebody who posts a draft, whoever pays.
pub(in crate::wallet) struct Posting<'a> {
    options: &'a PostOptions,
    /// Who signs.
    pub account: Account,
    endpoint: matrices::Remote,
    /// The chain.
    pub wallet: Wallet<'a>,
    /// What is posted.
    pub draft: Draft,
}

impl<'a> Posting<'a> {
    /// Reads all that was given; nothing is sent.
    pub(in crate::wallet) async fn begin(
        options: &'a PostOptions,
        trace: &'a Trace,
    ) -> Result<Self, WalletError> {
        let account = options.act.key.signer()?;
        let endpoint = options.matrices.endpoint()?;
        let wallet = Wallet::connect(&options.act.node, trace).await?;
        let draft = Draft::read(options, &wallet.chain).await?;
        Ok(Self {
            options,
            account,
            endpoint,
            wallet,
            draft,
        })
    }

    /// Shows the plan, asks, keeps the matrices, posts the job, and says what to do next.
    pub(in crate::wallet) async fn carry_out(self, plan: Plan) -> Result<(), WalletError> {
        let quote = Quote::of(plan, &self.wallet, &self.account).await?;
        if !quote.agreed(&self.account, &self.options.act).await? {
            return Ok(());
        }
        upload(&self.draft.files, &self.endpoint).await?;
        let (options, files) = (self.options, &self.draft.files);
        posted(options, &self.wallet, &self.account, files, &quote).await
    }
}

/// Puts all matrices where workers get them, and has them kept.
async fn upload(files: &Files, endpoint: &matrices::Remote) -> Result<(), WalletError> {
    let traffic = endpoint.traffic();
    let mut kept = Vec::new();
    for (source, root) in files.sources.iter().zip(files.roots()) {
        // The same matrix twice is kept once.
        if kept.contains(&root) {
            continue;
        }
        let (matrix, _) = source.load().await?;
        let length = matrix.entries.len() as u64;
        let what = format!("keeping {}", source.path.display());
        let keep = endpoint.keep(matrix.entries, Holder::default());
        let came = progress::during(&what, length, || traffic.sent(), keep).await?;
        if came != root {
            endpoint.let_go(came, Holder::default()).await;
            return Err(WalletError::Changed(source.path.clone()));
        }
        kept.push(root);
    }
    Ok(())
}

/// Where the record of a job goes.
fn record_path(options: &PostOptions, job: JobId) -> PathBuf {
    let beside = || {
        let folder = options.a.first().and_then(|first| first.parent());
        folder.map(|folder| folder.join(record::name(job)))
    };
    let given = options.record.clone().or_else(beside);
    given.unwrap_or_else(|| record::name(job).into())
}

/// Posts a job at one's own cost.
pub(super) async fn run(options: &PostOptions, trace: &Trace) -> Result<(), WalletError> {
    let posting = Posting::begin(options, trace).await?;
    let plan = posting.draft.own()?;
    posting.carry_out(plan).await
}

/// Sends it, and says what to do next.
async fn posted(
    options: &PostOptions,
    wallet: &Wallet<'_>,
    account: &Account,
    files: &Files,
    quote: &Quote,
) -> Result<(), WalletError> {
    let included = quote.send(wallet, account).await?;
    let number = included.events.iter().find_map(|event| match event {
        RuntimeEvent::Jobs(Event::Posted { job, .. }) => Some(*job),
        _ => None,
    });
    let number = number.ok_or_else(|| {
        WalletError::sentence(
            "the job was posted, and its number cannot be read; `labora job list` shows it",
        )
    })?;
    let roots = files.batch.left.iter().map(|left| H256(left.root));
    let products = roots
        .zip(&files.sides)
        .map(|(a, sides)| Product { a, sides: *sides });
    let record = Record {
        genesis: wallet.chain.genesis(),
        job: number,
        b: H256(files.batch.root_b),
        products: products.collect(),
    };
    let path = record_path(options, number);
    let written = record.write(&path);
    let mut sentences = vec![format!("It is job {number}.")];
    match &written {
        Ok(()) => sentences.push(format!("{} remembers its shapes.", path.display())),
        // The job is posted, whatever becomes of its record.
        Err(error) => warn(&format!(
            "{} cannot be written ({error}); give --shape m,n to `labora job result`",
            path.display()
        )),
    }
    sentences.push(format!(
        "→ labora job watch {number}\n→ labora job result {number} --record {} --out …",
        path.display()
    ));
    let more = [
        ("job", json!(number)),
        (
            "record",
            json!(written.is_ok().then(|| path.display().to_string())),
        ),
    ];
    quote.report(&included, Out::new(options.act.json), &sentences, &more)
}

#[cfg(test)]
mod tests;
