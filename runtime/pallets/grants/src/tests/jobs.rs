//! Jobs that the fund pays for, and the way of the money.

use frame_support::{assert_noop, assert_ok, dispatch::Pays};

use crate::{mock::*, *};

#[test]
fn a_members_job_is_paid_by_the_fund_and_its_money_is_held_at_once() {
    new_test_ext().execute_with(|| {
        let id = admitted();
        let job = sponsored(FEE);
        let event = Event::Sponsored {
            institution: id,
            member: MEMBER,
            job,
            fee: FEE,
            left: QUOTA - FEE,
        };
        System::assert_last_event(event.into());
        let account = Grants::account_of(id);
        assert_eq!(Balances::free_balance(&account), EXISTENTIAL_DEPOSIT);
        assert_eq!(total(&account), EXISTENTIAL_DEPOSIT + FEE + DEPOSIT);
        assert_eq!(total(&FUND), FILLED - EXISTENTIAL_DEPOSIT - FEE - DEPOSIT);
        let it = pallet_jobs::Jobs::<Test>::get(job).expect("it was posted");
        assert_eq!((it.poster, it.payer), (MEMBER, Some(account)));
        assert_eq!(total(&MEMBER), RICH);
        sound();
    });
}

#[test]
fn what_the_fund_does_not_pay_for_is_refused() {
    new_test_ext().execute_with(|| {
        let id = admitted();
        let sponsor = |who, fee| Grants::sponsor(by(who), batch(), 10, fee);
        assert_noop!(sponsor(&OTHER, FEE), Error::<Test>::NotAMember);
        assert_noop!(sponsor(&ADMIN, FEE), Error::<Test>::NotAMember);
        assert_noop!(sponsor(&MEMBER, MOST + 1), Error::<Test>::FeeTooHigh);
        assert_noop!(
            sponsor(&MEMBER, LEAST_FEE - 1),
            pallet_jobs::Error::<Test>::FeeTooLow
        );
        assert_ok!(sponsor(&MEMBER, MOST));
        assert_ok!(sponsor(&MEMBER, MOST - 1));
        assert_noop!(sponsor(&MEMBER, LEAST_FEE), Error::<Test>::OverQuota);
        assert_ok!(Grants::set_quota(RuntimeOrigin::root(), id, u128::MAX));
        let rest = Grants::fund_free() - MOST;
        assert_ok!(Balances::transfer_allow_death(by(&FUND), OTHER, rest));
        assert_noop!(sponsor(&MEMBER, MOST), Error::<Test>::FundTooSmall);
        assert_ok!(sponsor(&MEMBER, MOST - DEPOSIT));
        let mut odd = batch();
        odd.k = 0;
        assert_noop!(
            Grants::sponsor(by(&MEMBER), odd, 10, FEE),
            pallet_jobs::Error::<Test>::NoShape
        );
        sound();
    });
}

#[test]
fn a_refund_in_its_era_gives_back_the_quota_and_the_money_goes_home() {
    new_test_ext().execute_with(|| {
        let id = admitted();
        let job = sponsored(FEE);
        assert_ok!(Market::cancel(by(&MEMBER), job));
        assert_eq!(institution(id).left(Era::get()), QUOTA);
        assert_eq!(total(&Grants::account_of(id)), EXISTENTIAL_DEPOSIT);
        assert_eq!(total(&FUND), FILLED - EXISTENTIAL_DEPOSIT);
        let event = Event::Returned {
            institution: id,
            amount: FEE + DEPOSIT,
        };
        System::assert_last_event(event.into());
        assert_eq!(institution(id).ledger, Ledger::default());
        sound();
    });
}

#[test]
fn a_refund_in_a_later_era_gives_back_the_money_alone_and_what_is_not_used_lapses() {
    new_test_ext().execute_with(|| {
        let id = admitted();
        let job = sponsored(FEE);
        Era::set(4);
        assert_eq!(institution(id).left(4), QUOTA);
        sponsored(FEE);
        assert_ok!(Market::cancel(by(&MEMBER), job));
        assert_eq!(institution(id).left(4), QUOTA - FEE);
        assert_eq!(total(&FUND), FILLED - EXISTENTIAL_DEPOSIT - FEE - DEPOSIT);
        // Nor does a refund of an era in which nothing else was posted.
        Era::set(5);
        assert_ok!(Market::cancel(by(&MEMBER), job + 1));
        assert_eq!(institution(id).left(5), QUOTA);
        sound();
    });
}

#[test]
fn what_is_settled_is_written_down_and_the_deposit_goes_home() {
    new_test_ext().execute_with(|| {
        let id = admitted();
        let job = sponsored(FEE);
        work(job);
        assert_noop!(
            Market::accept(by(&MEMBER), job),
            pallet_jobs::Error::<Test>::NotAudited
        );
        assert_ok!(audit(job));
        assert_ok!(Market::accept(by(&MEMBER), job));
        let event = Event::Paid {
            institution: id,
            job,
            macs: MACS,
            fee: FEE,
        };
        System::assert_has_event(event.into());
        let ledger = Ledger {
            settled: 1,
            macs_received: MACS.into(),
            paid: FEE,
            ..Ledger::default()
        };
        assert_eq!(institution(id).ledger, ledger);
        assert_eq!(total(&WORKER), RICH + FEE * 85 / 100);
        assert!(
            AUDITORS
                .iter()
                .all(|auditor| total(auditor) == FEE * 5 / 100 / 3)
        );
        assert_eq!(
            pallet_jobs::GoingRate::<Test>::get().rate(),
            0,
            "what the fund pays is no price of the market's"
        );
        sound();
        pass(KEPT + 1);
        assert_ok!(Market::poke(by(&OTHER), job));
        assert_eq!(total(&Grants::account_of(id)), EXISTENTIAL_DEPOSIT);
        assert_eq!(total(&FUND), FILLED - EXISTENTIAL_DEPOSIT - FEE);
        assert_eq!(institution(id).ledger, ledger, "once");
        sound();
    });
}

#[test]
fn a_member_that_left_ends_its_job_and_the_fund_has_its_money_back() {
    new_test_ext().execute_with(|| {
        admitted();
        let job = sponsored(FEE);
        assert_ok!(Grants::leave(by(&MEMBER)));
        assert_noop!(
            Market::cancel(by(&ADMIN), job),
            pallet_jobs::Error::<Test>::NotThePoster
        );
        assert_ok!(Market::cancel(by(&MEMBER), job));
        assert_eq!(total(&FUND), FILLED - EXISTENTIAL_DEPOSIT);
        sound();
    });
}

#[test]
fn the_account_of_a_closed_institution_ends_with_its_last_job() {
    new_test_ext().execute_with(|| {
        let id = admitted();
        let (open, settled) = (sponsored(FEE), sponsored(FEE));
        work(settled);
        assert_ok!(audit(settled));
        assert_ok!(Grants::close(RuntimeOrigin::root(), id));
        let account = Grants::account_of(id);
        assert_eq!(total(&account), EXISTENTIAL_DEPOSIT + 2 * (FEE + DEPOSIT));
        sound();
        assert_ok!(Market::cancel(by(&MEMBER), open));
        assert_ok!(Market::accept(by(&MEMBER), settled));
        assert_eq!(total(&account), EXISTENTIAL_DEPOSIT + DEPOSIT);
        assert_eq!(institution(id).ledger.settled, 1);
        sound();
        assert_ok!(Market::forget(by(&MEMBER), settled));
        assert_eq!(total(&account), 0);
        assert!(!System::account_exists(&account));
        assert_eq!(total(&FUND), FILLED - FEE);
        sound();
    });
}

#[test]
fn what_somebody_sends_to_an_institution_goes_to_the_fund_for_no_fee() {
    new_test_ext().execute_with(|| {
        let id = admitted();
        let account = Grants::account_of(id);
        let send = || Balances::transfer_allow_death(by(&OTHER), account.clone(), 300);
        let refused = Grants::sweep(by(&OTHER), id).expect_err("there is nothing");
        assert_eq!(refused.error, Error::<Test>::NothingToSweep.into());
        assert_eq!(refused.post_info.pays_fee, Pays::Yes);
        assert_noop!(
            Grants::sweep(by(&OTHER), id + 1),
            Error::<Test>::NoSuchInstitution
        );
        assert_ok!(send());
        let swept = Grants::sweep(by(&OTHER), id).expect("there is something");
        assert_eq!(swept.pays_fee, Pays::No);
        assert_eq!(total(&FUND), FILLED - EXISTENTIAL_DEPOSIT + 300);
        // Or with the next job.
        assert_ok!(send());
        sponsored(FEE);
        assert_eq!(Balances::free_balance(&account), EXISTENTIAL_DEPOSIT);
        // All of it, where the account is not needed any more.
        assert_ok!(Market::cancel(by(&MEMBER), 0));
        assert_ok!(Grants::close(RuntimeOrigin::root(), id));
        assert_ok!(send());
        assert_ok!(Grants::sweep(by(&OTHER), id));
        assert_eq!(total(&account), 0);
        assert_eq!(total(&FUND), FILLED + 900);
        sound();
    });
}

#[test]
fn where_nobody_audits_a_job_is_paid_when_its_window_is_over() {
    new_test_ext().execute_with(|| {
        Elected::set(Vec::new());
        let id = admitted();
        let job = sponsored(FEE);
        work(job);
        assert_noop!(
            Market::accept(by(&MEMBER), job),
            pallet_jobs::Error::<Test>::NotAudited
        );
        pass(WINDOW + 1);
        assert_ok!(Market::poke(by(&OTHER), job));
        assert_eq!(total(&WORKER), RICH + FEE * 85 / 100);
        assert_eq!(institution(id).ledger.paid, FEE);
        sound();
    });
}

#[test]
fn a_result_that_no_auditor_confirms_costs_the_fund_nothing() {
    new_test_ext().execute_with(|| {
        let id = admitted();
        let job = sponsored(FEE);
        work(job);
        while pallet_jobs::Jobs::<Test>::contains_key(job) {
            pass(WINDOW + 1);
            assert_ok!(Market::poke(by(&OTHER), job));
        }
        assert_eq!(total(&WORKER), RICH);
        assert_eq!(total(&FUND), FILLED - EXISTENTIAL_DEPOSIT);
        assert_eq!(institution(id).ledger, Ledger::default());
        sound();
    });
}

#[test]
fn a_job_stays_open_for_no_longer_than_the_terms_allow() {
    new_test_ext().execute_with(|| {
        admitted();
        let sponsor = |blocks| Grants::sponsor(by(&MEMBER), batch(), blocks, FEE);
        assert_noop!(sponsor(LONGEST + 1), Error::<Test>::OpenTooLong);
        assert_ok!(sponsor(LONGEST));
        let longer = Terms {
            open_blocks: LONGEST + 1,
            ..terms()
        };
        assert_ok!(Grants::set_terms(RuntimeOrigin::root(), longer));
        assert_ok!(sponsor(LONGEST + 1));
    });
}

#[test]
fn so_many_quotas_are_held_at_a_time_however_many_eras_pass() {
    new_test_ext().execute_with(|| {
        let id = admitted();
        let room = || Grants::api_standing(&MEMBER).room;
        let most = QUOTA * u128::from(HELD_QUOTAS);
        assert_eq!(room(), most);
        // Two of each era's quota, with their deposits.
        for era in 0..3 {
            Era::set(era);
            sponsored(MOST);
            sponsored(MOST);
        }
        Era::set(3);
        sponsored(MOST);
        assert_eq!(room(), most - 7 * (MOST + DEPOSIT));
        let sponsor = |fee| Grants::sponsor(by(&MEMBER), batch(), 10, fee);
        let rest = room() - DEPOSIT;
        assert!(rest < MOST);
        assert_noop!(sponsor(rest + 1), Error::<Test>::TooMuchHeld);
        assert_ok!(sponsor(rest));
        assert_eq!(room(), 0);
        // What is over, or taken back, makes room; so does what governance allows.
        assert_ok!(Market::cancel(by(&MEMBER), 0));
        assert_eq!(room(), MOST + DEPOSIT);
        assert_ok!(Grants::set_quota(RuntimeOrigin::root(), id, QUOTA / 2));
        assert_eq!(room(), 0);
        assert_noop!(sponsor(LEAST_FEE), Error::<Test>::TooMuchHeld);
        let none = Terms {
            held_quotas: u32::MAX,
            ..terms()
        };
        assert_ok!(Grants::set_terms(RuntimeOrigin::root(), none));
        assert_ok!(Grants::set_quota(RuntimeOrigin::root(), id, u128::MAX));
        assert!(room() > most);
        sound();
    });
}

#[test]
fn the_admin_and_governance_take_back_what_nobody_works_on() {
    new_test_ext().execute_with(|| {
        let id = admitted();
        let jobs = [(); 3].map(|()| sponsored(FEE));
        let withdraw = |who, job| Grants::withdraw(who, job);
        for who in [MEMBER, OTHER] {
            assert_noop!(withdraw(by(&who), jobs[0]), Error::<Test>::NotTheAdmin);
        }
        let mine = pallet_jobs::NextJob::<Test>::get();
        assert_ok!(Market::post(by(&MEMBER), batch(), FEE, 10));
        for job in [mine, mine + 1] {
            assert_noop!(
                withdraw(RuntimeOrigin::root(), job),
                Error::<Test>::NotSponsored
            );
        }
        assert_ok!(withdraw(by(&ADMIN), jobs[0]));
        assert_eq!(institution(id).left(Era::get()), QUOTA - 2 * FEE);
        let event = Event::Returned {
            institution: id,
            amount: FEE + DEPOSIT,
        };
        System::assert_last_event(event.into());
        // In a later era only the money goes back, as with any refund.
        Era::set(4);
        assert_ok!(withdraw(RuntimeOrigin::root(), jobs[1]));
        assert_eq!(institution(id).left(4), QUOTA);
        work(jobs[2]);
        assert_noop!(
            withdraw(by(&ADMIN), jobs[2]),
            pallet_jobs::Error::<Test>::WrongStage
        );
        assert_eq!(total(&FUND), FILLED - EXISTENTIAL_DEPOSIT - FEE - DEPOSIT);
        sound();
    });
}

#[test]
fn what_a_closed_institution_left_open_is_taken_back_too() {
    new_test_ext().execute_with(|| {
        let id = admitted();
        let job = sponsored(FEE);
        assert_ok!(Grants::close(RuntimeOrigin::root(), id));
        assert_ok!(Grants::withdraw(by(&ADMIN), job));
        assert_eq!(total(&Grants::account_of(id)), 0);
        assert_eq!(total(&FUND), FILLED);
        sound();
    });
}
