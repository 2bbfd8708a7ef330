//! Why a job stands where it stands, in words and figures: for posters, who else can only wait.

use std::{collections::BTreeSet, time::Duration};

use labora_market::{
    types::StageInfo,
    words::{lab, rate},
};
use labora_pouw::Hash;
use labora_runtime::AccountId;
use pallet_jobs::{
    Batch, Claimed, Committee, Failure, Job, JobId, Said, Stage, Submitted,
    api::{Market, StageName},
};
use serde::{Deserialize, Serialize};

/// Answer of `jobs_explain`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The job.
    pub job: JobId,
    /// Where it stands.
    pub stage: StageInfo,
    /// What is the case, in a sentence.
    pub summary: String,
    /// Why, in figures: a sentence each.
    pub because: Vec<String>,
    /// What can be done about it, and by whom: a sentence each.
    pub next: Vec<String>,
}

/// What a job is explained by.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Terms and prices.
    pub market: &'a Market,
    /// Its auditors, where they are drawn.
    pub committee: Option<&'a Committee<AccountId>>,
    /// How many auditors are accused of having vouched for a result that was wrong.
    pub accused: usize,
    /// Number of the best block.
    pub now: u32,
    /// Time between blocks that the chain aims at, in milliseconds.
    pub block_ms: u64,
    /// What this node has of its factors, if it keeps matrices at all.
    pub kept: Option<Kept>,
}

/// How many of a job's factors a node keeps.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// So many.
    pub here: usize,
    /// Of so many different ones.
    pub all: usize,
}

impl Kept {
    /// Counts those of a job that `holds` knows.
    pub fn of(batch: &Batch, holds: impl Fn(&Hash) -> bool) -> Self {
        let left = batch.left.iter().map(|left| left.root);
        let roots: BTreeSet<Hash> = left.chain([batch.root_b]).collect();
        Self {
            here: roots.iter().filter(|root| holds(root)).count(),
            all: roots.len(),
        }
    }

    /// What that means for an open job, and what can be done about it.
    fn told(self) -> (String, Option<String>) {
        let Self { here, all } = self;
        if here == all {
            return (format!("This node has all of its {all} matrices."), None);
        }
        let reason = format!(
            "Of its {all} matrices this node has {here}, and nobody claims a job whose matrices cannot be fetched."
        );
        let remedy = "Unless other nodes have them, the poster has to store them: PUT /v1/artifacts/HASH, or labora job post, which does.";
        (reason, Some(remedy.into()))
    }
}

impl Known<'_> {
    /// How long it takes until block `number` is over.
    fn until(&self, number: u32) -> String {
        let blocks = number.saturating_sub(self.now);
        let time = Duration::from_millis(self.block_ms.saturating_mul(blocks.into()));
        let s = if blocks == 1 { "" } else { "s" };
        format!("{blocks} block{s}, about {}", in_words(time))
    }
}

/// A length of time, to a figure or two.
pub(crate) fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Explains a job.
pub fn explain(number: JobId, job: &Job<AccountId>, known: &Known<'_>) -> Explanation {
    let (summary, mut because, mut next) = match &job.stage {
        Stage::Open => open(number, job, known),
        Stage::Claimed(claimed) => claimed_by(number, job, claimed, known),
        Stage::Submitted(submitted) => audited(number, job, submitted, known),
        Stage::Settled { worker, at, .. } => settled(number, job, (worker, *at), known),
    };
    because.extend(failures(job));
    if let Some(payer) = &job.payer {
        because.push(format!(
            "The research fund pays for it, from {payer}, the account of its poster's institution."
        ));
    }
    if known.accused > 0 {
        let count = known.accused;
        because.push(format!(
            "An earlier result was proved wrong; {count} auditors had vouched for it."
        ));
        next.push(format!(
            "Anyone can report those auditors, for no fee and a share of what they lose: jobs.reportAuditor({number}, AUDITOR)."
        ));
    }
    Explanation {
        job: number,
        stage: StageName::from(&job.stage).into(),
        summary,
        because,
        next,
    }
}

/// That earlier claims failed, and how the last did.
fn failures(job: &Job<AccountId>) -> Option<String> {
    let why = match job.last_failure? {
        Failure::Late => "its worker was late",
        Failure::Unavailable => "auditors could not fetch the matrices or the result",
        Failure::Wrong => "an entry of its result was proved wrong",
    };
    Some(match job.failed {
        1 => format!("One claim of it failed: {why}."),
        count => format!("{count} claims of it failed; of the last one {why}."),
    })
}

/// Summary, reasons, and what can be done.
type Told = (String, Vec<String>, Vec<String>);

fn open(number: JobId, job: &Job<AccountId>, known: &Known<'_>) -> Told {
    let macs = job.batch.macs().unwrap_or_default();
    let offered = rate(job.fee, macs);
    let mut because = vec![format!(
        "It pays {} for {macs} multiply-accumulates: {} per 10¹².",
        lab(job.fee),
        lab(offered)
    )];
    let mut next = Vec::new();
    if known.now > job.deadline {
        let summary = "Nobody claimed it before its deadline.".to_owned();
        because.push(format!("Its last block was {}.", job.deadline));
        next.push(format!(
            "Anyone can have {} money given back, for no fee: jobs.poke({number}).",
            match job.payer {
                Some(_) => "the fund's",
                None => "the poster's",
            }
        ));
        return (summary, because, next);
    }
    let going = known.market.going_rate;
    match going {
        0 => because.push(
            "There is no going rate yet: no job was audited and settled that its poster pays for."
                .into(),
        ),
        going if offered < going && job.payer.is_some() => {
            because.push(format!(
                "That is less than the going rate of {}.",
                lab(going)
            ));
            next.push(
                "What was granted cannot be raised; the poster can cancel it and post it anew for more."
                    .into(),
            );
        }
        going if offered < going => {
            because.push(format!(
                "That is less than the going rate of {}.",
                lab(going)
            ));
            let worth = sp_core::U256::from(going) * sp_core::U256::from(macs);
            let worth = u128::try_from(worth / sp_core::U256::from(1_000_000_000_000u64));
            let more = worth.unwrap_or(u128::MAX).saturating_sub(job.fee);
            next.push(format!(
                "The poster can raise the fee; {} more are the going rate: jobs.raise({number}, {more}).",
                lab(more)
            ));
        }
        going => because.push(format!("The going rate is {}.", lab(going))),
    }
    if let Some(kept) = known.kept {
        let (reason, remedy) = kept.told();
        because.push(reason);
        next.extend(remedy);
    }
    let bond = known.market.terms.bond(job.fee);
    because.push(format!(
        "Who claims it puts {} at stake, and has {} blocks for it.",
        lab(bond.unwrap_or(u128::MAX)),
        known.market.terms.claim_blocks(macs)
    ));
    next.push(format!(
        "It can be claimed for {} more; the poster can take it back until then: jobs.cancel({number}).",
        known.until(job.deadline)
    ));
    ("It waits for a worker.".into(), because, next)
}

fn claimed_by(
    number: JobId,
    job: &Job<AccountId>,
    claimed: &Claimed<AccountId>,
    known: &Known<'_>,
) -> Told {
    let because = vec![format!(
        "{} has {} at stake for it, and until block {} to submit results.",
        claimed.worker,
        lab(claimed.bond),
        claimed.until
    )];
    if known.now > claimed.until {
        let then = match known.now > job.deadline {
            true => format!(
                "{} gets its money back, since the deadline has passed too",
                payer(job)
            ),
            false => "it is open again".into(),
        };
        let next =
            format!("Anyone can end the claim, for no fee: jobs.poke({number}). Then {then}.");
        return ("Its worker is late.".into(), because, vec![next]);
    }
    let next = format!(
        "In {} it is late: then {} of the bond is lost, and the job is open again.",
        known.until(claimed.until),
        lab(claimed.agreed.failure_share.mul_floor(claimed.bond))
    );
    ("Somebody works on it.".into(), because, vec![next])
}

fn audited(
    number: JobId,
    job: &Job<AccountId>,
    submitted: &Submitted<AccountId>,
    known: &Known<'_>,
) -> Told {
    let (window, now) = (&submitted.window, known.now);
    let mut because = vec![format!(
        "{} submitted results in block {}, with {} at stake for them.",
        submitted.claimed.worker,
        window.since,
        lab(submitted.claimed.bond)
    )];
    if submitted.unheard > 0 {
        because.push(format!(
            "Auditors were drawn {} times before, and too few said anything.",
            submitted.unheard
        ));
    }
    match known.committee {
        None => because.push(format!(
            "Auditors are drawn by the seal of block {}, which is not known yet.",
            window.drawn_by()
        )),
        Some(committee) if committee.seats.is_empty() => {
            because.push(
                "No validator but who is a party to it: it is paid if nobody proves it wrong."
                    .into(),
            );
        }
        Some(committee) => because.push(what_they_said(committee)),
    }
    let is_confirmed = known.committee.is_some_and(Committee::confirms);
    let accept = match job.payer.is_none() || is_confirmed {
        true => format!("The poster can accept it as it is: jobs.accept({number})."),
        false => {
            "The poster can accept it once auditors have confirmed it, since the research fund pays."
                .into()
        }
    };
    if now > window.ends() {
        let next = format!(
            "What its auditors said can be carried out, by anyone and for no fee: jobs.poke({number})."
        );
        return ("Its audit is over.".into(), because, vec![next, accept]);
    }
    let (summary, left) = if now <= window.attest_until() {
        let left = format!(
            "Auditors can say what they found for {} more.",
            known.until(window.attest_until())
        );
        ("Its results are being audited.", left)
    } else if now <= window.reveal_until() {
        let left = format!(
            "Auditors can open what they said for {} more.",
            known.until(window.reveal_until())
        );
        ("Its auditors open what they have found.", left)
    } else {
        (
            "Its results can still be challenged.",
            "Auditors have spoken.".into(),
        )
    };
    let ends = format!(
        "Anyone can prove a wrong entry for {} more; after that it is settled.",
        known.until(window.ends())
    );
    (summary.into(), because, vec![left, ends, accept])
}

fn what_they_said(committee: &Committee<AccountId>) -> String {
    let count = |said: fn(&Said) -> bool| {
        let seats = committee.seats.iter();
        seats.filter(|seat| said(&seat.said)).count()
    };
    format!(
        "Of {} auditors {} opened that it holds, {} say so and have not opened it, {} could not get the data, and {} have said nothing; {} \
         must open it.",
        committee.seats.len(),
        count(|said| matches!(said, Said::Opened)),
        count(|said| matches!(said, Said::Sealed(_))),
        count(|said| matches!(said, Said::Unavailable)),
        count(|said| matches!(said, Said::Nothing)),
        committee.quorum()
    )
}

/// Who has money back, in words.
fn payer(job: &Job<AccountId>) -> &'static str {
    match job.payer {
        Some(_) => "the research fund",
        None => "the poster",
    }
}

fn settled(
    number: JobId,
    job: &Job<AccountId>,
    (worker, at): (&AccountId, u32),
    known: &Known<'_>,
) -> Told {
    let because = vec![format!("{worker} was paid in block {at}.")];
    let until = at.saturating_add(known.market.terms.kept_blocks);
    let next = match known.now > until {
        true => format!("Anyone can have it forgotten, for no fee: jobs.poke({number})."),
        false => format!(
            "It stays in the state for {} more; {} has its deposit back when it is forgotten: jobs.forget({number}).",
            known.until(until),
            payer(job)
        ),
    };
    ("It is done and paid.".into(), because, vec![next])
}

#[cfg(test)]
mod tests;
