//! The runtime after this one, with which tests upgrade a chain: this one as a higher version, and a migration.

#[cfg(feature = "next-wasm")]
#[expect(dead_code, reason = "the builder writes more than tests need")]
mod wasm {
    include!(concat!(env!("OUT_DIR"), "/labora_next_runtime.rs"));
}

#[cfg(feature = "next-wasm")]
pub use wasm::WASM_BINARY;

/// Where the migration counts how often it ran: a `u32` in SCALE.
pub const MIGRATED_KEY: &[u8] = b":labora:migrated";

/// Counts that it ran.
#[cfg(feature = "next")]
pub struct Migration;

#[cfg(feature = "next")]
impl frame_support::traits::OnRuntimeUpgrade for Migration {
    fn on_runtime_upgrade() -> frame_support::weights::Weight {
        use frame_support::{storage::unhashed, traits::Get, weights::constants::RocksDbWeight};

        let before: u32 = unhashed::get_or_default(MIGRATED_KEY);
        unhashed::put(MIGRATED_KEY, &before.saturating_add(1));
        RocksDbWeight::get().reads_writes(1, 1)
    }
}
