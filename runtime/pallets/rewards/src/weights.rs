//! What `pallet_rewards` asks a runtime to know of its costs. The figures stand where they were measured, in the runtime.

use frame_support::weights::Weight;

/// What the pallet's hooks and calls cost.
pub trait WeightInfo {
    /// Issuing a subsidy to three accounts.
    fn on_initialize() -> Weight;
    /// Replacing the parameters.
    fn set_parameters() -> Weight;
}

/// For mocks, in which nothing is metered.
impl WeightInfo for () {
    fn on_initialize() -> Weight {
        Weight::zero()
    }

    fn set_parameters() -> Weight {
        Weight::zero()
    }
}
