//! Difficulty by the clock: ASERT (absolutely scheduled exponentially rising targets) in integers.
//!
//! The difficulty of a block's child depends on one anchor and on the block's own height and header
//! time, on nothing in between: difficulty = anchor · 2^((ideal - elapsed) / half_life), where
//! ideal is how long the chain should have taken since the anchor, and elapsed how long it took. So
//! no history need be kept, and no order of timestamps gains anything once their last is fixed.
//!
//! The idea is that of aserti3-2d (Bitcoin Cash upgrade specification 2020-11-15-asert, after
//! Lundeberg, "Static difficulty adjustments, with absolutely scheduled exponentially rising
//! targets", 2020), and so is the cubic that stands for 2^x on [0, 1): its error is below 0.013 %.
//! There the target moves, here the difficulty, which is its reciprocal: the exponent changes sign.

use primitive_types::{U256, U512};

use crate::{Difficulty, Shape};

/// Lowest difficulty: one product of the smallest shape, 32·32·256 MACs.
pub const MIN_DIFFICULTY: U256 = U256([
    Shape::MIN_SIDE as u64 * Shape::MIN_SIDE as u64 * Shape::MIN_K as u64,
    0,
    0,
    0,
]);

/// Highest difficulty: 2^224 - 1. The work of 2^32 blocks of it, as many as a u32 can number, still
/// adds up in U256: 2^32·(2^224-1) < 2^256; and its target, (2^256-1)/difficulty·256k, is made of a
/// quotient of 2^32, so it is exact to one part in 2^32.
pub const MAX_DIFFICULTY: U256 = U256([u64::MAX, u64::MAX, u64::MAX, u32::MAX as u64]);

/// Longest time between blocks that an anchor may ask for: a day. With it, u64 heights and 16
/// fractional bits the exponent's numerator is below 2^27·2^64·2^16 = 2^107, and i128 holds it.
pub const MAX_TARGET_BLOCK_TIME_MS: u64 = 24 * 3600 * 1000;

/// Fractional bits of the exponent.
const FRACTION_BITS: u32 = 16;

/// From where, how fast and how softly difficulty moves; fixed at genesis.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Anchor {
    difficulty: Difficulty,
    time_ms: u64,
    height: u64,
    target_block_time_ms: u64,
    half_life_ms: u64,
}

/// Figures that no chain can have.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AnchorError {
    /// Time between blocks is zero or above a day.
    #[error("target block time of {0} ms; it must be in 1..=86400000")]
    TargetBlockTime(u64),
    /// Half-life is zero.
    #[error(
        "a half-life of 0 ms; difficulty doubles or halves in this time, which must be at least 1"
    )]
    HalfLife,
    /// The anchor's difficulty is outside the bounds.
    #[error("anchor difficulty {0}; it must be in 262144..=2^224-1")]
    Difficulty(U256),
}

impl Anchor {
    /// An anchor: the child of block `height`, were that block's time `time_ms`, has `difficulty`.
    ///
    /// `target_block_time_ms` in 1..=86,400,000; `half_life_ms` ≥ 1: a chain that is late by this
    /// much has half the difficulty. `difficulty` in [`MIN_DIFFICULTY`]..=[`MAX_DIFFICULTY`].
    pub fn new(
        difficulty: Difficulty,
        time_ms: u64,
        height: u64,
        target_block_time_ms: u64,
        half_life_ms: u64,
    ) -> Result<Anchor, AnchorError> {
        if !(MIN_DIFFICULTY..=MAX_DIFFICULTY).contains(&difficulty.get()) {
            return Err(AnchorError::Difficulty(difficulty.get()));
        }
        if !(1..=MAX_TARGET_BLOCK_TIME_MS).contains(&target_block_time_ms) {
            return Err(AnchorError::TargetBlockTime(target_block_time_ms));
        }
        if half_life_ms == 0 {
            return Err(AnchorError::HalfLife);
        }
        Ok(Anchor {
            difficulty,
            time_ms,
            height,
            target_block_time_ms,
            half_life_ms,
        })
    }

    /// Binary exponent with 16 fractional bits, rounded down, of the factor on the anchor's
    /// difficulty.
    fn exponent(&self, parent_time_ms: u64, parent_height: u64) -> i128 {
        let elapsed = i128::from(parent_time_ms) - i128::from(self.time_ms);
        let blocks = i128::from(parent_height) - i128::from(self.height);
        let ideal = blocks * i128::from(self.target_block_time_ms);
        ((ideal - elapsed) << FRACTION_BITS).div_euclid(i128::from(self.half_life_ms))
    }
}

/// Difficulty of the child of the block of height `parent_height` whose header says
/// `parent_time_ms`.
///
/// Total; always in [`MIN_DIFFICULTY`]..=[`MAX_DIFFICULTY`].
pub fn next_difficulty(anchor: &Anchor, parent_time_ms: u64, parent_height: u64) -> Difficulty {
    let exponent = anchor.exponent(parent_time_ms, parent_height);
    let shift = exponent >> FRACTION_BITS;
    let fraction = (exponent & 0xffff) as u64;
    let scaled = anchor.difficulty.get().full_mul(U256::from(exp2(fraction)));
    let macs = shifted(scaled, shift - i128::from(FRACTION_BITS));
    let macs = macs.clamp(MIN_DIFFICULTY.into(), MAX_DIFFICULTY.into());
    // Between the bounds it fits U256 and is not zero, so neither alternative is ever taken.
    let macs = U256::try_from(macs).unwrap_or(MAX_DIFFICULTY);
    Difficulty::new(macs).unwrap_or(anchor.difficulty)
}

/// 2^16·2^(x/2^16) for x < 2^16, in [2^16, 2^17): the cubic of aserti3-2d. Its terms are below
/// 2^64, 2^62 and 2^61, their sum with the rounding half below 2^65.
fn exp2(x: u64) -> u64 {
    let x = u128::from(x);
    let cubic = 195_766_423_245_049 * x + 971_821_376 * x * x + 5_127 * x * x * x + (1 << 47);
    (1 << FRACTION_BITS) + (cubic >> 48) as u64
}

/// `value`·2^`shift` rounded down; past the top every bit is set rather than any lost.
fn shifted(value: U512, shift: i128) -> U512 {
    // 512 either way leaves nothing of a value, and fits every platform's usize.
    let bits = shift.unsigned_abs().min(512) as usize;
    if shift < 0 {
        value >> bits
    } else if bits <= value.leading_zeros() as usize {
        value << bits
    } else {
        U512::MAX
    }
}
