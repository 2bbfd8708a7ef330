//! Each preset is a genesis, and the figures are the ones that are meant.

use frame_support::view_functions::ViewFunctionId;
use sp_core::U256;
use sp_keyring::Sr25519Keyring;

use super::chain::genesis;
use crate::{genesis_config_presets::*, *};

/// Difficulty, block time, issuance, root.
fn figures(preset: &str) -> (U256, u64, Balance, Option<AccountId>) {
    genesis(preset).execute_with(|| {
        Work::do_try_state().expect("a genesis is sound");
        Rewards::do_try_state().expect("a genesis is sound");
        let parameters = pallet_work::CurrentParameters::<Runtime>::get();
        let root = pallet_sudo::Key::<Runtime>::get();
        (
            Work::difficulty(),
            parameters.target_block_time_ms(),
            Balances::total_issuance(),
            root,
        )
    })
}

#[test]
fn test_chains_have_a_root_and_rich_accounts() {
    let alice = Sr25519Keyring::Alice.to_account_id();
    let rich = 12 * 1_000_000 * LAB;
    let dev = (
        U256::from(50_000_000_000u64),
        3_000,
        rich,
        Some(alice.clone()),
    );
    assert_eq!(figures(DEVELOPMENT), dev);
    let local = (U256::from(50_000_000_000u64), 6_000, rich, Some(alice));
    assert_eq!(figures(LOCAL_TESTNET), local);
}

#[test]
fn nobody_owns_or_rules_the_public_test_network() {
    assert_eq!(
        figures(TESTNET),
        (U256::from(12_000_000_000_000u64), 12_000, 0, None)
    );
}

#[test]
fn all_presets_are_listed_and_no_others_known() {
    for name in preset_names() {
        assert!(get_preset(&name).is_some());
    }
    assert_eq!(preset_names().len(), 3);
    assert_eq!(get_preset(&"mainnet".into()), None);
}

#[test]
fn every_chain_divides_the_same_subsidy() {
    for preset in [DEVELOPMENT, LOCAL_TESTNET, TESTNET] {
        genesis(preset).execute_with(|| {
            let parameters = pallet_rewards::CurrentEra::<Runtime>::get().parameters;
            assert_eq!(
                parameters.author_share,
                sp_runtime::Perbill::from_percent(75)
            );
            assert_eq!(
                parameters.staking_share,
                sp_runtime::Perbill::from_percent(15)
            );
            // Four years of 12 s blocks, one of them a leap year.
            assert_eq!(
                parameters.schedule.half_life_blocks(),
                4 * 365 * 7_200 + 7_200
            );
            assert_ne!(Rewards::staking_account(), Rewards::research_account());
        });
    }
}

#[test]
fn a_view_function_that_is_not_there_is_not_found() {
    let id = ViewFunctionId {
        prefix: [0; 16],
        suffix: [0; 16],
    };
    assert!(
        genesis(DEVELOPMENT)
            .execute_with(|| Runtime::execute_view_function(id, vec![]))
            .is_err()
    );
}
