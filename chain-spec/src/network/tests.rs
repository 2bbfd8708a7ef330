//! A network that is founded has exactly its own validators, in every pallet that knows of any.

use frame_support::{genesis_builder_helper::build_state, traits::fungible::Inspect};
use labora_runtime::{
    Balance, Balances, BlockNumber, Grandpa, Runtime, RuntimeGenesisConfig, Session, Staking,
    genesis_config_presets::GENESIS_STAKE,
};
use pallet_staking::{ActiveEra, ErasStakersOverview, MinimumValidatorCount};
use sp_core::crypto::UncheckedFrom;
use sp_io::TestExternalities;

use super::*;

const PRESETS: [Preset; 3] = [Preset::Development, Preset::Local, Preset::Testnet];

fn validators(count: u8) -> Vec<(AccountId, GrandpaId)> {
    (1..=count)
        .map(|at| {
            let key = sp_core::ed25519::Public::unchecked_from([at; 32]);
            (AccountId::new([at + 100; 32]), key.into())
        })
        .collect()
}

fn founding(preset: Preset, count: u8) -> Founding {
    let validators = validators(count);
    Founding {
        preset,
        chain_type: ChainType::Local,
        root: validators.first().map(|(account, _)| account.clone()),
        validators,
    }
}

/// The state of the genesis block, built by the runtime's own code, natively.
fn state(founding: &Founding) -> TestExternalities {
    let mut config = serde_json::to_value(RuntimeGenesisConfig::default()).expect("it is JSON");
    json_merge(&mut config, founding.genesis().expect("it can be founded"));
    let mut state = TestExternalities::new_empty();
    state.execute_with(|| {
        build_state::<RuntimeGenesisConfig>(config.to_string().into_bytes())
            .expect("it is a genesis");
    });
    state
}

#[test]
fn a_network_has_exactly_the_validators_that_found_it() {
    for preset in PRESETS {
        for count in [1, 4, 32] {
            let founding = founding(preset, count);
            state(&founding).execute_with(|| holds(&founding));
        }
    }
}

/// What session, staking, grandpa and balances must agree on.
fn holds(founding: &Founding) {
    let mut accounts: Vec<_> = founding
        .validators
        .iter()
        .map(|(it, _)| it.clone())
        .collect();
    let mut keys: Vec<_> = founding
        .validators
        .iter()
        .map(|(_, it)| (it.clone(), 1))
        .collect();
    let mut seated = Session::validators();
    seated.sort();
    accounts.sort();
    assert_eq!(seated, accounts);
    assert_eq!(Session::queued_keys().len(), accounts.len());

    let mut voters = Grandpa::grandpa_authorities();
    voters.sort();
    keys.sort();
    assert_eq!(voters, keys);

    let era = ActiveEra::<Runtime>::get()
        .expect("an era begins with the chain")
        .index;
    assert_eq!(era, 0);
    assert_eq!(
        pallet_staking::Validators::<Runtime>::count() as usize,
        accounts.len()
    );
    assert_eq!(
        ErasStakersOverview::<Runtime>::iter_prefix(era).count(),
        accounts.len()
    );
    assert_eq!(MinimumValidatorCount::<Runtime>::get(), 1);
    for (account, key) in &founding.validators {
        assert_eq!(Staking::bonded(account), Some(account.clone()));
        let own = ErasStakersOverview::<Runtime>::get(era, account)
            .expect("it has stake")
            .own;
        assert_eq!(own, GENESIS_STAKE);
        assert_eq!(
            <Balances as Inspect<_>>::total_balance(account),
            GENESIS_STAKE + SPARE
        );
        let held = pallet_session::NextKeys::<Runtime>::get(account).expect("it has a key");
        assert_eq!(&held.grandpa, key);
    }
    let all = accounts.len() as Balance * (GENESIS_STAKE + SPARE);
    assert_eq!(Balances::total_issuance(), all, "nobody else owns anything");
    assert_eq!(pallet_sudo::Key::<Runtime>::get(), founding.root);
    assert_eq!(
        pallet_grandpa::Stalled::<Runtime>::get(),
        None::<(BlockNumber, BlockNumber)>
    );
}

#[test]
fn a_network_without_a_root_is_governed_by_nobody() {
    let founding = Founding {
        root: None,
        ..founding(Preset::Local, 2)
    };
    state(&founding).execute_with(|| holds(&founding));
}

#[test]
fn figures_of_the_preset_stay() {
    let block_time = |preset| {
        founding(preset, 1).genesis().expect("a genesis")["work"]["targetBlockTimeMs"].clone()
    };
    assert_eq!(PRESETS.map(block_time), [3_000, 6_000, 12_000]);
}

#[test]
fn what_cannot_found_a_network_is_refused_with_a_sentence() {
    let refusal = |founding: Founding| founding.genesis().expect_err("it cannot be").to_string();
    let of = |validators| Founding {
        validators,
        ..founding(Preset::Local, 1)
    };
    assert!(refusal(of(Vec::new())).contains("1 to 100 validators, and 0 are named"));
    assert!(refusal(founding(Preset::Local, 101)).contains("and 101 are named"));
    let (one, other) = (validators(2)[0].clone(), validators(2)[1].clone());
    let same_account = refusal(of(vec![one.clone(), (one.0.clone(), other.1.clone())]));
    assert!(same_account.contains(&one.0.to_string()), "{same_account}");
    let same_key = refusal(of(vec![one.clone(), (other.0, one.1.clone())]));
    assert!(same_key.contains("named for two validators"), "{same_key}");
}
