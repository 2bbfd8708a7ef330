//! The relation between the terms, and that no payment changes what there is.

use frame_support::{
    assert_noop, assert_ok,
    traits::{Get, OnUnbalanced, fungible::Balanced, tokens::Precision},
};
use sp_runtime::DispatchError;
use sp_staking::EraPayout;

use crate::{mock::*, *};

const ALL: u128 = IN_PURSE + OF_VALIDATOR;

fn terms() -> Terms {
    Terms {
        session_blocks: 10,
        sessions_per_era: 3,
        unbonding_eras: 6,
        challenge_window_blocks: 119,
        weak_subjectivity_blocks: 119,
    }
}

#[test]
fn bonds_outlast_challenges_and_weak_subjectivity() {
    assert_eq!(terms().unbonding_blocks(), 180);
    assert_eq!(terms().accountable_blocks(), 120);
    assert_eq!(terms().check(), Ok(()));
    let wrong = [
        (
            Terms {
                challenge_window_blocks: 120,
                ..terms()
            },
            TermsError::EndsBeforeChallenge,
        ),
        (
            Terms {
                weak_subjectivity_blocks: 120,
                ..terms()
            },
            TermsError::EndsBeforeWeakSubjectivity,
        ),
        (
            Terms {
                session_blocks: 1,
                ..terms()
            },
            TermsError::TooShort,
        ),
        (
            Terms {
                sessions_per_era: 0,
                ..terms()
            },
            TermsError::TooShort,
        ),
        (
            Terms {
                unbonding_eras: 0,
                ..terms()
            },
            TermsError::TooShort,
        ),
        (
            // No era is sure, whatever the windows.
            Terms {
                unbonding_eras: 2,
                challenge_window_blocks: 0,
                weak_subjectivity_blocks: 0,
                ..terms()
            },
            TermsError::EndsBeforeChallenge,
        ),
        (
            Terms {
                unbonding_eras: MAX_UNBONDING_ERAS + 1,
                ..terms()
            },
            TermsError::TooLong,
        ),
        (
            Terms {
                sessions_per_era: 101,
                ..terms()
            },
            TermsError::TooLong,
        ),
    ];
    for (terms, error) in wrong {
        assert_eq!(terms.check(), Err(error), "{terms:?}");
    }
    let longest = Terms {
        session_blocks: 1_000_000,
        sessions_per_era: 100,
        unbonding_eras: MAX_UNBONDING_ERAS,
        challenge_window_blocks: u32::MAX,
        weak_subjectivity_blocks: u32::MAX,
    };
    assert_eq!(longest.check(), Ok(()));
    assert_eq!(Terms::default().check(), Ok(()));
}

#[test]
#[should_panic(expected = "bonds could be free within the weak-subjectivity period")]
fn a_genesis_whose_bonds_end_too_early_does_not_start() {
    with_terms(Terms {
        weak_subjectivity_blocks: 120,
        ..terms()
    });
}

#[test]
fn the_pallets_of_stake_read_the_terms() {
    with_terms(terms()).execute_with(|| {
        assert_eq!(<SessionLength<Test> as Get<u32>>::get(), 10);
        assert_eq!(SessionsPerEra::<Test>::get(), 3);
        assert_eq!(BondingDuration::<Test>::get(), 6);
        assert_eq!(SlashDeferDuration::<Test>::get(), 0, "bonds of a few eras");
        let longer = Terms {
            unbonding_eras: 9,
            ..terms()
        };
        assert_noop!(
            Eras::set_terms(RuntimeOrigin::signed(VALIDATOR), longer),
            DispatchError::BadOrigin
        );
        let shorter = Terms {
            unbonding_eras: 5,
            ..terms()
        };
        assert_noop!(
            Eras::set_terms(RuntimeOrigin::root(), shorter),
            Error::<Test>::EndsBeforeChallenge
        );
        assert_ok!(Eras::set_terms(RuntimeOrigin::root(), longer));
        assert_eq!(BondingDuration::<Test>::get(), 9);
        assert_eq!(SlashDeferDuration::<Test>::get(), 7);
    });
}

#[test]
fn an_era_pays_what_the_purse_holds_and_issues_nothing() {
    new_test_ext().execute_with(|| {
        assert_eq!(Payout::<Test>::era_payout(1, 2, 3), (IN_PURSE, 0));
        assert_eq!(Balances::free_balance(PURSE), 0);
        assert_eq!(Balances::free_balance(Eras::promised_account()), IN_PURSE);
        // As staking does: mints to the validator, and hands over what it owes for it.
        let owed = Balances::deposit(&VALIDATOR, 20_000, Precision::Exact).expect("it exists");
        assert_eq!(pallet_balances::TotalIssuance::<Test>::get(), ALL);
        Settle::<Test>::on_unbalanced(owed);
        assert_eq!(pallet_balances::TotalIssuance::<Test>::get(), ALL);
        assert_eq!(Balances::free_balance(VALIDATOR), OF_VALIDATOR + 20_000);
        assert_eq!(
            Balances::free_balance(Eras::promised_account()),
            IN_PURSE - 20_000
        );
        // Nothing has flown in since.
        assert_eq!(Payout::<Test>::era_payout(1, 2, 3), (0, 0));
    });
}

#[test]
fn what_an_era_keeps_back_returns_to_the_purse() {
    new_test_ext().execute_with(|| {
        Payout::<Test>::era_payout(1, 2, 3);
        Return::<Test>::on_unbalanced(issue(5_000));
        assert_eq!(Balances::free_balance(PURSE), 5_000);
        assert_eq!(
            Balances::free_balance(Eras::promised_account()),
            IN_PURSE - 5_000
        );
        assert_eq!(pallet_balances::TotalIssuance::<Test>::get(), ALL);
    });
}
