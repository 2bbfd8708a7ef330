//! What governance sets about emission, and the stretch of blocks for which it holds.

use frame_support::pallet_prelude::*;
use sp_runtime::Perbill;

use crate::Schedule;

/// Everything about emission that governance can change.
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
    /// How much a block issues.
    pub schedule: Schedule,
    /// Share of the author.
    pub author_share: Perbill,
    /// Share of the staking account; the research account has the rest.
    pub staking_share: Perbill,
}

impl Parameters {
    /// Whether author and staking together get at most the whole.
    pub fn shares_fit(&self) -> bool {
        u64::from(self.author_share.deconstruct()) + u64::from(self.staking_share.deconstruct())
            <= u64::from(Perbill::one().deconstruct())
    }
}

/// The parameters in force, and since when.
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
pub struct Era {
    /// What holds.
    pub parameters: Parameters,
    /// First block under these parameters.
    pub since_block: u32,
    /// Issued by all blocks before it, in the token's smallest unit.
    pub minted_before: u128,
}

impl Era {
    /// Pays nothing: what a missing schedule in storage reads as.
    pub const NOTHING: Self = Self {
        parameters: Parameters {
            schedule: Schedule::NOTHING,
            author_share: Perbill::zero(),
            staking_share: Perbill::zero(),
        },
        since_block: 0,
        minted_before: 0,
    };

    /// Issued by all blocks up to and including `block`; `None` if that lies before the era and its eve.
    pub fn minted_by(&self, block: u32) -> Option<u128> {
        let blocks = block.checked_add(1)?.checked_sub(self.since_block)?;
        self.minted_before
            .checked_add(self.parameters.schedule.total(blocks))
    }
}
