//! The emission schedule: how much has been issued after so many blocks, as a closed form in integers.
//!
//! With S the initial subsidy, H the half-life in blocks and t the tail, the smooth schedule pays S·2^(-n/H) + t at
//! block n. Its sum over n blocks is the integral of the decay, and this is what is computed:
//!
//! ```text
//! total(n) = t·n + ⌊D · (1 - 2^(-n/H))⌋        D = ⌊S·H / ln 2⌋
//! ```
//!
//! A block's subsidy is the difference of two totals, so the schedule's sum is exact however many blocks it spans, and
//! no rounding adds up: that total issuance equals the schedule is checked in constant time.
//!
//! 2^(-n/H) is in fixed point of 128 bits: whole halvings are shifts, the rest is the alternating series of e^(-x) with
//! x = ln 2 · (n mod H)/H < 0.7 (<https://dlmf.nist.gov/4.2#E19>). Its error stays under 2^-120, while two blocks differ
//! by a factor of 2^(-1/H), more than 2^-33 for any H that is allowed; so totals never decrease.

use frame_support::pallet_prelude::*;
use sp_core::U256;

/// Highest subsidy and tail, in the token's smallest unit: 2^80, about 1.2·10^12 whole tokens a block. With a half-life
/// under 2^32 blocks the decay then sums to less than 2^113, and 2^32 blocks of tail to 2^112: far from what u128 holds.
pub const MAX_SUBSIDY: u128 = 1 << 80;

/// ⌊ln 2 · 2^128⌋.
const LN_2: u128 = 0xb172_17f7_d1cf_79ab_c9e3_b398_03f2_f6af;

/// ⌊2^128 / ln 2⌋, as its bits above and below 2^128.
const INVERSE_LN_2: U256 = U256([0x7d0f_fda0_d23a_7d11, 0x7154_7652_b82f_e177, 1, 0]);

/// Bits behind the point.
const FRACTION_BITS: u32 = 128;

/// More terms of the series than are ever non-zero: 0.7^k/k! is under 2^-128 from k = 31 on.
const MAX_TERMS: u32 = 40;

/// A smooth decay with a tail, valid by construction.
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
pub struct Schedule {
    initial_subsidy: u128,
    half_life_blocks: u32,
    tail_subsidy: u128,
}

/// Why figures make no schedule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ScheduleError {
    /// The half-life is zero blocks.
    NoHalfLife,
    /// The initial subsidy or the tail is above [`MAX_SUBSIDY`].
    TooHigh,
}

impl Schedule {
    /// Pays nothing.
    pub const NOTHING: Self = Self {
        initial_subsidy: 0,
        half_life_blocks: 1,
        tail_subsidy: 0,
    };

    /// A schedule that starts near `initial_subsidy` plus `tail_subsidy` a block, both in the token's smallest unit,
    /// and whose part above the tail halves every `half_life_blocks`.
    pub const fn new(
        initial_subsidy: u128,
        half_life_blocks: u32,
        tail_subsidy: u128,
    ) -> Result<Self, ScheduleError> {
        if half_life_blocks == 0 {
            return Err(ScheduleError::NoHalfLife);
        }
        if initial_subsidy > MAX_SUBSIDY || tail_subsidy > MAX_SUBSIDY {
            return Err(ScheduleError::TooHigh);
        }
        Ok(Self {
            initial_subsidy,
            half_life_blocks,
            tail_subsidy,
        })
    }

    /// What the decay starts from, without the tail.
    pub const fn initial_subsidy(&self) -> u128 {
        self.initial_subsidy
    }

    /// Blocks in which the part above the tail halves.
    pub const fn half_life_blocks(&self) -> u32 {
        self.half_life_blocks
    }

    /// What every block gets for ever.
    pub const fn tail_subsidy(&self) -> u128 {
        self.tail_subsidy
    }

    /// Issued by the schedule's first `blocks` blocks.
    pub fn total(&self, blocks: u32) -> u128 {
        // Below 2^113: S·H under 2^112, times 1/ln 2 under 2^129, without its fraction.
        let decay =
            (U256::from(self.initial_subsidy) * U256::from(self.half_life_blocks) * INVERSE_LN_2)
                >> FRACTION_BITS;
        let left = two_to_minus(blocks, self.half_life_blocks);
        let gone = (U256::one() << FRACTION_BITS) - left;
        let issued = (decay * gone) >> FRACTION_BITS;
        // Both parts are below 2^113, as the constant above says.
        issued.low_u128() + self.tail_subsidy * u128::from(blocks)
    }

    /// Subsidy of the schedule's block `index`, counted from 0.
    pub fn subsidy(&self, index: u32) -> u128 {
        let Some(next) = index.checked_add(1) else {
            // The block after the last number there is.
            return self.tail_subsidy;
        };
        self.total(next) - self.total(index)
    }
}

/// 2^(-numerator/denominator), times 2^128 and rounded; `denominator` is not zero.
fn two_to_minus(numerator: u32, denominator: u32) -> U256 {
    let halvings = numerator / denominator;
    let rest = U256::from(numerator % denominator);
    // At most ln 2 · 2^128: nothing below leaves 256 bits.
    let x = rest * U256::from(LN_2) / U256::from(denominator);
    let mut term = U256::one() << FRACTION_BITS;
    let (mut added, mut taken) = (term, U256::zero());
    for k in 1..=MAX_TERMS {
        term = ((term * x) >> FRACTION_BITS) / U256::from(k);
        if term.is_zero() {
            break;
        }
        if k % 2 == 0 {
            added += term;
        } else {
            taken += term;
        }
    }
    // Terms shrink, so what is added (1 first) exceeds what is taken. A shift by more than the width gives zero.
    (added - taken) >> halvings
}

#[cfg(test)]
mod tests;
