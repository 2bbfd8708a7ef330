//! What a node is told of grants.

use frame_support::assert_ok;
use sp_core::{H256, crypto::AccountId32};

use crate::{
    api::{Fund, MAX_NAMED, Standing},
    mock::*,
    *,
};

#[test]
fn the_fund_is_told_with_its_terms_and_the_era() {
    new_test_ext().execute_with(|| {
        let fund = Grants::api_fund();
        let expected = Fund {
            account: FUND,
            free: FILLED - EXISTENTIAL_DEPOSIT,
            terms: terms(),
            era: 3,
            era_ends: 99,
            next: 0,
        };
        assert_eq!(fund, expected);
    });
}

#[test]
fn pages_go_down_from_the_newest() {
    new_test_ext().execute_with(|| {
        for _ in 0..5 {
            assert_ok!(Grants::admit(RuntimeOrigin::root(), ADMIN, name("x"), 1));
        }
        let page = |below, most| {
            let page = Grants::api_institutions(below, most);
            let numbers: Vec<_> = page.institutions.iter().map(|(id, _)| *id).collect();
            (numbers, page.below)
        };
        assert_eq!(page(None, 2), (vec![4, 3], Some(3)));
        assert_eq!(page(Some(3), 9), (vec![2, 1, 0], None));
        assert_eq!(page(Some(99), 1), (vec![4], Some(4)));
        assert_eq!(page(Some(0), 1), (vec![], None));
        assert_eq!(page(None, u32::MAX).0.len(), 5);
    });
}

#[test]
fn an_account_is_told_what_it_can_still_post() {
    new_test_ext().execute_with(|| {
        let nobody = Standing {
            member_of: None,
            left: 0,
            room: 0,
            rig_of: None,
            is_accepted: false,
        };
        assert_eq!(Grants::api_standing(&MEMBER), nobody);
        let id = admitted();
        sponsored(FEE);
        assert_ok!(Grants::offer_rig(by(&MEMBER), id));
        assert_ok!(Grants::offer_rig(by(&RIG), id));
        assert_ok!(Grants::accept_rig(by(&ADMIN), RIG));
        assert_ok!(Grants::invite(by(&ADMIN), id, OTHER));
        let member = Standing {
            member_of: Some(id),
            left: QUOTA - FEE,
            room: QUOTA * u128::from(HELD_QUOTAS) - FEE - DEPOSIT,
            rig_of: Some(id),
            is_accepted: false,
        };
        assert_eq!(Grants::api_standing(&MEMBER), member);
        let people = Grants::api_people(id);
        assert_eq!(people.account, Grants::account_of(id));
        assert_eq!(
            (people.members, people.invited),
            (vec![MEMBER], vec![OTHER])
        );
        assert_eq!((people.rigs, people.offers), (vec![RIG], vec![MEMBER]));
        assert_eq!(Grants::api_institution(id), Some(institution(id)));
        assert_eq!(Grants::api_institution(id + 1), None);
    });
}

#[test]
fn offers_crowd_out_nobody_who_belongs_to_an_institution() {
    new_test_ext().execute_with(|| {
        let id = admitted();
        assert_ok!(Grants::offer_rig(by(&RIG), id));
        assert_ok!(Grants::accept_rig(by(&ADMIN), RIG));
        for number in 0..=MAX_NAMED as u64 {
            let rig = AccountId32::new(H256::from_low_u64_le(number).0);
            Offers::<Test>::insert(id, rig, ());
        }
        let people = Grants::api_people(id);
        assert_eq!((people.rigs, people.offers.len()), (vec![RIG], MAX_NAMED));
    });
}
