//! Who votes twice in a round loses the stake, and with it whoever backs it: nominators, and members of pools.

use frame_support::traits::fungible::Inspect;
use pallet_staking::RewardDestination;
use sp_consensus_grandpa::{
    AuthorityId, Equivocation, EquivocationProof, KEY_TYPE, localized_payload,
};
use sp_core::crypto::KeyTypeId;
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};

use super::{
    chain::Chain,
    staking::{ERA, run_to, staked},
    transactions::signed,
};
use crate::{
    genesis_config_presets::{GENESIS_STAKE, LOCAL_TESTNET},
    *,
};

/// Puts a block with the report of two votes of Bob's in one round, and then those in which he is slashed; gives what was burned
/// in them. On this chain a slash is not deferred.
fn slash_bob(chain: &mut Chain) -> Balance {
    let (set_id, key_owner_proof) = chain.executor.execute_with(|| {
        let key: AuthorityId = Ed25519Keyring::Bob.public().into();
        let proof = <Historical as frame_support::traits::KeyOwnerProofSystem<(
            KeyTypeId,
            AuthorityId,
        )>>::prove((KEY_TYPE, key));
        let proof = proof.expect("Bob votes in this session");
        (pallet_grandpa::CurrentSetId::<Runtime>::get(), proof)
    });
    let round = 7;
    let vote = |hash: u8| {
        let prevote = finality_grandpa::Prevote {
            target_hash: Hash::repeat_byte(hash),
            target_number: 2,
        };
        let message = finality_grandpa::Message::Prevote(prevote.clone());
        let payload = localized_payload(round, set_id, &message);
        (prevote, Ed25519Keyring::Bob.sign(&payload).into())
    };
    let twice = Equivocation::Prevote(finality_grandpa::Equivocation {
        round_number: round,
        identity: Ed25519Keyring::Bob.public().into(),
        first: vote(1),
        second: vote(2),
    });
    let report = UncheckedExtrinsic::new_bare(
        pallet_grandpa::Call::report_equivocation_unsigned {
            equivocation_proof: Box::new(EquivocationProof::new(set_id, twice)),
            key_owner_proof,
        }
        .into(),
    );
    let burned = |chain: &mut Chain| {
        chain
            .executor
            .execute_with(pallet_rewards::Burned::<Runtime>::get)
    };
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
    let [alice, bob, charlie, dave, eve, one] = [
        Sr25519Keyring::Alice,
        Sr25519Keyring::Bob,
        Sr25519Keyring::Charlie,
        Sr25519Keyring::Dave,
        Sr25519Keyring::Eve,
        Sr25519Keyring::One,
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

    let rest = [alice, charlie, dave, eve, one];
    let before = rest.map(|who| wealth(&mut chain, who));
    let burned = slash_bob(&mut chain);
    let lost = |chain: &mut Chain| {
        let now = rest.map(|who| wealth(chain, who));
        [0, 1, 2, 3, 4].map(|at| before[at] as i128 - now[at] as i128)
    };
    // One of two validators: all of it. Of pools' members it is taken when somebody says so.
    assert_eq!(lost(&mut chain), [0, NOMINATED as i128, 0, 0, 0]);
    // The author gets a twentieth of all that is slashed, of the pool too, out of what is taken at once.
    let direct = GENESIS_STAKE + NOMINATED;
    assert_eq!(burned, direct - (direct + OPENED + JOINED) / 20);
    let pool_of = |chain: &mut Chain| {
        chain
            .executor
            .execute_with(|| NominationPools::api_pool_balance(1))
    };
    assert_eq!(pool_of(&mut chain), 0);

    // By anybody, who gets a hundredth and pays no fee.
    for (nonce, member) in (0..).zip([dave, eve]) {
        let apply = pallet_nomination_pools::Call::apply_slash {
            member_account: member.to_account_id().into(),
        };
        let apply = signed(&mut chain, &one.pair(), apply.into(), nonce, 0);
        chain.block(6_000, vec![apply]);
    }
    let reward = ((OPENED + JOINED) / 100) as i128;
    assert_eq!(
        lost(&mut chain),
        [
            0,
            NOMINATED as i128,
            OPENED as i128,
            JOINED as i128,
            -reward
        ]
    );
}
