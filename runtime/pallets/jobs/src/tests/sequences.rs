//! Random calls: money is conserved after each, and whatever was begun comes to an end that anyone can bring about.

use std::{cell::RefCell, collections::BTreeSet};

use frame_support::storage::with_storage_layer;
use proptest::{
    prelude::*,
    test_runner::{RngSeed, TestRunner},
};
use sp_core::crypto::AccountId32;

use crate::{mock::*, *};

const ACCOUNTS: [AccountId32; 4] = [POSTER, WORKER, OTHER_WORKER, CHALLENGER];

/// Of its jobs somebody else pays each.
const SPONSORED: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Pass(u32),
    Post(usize, u128, u32),
    Raise(usize, JobId, u128),
    Cancel(usize, JobId),
    Claim(usize, JobId),
    Submit(usize, JobId, bool),
    Accept(usize, JobId),
    Forget(usize, JobId),
    Attest(usize, JobId, bool),
    Reveal(usize, JobId),
    Prove(usize, JobId, bool),
    Report(usize, JobId),
    Poke(usize, JobId),
    /// All auditors do what they should, which chance alone seldom brings about.
    Audit(JobId),
    /// All auditors vouch for a wrong result, are shown to be wrong, and one is reported.
    Collude(JobId),
}

/// Whoever is past the end of the accounts is the one whose turn it is, so that most calls are not refused at once.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (who, job, seats) = (0..12usize, 0..3u64, 1..8usize);
    let fee = prop_oneof![0..3_000u128, 100_000..700_000u128];
    let holds = prop_oneof![4 => Just(true), 1 => Just(false)];
    let of_job = || (who.clone(), job.clone());
    let step = prop_oneof![
        3 => (0..9u32).prop_map(Step::Pass),
        6 => prop_oneof![Just(2), Just(10)].prop_map(Step::Pass),
        1 => (20..60u32).prop_map(Step::Pass),
        4 => (0..4usize, fee, 0..60u32).prop_map(|(who, fee, blocks)| Step::Post(who, fee, blocks)),
        1 => (of_job(), 0..2_000u128).prop_map(|((who, job), by)| Step::Raise(who, job, by)),
        1 => of_job().prop_map(|(who, job)| Step::Cancel(who, job)),
        6 => (0..4usize, job.clone()).prop_map(|(who, job)| Step::Claim(who, job)),
        8 => (of_job(), holds.clone()).prop_map(|((who, job), is_right)| Step::Submit(who, job, is_right)),
        1 => of_job().prop_map(|(who, job)| Step::Accept(who, job)),
        2 => of_job().prop_map(|(who, job)| Step::Forget(who, job)),
        16 => (seats.clone(), job.clone(), holds).prop_map(|(who, job, holds)| Step::Attest(who, job, holds)),
        12 => (seats, job.clone()).prop_map(|(who, job)| Step::Reveal(who, job)),
        6 => (0..4usize, job.clone(), any::<bool>()).prop_map(|(who, job, is_right)| Step::Prove(who, job, is_right)),
        2 => of_job().prop_map(|(who, job)| Step::Report(who, job)),
        3 => job.clone().prop_map(Step::Audit),
        3 => job.clone().prop_map(Step::Collude),
        4 => (0..4usize, job.clone()).prop_map(|(who, job)| Step::Poke(who, job)),
    ];
    proptest::collection::vec(step, 1..160)
}

/// An account, or the poster of a job.
fn poster(who: usize, job: JobId) -> RuntimeOrigin {
    let poster = || Some(Jobs::<Test>::get(job)?.poster);
    by(&ACCOUNTS.get(who).cloned().or_else(poster).unwrap_or(POSTER))
}

/// An account, or the worker of a job.
fn worker(who: usize, job: JobId) -> RuntimeOrigin {
    let worker = || match Jobs::<Test>::get(job)?.stage {
        Stage::Claimed(claimed) => Some(claimed.worker),
        _ => None,
    };
    by(&ACCOUNTS.get(who).cloned().or_else(worker).unwrap_or(WORKER))
}

/// One of the auditors of a job, if they can be known.
fn auditor(seat: usize, job: JobId) -> AccountId32 {
    let drawn = || {
        let Stage::Submitted(submitted) = Jobs::<Test>::get(job)?.stage else {
            return None;
        };
        PastSeals::sealed(submitted.window.drawn_by())?;
        drawn(job).into_iter().nth(seat)
    };
    drawn().unwrap_or(VALIDATORS[seat].clone())
}

/// Takes a step as a transaction would: all of it, or nothing.
fn take(step: Step, right: &Products, wrong: &Products) -> DispatchResult {
    with_storage_layer(|| call(step, right, wrong))
}

/// Some auditors of a job do something, each in a transaction of its own.
fn each(
    seats: usize,
    job: JobId,
    act: impl Fn(&AccountId32) -> DispatchResultWithPostInfo,
) -> DispatchResult {
    for seat in (0..3).filter(|seat| seats >> seat & 1 == 1) {
        let auditor = auditor(seat, job);
        let _ = with_storage_layer(|| act(&auditor).map_err(|refused| refused.error));
    }
    Ok(())
}

fn call(step: Step, right: &Products, wrong: &Products) -> DispatchResult {
    let of = |who: usize| by(&ACCOUNTS[who]);
    let results = |is_right: bool| if is_right { right } else { wrong };
    let poked = match step {
        Step::Pass(blocks) => {
            pass(blocks);
            return Ok(());
        }
        Step::Post(SPONSORED, fee, open_blocks) => {
            let order = Order {
                batch: right.batch.clone(),
                fee,
                open_blocks,
            };
            return Market::post_for(ACCOUNTS[SPONSORED].clone(), PAYER, order).map(drop);
        }
        Step::Post(who, fee, blocks) => {
            return Market::post(of(who), right.batch.clone(), fee, blocks);
        }
        Step::Raise(who, job, by) => return Market::raise(poster(who, job), job, by),
        Step::Cancel(who, job) => return Market::cancel(poster(who, job), job),
        Step::Claim(who, job) => return Market::claim(of(who), job),
        Step::Submit(who, job, is_right) => {
            return Market::submit(worker(who, job), job, results(is_right).roots());
        }
        Step::Accept(who, job) => return Market::accept(poster(who, job), job),
        Step::Forget(who, job) => return Market::forget(poster(who, job), job),
        Step::Prove(who, job, is_right) => {
            let proof = match is_right {
                true => right.proof_of_nothing(1),
                false => wrong.proof(1).expect("an entry is wrong"),
            };
            let proved = Market::prove_fraud(of(who), job, 1, proof);
            return proved.map(drop).map_err(|refused| refused.error);
        }
        Step::Attest(seats, job, holds) => {
            return each(seats, job, |auditor| {
                let said = match holds {
                    true => seal(auditor),
                    false => Attestation::Unavailable,
                };
                Market::attest(by(auditor), job, auditor.clone(), said)
            });
        }
        Step::Reveal(seats, job) => {
            return each(seats, job, |auditor| {
                let (secret, answers) = opening(auditor);
                Market::reveal(by(auditor), job, auditor.clone(), secret, answers)
            });
        }
        Step::Audit(job) => {
            pass(2);
            call(Step::Attest(7, job, true), right, wrong)?;
            pass(WINDOW / 2 - 1);
            return call(Step::Reveal(7, job), right, wrong);
        }
        Step::Report(who, job) => {
            let accused = Accused::<Test>::iter_keys().next();
            let (job, auditor) = accused.unwrap_or((job, VALIDATORS[0].clone()));
            Market::report_auditor(of(who % 4), job, auditor)
        }
        Step::Collude(job) => {
            call(Step::Submit(8, job, false), right, wrong)?;
            pass(2);
            call(Step::Attest(7, job, true), right, wrong)?;
            call(Step::Prove(3, job, false), right, wrong)?;
            return call(Step::Report(2, job), right, wrong);
        }
        Step::Poke(who, job) => Market::poke(of(who), job),
    };
    poked.map(|_| ()).map_err(|refused| refused.error)
}

/// All that there is, with what was burned.
fn all_money() -> u128 {
    Balances::total_issuance() + Burned::get()
}

fn sum_of_accounts() -> u128 {
    let all = ACCOUNTS.iter().chain(&VALIDATORS).chain([&PAYER]);
    all.map(total).sum()
}

/// How a job went on, as events tell.
fn ends() -> BTreeSet<&'static str> {
    let events = System::events().into_iter();
    let name = |event| match event {
        RuntimeEvent::Market(Event::Settled { paid, .. }) => match paid.auditors {
            0 => Some("settled"),
            _ => Some("settled with auditors"),
        },
        RuntimeEvent::Market(Event::FraudProved { .. }) => Some("fraud"),
        RuntimeEvent::Market(Event::AuditorReported { .. }) => Some("auditor reported"),
        RuntimeEvent::Market(Event::DrawnAnew { .. }) => Some("drawn anew"),
        RuntimeEvent::Market(Event::Forgotten { .. }) => Some("forgotten"),
        RuntimeEvent::Market(Event::Failed { failure, .. }) => match failure {
            Failure::Late => Some("late"),
            Failure::Unavailable => Some("unavailable"),
            Failure::Wrong => Some("wrong"),
        },
        RuntimeEvent::Market(Event::Refunded { refund, .. }) => match refund {
            Refund::Cancelled => Some("cancelled"),
            Refund::Deadline => Some("deadline"),
            Refund::Unaudited => Some("unaudited"),
        },
        _ => None,
    };
    events.filter_map(|record| name(record.event)).collect()
}

fn check(
    steps: Vec<Step>,
    right: &Products,
    wrong: &Products,
) -> Result<BTreeSet<&'static str>, TestCaseError> {
    new_test_ext().execute_with(|| {
        let money = all_money();
        for step in steps {
            let (said, before) = (format!("{step:?}"), sum_of_accounts());
            let is_done = take(step, right, wrong).is_ok();
            prop_assert_eq!(all_money(), money, "{}", said);
            let held = sum_of_accounts() + Burned::get();
            prop_assert_eq!(held, money, "{}", said);
            prop_assert!(is_done || sum_of_accounts() == before, "{}", said);
            let sound = Market::do_try_state();
            prop_assert!(sound.is_ok(), "{said}: {sound:?}");
        }
        // Nobody does anything any more but somebody who has no part in it.
        for _ in 0..8 {
            pass(60);
            for job in Jobs::<Test>::iter_keys().collect::<Vec<_>>() {
                let _ = Market::poke(by(&CHALLENGER), job);
            }
        }
        prop_assert_eq!(Jobs::<Test>::iter_keys().count(), 0, "a job is stuck");
        for account in ACCOUNTS.into_iter().chain([PAYER]) {
            prop_assert_eq!(Balances::free_balance(&account), total(&account));
        }
        // Each of the payer's jobs was settled or refunded, once; what was settled was forgotten.
        let told = Told::get();
        let count = |end| told.iter().filter(|(_, what, _)| *what == end).count();
        prop_assert_eq!(count("settled"), count("forgotten"));
        let ended = told.iter().filter(|(_, what, _)| *what != "forgotten");
        let jobs: BTreeSet<JobId> = ended.clone().map(|(job, ..)| *job).collect();
        prop_assert_eq!(jobs.len(), ended.count());
        let spent = told
            .iter()
            .filter(|(_, what, _)| *what == "settled")
            .map(|(.., fee)| fee);
        prop_assert_eq!(total(&PAYER) + spent.sum::<u128>(), RICH);
        prop_assert_eq!(sum_of_accounts() + Burned::get(), money);
        Ok(ends())
    })
}

#[test]
fn money_is_conserved_and_no_job_is_stuck() {
    // From the same seed each time, so that it is known that every end is reached.
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(7),
        ..ProptestConfig::default()
    });
    let (right, wrong) = (Products::new(), Products::spoiled());
    let reached = RefCell::new(BTreeSet::new());
    let run = runner.run(&steps(), |steps| {
        reached.borrow_mut().extend(check(steps, &right, &wrong)?);
        Ok(())
    });
    run.unwrap();
    let reached: Vec<&str> = reached.into_inner().into_iter().collect();
    let all = [
        "auditor reported",
        "cancelled",
        "deadline",
        "drawn anew",
        "forgotten",
        "fraud",
        "late",
        "settled",
        "settled with auditors",
        "unaudited",
        "unavailable",
        "wrong",
    ];
    assert_eq!(reached, all);
}
