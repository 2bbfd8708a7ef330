//! Jobs in words: what came about, what is due, how far a stage is, and what can be typed about it. Pure.

use labora_market::{
    node::shown,
    types::{JobInfo, MarketInfo, StageInfo},
    words::{lab, parse_lab},
};
use labora_runtime::{LAB, Runtime};
use pallet_jobs::{Attestation, Event, Failure, JobId, Refund};

/// What an event says of a job; none if it is about another one, or about nothing that its poster waits for.
pub(super) fn sentence(event: &Event<Runtime>, of: JobId) -> Option<String> {
    let (job, sentence) = match event {
        Event::Posted { job, deadline, .. } => {
            (job, format!("It can be claimed until block {deadline}."))
        }
        Event::Raised { job, fee } => (job, format!("It pays {} now.", lab(*fee))),
        Event::Claimed {
            job,
            worker,
            bond,
            until,
        } => (
            job,
            format!(
                "{worker} claimed it with {} at stake, and has until block {until}.",
                lab(*bond)
            ),
        ),
        Event::Submitted { job, window, .. } => (
            job,
            format!(
                "Its results are there. They are audited until block {}; what you pay for yourself you can accept before: \
                 labora job accept {job}",
                window.ends()
            ),
        ),
        Event::Attested {
            job,
            auditor,
            attestation,
        } => (
            job,
            match attestation {
                Attestation::Holds(_) => format!("Auditor {auditor} says that it holds, sealed."),
                Attestation::Unavailable => format!(
                    "Auditor {auditor} cannot get the matrices; keep the node on that has them, and in reach."
                ),
            },
        ),
        Event::Revealed { job, auditor, .. } => (
            job,
            format!("Auditor {auditor} opened what it found: it holds."),
        ),
        Event::DrawnAnew { job, window } => (
            job,
            format!(
                "Too few auditors said anything; others are drawn, and have until block {}.",
                window.ends()
            ),
        ),
        Event::FraudProved {
            job,
            product,
            row,
            column,
            challenger,
            ..
        } => (
            job,
            format!(
                "{challenger} proved an entry wrong: row {row}, column {column} of product {product}."
            ),
        ),
        Event::Failed {
            job,
            worker,
            failure,
            lost,
        } => (
            job,
            format!(
                "The claim of {worker} failed: {}. It lost {} of its bond.",
                match failure {
                    Failure::Late => "no result came in time",
                    Failure::Unavailable => "auditors could not get the matrices or the result",
                    Failure::Wrong => "a result was wrong",
                },
                lab(*lost)
            ),
        ),
        Event::Settled { job, worker, paid } => (
            job,
            format!(
                "{worker} was paid {}, its auditors {}, and {} are burned.",
                lab(paid.first),
                lab(paid.auditors),
                lab(paid.burned)
            ),
        ),
        Event::Refunded { job, refund } => (
            job,
            format!(
                "{} Fee and deposit are back whole.",
                match refund {
                    Refund::Cancelled => "It was cancelled.",
                    Refund::Deadline => "Its deadline passed, and nobody works on it.",
                    Refund::Unaudited =>
                        "Auditors were drawn several times, and too few said anything.",
                }
            ),
        ),
        Event::Forgotten { job } => (job, "It is forgotten, and its deposit is back.".into()),
        _ => return None,
    };
    (*job == of).then_some(sentence)
}

/// Whether a poke that is in block `now` would do something.
pub(super) fn is_due(job: &JobInfo, market: &MarketInfo, now: u32) -> bool {
    let past = |last: Option<u32>| last.is_some_and(|last| now > last);
    match job.stage {
        StageInfo::Open => now > job.deadline,
        StageInfo::Claimed => past(job.claimed_until),
        StageInfo::Submitted => past(job.window.as_ref().map(|window| window.ends)),
        StageInfo::Settled => past(
            job.settled_at
                .map(|at| at.saturating_add(market.kept_blocks)),
        ),
    }
}

/// The blocks that a stage lasts: from, and to; `seen` is where it was first looked at.
pub(super) fn stretch(job: &JobInfo, market: &MarketInfo, seen: u32) -> Option<(u32, u32)> {
    match job.stage {
        StageInfo::Open => Some((seen.min(job.deadline), job.deadline)),
        StageInfo::Claimed => {
            let until = job.claimed_until?;
            let macs: u64 = job.macs.parse().ok()?;
            let per_block: u64 = market.macs_per_block.parse().ok()?;
            let work = u32::try_from(macs / per_block.max(1)).unwrap_or(u32::MAX);
            let blocks = work.saturating_add(market.least_claim_blocks);
            Some((until.saturating_sub(blocks), until))
        }
        StageInfo::Submitted => {
            let window = job.window.as_ref()?;
            Some((window.since.min(window.ends), window.ends))
        }
        StageInfo::Settled => None,
    }
}

/// A sentence of the node's, with what can be typed for the calls that it names: `jobs.cancel(7)` is `labora job cancel 7`.
pub(super) fn typed(sentence: &str) -> String {
    let mut out = String::new();
    let mut rest = sentence;
    while let Some((before, after)) = rest.split_once("jobs.") {
        out.push_str(before);
        match command(after) {
            Some((command, left)) => {
                out.push_str(&command);
                rest = left;
            }
            None => {
                out.push_str("jobs.");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    shown(&out)
}

/// The command for `name(arguments)` at the start of a text, and what follows it.
fn command(text: &str) -> Option<(String, &str)> {
    let (name, rest) = text.split_once('(')?;
    let (arguments, left) = rest.split_once(')')?;
    let is_known = ["accept", "cancel", "forget", "poke", "raise"].contains(&name);
    if !is_known {
        return None;
    }
    let (job, by) = arguments.split_once(", ").unwrap_or((arguments, ""));
    job.parse::<JobId>().ok()?;
    if name != "raise" {
        return by
            .is_empty()
            .then(|| (format!("labora job {name} {job}"), left));
    }
    // All twelve places: what was asked for is exact.
    let by: u128 = by.parse().ok()?;
    let places = format!("{:012}", by % LAB);
    let amount = format!("{}.{}", by / LAB, places);
    let amount = amount.trim_end_matches('0').trim_end_matches('.');
    parse_lab(amount).ok().filter(|read| *read == by)?;
    Some((format!("labora job raise {job} {amount}"), left))
}

#[cfg(test)]
mod tests {
    use labora_market::types::WindowInfo;
    use pallet_jobs::Window;
    use sp_keyring::Sr25519Keyring;

    use super::*;

    fn job(stage: StageInfo) -> JobInfo {
        JobInfo {
            job: 7,
            poster: Sr25519Keyring::Alice.to_account_id(),
            payer: None,
            stage,
            fee: "2000000000000".into(),
            deposit: "12000000000".into(),
            deadline: 100,
            failed: 0,
            last_failure: None,
            macs: (50_u64 << 30).to_string(),
            b: Default::default(),
            n: 32,
            k: 256,
            products: Vec::new(),
            worker: None,
            bond: None,
            agreed: None,
            claimed_until: (stage == StageInfo::Claimed).then_some(200),
            window: (stage == StageInfo::Submitted).then_some(WindowInfo {
                since: 240,
                attest_until: 270,
                reveal_until: 285,
                ends: 300,
            }),
            auditors: None,
            settled_at: (stage == StageInfo::Settled).then_some(400),
            mined: None,
        }
    }

    fn market() -> MarketInfo {
        let market = pallet_jobs::api::Market {
            terms: pallet_jobs::Terms {
                macs_per_block: 1 << 30,
                least_claim_blocks: 20,
                kept_blocks: 50,
                ..Default::default()
            },
            challenge_window: 60,
            deposit_base: 1,
            deposit_per_product: 1,
            going_rate: 0,
            next_job: 8,
        };
        market.into()
    }

    #[test]
    fn what_is_due_is_so_from_the_block_after_the_last() {
        for (stage, last) in [
            (StageInfo::Open, 100),
            (StageInfo::Claimed, 200),
            (StageInfo::Submitted, 300),
            (StageInfo::Settled, 450),
        ] {
            let job = job(stage);
            assert!(!is_due(&job, &market(), last), "{stage:?}");
            assert!(is_due(&job, &market(), last + 1), "{stage:?}");
        }
    }

    #[test]
    fn a_stage_lasts_from_where_it_began() {
        let of = |stage| stretch(&job(stage), &market(), 40);
        assert_eq!(of(StageInfo::Open), Some((40, 100)));
        assert_eq!(of(StageInfo::Claimed), Some((130, 200)));
        assert_eq!(of(StageInfo::Submitted), Some((240, 300)));
        assert_eq!(of(StageInfo::Settled), None);
        let nonsense = JobInfo {
            macs: "many".into(),
            ..job(StageInfo::Claimed)
        };
        assert_eq!(stretch(&nonsense, &market(), 40), None);
    }

    #[test]
    fn calls_that_a_sentence_names_can_be_typed() {
        for (said, told) in [
            (
                "Take it back: jobs.cancel(7).",
                "Take it back: labora job cancel 7.",
            ),
            (
                "jobs.raise(7, 999999999999).",
                "labora job raise 7 0.999999999999.",
            ),
            ("jobs.raise(7, 3000000000000)", "labora job raise 7 3"),
            (
                "jobs.accept(1) or jobs.poke(2)",
                "labora job accept 1 or labora job poke 2",
            ),
            (
                "jobs.reportAuditor(7, AUDITOR).",
                "jobs.reportAuditor(7, AUDITOR).",
            ),
            ("jobs.cancel(7; rm -rf)", "jobs.cancel(7; rm -rf)"),
            ("jobs.", "jobs."),
            ("jobs.cancel(", "jobs.cancel("),
            ("nothing", "nothing"),
        ] {
            assert_eq!(typed(said), told);
        }
        assert_eq!(typed("\u{1b}[2J"), " [2J");
    }

    #[test]
    fn events_are_sentences_about_their_job_alone() {
        let worker = Sr25519Keyring::Bob.to_account_id();
        let events = [
            Event::Claimed {
                job: 7,
                worker: worker.clone(),
                bond: 4 * LAB,
                until: 90,
            },
            Event::Submitted {
                job: 7,
                roots: Default::default(),
                window: Window::new(10, 60),
            },
            Event::Failed {
                job: 7,
                worker,
                failure: Failure::Late,
                lost: LAB / 10,
            },
            Event::Refunded {
                job: 7,
                refund: Refund::Deadline,
            },
        ];
        let words = [
            "4 LAB at stake",
            "until block 70",
            "lost 0.1 LAB",
            "back whole",
        ];
        for (event, word) in events.iter().zip(words) {
            let told = sentence(event, 7).expect("a sentence");
            assert!(told.contains(word), "{told}");
            assert_eq!(sentence(event, 8), None);
        }
        assert_eq!(
            sentence(
                &Event::AgentSet {
                    auditor: Sr25519Keyring::Bob.to_account_id(),
                    agent: None
                },
                7
            ),
            None
        );
    }
}
