//! The research fund on a chain: filled by blocks, spent on a job, and what a rig gave is written down.

use frame_support::traits::fungible::Inspect;
use labora_pouw::freivalds;
use pallet_grants::Institutions;
use pallet_jobs::{Attestation, Batch, Left};
use pallet_staking::ActiveEra;
use sp_keyring::Sr25519Keyring;

use super::{
    chain::{AUTHOR, Chain},
    staking::run_to,
    transactions::signed,
};
use crate::*;

const ROOT: Sr25519Keyring = Sr25519Keyring::Alice;
const ADMIN: Sr25519Keyring = Sr25519Keyring::Bob;
const MEMBER: Sr25519Keyring = Sr25519Keyring::Dave;
const WORKER: Sr25519Keyring = Sr25519Keyring::Charlie;
/// The only validator.
const AUDITOR: Sr25519Keyring = Sr25519Keyring::Alice;
/// Blocks for which a result is audited on this chain.
const WINDOW: u32 = 60;
const QUOTA: Balance = LAB;
/// The least that the market takes.
const FEE: Balance = 20 * MILLI_LAB;

fn by(chain: &mut Chain, who: Sr25519Keyring, call: impl Into<RuntimeCall>) {
    let account = who.to_account_id();
    let nonce = chain
        .executor
        .execute_with(|| System::account_nonce(&account));
    let transaction = signed(chain, &who.pair(), call.into(), nonce, 0);
    chain.block(3_000, vec![transaction]);
}

fn governed(chain: &mut Chain, call: pallet_grants::Call<Runtime>) {
    let call = Box::new(call.into());
    by(chain, ROOT, pallet_sudo::Call::sudo { call });
}

fn batch() -> Batch {
    let left = Left {
        root: [2; 32],
        m: 32,
    };
    Batch {
        root_b: [1; 32],
        n: 32,
        k: 256,
        left: vec![left].try_into().expect("one product"),
    }
}

/// Institution 0, with a member, and with whoever mines every block as its rig.
fn admitted() -> Chain {
    let mut chain = Chain::new();
    run_to(&mut chain, 2);
    governed(
        &mut chain,
        pallet_grants::Call::admit {
            admin: ADMIN.to_account_id(),
            name: b"Institute".to_vec().try_into().expect("short"),
            quota: QUOTA,
        },
    );
    let invite = pallet_grants::Call::invite {
        institution: 0,
        who: MEMBER.to_account_id(),
    };
    by(&mut chain, ADMIN, invite);
    let join = pallet_grants::Call::join { institution: 0 };
    by(&mut chain, MEMBER, join);
    let offer = pallet_grants::Call::offer_rig { institution: 0 };
    by(&mut chain, AUTHOR, offer);
    let accept = pallet_grants::Call::accept_rig {
        who: AUTHOR.to_account_id(),
    };
    by(&mut chain, ADMIN, accept);
    chain
}

/// The chain's validator confirms the result of job 0, which was submitted a block ago.
fn audit(chain: &mut Chain) {
    let auditor = AUDITOR.to_account_id();
    let answers: pallet_jobs::Hashes = vec![[7; 32]].try_into().expect("one product");
    let (secret, since) = ([9; 32], chain.head.number);
    run_to(chain, since + 2);
    let sealed = freivalds::sealed(auditor.as_ref(), &secret, &answers);
    let attest = pallet_jobs::Call::attest {
        job: 0,
        auditor: auditor.clone(),
        attestation: Attestation::Holds(sealed),
    };
    by(chain, AUDITOR, attest);
    run_to(chain, since + WINDOW / 2 + 1);
    let reveal = pallet_jobs::Call::reveal {
        job: 0,
        auditor,
        secret,
        answers,
    };
    by(chain, AUDITOR, reveal);
}

#[test]
fn the_fund_pays_for_a_members_job_and_the_rigs_blocks_are_written_down() {
    let mut chain = admitted();
    let fund = |chain: &mut Chain| {
        let account = Rewards::research_account();
        chain
            .executor
            .execute_with(|| Balances::total_balance(&account))
    };
    let (before, since) = (fund(&mut chain), chain.head.number);
    let sponsor = pallet_grants::Call::sponsor {
        batch: batch(),
        open_blocks: 100,
        fee: FEE,
    };
    by(&mut chain, MEMBER, sponsor);
    by(&mut chain, WORKER, pallet_jobs::Call::claim { job: 0 });
    let roots = vec![[3; 32]].try_into().expect("one product");
    by(
        &mut chain,
        WORKER,
        pallet_jobs::Call::submit { job: 0, roots },
    );
    audit(&mut chain);
    by(&mut chain, MEMBER, pallet_jobs::Call::accept { job: 0 });
    by(&mut chain, MEMBER, pallet_jobs::Call::forget { job: 0 });
    let blocks = chain.head.number - since;
    let (account, spent) = chain.executor.execute_with(|| {
        let it = Institutions::<Runtime>::get(0).expect("it was admitted");
        assert_eq!((it.ledger.settled, it.ledger.paid), (1, FEE));
        assert_eq!(it.ledger.macs_received, 32 * 32 * 256);
        assert_eq!(it.ledger.blocks, u64::from(blocks));
        // Each block's own difficulty, as the sum of work has them.
        let work = (since + 1..chain.head.number).map(|number| {
            let record = Work::seal_of(number).expect("the state remembers");
            record.difficulty.low_u128()
        });
        let last = pallet_work::LastBlock::<Runtime>::get().expect("there were blocks");
        let all = work.sum::<u128>() + last.difficulty.get().low_u128();
        assert_eq!(it.ledger.macs_contributed, all);
        (Grants::account_of(0), it.spent.amount)
    });
    assert_eq!(spent, FEE);
    let issued: Balance = (since + 1..=chain.head.number)
        .map(|number| {
            chain
                .executor
                .execute_with(|| Rewards::subsidy(number) / 10)
        })
        .sum();
    let after = fund(&mut chain);
    // What does not divide is research's.
    assert!((before + issued - FEE..before + issued - FEE + 100).contains(&after));
    let left = chain
        .executor
        .execute_with(|| Balances::total_balance(&account));
    assert_eq!(left, MILLI_LAB);
}

#[test]
fn the_last_block_of_an_era_is_known_and_a_new_quota_begins_after_it() {
    let mut chain = admitted();
    let era = |chain: &mut Chain| {
        chain.executor.execute_with(|| {
            let era = ActiveEra::<Runtime>::get().map_or(0, |era| era.index);
            let fund = Grants::api_fund();
            assert_eq!(fund.era, era);
            (era, fund.era_ends)
        })
    };
    // The first era may be shorter: it began with the chain.
    let (first, ends) = era(&mut chain);
    run_to(&mut chain, ends);
    assert_eq!(era(&mut chain), (first, ends));
    run_to(&mut chain, ends + 1);
    let (second, next) = era(&mut chain);
    assert_eq!(second, first + 1);
    let sponsor = pallet_grants::Call::sponsor {
        batch: batch(),
        open_blocks: 100,
        fee: FEE,
    };
    by(&mut chain, MEMBER, sponsor);
    let left = |chain: &mut Chain| {
        chain
            .executor
            .execute_with(|| Grants::api_standing(&MEMBER.to_account_id()).left)
    };
    assert_eq!(left(&mut chain), QUOTA - FEE);
    run_to(&mut chain, next + 1);
    assert_eq!(era(&mut chain).0, second + 1);
    assert_eq!(left(&mut chain), QUOTA);
}

#[test]
fn nobody_but_root_admits() {
    let mut chain = Chain::new();
    run_to(&mut chain, 1);
    let admit = pallet_grants::Call::<Runtime>::admit {
        admin: ADMIN.to_account_id(),
        name: b"x".to_vec().try_into().expect("short"),
        quota: QUOTA,
    };
    chain.executor.execute_with(|| {
        use sp_runtime::traits::Dispatchable;
        let call = RuntimeCall::from(admit);
        let refused = call.dispatch(RuntimeOrigin::signed(ADMIN.to_account_id()));
        assert!(refused.is_err());
        assert_eq!(Institutions::<Runtime>::iter().count(), 0);
    });
}
