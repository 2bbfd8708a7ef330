//! What the `jobs_…` methods answer with. Amounts, in the token's smallest unit, and multiply-accumulates are decimal strings;
//! hashes 0x-prefixed hex; accounts SS58 addresses; times are block numbers.

use labora_runtime::AccountId;
use pallet_jobs::{
    Agreed, Committee, Failure, Job, JobId, Record, Said, Stage, Submitted,
    api::{self, StageName},
};
use serde::{Deserialize, Serialize};
use sp_core::H256;

/// Answer of `jobs_market`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MarketInfo {
    /// Share of the fee for the worker, in billionths.
    pub worker_share_ppb: u32,
    /// Share for the auditors together, in billionths; what is left is burned.
    pub auditor_share_ppb: u32,
    /// Share of the bond that a claim costs which ends late or without its data, in billionths.
    pub failure_share_ppb: u32,
    /// Least fee of a job.
    pub least_fee: String,
    /// The bond of a claim, in fees of the job.
    pub bond_factor: u32,
    /// Multiply-accumulates that a claim leaves a block's time for.
    pub macs_per_block: String,
    /// Blocks of a claim on top of that.
    pub least_claim_blocks: u32,
    /// Auditors of a result, if there are so many validators.
    pub committee: u32,
    /// Longest that a job can stay open.
    pub longest_open_blocks: u32,
    /// Blocks for which a settled job is kept.
    pub kept_blocks: u32,
    /// Blocks for which a result can be challenged.
    pub challenge_window: u32,
    /// Held for a job's place in the state.
    pub deposit_base: String,
    /// Held for each of its products.
    pub deposit_per_product: String,
    /// What the last audited jobs paid for 10¹² multiply-accumulates, by their work; null before the first.
    pub going_rate: Option<String>,
    /// Jobs that were ever posted: the next one gets this number.
    pub posted: JobId,
}

impl From<api::Market> for MarketInfo {
    fn from(market: api::Market) -> Self {
        let terms = market.terms;
        Self {
            worker_share_ppb: terms.worker_share.deconstruct(),
            auditor_share_ppb: terms.auditor_share.deconstruct(),
            failure_share_ppb: terms.failure_share.deconstruct(),
            least_fee: terms.least_fee.to_string(),
            bond_factor: terms.bond_factor,
            macs_per_block: terms.macs_per_block.to_string(),
            least_claim_blocks: terms.least_claim_blocks,
            committee: terms.committee,
            longest_open_blocks: terms.longest_open_blocks,
            kept_blocks: terms.kept_blocks,
            challenge_window: market.challenge_window,
            deposit_base: market.deposit_base.to_string(),
            deposit_per_product: market.deposit_per_product.to_string(),
            going_rate: (market.going_rate > 0).then(|| market.going_rate.to_string()),
            posted: market.next_job,
        }
    }
}

/// The code of `jobs_get` and `jobs_explain` for a job that is not there.
pub const UNKNOWN_JOB: i32 = -32060;

/// Where a job stands, by name.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum StageInfo {
    /// Nobody works on it.
    Open,
    /// Somebody does.
    Claimed,
    /// There is a result, which is audited.
    Submitted,
    /// The result was paid.
    Settled,
}

impl From<StageName> for StageInfo {
    fn from(stage: StageName) -> Self {
        match stage {
            StageName::Open => Self::Open,
            StageName::Claimed => Self::Claimed,
            StageName::Submitted => Self::Submitted,
            StageName::Settled => Self::Settled,
        }
    }
}

impl From<StageInfo> for StageName {
    fn from(stage: StageInfo) -> Self {
        match stage {
            StageInfo::Open => Self::Open,
            StageInfo::Claimed => Self::Claimed,
            StageInfo::Submitted => Self::Submitted,
            StageInfo::Settled => Self::Settled,
        }
    }
}

/// Which jobs `jobs_list` is asked for: those that are all of what is given.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WantedInfo {
    /// Standing there.
    #[serde(default)]
    pub stage: Option<StageInfo>,
    /// Of this poster.
    #[serde(default)]
    pub poster: Option<AccountId>,
    /// Of this worker.
    #[serde(default)]
    pub worker: Option<AccountId>,
}

impl WantedInfo {
    /// All that stand there.
    pub fn at(stage: StageInfo) -> Self {
        Self {
            stage: Some(stage),
            ..Self::default()
        }
    }
}

impl From<WantedInfo> for api::Wanted<AccountId> {
    fn from(wanted: WantedInfo) -> Self {
        Self {
            stage: wanted.stage.map(StageName::from),
            poster: wanted.poster,
            worker: wanted.worker,
        }
    }
}

/// A product of a job.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductInfo {
    /// BLAKE3 hash of A, m×k int8, row-major.
    pub a: H256,
    /// Rows of A, and of C.
    pub m: u32,
    /// BLAKE3 hash of C, m×n int32 in tile-major order; null before there is a result.
    pub c: Option<H256>,
}

/// Who audits a result, and what it has said.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditorInfo {
    /// The validator.
    pub auditor: AccountId,
    /// `nothing`, `unavailable` (it could not get the data), `sealed` (it holds, not opened yet) or `opened`.
    pub said: String,
}

/// A block that was mined on a job's own matrices: its seal names them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MinedInfo {
    /// The block's number.
    pub number: u32,
    /// Its hash.
    pub hash: H256,
    /// Which of the job's products, from 0.
    pub product: u32,
}

/// The times of a result, each the last block in which something can be done.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WindowInfo {
    /// The block in which the result came.
    pub since: u32,
    /// Auditors say what they found.
    pub attest_until: u32,
    /// Auditors open what they said.
    pub reveal_until: u32,
    /// Anyone can prove a wrong entry.
    pub ends: u32,
}

/// By what a claim ends, whatever the market's terms are by then.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgreedInfo {
    /// Share of the fee for the worker, in billionths.
    pub worker_share_ppb: u32,
    /// Share for the auditors together, in billionths; what is left is burned.
    pub auditor_share_ppb: u32,
    /// Share of the bond that is lost if the claim ends late or without its data, in billionths.
    pub failure_share_ppb: u32,
}

impl From<Agreed> for AgreedInfo {
    fn from(agreed: Agreed) -> Self {
        Self {
            worker_share_ppb: agreed.worker_share.deconstruct(),
            auditor_share_ppb: agreed.auditor_share.deconstruct(),
            failure_share_ppb: agreed.failure_share.deconstruct(),
        }
    }
}

/// A job, as `jobs_get` and `jobs_list` give it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobInfo {
    /// Its number.
    pub job: JobId,
    /// Who wants the products.
    pub poster: AccountId,
    /// The account that pays in the poster's stead, such as an institution's of the research fund; null where the poster pays.
    pub payer: Option<AccountId>,
    /// Where it stands.
    pub stage: StageInfo,
    /// What is paid.
    pub fee: String,
    /// What is held of who pays until the job is forgotten.
    pub deposit: String,
    /// The last block in which it can be claimed.
    pub deadline: u32,
    /// Claims of it that failed.
    pub failed: u32,
    /// Why the last of them did: `late`, `unavailable` (the data could not be fetched) or `wrong`; null where none did.
    pub last_failure: Option<String>,
    /// Multiply-accumulates of all products.
    pub macs: String,
    /// BLAKE3 hash of Bt, n×k int8, row-major.
    pub b: H256,
    /// Rows of Bt.
    pub n: u32,
    /// Columns of Bt and of each A.
    pub k: u32,
    /// The products.
    pub products: Vec<ProductInfo>,
    /// Who works on it, or was paid.
    pub worker: Option<AccountId>,
    /// What the worker has at stake.
    pub bond: Option<String>,
    /// The shares that were agreed when it was claimed; null before that, and once it is settled.
    #[serde(default)]
    pub agreed: Option<AgreedInfo>,
    /// The last block in which the worker can submit a result.
    pub claimed_until: Option<u32>,
    /// The times of the result.
    pub window: Option<WindowInfo>,
    /// Auditors of the result, once they are drawn. Not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auditors: Option<Vec<AuditorInfo>>,
    /// The block in which it was settled.
    pub settled_at: Option<u32>,
    /// Blocks that were mined on its products: those that fit a device as they are, with entries in -63..=63. Of `jobs_get` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mined: Option<Vec<MinedInfo>>,
}

impl JobInfo {
    /// A job without its auditors.
    pub fn new(number: JobId, job: &Job<AccountId>) -> Self {
        let roots = match &job.stage {
            Stage::Submitted(Submitted { roots, .. }) | Stage::Settled { roots, .. } => {
                roots.as_slice()
            }
            Stage::Open | Stage::Claimed(_) => &[],
        };
        let claimed = match &job.stage {
            Stage::Claimed(claimed) | Stage::Submitted(Submitted { claimed, .. }) => Some(claimed),
            Stage::Open | Stage::Settled { .. } => None,
        };
        let window = match &job.stage {
            Stage::Submitted(submitted) => Some(submitted.window),
            _ => None,
        };
        let products = job.batch.left.iter().enumerate();
        Self {
            job: number,
            poster: job.poster.clone(),
            payer: job.payer.clone(),
            stage: StageName::from(&job.stage).into(),
            fee: job.fee.to_string(),
            deposit: job.deposit.to_string(),
            deadline: job.deadline,
            failed: job.failed,
            last_failure: job.last_failure.map(|failure| failed(failure).into()),
            macs: job.batch.macs().unwrap_or_default().to_string(),
            b: H256(job.batch.root_b),
            n: job.batch.n,
            k: job.batch.k,
            products: products
                .map(|(at, left)| ProductInfo {
                    a: H256(left.root),
                    m: left.m,
                    c: roots.get(at).map(|root| H256(*root)),
                })
                .collect(),
            worker: job.worker().cloned(),
            bond: claimed.map(|claimed| claimed.bond.to_string()),
            agreed: claimed.map(|claimed| claimed.agreed.into()),
            claimed_until: match &job.stage {
                Stage::Claimed(claimed) => Some(claimed.until),
                _ => None,
            },
            window: window.map(|window| WindowInfo {
                since: window.since,
                attest_until: window.attest_until(),
                reveal_until: window.reveal_until(),
                ends: window.ends(),
            }),
            auditors: None,
            settled_at: match &job.stage {
                Stage::Settled { at, .. } => Some(*at),
                _ => None,
            },
            mined: None,
        }
    }

    /// Auditors who vouched for its result: they are liable for it if an entry is wrong.
    pub fn vouched(&self) -> impl Iterator<Item = &AccountId> {
        let seats = self.auditors.as_deref().unwrap_or_default().iter();
        let vouched = seats.filter(|seat| matches!(seat.said.as_str(), "sealed" | "opened"));
        vouched.map(|seat| &seat.auditor)
    }

    /// Whether a majority of its auditors opened that its result holds.
    pub fn is_confirmed(&self) -> bool {
        let auditors = self.auditors.as_deref().unwrap_or_default();
        let opened = auditors.iter().filter(|it| it.said == "opened").count();
        opened > auditors.len() / 2
    }

    /// The same with its auditors.
    pub fn with_auditors(self, committee: Option<&Committee<AccountId>>) -> Self {
        let seats = committee.map(|committee| committee.seats.iter());
        let auditors = seats.map(|seats| {
            seats.map(|seat| AuditorInfo {
                auditor: seat.auditor.clone(),
                said: said(&seat.said).into(),
            })
        });
        Self {
            auditors: auditors.map(Iterator::collect),
            ..self
        }
    }
}

fn failed(failure: Failure) -> &'static str {
    match failure {
        Failure::Late => "late",
        Failure::Unavailable => "unavailable",
        Failure::Wrong => "wrong",
    }
}

fn said(said: &Said) -> &'static str {
    match said {
        Said::Nothing => "nothing",
        Said::Unavailable => "unavailable",
        Said::Sealed(_) => "sealed",
        Said::Opened => "opened",
    }
}

/// Answer of `jobs_list`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobList {
    /// Jobs, the newest first.
    pub jobs: Vec<JobInfo>,
    /// What to give as `below` for the next page; null where there is none. A page may be shorter than asked, or empty, and
    /// have a next one: few of many jobs were wanted.
    pub below: Option<JobId>,
}

/// Answer of `jobs_worker`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerInfo {
    /// Jobs that it has claimed and that are not settled.
    pub open: u32,
    /// How many it may have.
    pub may_have: u32,
    /// Jobs that were settled since it last failed one.
    pub settled: u32,
}

impl WorkerInfo {
    /// What is known of a worker, on these terms.
    pub fn new(record: Record, terms: &pallet_jobs::Terms) -> Self {
        Self {
            open: record.open,
            may_have: terms.claims(record.settled),
            settled: record.settled,
        }
    }
}

/// One message of `jobs_subscribe`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobChange {
    /// The job.
    pub job: JobId,
    /// The block by whose state it stands so.
    pub at: H256,
    /// Number of that block.
    pub number: u32,
    /// How it stands; null if there is none, or none any more.
    pub info: Option<JobInfo>,
}
