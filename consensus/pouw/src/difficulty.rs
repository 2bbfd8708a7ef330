//! Difficulty: how many multiply-accumulates (MACs) a block is expected to take, and which tickets
//! win.

use core::num::NonZeroU64;

use parity_scale_codec::{Decode, DecodeWithMemTracking, Encode, Error, Input, MaxEncodedLen};
use primitive_types::U256;
use scale_info::TypeInfo;

use crate::{Hash, TILE};

/// Expected number of MACs that a block takes, whatever shapes its miner uses; never zero.
///
/// SCALE: as U256, 32 little-endian bytes; decoding refuses zero.
#[derive(
    Clone, Copy, Debug, Encode, Eq, Hash, MaxEncodedLen, Ord, PartialEq, PartialOrd, TypeInfo,
)]
pub struct Difficulty(U256);

/// A difficulty of zero.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a difficulty of 0; it is the number of multiply-accumulates a block takes, at least 1")]
pub struct ZeroDifficulty;

/// A sum of work that U256 does not hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "work {work} and difficulty {difficulty} add up to more than 2^256 - 1: one of them is corrupt"
)]
pub struct WorkOverflow {
    /// Work before the block, in MACs.
    pub work: U256,
    /// The block's difficulty, in MACs.
    pub difficulty: U256,
}

impl Difficulty {
    /// A difficulty in MACs a block.
    pub fn new(macs: U256) -> Result<Difficulty, ZeroDifficulty> {
        if macs.is_zero() {
            Err(ZeroDifficulty)
        } else {
            Ok(Difficulty(macs))
        }
    }

    /// As [`Difficulty::new`], of a number that cannot be zero.
    pub const fn from_macs(macs: NonZeroU64) -> Difficulty {
        Difficulty(U256([macs.get(), 0, 0, 0]))
    }

    /// MACs a block, at least 1.
    pub const fn get(self) -> U256 {
        self.0
    }

    /// Largest hash with which a ticket of a product of `k` columns wins:
    /// (2^256-1)/difficulty·256k, at most 2^256-1.
    ///
    /// A ticket is worth 256·k MACs, so it wins with chance 256k/difficulty, and the MACs a block
    /// takes do not depend on k.
    pub fn target(self, k: u32) -> U256 {
        let macs = U256::from((TILE * TILE) as u64 * u64::from(k));
        // Where the product passes 2^256-1 every ticket wins: that bound is the protocol's.
        (U256::MAX / self.0).checked_mul(macs).unwrap_or(U256::MAX)
    }

    /// Whether a ticket of a product of `k` columns wins; the digest is read as a big-endian
    /// number.
    pub fn wins(self, ticket: &Hash, k: u32) -> bool {
        U256::from_big_endian(ticket) <= self.target(k)
    }

    /// Accumulated work with a block of this difficulty on top. A chain's work is the sum of its
    /// difficulties.
    pub fn add_to(self, work: U256) -> Result<U256, WorkOverflow> {
        work.checked_add(self.0).ok_or(WorkOverflow {
            work,
            difficulty: self.0,
        })
    }
}

impl TryFrom<U256> for Difficulty {
    type Error = ZeroDifficulty;

    fn try_from(macs: U256) -> Result<Self, ZeroDifficulty> {
        Difficulty::new(macs)
    }
}

impl Decode for Difficulty {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        Difficulty::new(U256::decode(input)?).map_err(|ZeroDifficulty| "difficulty: zero".into())
    }
}

impl DecodeWithMemTracking for Difficulty {}
