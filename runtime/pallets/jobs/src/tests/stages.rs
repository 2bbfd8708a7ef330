//! From posting to payment, and the ways out.

use frame_support::{
    assert_noop, assert_ok,
    traits::{fungible::MutateHold, tokens::Precision},
};
use sp_runtime::{BuildStorage, DispatchError, Perbill, TokenError};

use crate::{mock::*, *};

const FEE: u128 = 10_000;
const DEPOSIT: u128 = DEPOSIT_BASE + 2 * DEPOSIT_PER_PRODUCT;

fn stage(job: JobId) -> Stage<sp_core::crypto::AccountId32> {
    Jobs::<Test>::get(job).expect("the job is known").stage
}

#[test]
fn what_is_posted_is_held_and_comes_back_when_cancelled() {
    new_test_ext().execute_with(|| {
        let job = post(FEE);
        assert_eq!(on_hold(HoldReason::Escrow, &POSTER), FEE);
        assert_eq!(on_hold(HoldReason::Deposit, &POSTER), DEPOSIT);
        pass(1);
        assert_noop!(
            Market::cancel(by(&WORKER), job),
            Error::<Test>::NotThePoster
        );
        assert_ok!(Market::cancel(by(&POSTER), job));
        assert_eq!(Balances::free_balance(POSTER), RICH);
        assert_noop!(Market::cancel(by(&POSTER), job), Error::<Test>::NoSuchJob);
        let refund = Refund::Cancelled;
        System::assert_last_event(Event::Refunded { job, refund }.into());
        pass(0);
    });
}

#[test]
fn jobs_out_of_bounds_or_beyond_ones_means_are_refused() {
    new_test_ext().execute_with(|| {
        let batch = Products::new().batch;
        let post =
            |batch: &Batch, fee, blocks| Market::post(by(&POSTER), batch.clone(), fee, blocks);
        assert_noop!(post(&batch, 999, 100), Error::<Test>::FeeTooLow);
        assert_noop!(post(&batch, FEE, 0), Error::<Test>::OpenBlocks);
        assert_noop!(post(&batch, FEE, 1_001), Error::<Test>::OpenBlocks);
        assert_noop!(post(&batch, RICH, 100), TokenError::FundsUnavailable);
        assert_noop!(post(&batch, u128::MAX, 100), TokenError::FundsUnavailable);
        let mut odd = batch.clone();
        odd.left[1].m = 33;
        assert_noop!(post(&odd, FEE, 100), Error::<Test>::NoShape);
        let mut odd = batch.clone();
        odd.k = 0;
        assert_noop!(post(&odd, FEE, 100), Error::<Test>::NoShape);
        let mut none = batch;
        none.left.clear();
        assert_noop!(post(&none, FEE, 100), Error::<Test>::NoShape);
    });
}

#[test]
fn a_fee_is_raised_while_nobody_works_on_the_job() {
    new_test_ext().execute_with(|| {
        let job = post(FEE);
        assert_noop!(
            Market::raise(by(&POSTER), job, u128::MAX),
            Error::<Test>::TooMuch
        );
        assert_noop!(
            Market::raise(by(&WORKER), job, 1),
            Error::<Test>::NotThePoster
        );
        assert_ok!(Market::raise(by(&POSTER), job, 500));
        pass(1);
        assert_eq!(on_hold(HoldReason::Escrow, &POSTER), FEE + 500);
        assert_ok!(Market::claim(by(&WORKER), job));
        assert_eq!(on_hold(HoldReason::Bond, &WORKER), 2 * (FEE + 500));
        assert_noop!(
            Market::raise(by(&POSTER), job, 1),
            Error::<Test>::WrongStage
        );
    });
}

#[test]
fn a_claim_is_exclusive_and_lasts_as_long_as_the_products_take() {
    new_test_ext().execute_with(|| {
        let job = post(FEE);
        assert_ok!(Market::claim(by(&WORKER), job));
        // 2·32·48·256 multiply-accumulates at 2^17 a block are six blocks, and three on top.
        let Stage::Claimed(claimed) = stage(job) else {
            panic!("the job is claimed");
        };
        assert_eq!(claimed.until, 1 + 6 + 3);
        assert_eq!(claimed.bond, 2 * FEE);
        for refused in [
            Market::claim(by(&OTHER_WORKER), job),
            Market::cancel(by(&POSTER), job),
            Market::accept(by(&POSTER), job),
            Market::forget(by(&POSTER), job),
        ] {
            assert_noop!(refused, Error::<Test>::WrongStage);
        }
        let roots = Products::new().roots();
        assert_noop!(
            Market::submit(by(&OTHER_WORKER), job, roots.clone()),
            Error::<Test>::NotTheWorker
        );
        let one = vec![[1; 32]].try_into().expect("one fits");
        assert_noop!(
            Market::submit(by(&WORKER), job, one),
            Error::<Test>::NumberOfResults
        );
        pass(9);
        assert_noop!(Market::poke(by(&POSTER), job), Error::<Test>::NotDue);
        pass(1);
        assert_noop!(
            Market::submit(by(&WORKER), job, roots),
            Error::<Test>::TooLate
        );
    });
}

#[test]
fn a_worker_that_vanishes_loses_a_tenth_of_its_bond_and_another_completes_the_job() {
    new_test_ext().execute_with(|| {
        let job = post(FEE);
        assert_ok!(Market::claim(by(&WORKER), job));
        pass(10);
        assert_ok!(Market::poke(by(&CHALLENGER), job));
        assert_eq!(total(&WORKER), RICH - 2 * FEE / 10);
        assert_eq!(on_hold(HoldReason::Bond, &WORKER), 0);
        assert_eq!(Burned::get(), 2 * FEE / 10);
        assert_eq!(stage(job), Stage::Open);
        pass(0);

        assert_ok!(Market::claim(by(&OTHER_WORKER), job));
        assert_ok!(Market::submit(
            by(&OTHER_WORKER),
            job,
            Products::new().roots()
        ));
        assert_ok!(Market::accept(by(&POSTER), job));
        assert_eq!(total(&OTHER_WORKER), RICH + FEE * 85 / 100);
        pass(0);
    });
}

#[test]
fn a_poke_costs_no_fee_if_there_was_something_to_do() {
    new_test_ext().execute_with(|| {
        let job = post(FEE);
        pass(101);
        let done = Market::poke(by(&CHALLENGER), job).expect("the deadline has passed");
        assert_eq!(done.pays_fee, Pays::No);
        let refused = Market::poke(by(&CHALLENGER), job).expect_err("the job is gone");
        assert_eq!(refused.post_info.pays_fee, Pays::Yes);
    });
}

#[test]
fn nobody_claims_after_the_deadline_and_the_poster_has_its_money_back() {
    new_test_ext().execute_with(|| {
        let job = post(FEE);
        pass(100);
        assert_noop!(Market::poke(by(&WORKER), job), Error::<Test>::NotDue);
        pass(1);
        assert_noop!(Market::claim(by(&WORKER), job), Error::<Test>::TooLate);
        assert_ok!(Market::poke(by(&WORKER), job));
        assert_eq!(Balances::free_balance(POSTER), RICH);
        pass(0);
    });
}

#[test]
fn a_claim_that_fails_after_the_deadline_ends_the_job() {
    new_test_ext().execute_with(|| {
        let job = post(FEE);
        pass(100);
        assert_ok!(Market::claim(by(&WORKER), job));
        pass(11);
        assert_ok!(Market::poke(by(&POSTER), job));
        assert_eq!(Jobs::<Test>::get(job), None);
        assert_eq!(Balances::free_balance(POSTER), RICH);
        pass(0);
    });
}

#[test]
fn a_poster_that_accepts_pays_at_once_and_what_no_auditor_gets_is_burned() {
    new_test_ext().execute_with(|| {
        let job = submitted(FEE, &Products::new());
        assert_noop!(
            Market::accept(by(&WORKER), job),
            Error::<Test>::NotThePoster
        );
        assert_ok!(Market::accept(by(&POSTER), job));
        assert_eq!(total(&WORKER), RICH + 8_500);
        assert_eq!(Burned::get(), 1_500);
        assert_eq!(total(&POSTER), RICH - FEE);
        assert_eq!(on_hold(HoldReason::Deposit, &POSTER), DEPOSIT);
        let paid = Paid {
            first: 8_500,
            auditors: 0,
            burned: 1_500,
        };
        let worker = WORKER;
        System::assert_last_event(Event::Settled { job, worker, paid }.into());
        // Nobody but its poster has seen it: that makes no price.
        assert_eq!(GoingRate::<Test>::get().rate(), 0);
        pass(0);
    });
}

#[test]
fn a_settled_job_is_kept_for_a_while_and_then_gives_back_its_deposit() {
    new_test_ext().execute_with(|| {
        let [first, second] = [(); 2].map(|()| submitted(FEE, &Products::new()));
        for job in [first, second] {
            assert_ok!(Market::accept(by(&POSTER), job));
        }
        let Stage::Settled { roots, .. } = stage(first) else {
            panic!("the job is settled");
        };
        assert_eq!(roots, Products::new().roots());
        assert_noop!(
            Market::forget(by(&WORKER), first),
            Error::<Test>::NotThePoster
        );
        assert_ok!(Market::forget(by(&POSTER), first));
        assert_eq!(on_hold(HoldReason::Deposit, &POSTER), DEPOSIT);
        pass(50);
        assert_noop!(Market::poke(by(&WORKER), second), Error::<Test>::NotDue);
        pass(1);
        assert_ok!(Market::poke(by(&WORKER), second));
        assert_eq!(on_hold(HoldReason::Deposit, &POSTER), 0);
        assert_eq!(Jobs::<Test>::iter().count(), 0);
        pass(0);
    });
}

#[test]
fn claims_grow_with_settled_jobs_and_shrink_with_a_failure() {
    new_test_ext().execute_with(|| {
        let claim = || {
            let job = post(1_000);
            Market::claim(by(&WORKER), job).map(|()| job)
        };
        let settle = |job| {
            assert_ok!(Market::submit(by(&WORKER), job, Products::new().roots()));
            assert_ok!(Market::accept(by(&POSTER), job));
        };
        let [first, second] = [(); 2].map(|()| claim().expect("two are free"));
        assert_eq!(claim(), Err(Error::<Test>::TooManyClaims.into()));
        settle(first);
        settle(second);
        let all = [(); 3].map(|()| claim().expect("two settled jobs allow a third"));
        assert_eq!(claim(), Err(Error::<Test>::TooManyClaims.into()));
        pass(10);
        assert_ok!(Market::poke(by(&POSTER), all[0]));
        assert_eq!(claim(), Err(Error::<Test>::TooManyClaims.into()));
        pass(0);
    });
}

#[test]
fn a_worker_without_the_bond_claims_nothing() {
    new_test_ext().execute_with(|| {
        let job = post(RICH / 2);
        assert_noop!(
            Market::claim(by(&WORKER), job),
            TokenError::FundsUnavailable
        );
    });
}

#[test]
fn ten_thousand_open_jobs_change_nothing_for_one() {
    new_test_ext().execute_with(|| {
        let products = Products::new();
        for _ in 0..10_000 {
            let (batch, fee) = (products.batch.clone(), 1_000);
            // Held only where there is enough: the poster gets more.
            let poster = account(200);
            use frame_support::traits::fungible::Mutate as _;
            assert_ok!(Balances::mint_into(&poster, 2_000));
            assert_ok!(Market::post(by(&poster), batch, fee, 100));
        }
        let job = submitted(FEE, &products);
        assert_ok!(Market::accept(by(&POSTER), job));
        assert_eq!(total(&WORKER), RICH + 8_500);
    });
}

#[test]
fn terms_out_of_bounds_or_from_anyone_but_root_are_refused() {
    new_test_ext().execute_with(|| {
        assert_noop!(
            Market::set_terms(by(&POSTER), terms()),
            DispatchError::BadOrigin
        );
        let with = |change: fn(&mut Terms)| {
            let mut terms = terms();
            change(&mut terms);
            Market::set_terms(RuntimeOrigin::root(), terms)
        };
        assert_noop!(
            with(|terms| terms.worker_share = Perbill::from_percent(96)),
            Error::<Test>::SharesExceedWhole
        );
        let wrong: [fn(&mut Terms); 9] = [
            |terms| terms.least_fee = 0,
            |terms| terms.bond_factor = 0,
            |terms| terms.macs_per_block = 0,
            |terms| terms.least_claim_blocks = 0,
            |terms| terms.first_claims = terms::MAX_CLAIMS + 1,
            |terms| terms.settled_per_claim = 0,
            |terms| terms.committee = audit::MAX_COMMITTEE + 1,
            |terms| terms.draws = 0,
            |terms| terms.longest_open_blocks = u32::MAX,
        ];
        for change in wrong {
            assert_noop!(with(change), Error::<Test>::TermsOutOfBounds);
        }
        assert_ok!(with(|terms| terms.bond_factor = 3));
        assert_eq!(CurrentTerms::<Test>::get().bond_factor, 3);
        assert_eq!(Terms::default().check(), Ok(()));
    });
}

#[test]
fn claims_that_have_begun_end_by_the_terms_of_then() {
    new_test_ext().execute_with(|| {
        let [paid, unseen] = [(); 2].map(|()| submitted(FEE, &Products::new()));
        let late = post(FEE);
        assert_ok!(Market::claim(by(&OTHER_WORKER), late));
        let changed = Terms {
            worker_share: Perbill::from_percent(1),
            auditor_share: Perbill::from_percent(0),
            failure_share: Perbill::from_percent(90),
            committee: 1,
            draws: 1,
            ..terms()
        };
        assert_ok!(Market::set_terms(RuntimeOrigin::root(), changed));
        assert_ok!(Market::accept(by(&POSTER), paid));
        assert_eq!(total(&WORKER), RICH + 8_500);
        pass(2);
        let auditors = Market::api_auditors(unseen).expect("the seal is known");
        assert_eq!(auditors.seats.len(), 3);
        pass(WINDOW);
        assert_ok!(Market::poke(by(&CHALLENGER), late));
        let failed = Event::Failed {
            job: late,
            worker: OTHER_WORKER,
            failure: Failure::Late,
            lost: 2 * FEE / 10,
        };
        System::assert_last_event(failed.into());
        let job = Jobs::<Test>::get(late).expect("it is open again");
        assert_eq!((job.failed, job.last_failure), (1, Some(Failure::Late)));
        // Drawn anew, as it was to be.
        assert_ok!(Market::poke(by(&CHALLENGER), unseen));
        assert!(matches!(stage(unseen), Stage::Submitted(_)));
        pass(0);
    });
}

#[test]
#[should_panic(expected = "jobs in the chain spec: the shares")]
fn a_chain_with_terms_out_of_bounds_does_not_start() {
    let terms = Terms {
        auditor_share: Perbill::from_percent(16),
        ..terms()
    };
    let market = MarketConfig {
        terms,
        ..Default::default()
    };
    let genesis = RuntimeGenesisConfig {
        market,
        ..Default::default()
    };
    let _ = genesis.build_storage();
}

#[test]
fn the_check_sees_holds_that_no_job_explains() {
    new_test_ext().execute_with(|| {
        let job = post(FEE);
        Jobs::<Test>::mutate(job, |job| {
            if let Some(job) = job {
                job.fee += 1;
            }
        });
        let wrong = "what is held for fees is not what jobs say";
        assert_eq!(Market::do_try_state(), Err(wrong.into()));
        Jobs::<Test>::mutate(job, |job| {
            if let Some(job) = job {
                job.fee -= 1;
            }
        });
        assert_ok!(Market::do_try_state());
        // Of somebody who has to do with no job.
        let bond = RuntimeHoldReason::from(HoldReason::Bond);
        assert_ok!(Balances::hold(&bond, &CHALLENGER, 1));
        let wrong = "what is held as bonds is not what jobs say";
        assert_eq!(Market::do_try_state(), Err(wrong.into()));
        assert_ok!(Balances::release(&bond, &CHALLENGER, 1, Precision::Exact));
        assert_ok!(Market::do_try_state());
        Workers::<Test>::insert(
            &WORKER,
            Record {
                open: 1,
                settled: 0,
            },
        );
        let wrong = "a worker's claims are miscounted";
        assert_eq!(Market::do_try_state(), Err(wrong.into()));
    });
}
