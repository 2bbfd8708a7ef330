//! Weights of our own pallets, measured on this runtime by `make weights`. Those of the SDK's pallets come with them.

pub mod pallet_grants;
pub mod pallet_jobs;
pub mod pallet_rewards;
pub mod pallet_work;
