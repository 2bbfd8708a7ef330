//! The genesis of each chain that this runtime knows by name: the one place where such figures stand.

use alloc::{vec, vec::Vec};

use frame_support::build_struct_json_patch;
use pallet_eras::Terms;
use pallet_staking::StakerStatus;
use serde_json::Value;
use sp_consensus_grandpa::AuthorityId;
use sp_core::U256;
use sp_genesis_builder::PresetId;
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};
use sp_runtime::Perbill;

use crate::{
    AccountId, BalancesConfig, ErasConfig, JobsConfig, LAB, NominationPoolsConfig, RewardsConfig,
    RuntimeGenesisConfig, SessionConfig, StakingConfig, SudoConfig, WorkConfig,
    opaque::SessionKeys,
};

/// Name of the preset of a chain of one developer's machine.
pub const DEVELOPMENT: &str = sp_genesis_builder::DEV_RUNTIME_PRESET;
/// Name of the preset of a chain of a few nodes on one machine.
pub const LOCAL_TESTNET: &str = sp_genesis_builder::LOCAL_TESTNET_RUNTIME_PRESET;
/// Name of the preset of the public test network.
pub const TESTNET: &str = "testnet";

/// What each well-known development account starts with.
const ENDOWMENT: u128 = 1_000_000 * LAB;

/// Four years of 12 s blocks: 4 · 365.25 · 86,400 / 12.
const HALF_LIFE_BLOCKS: u32 = 10_519_200;

/// Subsidy above the tail at the start. Over all time it issues S·H/ln 2, here 151.8 million LAB.
const INITIAL_SUBSIDY: u128 = 10 * LAB;

/// Subsidy for ever: 788,940 LAB a year, about half a percent of all that the decay issues.
const TAIL_SUBSIDY: u128 = 3 * LAB / 10;

/// Work of a chain whose blocks come every `target_block_time_ms`.
fn work(initial_difficulty: u64, target_block_time_ms: u64, half_life_ms: u64) -> WorkConfig {
    WorkConfig {
        initial_difficulty: U256::from(initial_difficulty),
        target_block_time_ms,
        half_life_ms,
        ..Default::default()
    }
}

/// A block every 3 s on whatever machine it is.
///
/// 5·10^10 multiply-accumulates take two cores with AVX2 half a second, and one old core without a few seconds, so the
/// first block comes soon on both. Difficulty doubles for every 30 s that the chain is ahead: where it has to rise
/// sixfold it does so within the first minute.
fn development_work() -> WorkConfig {
    work(50_000_000_000, 3_000, 30_000)
}

/// A block every 6 s: time for it to be seen by the others on the machine before the next. Difficulty doubles for every ten
/// blocks that the chain is ahead, as on the dev chain: it begins far below what a few fast cores do together.
fn local_work() -> WorkConfig {
    work(50_000_000_000, 6_000, 60_000)
}

/// A block every 12 s, with a half-life of an hour; begins with what ten machines of two cores do in that time.
fn testnet_work() -> WorkConfig {
    work(12_000_000_000_000, 12_000, 3_600_000)
}

/// The same on every chain: three quarters to the author, 15 % to staking, the rest to research.
fn rewards() -> RewardsConfig {
    RewardsConfig {
        initial_subsidy: INITIAL_SUBSIDY,
        half_life_blocks: HALF_LIFE_BLOCKS,
        tail_subsidy: TAIL_SUBSIDY,
        author_share: Perbill::from_percent(75),
        staking_share: Perbill::from_percent(15),
        ..Default::default()
    }
}

/// What each validator of a genesis has at stake.
pub const GENESIS_STAKE: u128 = 100_000 * LAB;

/// Least stake of a validator, of a nominator, of who opens a pool; and of who joins one.
const MIN_VALIDATOR_STAKE: u128 = 1_000 * LAB;
const MIN_NOMINATOR_STAKE: u128 = 10 * LAB;
const MIN_POOL_STAKE: u128 = 10 * LAB;
const MIN_POOL_JOIN: u128 = LAB;

/// Eras of a few minutes: to be seen on one machine. A slash is not deferred.
fn short_terms() -> ErasConfig {
    ErasConfig {
        terms: Terms {
            session_blocks: 20,
            sessions_per_era: 3,
            unbonding_eras: 5,
            challenge_window_blocks: 60,
            weak_subjectivity_blocks: 120,
        },
        ..Default::default()
    }
}

/// Claims and results of minutes. A claim lasts as long as 2·10^11 multiply-accumulates a second take, which two cores do, and
/// a minute or two on top.
fn short_jobs() -> JobsConfig {
    JobsConfig {
        terms: pallet_jobs::Terms {
            macs_per_block: 600_000_000_000,
            least_claim_blocks: 20,
            kept_blocks: 1_200,
            ..Default::default()
        },
        ..Default::default()
    }
}

/// The first validators: each its account, and the key that it votes with.
fn session(validators: &[(AccountId, AuthorityId)]) -> SessionConfig {
    SessionConfig {
        keys: validators
            .iter()
            .map(|(account, grandpa)| {
                let keys = SessionKeys {
                    grandpa: grandpa.clone(),
                };
                (account.clone(), account.clone(), keys)
            })
            .collect(),
        ..Default::default()
    }
}

fn staking(validators: &[(AccountId, AuthorityId)]) -> StakingConfig {
    StakingConfig {
        validator_count: 100,
        minimum_validator_count: 1,
        stakers: validators
            .iter()
            .map(|(account, _)| {
                let (stash, controller) = (account.clone(), account.clone());
                (stash, controller, GENESIS_STAKE, StakerStatus::Validator)
            })
            .collect(),
        slash_reward_fraction: Perbill::from_percent(10),
        min_nominator_bond: MIN_NOMINATOR_STAKE,
        min_validator_bond: MIN_VALIDATOR_STAKE,
        ..Default::default()
    }
}

fn pools() -> NominationPoolsConfig {
    NominationPoolsConfig {
        min_create_bond: MIN_POOL_STAKE,
        min_join_bond: MIN_POOL_JOIN,
        max_pools: Some(1_000),
        max_members_per_pool: Some(10_000),
        max_members: Some(100_000),
        ..Default::default()
    }
}

/// A well-known validator.
fn well_known(account: Sr25519Keyring, grandpa: Ed25519Keyring) -> (AccountId, AuthorityId) {
    (account.to_account_id(), grandpa.public().into())
}

/// A chain whose well-known accounts are rich, and where Alice is root.
fn of_well_known_accounts(work: WorkConfig, validators: &[(AccountId, AuthorityId)]) -> Value {
    build_struct_json_patch!(RuntimeGenesisConfig {
        balances: BalancesConfig {
            balances: Sr25519Keyring::well_known()
                .map(|account| (account.to_account_id(), ENDOWMENT))
                .collect::<Vec<(AccountId, u128)>>(),
        },
        work,
        rewards: rewards(),
        sudo: SudoConfig {
            key: Some(Sr25519Keyring::Alice.to_account_id())
        },
        eras: short_terms(),
        session: session(validators),
        staking: staking(validators),
        nomination_pools: pools(),
        jobs: short_jobs(),
    })
}

/// A chain on which nobody owns anything and nobody is root: all is mined. It names no validators, so no node starts on
/// it as it is: whoever founds a network lays [`network`] over it.
fn testnet() -> Value {
    build_struct_json_patch!(RuntimeGenesisConfig {
        work: testnet_work(),
        rewards: rewards(),
        staking: staking(&[]),
        nomination_pools: pools(),
    })
}

/// A network of these validators, each with [`GENESIS_STAKE`] at stake and `spare` beside it, as JSON to lay over a preset.
/// `root`, where there is one, governs it.
pub fn network(
    validators: &[(AccountId, AuthorityId)],
    spare: u128,
    root: Option<AccountId>,
) -> Value {
    let mut balances: Vec<(AccountId, u128)> = validators
        .iter()
        .map(|(account, _)| (account.clone(), GENESIS_STAKE.saturating_add(spare)))
        .collect();
    if let Some(root) = root
        .iter()
        .find(|root| !balances.iter().any(|(known, _)| known == *root))
    {
        balances.push((root.clone(), spare));
    }
    build_struct_json_patch!(RuntimeGenesisConfig {
        balances: BalancesConfig { balances },
        session: session(validators),
        staking: staking(validators),
        sudo: SudoConfig { key: root },
    })
}

/// The preset of that name, as JSON to lay over the default genesis.
pub fn get_preset(id: &PresetId) -> Option<Vec<u8>> {
    let alice = well_known(Sr25519Keyring::Alice, Ed25519Keyring::Alice);
    let bob = well_known(Sr25519Keyring::Bob, Ed25519Keyring::Bob);
    let patch = match id.as_ref() {
        DEVELOPMENT => of_well_known_accounts(development_work(), &[alice]),
        LOCAL_TESTNET => of_well_known_accounts(local_work(), &[alice, bob]),
        TESTNET => testnet(),
        _ => return None,
    };
    serde_json::to_vec(&patch).ok()
}

/// Names of all presets.
pub fn preset_names() -> Vec<PresetId> {
    vec![DEVELOPMENT.into(), LOCAL_TESTNET.into(), TESTNET.into()]
}
