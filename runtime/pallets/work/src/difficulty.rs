//! The figures that difficulty follows, and the step from one block to the next.

use frame_support::pallet_prelude::*;
use labora_pouw::{
    Difficulty,
    asert::{self, MAX_DIFFICULTY, MIN_DIFFICULTY},
};
use sp_core::U256;

/// Shortest time between blocks, in milliseconds: a block must at least cross the network, and on a test chain of one
/// machine be built and executed.
pub const MIN_TARGET_BLOCK_TIME_MS: u64 = 100;

/// Longest time between blocks, in milliseconds: an hour.
pub const MAX_TARGET_BLOCK_TIME_MS: u64 = 3_600_000;

/// As how many half-lives a gap between two blocks counts at most: difficulty falls to no less than a quarter by it.
///
/// ASERT keeps a chain to its schedule since the anchor. After a night in which a test chain of one machine was off, it
/// would fall to its lowest and catch up with thousands of blocks as fast as they can be executed. What a gap lasts
/// longer than this does not count; a chain that lost nearly all its miners still comes down by a factor of four a block.
pub const MAX_GAP_HALF_LIVES: u64 = 2;

/// Longest half-life, in milliseconds: thirty days, in which a chain that lost half its miners would still recover.
pub const MAX_HALF_LIFE_MS: u64 = 30 * 86_400_000;

/// How fast blocks should come, and how softly difficulty follows; within bounds by construction.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
pub struct Parameters {
    target_block_time_ms: u64,
    half_life_ms: u64,
}

/// Why figures make no parameters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ParametersError {
    /// The time between blocks is outside `MIN_TARGET_BLOCK_TIME_MS..=MAX_TARGET_BLOCK_TIME_MS`.
    TargetBlockTime,
    /// The half-life is shorter than the time between blocks, or above `MAX_HALF_LIFE_MS`.
    HalfLife,
}

impl Parameters {
    /// Parameters, in milliseconds.
    pub const fn new(
        target_block_time_ms: u64,
        half_life_ms: u64,
    ) -> Result<Self, ParametersError> {
        if target_block_time_ms < MIN_TARGET_BLOCK_TIME_MS
            || target_block_time_ms > MAX_TARGET_BLOCK_TIME_MS
        {
            return Err(ParametersError::TargetBlockTime);
        }
        // Shorter, and one late block would more than halve the difficulty.
        if half_life_ms < target_block_time_ms || half_life_ms > MAX_HALF_LIFE_MS {
            return Err(ParametersError::HalfLife);
        }
        Ok(Self {
            target_block_time_ms,
            half_life_ms,
        })
    }

    /// Time between blocks that difficulty aims at, in milliseconds.
    pub const fn target_block_time_ms(&self) -> u64 {
        self.target_block_time_ms
    }

    /// A chain that is late by this many milliseconds has half the difficulty.
    pub const fn half_life_ms(&self) -> u64 {
        self.half_life_ms
    }
}

impl Default for Parameters {
    /// What stands in the state of no chain: a chain spec must say its own.
    fn default() -> Self {
        Self {
            target_block_time_ms: MAX_TARGET_BLOCK_TIME_MS,
            half_life_ms: MAX_HALF_LIFE_MS,
        }
    }
}

/// What of a block its child needs.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
pub struct Executed {
    /// Difficulty that it had to meet.
    pub difficulty: Difficulty,
    /// Its time, Unix time in milliseconds.
    pub time_ms: u64,
}

impl Executed {
    /// Milliseconds by which a child at `time_ms` comes later than what counts.
    pub(crate) fn stood_still_ms(&self, parameters: Parameters, time_ms: u64) -> u64 {
        // At most sixty days: the half-life is bounded.
        let counts = MAX_GAP_HALF_LIVES * parameters.half_life_ms;
        // A child is never earlier, and not late at all if less.
        time_ms.saturating_sub(self.time_ms).saturating_sub(counts)
    }
}

/// A block from which difficulty is reckoned.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
pub struct AnchorPoint {
    /// Difficulty of its child.
    pub difficulty: Difficulty,
    /// Its time, Unix time in milliseconds.
    pub time_ms: u64,
    /// Its number.
    pub height: u32,
}

impl AnchorPoint {
    /// Difficulty of the child of the block at `height` and `time_ms`; `None` only if the state is corrupt.
    pub(crate) fn next(
        &self,
        parameters: Parameters,
        time_ms: u64,
        height: u32,
    ) -> Option<Difficulty> {
        let anchor = asert::Anchor::new(
            self.difficulty,
            self.time_ms,
            u64::from(self.height),
            parameters.target_block_time_ms,
            parameters.half_life_ms,
        )
        .ok()?;
        Some(asert::next_difficulty(&anchor, time_ms, u64::from(height)))
    }
}

/// A difficulty that ASERT could have come to.
pub(crate) fn in_bounds(macs: U256) -> Option<Difficulty> {
    (MIN_DIFFICULTY..=MAX_DIFFICULTY)
        .contains(&macs)
        .then(|| Difficulty::new(macs).ok())
        .flatten()
}

/// The lowest difficulty, as which a missing one is read.
pub struct Lowest;

impl Get<Difficulty> for Lowest {
    fn get() -> Difficulty {
        // The bound is not zero.
        Difficulty::new(MIN_DIFFICULTY).unwrap_or(Difficulty::from_macs(core::num::NonZeroU64::MIN))
    }
}
