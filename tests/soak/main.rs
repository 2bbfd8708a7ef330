//! What takes long: chains of hundreds and thousands of blocks, and what they do to memory and to time. `make soak` runs it, and
//! shows the figures as they come.
//!
//! `LABORA_SOAK_BLOCKS` makes the chains shorter, for a trial of the tests themselves; the figures are then worth nothing.

mod goals;
mod jobs;
mod load;
mod stall;
#[path = "../sdk/transfers.rs"]
mod transfers;

use labora_tests::{Outcome, spec::Work};

/// Blocks as fast as nodes make them, nearly: the difficulty starts below what one product is worth, and keeps blocks apart.
const FAST: Work = Work {
    initial_difficulty: 1 << 20,
    target_block_time_ms: 100,
    half_life_ms: 60_000,
};

/// How many blocks to make: `usual`, unless the environment says otherwise.
fn blocks(usual: u64) -> Outcome<u64> {
    match std::env::var("LABORA_SOAK_BLOCKS") {
        Ok(text) => text
            .parse()
            .map_err(|_| format!("LABORA_SOAK_BLOCKS must be a number, not {text}").into()),
        Err(_) => Ok(usual),
    }
}

/// Bytes as people read them.
fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
