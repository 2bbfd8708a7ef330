//! Whole blocks: what they leave in the state, and what makes them invalid.

use labora_consensus_api::{SealRecord, inherent::MAX_HEADER_LEN};
use parity_scale_codec::Encode;
use sp_core::U256;
use sp_runtime::transaction_validity::{InvalidTransaction, TransactionValidityError};

use super::chain::{AUTHOR, Chain, seal};
use crate::*;

/// Subsidy and tail of the development chain, as its preset says.
fn scheduled(blocks: u32) -> Balance {
    pallet_rewards::Schedule::new(10 * LAB, 10_519_200, 3 * LAB / 10)
        .expect("within bounds")
        .total(blocks)
}

fn note_parent(header: &Header) -> UncheckedExtrinsic {
    UncheckedExtrinsic::new_bare(
        WorkCall::note_parent {
            header: Box::new(header.clone()),
        }
        .into(),
    )
}

#[test]
fn blocks_fill_the_state_with_work_seals_and_rewards() {
    let mut chain = Chain::new();
    let at_genesis = chain
        .executor
        .execute_with(|| (Work::difficulty(), Balances::total_issuance()));
    let mut headers = vec![chain.head.clone()];
    let mut work = U256::zero();
    for number in 1..=20 {
        let own = chain.executor.execute_with(Work::difficulty);
        // Twice as fast as they should come.
        chain.block(1_500, vec![]);
        assert_eq!(chain.head.number, number);
        work += own;
        headers.push(chain.head.clone());
        assert!(chain.head.encoded_size() <= MAX_HEADER_LEN);
    }
    chain.executor.execute_with(|| {
        // 19 gaps, each 1.5 s short, in half-lives of 30 s: 2^0.95.
        let rise = Work::difficulty() * 1_000 / at_genesis.0;
        assert!(
            (U256::from(1_930)..U256::from(1_934)).contains(&rise),
            "{rise}"
        );
        assert_eq!(pallet_work::AccumulatedWork::<Runtime>::get(), work);
        let mut sum_of_known = U256::zero();
        for number in 1..20 {
            let record: SealRecord = Work::seal_of(number).expect("it has a child");
            assert_eq!(record.block, headers[number as usize].hash());
            assert_eq!(record.seal, seal(number));
            sum_of_known += record.difficulty;
        }
        assert_eq!(Work::seal_of(20), None);
        assert!(sum_of_known < work);
        let minted = scheduled(20);
        assert_eq!(Balances::total_issuance(), at_genesis.1 + minted);
        // Three quarters, each block's share rounded down.
        let earned = Balances::free_balance(AUTHOR.to_account_id()) - 1_000_000 * LAB;
        assert!(minted * 3 / 4 - earned < 20, "{earned} of {minted}");
    });
}

#[test]
fn another_parents_header_makes_a_block_invalid() {
    let mut chain = Chain::new();
    chain.block(3_000, vec![]);
    let before = chain.head.clone();
    chain.block(3_000, vec![]);
    chain.begin(3_000);
    let mut other = chain.head.clone();
    other.digest.logs.pop();
    other
        .digest
        .push(labora_consensus_api::seal_item(&seal(99)));
    let mandatory = TransactionValidityError::Invalid(InvalidTransaction::BadMandatory);
    let right = chain.head.clone();
    chain.builder.execute_with(|| {
        assert_eq!(
            Executive::apply_extrinsic(note_parent(&other)),
            Err(mandatory)
        );
        assert_eq!(
            Executive::apply_extrinsic(note_parent(&before)),
            Err(mandatory)
        );
        assert!(matches!(
            Executive::apply_extrinsic(note_parent(&right)),
            Ok(Ok(()))
        ));
        assert_eq!(
            Executive::apply_extrinsic(note_parent(&right)),
            Err(mandatory)
        );
    });
}

#[test]
#[should_panic(expected = "a block must bring its parent's header")]
fn a_block_without_its_parents_header_is_invalid() {
    let mut chain = Chain::new();
    chain.block(3_000, vec![]);
    chain.begin(3_000);
    let mut inherents = chain.inherents();
    inherents.retain(|inherent| !matches!(inherent.function, RuntimeCall::Work(_)));
    assert_eq!(inherents.len(), 1);
    chain.finish(inherents);
}

#[test]
#[should_panic(expected = "the timestamp must be the one in the header's digest")]
fn a_time_other_than_the_headers_makes_a_block_invalid() {
    let mut chain = Chain::new();
    chain.begin(3_000);
    let now = chain.now_ms + 1;
    let time = UncheckedExtrinsic::new_bare(TimestampCall::set { now }.into());
    chain
        .builder
        .execute_with(|| Executive::apply_extrinsic(time))
        .expect("it panics before")
        .ok();
}

#[test]
#[should_panic(expected = "Timestamp must be updated once in the block")]
fn a_block_without_a_time_is_invalid() {
    let mut chain = Chain::new();
    chain.begin(3_000);
    chain.finish(vec![]);
}

#[test]
fn check_inherents_misses_the_parents_header() {
    let mut chain = Chain::new();
    chain.block(3_000, vec![]);
    chain.begin(3_000);
    let data = chain.inherent_data();
    let all = chain.inherents();
    let without: Vec<_> = all
        .iter()
        .filter(|one| !matches!(one.function, RuntimeCall::Work(_)))
        .cloned()
        .collect();
    let header = chain.head.clone();
    chain.builder.execute_with(|| {
        let check = |extrinsics| {
            data.check_extrinsics(
                &Block {
                    header: header.clone(),
                    extrinsics,
                }
                .into(),
            )
        };
        assert!(check(all).ok());
        assert!(!check(without).ok());
    });
}

#[test]
fn the_inherents_and_hooks_leave_room_in_a_block() {
    let mut chain = Chain::new();
    chain.block(3_000, vec![]);
    chain.block(3_000, vec![]);
    chain.executor.execute_with(|| {
        let used = System::block_weight().total().ref_time();
        let max = configs::RuntimeBlockWeights::get().max_block.ref_time();
        assert!(
            used > 0 && used < max / 50,
            "{used} of {max} in an empty block"
        );
    });
}
