//! Weights of `pallet_work`.
//!
//! Not yet measured. Until the benchmarks have been run on this code, each figure is a generous bound: 200 µs of
//! computing (hashing the longest header takes under 20 µs, a step of the difficulty under 5 µs), 8 KiB of proof an
//! item, and the reads and writes counted from the code.

use core::marker::PhantomData;

use frame_support::{
    traits::Get,
    weights::{Weight, constants::RocksDbWeight},
};

/// What the pallet's hooks and calls cost.
pub trait WeightInfo {
    /// Noting the parent's header of the greatest length, when a seal falls out of the history.
    fn note_parent() -> Weight;
    /// Replacing the parameters.
    fn set_parameters() -> Weight;
    /// Adding up work and stepping the difficulty.
    fn on_finalize() -> Weight;
    /// Holding the timestamp to the header's digest.
    fn on_timestamp_set() -> Weight;
}

/// Weights with the database costs of the runtime.
pub struct SubstrateWeight<T>(PhantomData<T>);

/// A bound of computing, and 8 KiB of proof for each item read.
const fn bound(reads: u64) -> Weight {
    Weight::from_parts(200_000_000, reads * 8_192)
}

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    /// Reads the mark, the parent hash, the last difficulty; writes two seals, the mark, an event.
    fn note_parent() -> Weight {
        bound(6).saturating_add(T::DbWeight::get().reads_writes(6, 4))
    }

    /// Reads the anchor, parameters, time, number, difficulty; writes anchor, parameters, an event.
    fn set_parameters() -> Weight {
        bound(6).saturating_add(T::DbWeight::get().reads_writes(6, 3))
    }

    /// Reads the mark, both difficulties, work, time, anchor, parameters; writes mark, work, both difficulties.
    fn on_finalize() -> Weight {
        bound(7).saturating_add(T::DbWeight::get().reads_writes(7, 4))
    }

    /// Reads the digest, number, anchor, difficulty; writes the anchor once.
    fn on_timestamp_set() -> Weight {
        bound(4).saturating_add(T::DbWeight::get().reads_writes(4, 1))
    }
}

impl WeightInfo for () {
    fn note_parent() -> Weight {
        bound(6).saturating_add(RocksDbWeight::get().reads_writes(6, 4))
    }

    fn set_parameters() -> Weight {
        bound(6).saturating_add(RocksDbWeight::get().reads_writes(6, 3))
    }

    fn on_finalize() -> Weight {
        bound(7).saturating_add(RocksDbWeight::get().reads_writes(7, 4))
    }

    fn on_timestamp_set() -> Weight {
        bound(4).saturating_add(RocksDbWeight::get().reads_writes(4, 1))
    }
}
