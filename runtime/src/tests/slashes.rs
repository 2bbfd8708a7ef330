//! Who votes twice in a round loses the stake, and with it whoever backs it: nominators, and members of pools.

use frame_support::traits::fungible::Inspect;
use pallet_staking::RewardDestination;
use sp_consensus_grandpa::{
    AuthorityId, Equivocation, EquivocationProof, KEY_TYPE, localized_payload,
};
use sp_core::crypto::KeyTypeId;
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};
use sp_runtime::transaction_validity::{InvalidTransaction, TransactionSource};

use super::{
    chain::Chain,
    staking::{ERA, run_to, staked},
    transactions::signed,
};
use crate::{
    genesis_config_presets::{GENESIS_STAKE, LOCAL_TESTNET},
    *,
};

/// The report of two votes of Bob's in one round of this session.
fn report_of_bob(chain: &mut Chain) -> UncheckedExtrinsic {
    report_of_round(chain, 7, [Ed25519Keyring::Bob; 2])
}

/// The same in any round, of votes that these have signed.
fn report_of_round(
    chain: &mut Chain,
    round: u64,
    signers: [Ed25519Keyring; 2],
) -> UncheckedExtrinsic {
    let (set_id, key_owner_proof) = chain.executor.execute_with(|| {
        let key: AuthorityId = Ed25519Keyring::Bob.public().into();
        let proof = <Historical as frame_support::traits::KeyOwnerProofSystem<(
            KeyTypeId,
            AuthorityId,
        )>>::prove((KEY_TYPE, key));
        let proof = proof.expect("Bob votes in this session");
        (pallet_grandpa::CurrentSetId::<Runtime>::get(), proof)
    });
    let vote = |hash: u8, signer: Ed25519Keyring| {
        let prevote = finality_grandpa::Prevote {
            target_hash: Hash::repeat_byte(hash),
            target_number: 2,
        };
        let message = finality_grandpa::Message::Prevote(prevote.clone());
        let payload = localized_payload(round, set_id, &message);
        (prevote, signer.sign(&payload).into())
    };
    let twice = Equivocation::Prevote(finality_grandpa::Equivocation {
        round_number: round,
        identity: Ed25519Keyring::Bob.public().into(),
        first: vote(1, signers[0]),
        second: vote(2, signers[1]),
    });
    UncheckedExtrinsic::new_bare(
        pallet_grandpa::Call::report_equivocation_unsigned {
            equivocation_proof: Box::new(EquivocationProof::new(set_id, twice)),
            key_owner_proof,
        }
        .into(),
    )
}

fn burned(chain: &mut Chain) -> Balance {
    chain
        .executor
        .execute_with(pallet_rewards::Burned::<Runtime>::get)
}

/// Puts a block with the report of two votes of Bob's, and then those in which he is slashed; gives what was burned in them. On this
/// chain a slash is not deferred.
fn slash_bob(chain: &mut Chain) -> Balance {
    let report = report_of_bob(chain);
    let before = burned(chain);
    chain.block(6_000, vec![report]);
    let last = chain.head.number + ERA;
    run_to(chain, last);
    burned(chain) - before
}

#[test]
fn who_votes_twice_in_a_round_loses_the_stake_which_is_burned_and_counted() {
    let mut chain = Chain::of(LOCAL_TESTNET);
    run_to(&mut chain, 3);
    assert_eq!(
        slash_bob(&mut chain),
        GENESIS_STAKE / 20 * 19,
        "one of two validators: all of its stake, a twentieth to the author whose block has the report"
    );
    let bob = Sr25519Keyring::Bob.to_account_id();
    chain.executor.execute_with(|| assert_eq!(staked(&bob), 0));
}

#[test]
fn a_report_goes_from_node_to_node_until_its_validator_is_slashed_in_the_era() {
    let mut chain = Chain::of(LOCAL_TESTNET);
    run_to(&mut chain, 3);
    let both = [Ed25519Keyring::Bob; 2];
    let report = report_of_round(&mut chain, 7, both);
    let other = report_of_round(&mut chain, 8, both);
    let forged = report_of_round(&mut chain, 9, [Ed25519Keyring::Bob, Ed25519Keyring::Alice]);
    let at = chain.head.hash();
    let validate = |chain: &mut Chain, source, report: &UncheckedExtrinsic| {
        let report = report.clone();
        // As for a call of the runtime's API, nothing of it stays.
        let state = &mut chain.executor;
        state.execute_with(|| {
            frame_support::storage::with_transaction(|| {
                let validity = crate::reports::validate(source, report, at);
                sp_runtime::TransactionOutcome::Rollback(Ok::<_, sp_runtime::DispatchError>(
                    validity,
                ))
            })
            .expect("it is rolled back")
        })
    };
    for source in [TransactionSource::Local, TransactionSource::External] {
        let valid = validate(&mut chain, source, &report).expect("it is worth it");
        assert!(valid.propagate);
        let same = validate(&mut chain, source, &other).expect("it is, too");
        assert_eq!(valid.provides, same.provides, "one of them is enough");
        let refused = validate(&mut chain, source, &forged);
        assert_eq!(refused, Err(InvalidTransaction::BadProof.into()));
    }
    chain.block(6_000, vec![report.clone()]);
    for late in [report, other] {
        let refused = validate(&mut chain, TransactionSource::External, &late);
        assert_eq!(refused, Err(InvalidTransaction::Stale.into()));
    }
}

#[test]
fn a_slash_is_deferred_and_made_however_late_it_is_reported_while_bonds_are_locked() {
    // Eras of two sessions of two blocks, as many of unbonding as are deferred at least.
    const ERA: u32 = 4;
    const UNBONDING: u32 = 8;
    let terms = pallet_eras::Terms {
        session_blocks: ERA / 2,
        sessions_per_era: 2,
        unbonding_eras: UNBONDING,
        challenge_window_blocks: 10,
        weak_subjectivity_blocks: 20,
    };
    let bob = Sr25519Keyring::Bob.to_account_id();
    let era = |chain: &mut Chain| {
        chain.executor.execute_with(|| {
            let active = pallet_staking::ActiveEra::<Runtime>::get();
            active.expect("an era is active").index
        })
    };
    // At once, somewhere between, and in the last era in which it counts for certain.
    for late in [0, 3, UNBONDING - 2] {
        let changes = serde_json::json!({ "eras": { "terms": terms } });
        let mut chain = Chain::with(LOCAL_TESTNET, changes);
        run_to(&mut chain, ERA + 2);
        let offence = era(&mut chain);
        assert_eq!(offence, 1);
        let report = report_of_bob(&mut chain);
        while era(&mut chain) < offence + late {
            chain.block(6_000, vec![]);
        }
        // In the last block of that era.
        let last = ERA * (offence + late + 1) - 1;
        run_to(&mut chain, last - 1);
        let before = burned(&mut chain);
        chain.block(6_000, vec![report]);
        assert_eq!(era(&mut chain), offence + late);
        while era(&mut chain) < offence + UNBONDING - 1 {
            assert_eq!(burned(&mut chain), before, "it is not deferred");
            chain.block(6_000, vec![]);
        }
        assert_eq!(burned(&mut chain) - before, GENESIS_STAKE / 20 * 19);
        chain.executor.execute_with(|| {
            assert_eq!(staked(&bob), 0, "{late} eras late");
            // Nobody could have had it back before that.
            let current = pallet_staking::CurrentEra::<Runtime>::get();
            assert!(current < Some(offence + UNBONDING), "{current:?}");
        });
    }
}

/// What an account has, held or free.
fn wealth(chain: &mut Chain, who: Sr25519Keyring) -> Balance {
    chain
        .executor
        .execute_with(|| Balances::total_balance(&who.to_account_id()))
}

#[test]
fn a_slash_reaches_nominators_and_members_of_pools_and_nobody_else() {
    const NOMINATED: Balance = 10_000 * LAB;
    const OPENED: Balance = 50 * LAB;
    const JOINED: Balance = 500 * LAB;
    let mut chain = Chain::of(LOCAL_TESTNET);
    run_to(&mut chain, 1);
    let [alice, bob, charlie, dave, eve] = [
        Sr25519Keyring::Alice,
        Sr25519Keyring::Bob,
        Sr25519Keyring::Charlie,
        Sr25519Keyring::Dave,
        Sr25519Keyring::Eve,
    ];
    let bond = pallet_staking::Call::bond {
        value: NOMINATED,
        payee: RewardDestination::Stash,
    };
    let nominate = pallet_staking::Call::nominate {
        targets: vec![bob.to_account_id().into()],
    };
    let create = pallet_nomination_pools::Call::create {
        amount: OPENED,
        root: dave.to_account_id().into(),
        nominator: dave.to_account_id().into(),
        bouncer: dave.to_account_id().into(),
    };
    let back = pallet_nomination_pools::Call::nominate {
        pool_id: 1,
        validators: vec![bob.to_account_id()],
    };
    let join = pallet_nomination_pools::Call::join {
        amount: JOINED,
        pool_id: 1,
    };
    let calls: [(Sr25519Keyring, Nonce, RuntimeCall); 5] = [
        (charlie, 0, bond.into()),
        (charlie, 1, nominate.into()),
        (dave, 0, create.into()),
        (dave, 1, back.into()),
        (eve, 0, join.into()),
    ];
    for (who, nonce, call) in calls {
        let call = signed(&mut chain, &who.pair(), call, nonce, 0);
        chain.block(6_000, vec![call]);
    }
    // Into an era for which they were counted.
    run_to(&mut chain, 2 * ERA + 2);

    let all = [alice, bob, charlie, dave, eve];
    let before = all.map(|who| wealth(&mut chain, who));
    let burned = slash_bob(&mut chain);
    let lost = |chain: &mut Chain| {
        let now = all.map(|who| wealth(chain, who));
        [0, 1, 2, 3, 4].map(|at| before[at] as i128 - now[at] as i128)
    };
    // One of two validators: all of it. Of pools' members it is taken when somebody says so.
    let (own, nominated) = (GENESIS_STAKE as i128, NOMINATED as i128);
    assert_eq!(lost(&mut chain), [0, own, nominated, 0, 0]);
    // The author gets a twentieth of all that is slashed, of the pool too, out of what is taken at once.
    let direct = GENESIS_STAKE + NOMINATED;
    assert_eq!(burned, direct - (direct + OPENED + JOINED) / 20);
    let pool_of = |chain: &mut Chain| {
        chain
            .executor
            .execute_with(|| NominationPools::api_pool_balance(1))
    };
    assert_eq!(pool_of(&mut chain), 0);

    // By anybody, by Bob too, who gets a hundredth and pays no fee.
    for (nonce, member) in (0..).zip([dave, eve]) {
        let apply = pallet_nomination_pools::Call::apply_slash {
            member_account: member.to_account_id().into(),
        };
        let apply = signed(&mut chain, &bob.pair(), apply.into(), nonce, 0);
        chain.block(6_000, vec![apply]);
    }
    let reward = ((OPENED + JOINED) / 100) as i128;
    assert_eq!(
        lost(&mut chain),
        [0, own - reward, nominated, OPENED as i128, JOINED as i128]
    );
}
