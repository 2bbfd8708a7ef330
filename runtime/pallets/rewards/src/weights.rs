//! Weights of `pallet_rewards`.
//!
//! Not yet measured. Until the benchmarks have been run on this code, each figure is a generous bound: 100 µs of
//! computing a call (on which the two exponentials of a subsidy take under 5 µs), 8 KiB of proof an item, and the reads
//! and writes counted from the code.

use core::marker::PhantomData;

use frame_support::{
    traits::Get,
    weights::{Weight, constants::RocksDbWeight},
};

/// What the pallet's hooks and calls cost.
pub trait WeightInfo {
    /// Issuing a subsidy to three accounts.
    fn on_initialize() -> Weight;
    /// Replacing the parameters.
    fn set_parameters() -> Weight;
}

/// Weights with the database costs of the runtime.
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    /// Reads and writes: era (read only), minted, burned, total issuance, three accounts, the author, events.
    fn on_initialize() -> Weight {
        Weight::from_parts(100_000_000, 9 * 8_192)
            .saturating_add(<T as frame_system::Config>::DbWeight::get().reads_writes(9, 8))
    }

    /// Reads minted and the block number, writes the era and an event.
    fn set_parameters() -> Weight {
        Weight::from_parts(100_000_000, 3 * 8_192)
            .saturating_add(<T as frame_system::Config>::DbWeight::get().reads_writes(3, 2))
    }
}

impl WeightInfo for () {
    fn on_initialize() -> Weight {
        Weight::from_parts(100_000_000, 9 * 8_192)
            .saturating_add(RocksDbWeight::get().reads_writes(9, 8))
    }

    fn set_parameters() -> Weight {
        Weight::from_parts(100_000_000, 3 * 8_192)
            .saturating_add(RocksDbWeight::get().reads_writes(3, 2))
    }
}
