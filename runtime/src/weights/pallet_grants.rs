//! Weights of `pallet_grants`: **bounds, not measured**. `make weights` writes what it measures over this file.
//!
//! Counted from the calls at their worst: each entry that is read or written, and for computing twice to three times what
//! `pallet_rewards` takes for each account (20 µs, measured).

use core::marker::PhantomData;

use frame_support::{traits::Get, weights::Weight};

/// Picoseconds of a microsecond.
const MICROSECOND: u64 = 1_000_000;

/// Weight functions for `pallet_grants`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo<T> {
    fn bound(microseconds: u64, reads: u64, writes: u64) -> Weight {
        Weight::from_parts(microseconds * MICROSECOND, 0)
            .saturating_add(T::DbWeight::get().reads_writes(reads, writes))
    }
}

impl<T: frame_system::Config> pallet_grants::WeightInfo for WeightInfo<T> {
    fn on_initialize() -> Weight {
        // The author and the difficulty are known to the hooks of pallets before this one.
        Self::bound(50, 4, 1)
    }

    fn admit() -> Weight {
        Self::bound(150, 4, 4)
    }

    fn set_quota() -> Weight {
        Self::bound(50, 1, 1)
    }

    fn set_admin() -> Weight {
        Self::bound(50, 1, 1)
    }

    fn close() -> Weight {
        Self::bound(150, 3, 3)
    }

    fn set_terms() -> Weight {
        Self::bound(50, 0, 1)
    }

    fn invite() -> Weight {
        Self::bound(100, 2, 2)
    }

    fn join() -> Weight {
        Self::bound(100, 3, 3)
    }

    fn remove_member() -> Weight {
        Self::bound(100, 2, 3)
    }

    fn leave() -> Weight {
        Self::bound(100, 3, 3)
    }

    fn offer_rig() -> Weight {
        Self::bound(150, 4, 4)
    }

    fn accept_rig() -> Weight {
        Self::bound(100, 2, 4)
    }

    fn end_rig() -> Weight {
        Self::bound(150, 4, 5)
    }

    fn sponsor(p: u32) -> Weight {
        Self::bound(350, 11, 8)
            .saturating_add(Weight::from_parts(2_000_000, 0).saturating_mul(p.into()))
    }

    fn sweep() -> Weight {
        Self::bound(150, 3, 2)
    }

    fn withdraw() -> Weight {
        // As taking back a job of one's own, and what is due to its sponsor.
        Self::bound(300, 9, 8)
    }

    fn refunded() -> Weight {
        Self::bound(150, 5, 4)
    }
}
