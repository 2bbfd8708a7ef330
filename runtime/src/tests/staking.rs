//! Stake: eras are paid from the subsidy's share and from nothing else, and validators come and go with their votes' keys.

use pallet_staking::{RewardDestination, ValidatorPrefs};
use parity_scale_codec::Encode;
use sp_consensus_grandpa::AuthorityId;
use sp_core::Pair;
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};
use sp_runtime::{DigestItem, Perbill};

use super::{
    chain::{Chain, genesis},
    transactions::signed,
};
use crate::{
    genesis_config_presets::{DEVELOPMENT, GENESIS_STAKE, LOCAL_TESTNET, TESTNET},
    opaque::SessionKeys,
    *,
};

/// Blocks of a session and of an era on the development chain.
const SESSION: u32 = 20;
pub(super) const ERA: u32 = 3 * SESSION;

/// Blocks up to number `last`.
pub(super) fn run_to(chain: &mut Chain, last: u32) {
    while chain.head.number < last {
        chain.block(3_000, vec![]);
    }
}

/// What an account has bonded, what it unbonds included.
pub(super) fn staked(account: &AccountId) -> Balance {
    pallet_staking::Ledger::<Runtime>::get(account).map_or(0, |ledger| ledger.total)
}

fn active_era() -> u32 {
    pallet_staking::ActiveEra::<Runtime>::get()
        .expect("an era is active")
        .index
}

#[test]
fn presets_have_validators_with_stake_and_votes() {
    for (preset, validators) in [(DEVELOPMENT, 1), (LOCAL_TESTNET, 2), (TESTNET, 0)] {
        genesis(preset).execute_with(|| {
            let authorities = Grandpa::grandpa_authorities();
            assert_eq!(authorities.len(), validators, "{preset}");
            assert_eq!(Session::validators().len(), validators, "{preset}");
            for validator in Session::validators() {
                assert_eq!(staked(&validator), GENESIS_STAKE);
            }
            let terms = pallet_eras::CurrentTerms::<Runtime>::get();
            assert_eq!(terms.check(), Ok(()), "{preset}");
        });
    }
}

#[test]
fn an_era_pays_its_validators_from_the_purse_and_total_issuance_stays_on_schedule() {
    let mut chain = Chain::new();
    run_to(&mut chain, ERA + 2);
    let alice = Sr25519Keyring::Alice;
    let before = chain.executor.execute_with(|| {
        assert_eq!(active_era(), 1);
        let promised = pallet_staking::ErasValidatorReward::<Runtime>::get(0).expect("it ended");
        // 15 % of some sixty subsidies of 10.3 LAB, to within a few blocks.
        let share = u128::from(ERA) * 103 * LAB / 10 * 15 / 100;
        assert!(
            promised > share * 9 / 10 && promised < share * 11 / 10,
            "{promised} of {share}"
        );
        assert_eq!(Balances::free_balance(Eras::promised_account()), promised);
        (promised, Balances::total_issuance())
    });
    // Anyone may have it paid out.
    let call = pallet_staking::Call::payout_stakers {
        validator_stash: alice.to_account_id(),
        era: 0,
    };
    let bob = Sr25519Keyring::Bob.pair();
    let payout = signed(&mut chain, &bob, call.into(), 0, 0);
    let stake = chain
        .executor
        .execute_with(|| staked(&alice.to_account_id()));
    // Each imported block checks that issuance is genesis plus minted minus burned.
    chain.block(3_000, vec![payout]);
    chain.executor.execute_with(|| {
        let left = Balances::free_balance(Eras::promised_account());
        assert!(
            left < 100,
            "{left} of {} are left: roundings only",
            before.0
        );
        assert_eq!(
            staked(&alice.to_account_id()) - stake,
            before.0 - left,
            "the reward is staked again"
        );
        let subsidy = Rewards::subsidy(chain.head.number);
        assert!(Balances::total_issuance() <= before.1 + subsidy);
    });
}

#[test]
fn a_new_validator_is_elected_votes_and_leaves_again() {
    let mut chain = Chain::new();
    chain.block(3_000, vec![]);
    let charlie = Sr25519Keyring::Charlie;
    let keys = SessionKeys {
        grandpa: Ed25519Keyring::Charlie.public().into(),
    };
    let proof = keys_proof(&charlie.to_account_id());
    let calls: [RuntimeCall; 3] = [
        pallet_staking::Call::bond {
            value: 200_000 * LAB,
            payee: RewardDestination::Stash,
        }
        .into(),
        pallet_session::Call::set_keys { keys, proof }.into(),
        pallet_staking::Call::validate {
            prefs: ValidatorPrefs {
                commission: Perbill::from_percent(5),
                blocked: false,
            },
        }
        .into(),
    ];
    let calls = (0..)
        .zip(calls)
        .map(|(nonce, call)| signed(&mut chain, &charlie.pair(), call, nonce, 0))
        .collect();
    chain.block(3_000, calls);

    let mut changed_at = None;
    while chain.head.number < 3 * ERA && changed_at.is_none() {
        chain.block(3_000, vec![]);
        let changes =
            |item: &DigestItem| matches!(item, DigestItem::Consensus(id, _) if id == b"FRNK");
        if chain.head.digest.logs.iter().any(changes) {
            changed_at = Some(chain.head.number);
        }
    }
    let changed_at = changed_at.expect("a header announces the change of authorities");
    assert_eq!(changed_at % SESSION, 0, "sets change with sessions");
    chain.block(3_000, vec![]);
    chain.executor.execute_with(|| {
        let authorities: Vec<AuthorityId> = Grandpa::grandpa_authorities()
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        assert_eq!(authorities.len(), 2);
        assert!(authorities.contains(&Ed25519Keyring::Charlie.public().into()));
    });

    let chill = signed(
        &mut chain,
        &charlie.pair(),
        pallet_staking::Call::chill {}.into(),
        3,
        0,
    );
    chain.block(3_000, vec![chill]);
    let last = chain.head.number + 3 * ERA;
    run_to(&mut chain, last);
    chain
        .executor
        .execute_with(|| assert_eq!(Grandpa::grandpa_authorities().len(), 1));
}

/// What shows that the owner of an account has the keys that it names.
fn keys_proof(owner: &AccountId) -> Vec<u8> {
    let statement = [&b"POP_"[..], &owner.encode()].concat();
    let signature = Ed25519Keyring::Charlie.pair().sign(&statement);
    (signature,).encode()
}

#[test]
fn small_holders_stake_together_in_a_pool() {
    let mut chain = Chain::new();
    chain.block(3_000, vec![]);
    let (dave, eve) = (Sr25519Keyring::Dave, Sr25519Keyring::Eve);
    let create = pallet_nomination_pools::Call::create {
        amount: 50 * LAB,
        root: dave.to_account_id().into(),
        nominator: dave.to_account_id().into(),
        bouncer: dave.to_account_id().into(),
    };
    let create = signed(&mut chain, &dave.pair(), create.into(), 0, 0);
    chain.block(3_000, vec![create]);
    let nominate = pallet_nomination_pools::Call::nominate {
        pool_id: 1,
        validators: vec![Sr25519Keyring::Alice.to_account_id()],
    };
    let nominate = signed(&mut chain, &dave.pair(), nominate.into(), 1, 0);
    let join = pallet_nomination_pools::Call::join {
        amount: 5 * LAB,
        pool_id: 1,
    };
    let join = signed(&mut chain, &eve.pair(), join.into(), 0, 0);
    chain.block(3_000, vec![nominate, join]);
    run_to(&mut chain, 2 * ERA + 2);
    chain.executor.execute_with(|| {
        assert_eq!(NominationPools::api_pool_balance(1), 55 * LAB);
        let era = active_era();
        let backed = pallet_staking::ErasStakersOverview::<Runtime>::get(
            era,
            Sr25519Keyring::Alice.to_account_id(),
        )
        .expect("Alice validates");
        assert_eq!(backed.nominator_count, 1, "the pool");
        assert_eq!(backed.total - backed.own, 55 * LAB);
    });
}
