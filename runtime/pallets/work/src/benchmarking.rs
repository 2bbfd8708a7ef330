//! What the hooks and calls cost at their worst: the longest header, a seal that falls out of the history, a chain that
//! stood still.

use alloc::{boxed::Box, vec};

use frame_benchmarking::v2::*;
use frame_support::traits::{Hooks, OnTimestampSet};
use frame_system::{RawOrigin, pallet_prelude::HeaderFor};
use labora_consensus_api::{
    PreDigest, SealRecord, inherent::MAX_HEADER_LEN, pre_digest_item, seal_item,
};
use labora_pouw::{Difficulty, Seal, Shape, asert::MIN_DIFFICULTY};
use parity_scale_codec::Encode;
use sp_core::{H256, U256, crypto::AccountId32};
use sp_runtime::{Digest, DigestItem, traits::Header};

use crate::*;

/// Time of the parent in every benchmark, in milliseconds.
const PARENT_MS: u64 = 1_700_000_000_000;

fn author_item(timestamp_ms: u64) -> DigestItem {
    pre_digest_item(&PreDigest {
        author: AccountId32::new([1; 32]),
        timestamp_ms,
    })
}

fn seal() -> Seal {
    let shape = Shape::new(4_096, 4_096, 4_096).expect("a valid shape");
    Seal::new(shape, [1; 32], [2; 32], 7, 9).expect("a tile of the shape")
}

/// A sealed header as long as any may be.
fn longest_header<T: Config>(number: u32) -> HeaderFor<T> {
    let of = |filling: usize| {
        let logs = vec![
            author_item(PARENT_MS),
            DigestItem::Consensus(*b"FRNK", vec![0; filling]),
            seal_item(&seal()),
        ];
        HeaderFor::<T>::new(
            number.into(),
            H256::default(),
            H256::default(),
            H256::default(),
            Digest { logs },
        )
    };
    // The filling's length is written in two bytes from 64 on.
    let rest = of(64).encoded_size() - 64;
    of(MAX_HEADER_LEN - rest)
}

/// A state in which the parent, `number`, was executed long after the anchor.
fn after_parent<T: Config>(number: u32) -> Difficulty {
    let difficulty = Difficulty::new(U256::from(10).pow(U256::from(20))).expect("not zero");
    let parameters = Parameters::new(12_000, 3_600_000).expect("within bounds");
    CurrentParameters::<T>::put(parameters);
    Anchor::<T>::put(AnchorPoint {
        difficulty,
        time_ms: PARENT_MS - 40_000_000,
        height: 1,
    });
    LastBlock::<T>::put(Executed {
        difficulty,
        time_ms: PARENT_MS,
    });
    NextDifficulty::<T>::put(difficulty);
    frame_system::Pallet::<T>::set_block_number((number + 1).into());
    pallet_timestamp::Now::<T>::put(PARENT_MS + 12_000);
    difficulty
}

/// Begins a block after the one before it, which the system insists on.
fn begin_block<T: Config>(number: u32, parent: &T::Hash, digest: &Digest) {
    frame_system::Pallet::<T>::set_block_number((number - 1).into());
    frame_system::Pallet::<T>::initialize(&number.into(), parent, digest);
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn note_parent() {
        let number = T::SealHistory::get() + 1;
        let difficulty = after_parent::<T>(number).get();
        Seals::<T>::insert(
            1,
            SealRecord {
                block: H256::default(),
                seal: seal(),
                difficulty,
            },
        );
        let header = longest_header::<T>(number);
        assert_eq!(header.encoded_size(), MAX_HEADER_LEN);
        let hash = header.hash();
        let digest = Digest {
            logs: vec![author_item(PARENT_MS + 12_000)],
        };
        begin_block::<T>(number + 1, &hash, &digest);

        #[extrinsic_call]
        _(RawOrigin::None, Box::new(header));

        assert_eq!(
            Seals::<T>::get(number).map(|record| record.block),
            Some(hash)
        );
        assert_eq!(Seals::<T>::get(1), None);
    }

    #[benchmark]
    fn set_parameters() {
        after_parent::<T>(1_000);

        #[extrinsic_call]
        _(RawOrigin::Root, 6_000, 1_800_000);

        assert_eq!(CurrentParameters::<T>::get().target_block_time_ms(), 6_000);
    }

    #[benchmark]
    fn on_finalize() {
        let difficulty = after_parent::<T>(1_000);
        ParentNoted::<T>::put(true);

        #[block]
        {
            Pallet::<T>::on_finalize(1_001u32.into());
        }

        assert_eq!(AccumulatedWork::<T>::get(), difficulty.get());
        assert!(NextDifficulty::<T>::get().get() > MIN_DIFFICULTY);
    }

    #[benchmark]
    fn on_timestamp_set() {
        after_parent::<T>(1_000);
        let before_ms = Anchor::<T>::get().map(|anchor| anchor.time_ms);
        let late_ms = PARENT_MS + 10 * 3_600_000;
        let digest = Digest {
            logs: vec![author_item(late_ms)],
        };
        begin_block::<T>(1_001, &H256::default(), &digest);

        #[block]
        {
            Pallet::<T>::on_timestamp_set(late_ms);
        }

        assert!(Anchor::<T>::get().map(|anchor| anchor.time_ms) > before_ms);
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
