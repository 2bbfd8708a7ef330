//! What `pallet_work` asks a runtime to know of its costs. The figures stand where they were measured, in the runtime.

use frame_support::weights::Weight;

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

/// For mocks, in which nothing is metered.
impl WeightInfo for () {
    fn note_parent() -> Weight {
        Weight::zero()
    }

    fn set_parameters() -> Weight {
        Weight::zero()
    }

    fn on_finalize() -> Weight {
        Weight::zero()
    }

    fn on_timestamp_set() -> Weight {
        Weight::zero()
    }
}
