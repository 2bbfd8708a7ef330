//! What the hooks and calls cost at their worst: every account of a subsidy is new.

use alloc::vec;

use frame_benchmarking::v2::*;
use frame_support::traits::Hooks;
use frame_system::RawOrigin;
use labora_consensus_api::{PreDigest, pre_digest_item};
use sp_core::crypto::AccountId32;
use sp_runtime::Digest;

use crate::*;

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn on_initialize() {
        // Not a whole number of halvings: every step of the exponential is taken.
        let schedule = Schedule::new(1 << 60, 10_519_200, 1 << 50).expect("within bounds");
        let parameters = Parameters {
            schedule,
            author_share: Perbill::from_percent(75),
            staking_share: Perbill::from_percent(15),
        };
        CurrentEra::<T>::put(Era {
            parameters,
            since_block: 1,
            minted_before: 0,
        });
        let pre = PreDigest {
            author: AccountId32::new([7; 32]),
            timestamp_ms: 1,
        };
        let digest = Digest {
            logs: vec![pre_digest_item(&pre)],
        };
        let block = 1_234_567u32;
        frame_system::Pallet::<T>::set_block_number((block - 1).into());
        frame_system::Pallet::<T>::initialize(&block.into(), &Default::default(), &digest);
        let before = T::Currency::total_issuance();

        #[block]
        {
            Pallet::<T>::on_initialize(block.into());
        }

        let subsidy = Pallet::<T>::subsidy(block);
        assert!(subsidy > 0);
        assert_eq!(T::Currency::total_issuance() - before, subsidy);
        assert!(
            T::BlockAuthor::get().is_some(),
            "the author's account is part of the cost"
        );
    }

    #[benchmark]
    fn set_parameters() {
        #[extrinsic_call]
        _(
            RawOrigin::Root,
            1 << 60,
            10_519_200,
            1 << 50,
            Perbill::from_percent(75),
            Perbill::from_percent(15),
        );

        assert_eq!(
            CurrentEra::<T>::get()
                .parameters
                .schedule
                .half_life_blocks(),
            10_519_200
        );
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
