//! Who gets what, and that every unit is accounted for.

use frame_support::{
    assert_noop, assert_ok,
    traits::{
        OnUnbalanced,
        fungible::{Balanced, Mutate},
        tokens::{Fortitude, Precision, Preservation},
    },
};
use sp_runtime::{BuildStorage, DispatchError};

use super::*;
use crate::mock::*;

fn balance(who: &sp_core::crypto::AccountId32) -> u128 {
    Balances::free_balance(who)
}

fn withdraw(amount: u128) -> CreditOf<Test> {
    Balances::withdraw(
        &RICH,
        amount,
        Precision::Exact,
        Preservation::Preserve,
        Fortitude::Polite,
    )
    .expect("the account is rich")
}

#[test]
fn a_subsidy_is_divided_75_15_10_with_the_remainder_to_research() {
    new_test_ext().execute_with(|| {
        run(1);
        let subsidy = Rewards::subsidy(1);
        // ⌊1000 + D·(1 - 2^(-1/50))⌋ with D = ⌊1000003·50/ln 2⌋, in decimal arithmetic.
        assert_eq!(subsidy, 994_103);
        assert_eq!(balance(&AUTHOR), subsidy * 75 / 100);
        assert_eq!(balance(&Rewards::staking_account()), subsidy * 15 / 100);
        assert_eq!(
            balance(&Rewards::research_account()),
            subsidy - subsidy * 75 / 100 - subsidy * 15 / 100
        );
        System::assert_last_event(
            Event::Issued {
                author: Some(AUTHOR),
                to_author: subsidy * 75 / 100,
                to_staking: subsidy * 15 / 100,
                to_research: subsidy - subsidy * 75 / 100 - subsidy * 15 / 100,
            }
            .into(),
        );
    });
}

#[test]
fn what_is_minted_is_the_schedule_over_many_half_lives() {
    new_test_ext().execute_with(|| {
        run(1_000);
        let schedule =
            Schedule::new(INITIAL_SUBSIDY, HALF_LIFE_BLOCKS, TAIL_SUBSIDY).expect("within bounds");
        assert_eq!(Minted::<Test>::get(), schedule.total(1_000));
        assert_eq!(
            Balances::total_issuance(),
            GENESIS_ISSUANCE + schedule.total(1_000)
        );
        assert_eq!(Rewards::subsidy(1_000), schedule.subsidy(999));
        assert_eq!(Rewards::subsidy(0), 0);
    });
}

#[test]
fn a_share_that_an_account_cannot_take_goes_to_research() {
    new_test_ext().execute_with(|| {
        // 75 of 100: under the existential deposit. Staking's 15 likewise.
        assert_ok!(Rewards::set_parameters(
            RuntimeOrigin::root(),
            0,
            1,
            100,
            Perbill::from_percent(75),
            Perbill::from_percent(15)
        ));
        run(1);
        assert_eq!(balance(&AUTHOR), 0);
        assert_eq!(balance(&Rewards::staking_account()), 0);
        assert_eq!(balance(&Rewards::research_account()), 100);
        assert_eq!(Burned::<Test>::get(), 0);
    });
}

#[test]
fn what_nobody_can_take_is_burned_and_counted() {
    new_test_ext().execute_with(|| {
        assert_ok!(Rewards::set_parameters(
            RuntimeOrigin::root(),
            0,
            1,
            99,
            Perbill::from_percent(75),
            Perbill::from_percent(15)
        ));
        run(3);
        assert_eq!(Minted::<Test>::get(), 297);
        assert_eq!(Burned::<Test>::get(), 297);
        assert_eq!(Balances::total_issuance(), GENESIS_ISSUANCE);
    });
}

#[test]
fn without_an_author_research_has_the_authors_share() {
    new_test_ext().execute_with(|| {
        BlockAuthor::set(None);
        run(1);
        let subsidy = Rewards::subsidy(1);
        assert_eq!(
            balance(&Rewards::research_account()),
            subsidy - subsidy * 15 / 100
        );
    });
}

#[test]
fn fees_are_burned_and_tips_go_to_the_author() {
    new_test_ext().execute_with(|| {
        run(1);
        let before = balance(&AUTHOR);
        FeesAndTips::<Test>::on_unbalanceds([withdraw(5_000), withdraw(700)].into_iter());
        assert_eq!(balance(&AUTHOR), before + 700);
        assert_eq!(Burned::<Test>::get(), 5_000);
        assert_ok!(Rewards::do_try_state());
    });
}

#[test]
fn a_tip_that_the_author_cannot_take_is_burned() {
    new_test_ext().execute_with(|| {
        FeesAndTips::<Test>::on_unbalanceds([withdraw(5_000), withdraw(99)].into_iter());
        assert_eq!(balance(&AUTHOR), 0);
        assert_eq!(Burned::<Test>::get(), 5_099);
        assert_ok!(Rewards::do_try_state());
    });
}

#[test]
fn a_fee_that_comes_alone_is_burned_too() {
    new_test_ext().execute_with(|| {
        FeesAndTips::<Test>::on_unbalanced(withdraw(5_000));
        assert_eq!(Burned::<Test>::get(), 5_000);
        assert_ok!(Rewards::do_try_state());
    });
}

#[test]
fn dust_is_burned_and_counted() {
    new_test_ext().execute_with(|| {
        run(1);
        let keeps = EXISTENTIAL_DEPOSIT - 1;
        assert_ok!(Balances::transfer_allow_death(
            RuntimeOrigin::signed(AUTHOR),
            RICH,
            balance(&AUTHOR) - keeps
        ));
        assert_eq!(balance(&AUTHOR), 0);
        assert_eq!(Burned::<Test>::get(), keeps);
        assert_ok!(Rewards::do_try_state());
    });
}

#[test]
fn a_change_of_parameters_holds_from_the_next_block_and_keeps_the_sum() {
    new_test_ext().execute_with(|| {
        run(10);
        let before = Minted::<Test>::get();
        assert_ok!(Rewards::set_parameters(
            RuntimeOrigin::root(),
            500_000,
            7,
            0,
            Perbill::from_percent(50),
            Perbill::from_percent(50)
        ));
        assert_ok!(Rewards::do_try_state());
        let author_before = balance(&AUTHOR);
        run(20);
        let schedule = Schedule::new(500_000, 7, 0).expect("within bounds");
        assert_eq!(Minted::<Test>::get(), before + schedule.total(20));
        let halves: u128 = (0..20).map(|index| schedule.subsidy(index) / 2).sum();
        assert_eq!(balance(&AUTHOR), author_before + halves);
    });
}

#[test]
fn parameters_out_of_bounds_or_from_anyone_but_root_are_refused() {
    new_test_ext().execute_with(|| {
        let (most, little) = (Perbill::from_percent(90), Perbill::from_percent(11));
        assert_noop!(
            Rewards::set_parameters(RuntimeOrigin::signed(RICH), 1, 1, 1, little, little),
            DispatchError::BadOrigin
        );
        assert_noop!(
            Rewards::set_parameters(RuntimeOrigin::root(), 1, 0, 1, little, little),
            Error::<Test>::NoHalfLife
        );
        assert_noop!(
            Rewards::set_parameters(RuntimeOrigin::root(), MAX_SUBSIDY + 1, 1, 1, little, little),
            Error::<Test>::SubsidyTooHigh
        );
        assert_noop!(
            Rewards::set_parameters(RuntimeOrigin::root(), 1, 1, 1, most, little),
            Error::<Test>::SharesExceedWhole
        );
        System::set_block_number(u32::MAX);
        assert_noop!(
            Rewards::set_parameters(RuntimeOrigin::root(), 1, 1, 1, little, little),
            Error::<Test>::Overflow
        );
    });
}

#[test]
fn the_check_sees_money_from_nowhere_and_money_that_is_gone() {
    new_test_ext().execute_with(|| {
        run(2);
        let from_nowhere = "total issuance is not genesis plus minted minus burned";
        assert_ok!(Balances::mint_into(&RICH, 1));
        assert_eq!(Rewards::do_try_state(), Err(from_nowhere.into()));
        assert_ok!(Balances::burn_from(
            &RICH,
            1,
            Preservation::Preserve,
            Precision::Exact,
            Fortitude::Polite
        ));
        assert_ok!(Rewards::do_try_state());
        drop(withdraw(1));
        assert_eq!(Rewards::do_try_state(), Err(from_nowhere.into()));
    });
}

#[test]
fn the_check_sees_a_subsidy_that_is_not_the_schedules() {
    new_test_ext().execute_with(|| {
        run(2);
        Minted::<Test>::mutate(|minted| *minted += 1);
        let not_the_sum = "what was minted is not the sum of the schedule";
        assert_eq!(Rewards::do_try_state(), Err(not_the_sum.into()));
        Minted::<Test>::mutate(|minted| *minted -= 1);
        System::set_block_number(3);
        assert_eq!(Rewards::do_try_state(), Err(not_the_sum.into()));
    });
}

#[test]
#[should_panic(expected = "make no schedule: NoHalfLife")]
fn a_chain_without_a_half_life_does_not_start() {
    let rewards = RewardsConfig {
        half_life_blocks: 0,
        ..rewards_genesis()
    };
    let _ = RuntimeGenesisConfig {
        rewards,
        ..Default::default()
    }
    .build_storage();
}

#[test]
#[should_panic(expected = "exceed the whole")]
fn a_chain_with_shares_above_the_whole_does_not_start() {
    let rewards = RewardsConfig {
        author_share: Perbill::from_percent(86),
        ..rewards_genesis()
    };
    let _ = RuntimeGenesisConfig {
        rewards,
        ..Default::default()
    }
    .build_storage();
}
