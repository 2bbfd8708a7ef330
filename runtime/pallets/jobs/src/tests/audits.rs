//! Who audits, what they may say and when, and what follows.

use std::collections::BTreeSet;

use frame_support::{assert_noop, assert_ok};
use sp_core::crypto::AccountId32;

use crate::{mock::*, *};

const FEE: u128 = 10_000;

fn unavailable(job: JobId, auditor: &AccountId32) -> DispatchResultWithPostInfo {
    Market::attest(by(auditor), job, auditor.clone(), Attestation::Unavailable)
}

/// A job whose auditors can speak.
fn audited() -> (JobId, Vec<AccountId32>) {
    let job = submitted(FEE, &Products::new());
    pass(2);
    (job, drawn(job))
}

fn window(job: JobId) -> Option<Window> {
    match Jobs::<Test>::get(job)?.stage {
        Stage::Submitted(submitted) => Some(submitted.window),
        _ => None,
    }
}

#[test]
fn a_majority_that_opens_what_it_attested_settles_the_job_when_the_window_is_over() {
    new_test_ext().execute_with(|| {
        let (job, auditors) = audited();
        for auditor in &auditors[..2] {
            attest(job, auditor);
        }
        pass(WINDOW / 2);
        for auditor in &auditors[..2] {
            reveal(job, auditor);
        }
        pass(WINDOW / 2 - 2);
        assert_noop!(Market::poke(by(&POSTER), job), Error::<Test>::NotDue);
        pass(1);
        assert_ok!(Market::poke(by(&POSTER), job));
        // 85 % for the worker; 5 % for the two that spoke; the rest is burned.
        assert_eq!(total(&WORKER), RICH + 8_500);
        assert_eq!(total(&auditors[0]), RICH + 250);
        assert_eq!(total(&auditors[1]), RICH + 250);
        assert_eq!(total(&auditors[2]), RICH);
        assert_eq!(Burned::get(), 1_000);
        assert_eq!(Committees::<Test>::iter().count(), 0);
        pass(0);
    });
}

#[test]
fn auditors_are_drawn_by_a_later_block_and_never_are_parties() {
    new_test_ext().execute_with(|| {
        let job = submitted(FEE, &Products::new());
        for _ in 0..2 {
            for auditor in VALIDATORS {
                let refused = unavailable(job, &auditor).expect_err("nobody is drawn yet");
                assert_eq!(refused.error, Error::<Test>::TooEarly.into());
            }
            pass(1);
        }
        let auditors = drawn(job);
        assert_eq!(auditors.iter().collect::<BTreeSet<_>>().len(), 3);
        for auditor in VALIDATORS {
            let said = Market::attest(by(&auditor), job, auditor.clone(), seal(&auditor));
            assert_eq!(said.is_ok(), auditors.contains(&auditor));
        }
        // A validator may work, and a validator may post.
        Elected::set(vec![POSTER, WORKER, VALIDATORS[0].clone()]);
        let job = submitted(FEE, &Products::new());
        pass(2);
        attest(job, &VALIDATORS[0]);
        let committee = Committees::<Test>::get(job).expect("drawn");
        assert_eq!(committee.seats.len(), 1);
    });
}

#[test]
fn draws_differ_from_seal_to_seal_and_from_job_to_job() {
    let draw = |seal, job| {
        let committee = Committee::draw(
            H256::from_low_u64_be(seal),
            job,
            0,
            (0u32..100).collect(),
            5,
        );
        let seats = committee.seats.into_iter();
        seats.map(|seat| seat.auditor).collect::<Vec<_>>()
    };
    let draws: BTreeSet<Vec<u32>> = (0..10)
        .flat_map(|at| [draw(at, 0), draw(0, at + 1)])
        .collect();
    assert_eq!(draws.len(), 20);
    assert_eq!(draw(1, 2), draw(1, 2));
    // Each of a hundred is drawn by one of a thousand seals.
    let all: BTreeSet<u32> = (0..1_000).flat_map(|seal| draw(seal, 0)).collect();
    assert_eq!(all.len(), 100);
}

#[test]
fn what_is_attested_is_opened_by_its_owner_and_in_its_time() {
    new_test_ext().execute_with(|| {
        let (job, auditors) = audited();
        let [one, two, three] = [&auditors[0], &auditors[1], &auditors[2]];
        attest(job, one);
        // The second copies the first's seal.
        assert_ok!(Market::attest(by(two), job, two.clone(), seal(one)));
        let open = |auditor: &AccountId32, of: &AccountId32| {
            let (secret, answers) = opening(of);
            Market::reveal(by(auditor), job, auditor.clone(), secret, answers)
        };
        let refused = |result: DispatchResultWithPostInfo| result.expect_err("refused").error;
        assert_eq!(refused(open(one, one)), Error::<Test>::TooEarly.into());
        pass(WINDOW / 2 - 1);
        assert_eq!(
            refused(Market::attest(by(three), job, three.clone(), seal(three))),
            Error::<Test>::TooLate.into()
        );
        assert_eq!(refused(open(two, one)), Error::<Test>::WrongOpening.into());
        assert_eq!(refused(open(two, two)), Error::<Test>::WrongOpening.into());
        assert_eq!(
            refused(open(three, three)),
            Error::<Test>::NothingSealed.into()
        );
        assert_ok!(open(one, one));
        assert_eq!(refused(open(one, one)), Error::<Test>::NothingSealed.into());
        pass(WINDOW / 4);
        assert_eq!(refused(open(two, one)), Error::<Test>::TooLate.into());
    });
}

#[test]
fn who_vouched_cannot_take_it_back_and_who_missed_data_can_still_find_it() {
    new_test_ext().execute_with(|| {
        let (job, auditors) = audited();
        assert_ok!(unavailable(job, &auditors[0]));
        let again = unavailable(job, &auditors[0]).expect_err("said already");
        assert_eq!(again.error, Error::<Test>::AlreadyAttested.into());
        attest(job, &auditors[0]);
        let taken_back = unavailable(job, &auditors[0]).expect_err("vouched");
        assert_eq!(taken_back.error, Error::<Test>::AlreadyAttested.into());
    });
}

#[test]
fn data_that_a_majority_cannot_fetch_fails_the_claim_at_once() {
    new_test_ext().execute_with(|| {
        let (job, auditors) = audited();
        assert_ok!(unavailable(job, &auditors[0]));
        attest(job, &auditors[1]);
        assert!(window(job).is_some());
        assert_ok!(unavailable(job, &auditors[2]));
        let known = Jobs::<Test>::get(job).expect("the job is open");
        assert_eq!(known.stage, Stage::Open);
        assert_eq!(total(&WORKER), RICH - 2 * FEE / 10);
        assert_eq!(Burned::get(), 2 * FEE / 10);
        assert!(Reported::get().is_empty());
        pass(0);
    });
}

#[test]
fn where_auditors_say_nothing_others_are_drawn_and_in_the_end_all_have_their_money_back() {
    new_test_ext().execute_with(|| {
        let (job, first) = audited();
        attest(job, &first[0]);
        pass(WINDOW);
        assert_ok!(Market::poke(by(&WORKER), job));
        let next = window(job).expect("another draw");
        assert_eq!(next.since, System::block_number());
        assert!(!Committees::<Test>::contains_key(job));
        pass(2);
        // They seal, and do not open.
        for auditor in drawn(job) {
            attest(job, &auditor);
        }
        pass(WINDOW);
        assert_ok!(Market::poke(by(&WORKER), job));
        assert_eq!(Jobs::<Test>::get(job), None);
        for account in [POSTER, WORKER] {
            assert_eq!(Balances::free_balance(account), RICH);
        }
        let refund = Refund::Unaudited;
        System::assert_last_event(Event::Refunded { job, refund }.into());
        pass(0);
    });
}

#[test]
fn where_there_is_nobody_to_audit_the_window_alone_settles() {
    new_test_ext().execute_with(|| {
        Elected::set(vec![WORKER]);
        let job = submitted(FEE, &Products::new());
        pass(WINDOW + 1);
        assert_ok!(Market::poke(by(&WORKER), job));
        assert_eq!(total(&WORKER), RICH + 8_500);
        pass(0);
    });
}

#[test]
fn a_poster_that_accepts_early_pays_the_auditors_that_opened() {
    new_test_ext().execute_with(|| {
        let (job, auditors) = audited();
        attest(job, &auditors[0]);
        attest(job, &auditors[1]);
        pass(WINDOW / 2);
        reveal(job, &auditors[0]);
        assert_ok!(Market::accept(by(&POSTER), job));
        assert_eq!(total(&auditors[0]), RICH + 500);
        assert_eq!(total(&auditors[1]), RICH);
        pass(0);
    });
}

#[test]
fn an_agent_speaks_for_its_validator_and_nobody_else_does() {
    new_test_ext().execute_with(|| {
        let (job, auditors) = audited();
        let auditor = auditors[0].clone();
        let speak =
            |who: &AccountId32| Market::attest(by(who), job, auditor.clone(), seal(&auditor));
        let refused = speak(&CHALLENGER).expect_err("nobody's agent");
        assert_eq!(refused.error, Error::<Test>::NotAnAuditor.into());
        assert_noop!(
            Market::set_agent(by(&POSTER), Some(CHALLENGER)),
            Error::<Test>::NotAValidator
        );
        assert_ok!(Market::set_agent(by(&auditor), Some(CHALLENGER)));
        let spoke = speak(&CHALLENGER).expect("the agent of an auditor");
        assert_eq!(spoke.pays_fee, Pays::No);
        assert_ok!(Market::set_agent(by(&auditor), None));
        let refused = speak(&CHALLENGER).expect_err("nobody's agent any more");
        assert_eq!(refused.error, Error::<Test>::NotAnAuditor.into());
    });
}

#[test]
fn an_auditor_that_cannot_hold_its_pay_goes_without_and_it_is_burned() {
    new_test_ext().execute_with(|| {
        let poor = account(77);
        Elected::set(vec![poor.clone()]);
        assert_ok!(Market::set_terms(
            RuntimeOrigin::root(),
            Terms {
                least_fee: 1,
                ..terms()
            }
        ));
        let job = submitted(100, &Products::new());
        pass(2);
        attest(job, &poor);
        pass(WINDOW / 2);
        reveal(job, &poor);
        pass(WINDOW);
        assert_ok!(Market::poke(by(&POSTER), job));
        assert_eq!(total(&poor), 0);
        assert_eq!(Burned::get(), 15);
        pass(0);
    });
}
