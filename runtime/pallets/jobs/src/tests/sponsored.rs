//! Jobs that somebody else pays for than who posts them.

use frame_support::{assert_noop, assert_ok, dispatch::GetDispatchInfo};
use sp_runtime::TokenError;

use crate::{mock::*, *};

const FEE: u128 = 10_000;
const DEPOSIT: u128 = DEPOSIT_BASE + 2 * DEPOSIT_PER_PRODUCT;

#[test]
fn the_payer_is_held_for_it_and_has_it_back_and_the_poster_takes_it_back() {
    new_test_ext().execute_with(|| {
        let job = sponsored(FEE);
        assert_eq!(on_hold(HoldReason::Escrow, &PAYER), FEE);
        assert_eq!(on_hold(HoldReason::Deposit, &PAYER), DEPOSIT);
        assert_eq!(Balances::free_balance(POSTER), RICH);
        pass(1);
        assert_noop!(Market::cancel(by(&PAYER), job), Error::<Test>::NotThePoster);
        assert_ok!(Market::cancel(by(&POSTER), job));
        assert_eq!(Balances::free_balance(PAYER), RICH);
        assert_eq!(Told::get(), [(job, "refunded", FEE)]);
        pass(0);
    });
}

/// A majority of its auditors opened that its result holds, and now it can be accepted.
fn confirmed(job: JobId) {
    audited(job, refused_unaudited);
}

/// The same; what is looked at before the last of them opens.
fn audited(job: JobId, before_the_last: impl FnOnce(JobId)) {
    pass(2);
    let drawn = drawn(job);
    for auditor in &drawn[..2] {
        attest(job, auditor);
    }
    pass(WINDOW / 2);
    reveal(job, &drawn[0]);
    before_the_last(job);
    reveal(job, &drawn[1]);
}

fn refused_unaudited(job: JobId) {
    assert_noop!(Market::accept(by(&POSTER), job), Error::<Test>::NotAudited);
}

#[test]
fn a_result_that_somebody_else_pays_for_is_accepted_once_auditors_confirm_it() {
    new_test_ext().execute_with(|| {
        let job = with_results(sponsored(FEE), &Products::new());
        refused_unaudited(job);
        confirmed(job);
        assert_ok!(Market::accept(by(&POSTER), job));
        assert_eq!(total(&WORKER), RICH + 8_500);
        assert_eq!(Burned::get(), 1_000);
        pass(0);
    });
}

#[test]
fn where_nobody_audits_it_is_paid_when_the_window_is_over() {
    new_test_ext().execute_with(|| {
        Elected::set(Vec::new());
        let job = with_results(sponsored(FEE), &Products::new());
        pass(WINDOW);
        refused_unaudited(job);
        assert_noop!(Market::poke(by(&WORKER), job), Error::<Test>::NotDue);
        pass(1);
        assert_ok!(Market::poke(by(&WORKER), job));
        assert_eq!(total(&WORKER), RICH + 8_500);
        pass(0);
    });
}

#[test]
fn what_others_pay_for_moves_no_going_rate() {
    new_test_ext().execute_with(|| {
        let job = with_results(sponsored(FEE), &Products::new());
        confirmed(job);
        assert_ok!(Market::accept(by(&POSTER), job));
        assert_eq!(GoingRate::<Test>::get().rate(), 0);
        let own = submitted(FEE, &Products::new());
        audited(own, |_| {});
        assert_ok!(Market::accept(by(&POSTER), own));
        let rate = GoingRate::<Test>::get();
        // FEE over 2·32·48·256 multiply-accumulates.
        assert_eq!(rate.rate(), FEE * 1_000_000_000_000 / (2 * 32 * 48 * 256));
        let job = with_results(sponsored(10 * FEE), &Products::new());
        confirmed(job);
        assert_ok!(Market::accept(by(&POSTER), job));
        assert_eq!(GoingRate::<Test>::get(), rate);
    });
}

#[test]
fn the_pallet_that_has_it_paid_takes_an_open_job_back() {
    new_test_ext().execute_with(|| {
        let job = sponsored(FEE);
        assert_ok!(Market::withdraw(job));
        assert_eq!(Balances::free_balance(PAYER), RICH);
        assert_eq!(Told::get(), [(job, "refunded", FEE)]);
        let refund = Refund::Cancelled;
        System::assert_last_event(Event::Refunded { job, refund }.into());
        assert_noop!(Market::withdraw(job), Error::<Test>::NoSuchJob);
        let job = with_results(sponsored(FEE), &Products::new());
        assert_noop!(Market::withdraw(job), Error::<Test>::WrongStage);
        pass(0);
    });
}

#[test]
fn nobody_raises_what_was_granted() {
    new_test_ext().execute_with(|| {
        let job = sponsored(FEE);
        assert_noop!(Market::raise(by(&POSTER), job, 1), Error::<Test>::Sponsored);
        assert_noop!(
            Market::raise(by(&PAYER), job, 1),
            Error::<Test>::NotThePoster
        );
    });
}

#[test]
fn the_payer_pays_the_worker_and_is_told_once_of_each_end() {
    new_test_ext().execute_with(|| {
        let job = with_results(sponsored(FEE), &Products::new());
        confirmed(job);
        assert_ok!(Market::accept(by(&POSTER), job));
        assert_eq!(total(&WORKER), RICH + 8_500);
        assert_eq!(total(&PAYER), RICH - FEE);
        assert_eq!(total(&POSTER), RICH);
        assert_eq!(Told::get(), [(job, "settled", FEE)]);
        pass(0);
        assert_ok!(Market::forget(by(&POSTER), job));
        assert_eq!(Balances::free_balance(PAYER), RICH - FEE);
        assert_eq!(Told::get(), [(job, "settled", FEE), (job, "forgotten", 0)]);
        pass(0);
    });
}

#[test]
fn a_deadline_that_passes_gives_the_payer_its_money_back() {
    new_test_ext().execute_with(|| {
        let job = sponsored(FEE);
        pass(101);
        assert_ok!(Market::poke(by(&CHALLENGER), job));
        assert_eq!(Balances::free_balance(PAYER), RICH);
        assert_eq!(Told::get(), [(job, "refunded", FEE)]);
        pass(0);
    });
}

#[test]
fn a_job_beyond_the_payers_means_is_refused_and_own_jobs_tell_nobody() {
    new_test_ext().execute_with(|| {
        let order = Order {
            batch: Products::new().batch,
            fee: RICH,
            open_blocks: 100,
        };
        let posted = Market::post_for(POSTER, PAYER, order);
        assert_eq!(posted, Err(TokenError::FundsUnavailable.into()));
        let own = submitted(FEE, &Products::new());
        assert_ok!(Market::accept(by(&POSTER), own));
        assert_ok!(Market::forget(by(&POSTER), own));
        assert_ok!(Market::cancel(by(&POSTER), post(FEE)));
        assert_eq!(Told::get(), []);
    });
}

#[test]
fn who_pays_audits_nothing_that_it_pays_for() {
    new_test_ext().execute_with(|| {
        let job = sponsored(FEE);
        Jobs::<Test>::mutate(job, |job| {
            if let Some(job) = job {
                job.payer = Some(VALIDATORS[0].clone());
            }
        });
        // Nothing is held of that one: only who is drawn is looked at.
        let job = with_results(job, &Products::new());
        System::set_block_number(System::block_number() + 2);
        Elected::set(VALIDATORS[..3].to_vec());
        let drawn = Market::api_auditors(job).expect("their seal is known");
        assert_eq!(drawn.seats.len(), 2);
        assert!(drawn.seats.iter().all(|seat| seat.auditor != VALIDATORS[0]));
    });
}

#[test]
fn what_telling_costs_is_part_of_what_a_call_that_may_end_a_job_costs() {
    let told = Purse::weight();
    for call in [
        Call::<Test>::cancel { job: 0 },
        Call::accept { job: 0 },
        Call::forget { job: 0 },
        Call::poke { job: 0 },
    ] {
        assert_eq!(call.get_dispatch_info().call_weight, told);
    }
}
