//! Institutions come, change and go by governance alone.

use frame_support::{assert_noop, assert_ok};
use sp_runtime::DispatchError;

use crate::{mock::*, *};

#[test]
fn an_institution_is_admitted_with_an_account_that_the_fund_keeps_alive() {
    new_test_ext().execute_with(|| {
        let admit = |text: &str| Grants::admit(RuntimeOrigin::root(), ADMIN, name(text), QUOTA);
        assert_ok!(admit("Universität"));
        let event = Event::Admitted {
            institution: 0,
            admin: ADMIN,
            quota: QUOTA,
        };
        System::assert_last_event(event.into());
        let account = Grants::account_of(0);
        assert_eq!(total(&account), EXISTENTIAL_DEPOSIT);
        assert_eq!(total(&FUND), FILLED - EXISTENTIAL_DEPOSIT);
        assert_eq!(institution(0).left(Era::get()), QUOTA);
        assert_ok!(admit("another"));
        assert_ne!(Grants::account_of(1), account);
        sound();
    });
}

#[test]
fn only_governance_admits_and_changes() {
    new_test_ext().execute_with(|| {
        let id = admitted();
        let (who, bad) = (by(&ADMIN), DispatchError::BadOrigin);
        assert_noop!(Grants::admit(who.clone(), ADMIN, name("x"), 1), bad);
        assert_noop!(Grants::set_quota(who.clone(), id, 1), bad);
        assert_noop!(Grants::set_admin(who.clone(), id, OTHER), bad);
        assert_noop!(Grants::close(who.clone(), id), bad);
        assert_noop!(Grants::set_terms(who, Terms::default()), bad);
    });
}

#[test]
fn names_that_show_nothing_or_move_the_cursor_are_refused() {
    new_test_ext().execute_with(|| {
        let admit = |bytes: &[u8]| {
            let name = bytes.to_vec().try_into().expect("short enough");
            Grants::admit(RuntimeOrigin::root(), ADMIN, name, QUOTA)
        };
        let wrong: [&[u8]; 5] = [b"", b"  ", b"a\nb", b"\x1b[2J", &[0xc3, 0x28]];
        for bytes in wrong {
            assert_noop!(admit(bytes), Error::<Test>::BadName);
        }
        assert_ok!(admit("é".repeat(32).as_bytes()));
    });
}

#[test]
fn an_empty_fund_admits_nobody() {
    new_test_ext().execute_with(|| {
        let left = FILLED - EXISTENTIAL_DEPOSIT - (EXISTENTIAL_DEPOSIT - 1);
        assert_ok!(Balances::transfer_allow_death(by(&FUND), OTHER, left));
        assert_noop!(
            Grants::admit(RuntimeOrigin::root(), ADMIN, name("x"), 1),
            Error::<Test>::FundTooSmall
        );
    });
}

#[test]
fn numbers_run_out_only_when_there_are_none() {
    new_test_ext().execute_with(|| {
        NextInstitution::<Test>::put(InstitutionId::MAX);
        assert_noop!(
            Grants::admit(RuntimeOrigin::root(), ADMIN, name("x"), 1),
            Error::<Test>::TooManyInstitutions
        );
    });
}

#[test]
fn a_quota_that_was_lowered_binds_at_once_and_one_that_was_raised_too() {
    new_test_ext().execute_with(|| {
        let id = admitted();
        sponsored(FEE);
        assert_ok!(Grants::set_quota(RuntimeOrigin::root(), id, FEE - 1));
        let event = Event::QuotaSet {
            institution: id,
            quota: FEE - 1,
        };
        System::assert_last_event(event.into());
        assert_eq!(institution(id).left(Era::get()), 0);
        assert_ok!(Grants::set_quota(RuntimeOrigin::root(), id, 3 * FEE));
        assert_eq!(institution(id).left(Era::get()), 2 * FEE);
    });
}

#[test]
fn another_admin_takes_over() {
    new_test_ext().execute_with(|| {
        let id = admitted();
        assert_ok!(Grants::set_admin(RuntimeOrigin::root(), id, OTHER));
        let event = Event::AdminSet {
            institution: id,
            admin: OTHER,
        };
        System::assert_last_event(event.into());
        assert_noop!(
            Grants::remove_member(by(&ADMIN), id, MEMBER),
            Error::<Test>::NotTheAdmin
        );
        assert_ok!(Grants::remove_member(by(&OTHER), id, MEMBER));
    });
}

#[test]
fn what_is_closed_does_nothing_more_and_its_account_ends() {
    new_test_ext().execute_with(|| {
        let id = admitted();
        assert_ok!(Grants::offer_rig(by(&RIG), id));
        assert_ok!(Grants::invite(by(&ADMIN), id, WORKER));
        assert_ok!(Grants::close(RuntimeOrigin::root(), id));
        System::assert_has_event(Event::Closed { institution: id }.into());
        assert_eq!(total(&Grants::account_of(id)), 0);
        assert_eq!(total(&FUND), FILLED);
        assert_eq!(institution(id).left(Era::get()), 0);
        let root = RuntimeOrigin::root;
        let closed = || Error::<Test>::IsClosed;
        assert_noop!(Grants::set_quota(root(), id, 1), closed());
        assert_noop!(Grants::set_admin(root(), id, OTHER), closed());
        assert_noop!(Grants::close(root(), id), closed());
        assert_noop!(Grants::invite(by(&ADMIN), id, OTHER), closed());
        assert_noop!(Grants::join(by(&WORKER), id), closed());
        assert_noop!(Grants::accept_rig(by(&ADMIN), RIG), closed());
        assert_noop!(Grants::offer_rig(by(&OTHER), id), closed());
        assert_noop!(Grants::sponsor(by(&MEMBER), batch(), 10, FEE), closed());
        // Whoever belongs to it can go, and belong to another.
        assert_eq!(Grants::api_standing(&MEMBER).room, 0);
        assert_ok!(Grants::leave(by(&MEMBER)));
        assert_ok!(Grants::remove_member(by(&ADMIN), id, WORKER));
        assert_ok!(Grants::end_rig(by(&RIG), RIG));
        sound();
        // Its number is not used again.
        assert_eq!(admitted(), id + 1);
        assert_noop!(
            Grants::close(root(), id + 2),
            Error::<Test>::NoSuchInstitution
        );
    });
}

#[test]
fn terms_bound_what_work_may_cost() {
    new_test_ext().execute_with(|| {
        assert_eq!(Grants::most_for(MACS), MOST);
        let terms = Terms {
            max_rate: 1,
            ..terms()
        };
        assert_ok!(Grants::set_terms(RuntimeOrigin::root(), terms));
        System::assert_last_event(Event::TermsChanged { terms }.into());
        // Rounded up; but what the market asks at least is paid.
        assert_eq!(terms.most_for(1), 1);
        assert_eq!(Grants::most_for(MACS), LEAST_FEE);
        let all = Terms {
            max_rate: u128::MAX,
            ..terms
        };
        assert_eq!(all.most_for(u64::MAX), u128::MAX);
    });
}

#[test]
fn the_check_sees_what_is_miscounted_and_what_nobody_granted() {
    new_test_ext().execute_with(|| {
        let id = admitted();
        let job = sponsored(FEE);
        Institutions::<Test>::mutate_extant(id, |it| it.members += 1);
        let wrong = "the members or rigs of an institution are miscounted";
        assert_eq!(Grants::do_try_state(), Err(wrong.into()));
        Institutions::<Test>::mutate_extant(id, |it| it.members -= 1);
        sound();
        Members::<Test>::insert(id, OTHER, Membership::Joined);
        let wrong = "an institution has a member that does not belong to it";
        assert_eq!(Grants::do_try_state(), Err(wrong.into()));
        Members::<Test>::remove(id, OTHER);
        Offers::<Test>::insert(id, OTHER, ());
        let wrong = "an institution knows a rig that does not belong to it";
        assert_eq!(Grants::do_try_state(), Err(wrong.into()));
        Offers::<Test>::remove(id, OTHER);
        sound();
        let grant = Granted::<Test>::take(job).expect("it was granted");
        let wrong = "somebody pays for another's job without a grant";
        assert_eq!(Grants::do_try_state(), Err(wrong.into()));
        Granted::<Test>::insert(job, grant);
        Granted::<Test>::insert(job + 1, grant);
        let wrong = "a grant for a job that is gone";
        assert_eq!(Grants::do_try_state(), Err(wrong.into()));
    });
}
