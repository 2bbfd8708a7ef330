//! Weights of `pallet_jobs`: **bounds, not measured**. `make weights` writes what it measures over this file.
//!
//! Counted from the calls at their worst: each entry that is read or written, and for computing twice to three times what
//! `pallet_rewards` takes for each account (20 µs, measured); for a fraud proof 20 ns for each entry of a strip, three times what
//! its hashes and products take.

use core::marker::PhantomData;

use frame_support::{traits::Get, weights::Weight};

/// Picoseconds of a microsecond.
const MICROSECOND: u64 = 1_000_000;

/// Weight functions for `pallet_jobs`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo<T> {
    fn bound(microseconds: u64, reads: u64, writes: u64) -> Weight {
        Weight::from_parts(microseconds * MICROSECOND, 0)
            .saturating_add(T::DbWeight::get().reads_writes(reads, writes))
    }
}

impl<T: frame_system::Config> pallet_jobs::WeightInfo for WeightInfo<T> {
    fn post(p: u32) -> Weight {
        Self::bound(150, 6, 5)
            .saturating_add(Weight::from_parts(2_000_000, 0).saturating_mul(p.into()))
    }

    fn raise() -> Weight {
        Self::bound(100, 4, 3)
    }

    fn cancel() -> Weight {
        Self::bound(150, 4, 4)
    }

    fn claim() -> Weight {
        Self::bound(150, 6, 4)
    }

    fn submit(p: u32) -> Weight {
        Self::bound(100, 3, 1)
            .saturating_add(Weight::from_parts(2_000_000, 0).saturating_mul(p.into()))
    }

    fn accept() -> Weight {
        Self::bound(1000, 27, 25)
    }

    fn forget() -> Weight {
        Self::bound(100, 4, 3)
    }

    fn attest_first() -> Weight {
        Self::bound(250, 8, 1)
    }

    fn attest_last() -> Weight {
        Self::bound(400, 11, 9)
    }

    fn reveal(p: u32) -> Weight {
        Self::bound(150, 3, 1)
            .saturating_add(Weight::from_parts(3_000_000, 0).saturating_mul(p.into()))
    }

    fn prove_fraud(s: u32) -> Weight {
        Self::bound(1000, 12, 28)
            .saturating_add(Weight::from_parts(20_000, 0).saturating_mul(s.into()))
    }

    fn report_auditor() -> Weight {
        Self::bound(50, 1, 1)
    }

    fn poke() -> Weight {
        Self::bound(1200, 30, 26)
    }

    fn set_agent() -> Weight {
        Self::bound(100, 1, 1)
    }

    fn set_terms() -> Weight {
        Self::bound(50, 0, 1)
    }
}
