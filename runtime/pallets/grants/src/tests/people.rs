//! Members and rigs: by whom they come and go, and whose blocks are counted.

use frame_support::{assert_noop, assert_ok, traits::Hooks};
use sp_runtime::TokenError;

use crate::{mock::*, *};

#[test]
fn the_admin_invites_the_account_joins_and_either_ends_it() {
    new_test_ext().execute_with(|| {
        let id = admitted();
        let event = Event::MemberJoined {
            institution: id,
            member: MEMBER,
        };
        System::assert_last_event(event.into());
        let invite = |admin, id, who| Grants::invite(by(admin), id, who);
        let remove = |admin, who| Grants::remove_member(by(admin), id, who);
        assert_noop!(invite(&OTHER, id, OTHER), Error::<Test>::NotTheAdmin);
        assert_noop!(
            invite(&ADMIN, id + 1, OTHER),
            Error::<Test>::NoSuchInstitution
        );
        assert_noop!(invite(&ADMIN, id, MEMBER), Error::<Test>::AlreadyAMember);
        assert_noop!(Grants::join(by(&OTHER), id), Error::<Test>::NotInvited);
        assert_noop!(
            Grants::join(by(&OTHER), id + 1),
            Error::<Test>::NoSuchInstitution
        );
        assert_ok!(invite(&ADMIN, id, OTHER));
        let event = Event::Invited {
            institution: id,
            who: OTHER,
        };
        System::assert_last_event(event.into());
        assert_noop!(invite(&ADMIN, id, OTHER), Error::<Test>::AlreadyInvited);
        assert_eq!((institution(id).members, institution(id).invited), (1, 1));
        // Whoever is only invited is no member.
        assert_noop!(Grants::leave(by(&OTHER)), Error::<Test>::NotAMember);
        let posted = Grants::sponsor(by(&OTHER), batch(), 10, FEE);
        assert_eq!(posted, Err(Error::<Test>::NotAMember.into()));
        sound();
        assert_noop!(remove(&OTHER, MEMBER), Error::<Test>::NotTheAdmin);
        assert_noop!(remove(&ADMIN, WORKER), Error::<Test>::NotInvited);
        assert_ok!(remove(&ADMIN, OTHER));
        assert_noop!(Grants::join(by(&OTHER), id), Error::<Test>::NotInvited);
        assert_ok!(remove(&ADMIN, MEMBER));
        let event = Event::MemberRemoved {
            institution: id,
            member: MEMBER,
        };
        System::assert_last_event(event.into());
        assert_noop!(Grants::leave(by(&MEMBER)), Error::<Test>::NotAMember);
        assert_ok!(invite(&ADMIN, id, MEMBER));
        assert_ok!(Grants::join(by(&MEMBER), id));
        assert_ok!(Grants::leave(by(&MEMBER)));
        assert_noop!(Grants::join(by(&MEMBER), id), Error::<Test>::NotInvited);
        assert_eq!((institution(id).members, institution(id).invited), (0, 0));
        sound();
    });
}

#[test]
fn an_account_is_invited_by_many_and_a_member_of_one() {
    new_test_ext().execute_with(|| {
        let id = admitted();
        let other = admitted_by_other();
        assert_ok!(Grants::invite(by(&OTHER), other, MEMBER));
        assert_noop!(
            Grants::join(by(&MEMBER), other),
            Error::<Test>::AlreadyAMember
        );
        assert_noop!(
            Grants::remove_member(by(&OTHER), id, MEMBER),
            Error::<Test>::NotTheAdmin
        );
        assert_eq!(MemberOf::<Test>::get(MEMBER), Some(id));
        assert_ok!(Grants::leave(by(&MEMBER)));
        assert_ok!(Grants::join(by(&MEMBER), other));
        assert_eq!(MemberOf::<Test>::get(MEMBER), Some(other));
        sound();
    });
}

#[test]
fn an_institution_has_so_many_members_with_those_that_it_invites() {
    new_test_ext().execute_with(|| {
        let id = admitted();
        let invite = |number| Grants::invite(by(&ADMIN), id, account(number));
        assert_ok!(invite(20));
        assert_ok!(invite(21));
        assert_noop!(invite(22), Error::<Test>::TooManyMembers);
        assert_ok!(Grants::remove_member(by(&ADMIN), id, account(20)));
        assert_ok!(invite(22));
        sound();
    });
}

/// A block of this author's begins.
fn block(author: Option<&sp_core::crypto::AccountId32>) {
    Author::set(author.cloned());
    let number = System::block_number() + 1;
    System::set_block_number(number);
    Grants::on_initialize(number);
}

#[test]
fn a_rigs_blocks_are_counted_from_when_both_want_it_until_one_does_not() {
    new_test_ext().execute_with(|| {
        let id = admitted();
        let blocks = || {
            let ledger = institution(id).ledger;
            (ledger.blocks, ledger.macs_contributed)
        };
        assert_noop!(Grants::accept_rig(by(&ADMIN), RIG), Error::<Test>::NotARig);
        assert_ok!(Grants::offer_rig(by(&RIG), id));
        let (institution_id, rig) = (id, RIG);
        let event = Event::RigOffered {
            institution: institution_id,
            rig,
        };
        System::assert_last_event(event.into());
        block(Some(&RIG));
        assert_eq!(blocks(), (0, 0), "it is only offered");
        assert_noop!(
            Grants::accept_rig(by(&OTHER), RIG),
            Error::<Test>::NotTheAdmin
        );
        assert_ok!(Grants::accept_rig(by(&ADMIN), RIG));
        let event = Event::RigAccepted {
            institution: id,
            rig: RIG,
        };
        System::assert_last_event(event.into());
        block(Some(&RIG));
        Difficulty::set(U256::from(500));
        block(Some(&RIG));
        block(Some(&OTHER));
        block(None);
        assert_eq!(blocks(), (2, 1_500));
        Difficulty::set(U256::MAX);
        block(Some(&RIG));
        assert_eq!(blocks(), (3, u128::MAX), "a full counter stays full");
        assert_ok!(Grants::end_rig(by(&ADMIN), RIG));
        let event = Event::RigEnded {
            institution: id,
            rig: RIG,
        };
        System::assert_last_event(event.into());
        block(Some(&RIG));
        assert_eq!(blocks().0, 3);
        assert_eq!(institution(id).rigs, 0);
        sound();
    });
}

#[test]
fn a_closed_institutions_blocks_are_counted_no_more() {
    new_test_ext().execute_with(|| {
        let id = admitted();
        assert_ok!(Grants::offer_rig(by(&RIG), id));
        assert_ok!(Grants::accept_rig(by(&ADMIN), RIG));
        assert_ok!(Grants::close(RuntimeOrigin::root(), id));
        block(Some(&RIG));
        assert_eq!(institution(id).ledger, Ledger::default());
        assert_ok!(Grants::end_rig(by(&RIG), RIG));
        sound();
    });
}

#[test]
fn a_rig_is_held_for_until_it_ends_and_is_of_one_institution() {
    new_test_ext().execute_with(|| {
        let id = admitted();
        let other = admitted_by_other();
        assert_ok!(Grants::offer_rig(by(&RIG), id));
        assert_eq!(Balances::free_balance(RIG), RICH - RIG_DEPOSIT);
        for institution in [id, other] {
            assert_noop!(
                Grants::offer_rig(by(&RIG), institution),
                Error::<Test>::AlreadyARig
            );
        }
        assert_noop!(Grants::end_rig(by(&OTHER), RIG), Error::<Test>::NotYourRig);
        assert_ok!(Grants::accept_rig(by(&ADMIN), RIG));
        assert_noop!(
            Grants::accept_rig(by(&ADMIN), RIG),
            Error::<Test>::AlreadyARig
        );
        sound();
        assert_ok!(Grants::end_rig(by(&RIG), RIG));
        assert_eq!(Balances::free_balance(RIG), RICH);
        assert_noop!(Grants::end_rig(by(&RIG), RIG), Error::<Test>::NotARig);
        assert_noop!(
            Grants::offer_rig(by(&account(77)), id),
            TokenError::FundsUnavailable
        );
        assert_noop!(
            Grants::offer_rig(by(&RIG), 9),
            Error::<Test>::NoSuchInstitution
        );
        sound();
    });
}

fn admitted_by_other() -> InstitutionId {
    let id = NextInstitution::<Test>::get();
    assert_ok!(Grants::admit(RuntimeOrigin::root(), OTHER, name("b"), 1));
    id
}

#[test]
fn an_institution_accepts_so_many_rigs() {
    new_test_ext().execute_with(|| {
        let id = admitted();
        for rig in [RIG, OTHER, WORKER] {
            assert_ok!(Grants::offer_rig(by(&rig), id));
        }
        assert_ok!(Grants::accept_rig(by(&ADMIN), RIG));
        assert_ok!(Grants::accept_rig(by(&ADMIN), OTHER));
        assert_noop!(
            Grants::accept_rig(by(&ADMIN), WORKER),
            Error::<Test>::TooManyRigs
        );
        // An offer can be turned down.
        assert_ok!(Grants::end_rig(by(&ADMIN), WORKER));
        assert_eq!(institution(id).rigs, 2);
        sound();
    });
}
