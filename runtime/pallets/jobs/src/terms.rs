//! What governance sets about the market.

use frame_support::pallet_prelude::*;
use sp_runtime::Perbill;

use crate::audit::MAX_COMMITTEE;

/// Most open claims of an account, whatever it has done before.
pub const MAX_CLAIMS: u32 = 1_024;

/// Most that a bond is in fees.
pub const MAX_BOND_FACTOR: u32 = 100;

/// Longest that a claim, an open job or a settled one lasts: a year of 12 s blocks.
pub const MAX_BLOCKS: u32 = 2_629_800;

/// Figures of the market. Amounts are in the token's smallest unit.
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
    serde::Deserialize,
    serde::Serialize,
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Terms {
    /// Share of the fee for the worker.
    pub worker_share: Perbill,
    /// Share for the auditors together; what is left is burned.
    pub auditor_share: Perbill,
    /// Least fee of a job: its shares must be something that accounts can take.
    pub least_fee: u128,
    /// The bond of a claim, in fees of the job; 1 to [`MAX_BOND_FACTOR`].
    pub bond_factor: u32,
    /// Share of the bond that is burned when a claim ends late, or its data cannot be fetched.
    pub failure_share: Perbill,
    /// Multiply-accumulates that a worker must do in a block's time, at least 1: a claim lasts as long as that takes, and
    /// `least_claim_blocks` on top.
    pub macs_per_block: u64,
    /// Least length of a claim, at least 1: for fetching and storing.
    pub least_claim_blocks: u32,
    /// Open claims of an account that nobody knows, 1 to [`MAX_CLAIMS`].
    pub first_claims: u32,
    /// Settled jobs for each further one, at least 1.
    pub settled_per_claim: u32,
    /// Auditors of a result, 1 to [`MAX_COMMITTEE`].
    pub committee: u32,
    /// How often auditors are drawn anew where too few say anything, before the poster has its money back.
    pub draws: u32,
    /// Longest that a job can stay open, 1 to [`MAX_BLOCKS`].
    pub longest_open_blocks: u32,
    /// Blocks for which a settled job is kept in the state, at most [`MAX_BLOCKS`].
    pub kept_blocks: u32,
}

impl Default for Terms {
    /// A public chain of 12 s blocks.
    fn default() -> Self {
        Self {
            worker_share: Perbill::from_percent(85),
            auditor_share: Perbill::from_percent(5),
            // A fiftieth of a LAB, of which an auditor of five gets a fifth of a thousandth.
            least_fee: 20_000_000_000,
            bond_factor: 2,
            failure_share: Perbill::from_percent(10),
            // 10^12 a second: what a good CPU does.
            macs_per_block: 12_000_000_000_000,
            least_claim_blocks: 50,
            first_claims: 4,
            settled_per_claim: 4,
            committee: 5,
            draws: 3,
            longest_open_blocks: 216_000,
            kept_blocks: 50_400,
        }
    }
}

/// Why terms are refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TermsError {
    /// The shares of worker and auditors exceed the whole.
    Shares,
    /// A figure is zero that must not be, or above its greatest value.
    OutOfBounds,
}

impl TermsError {
    /// The reason, and what to do.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shares => "the shares of worker and auditors exceed the whole; lower one",
            Self::OutOfBounds => {
                "a figure is zero or too high; leastFee, bondFactor, macsPerBlock, leastClaimBlocks, firstClaims, \
                 settledPerClaim, committee, draws and longestOpenBlocks are at least 1"
            }
        }
    }
}

impl Terms {
    /// Whether they are within their bounds.
    pub fn check(&self) -> Result<(), TermsError> {
        let shares = u64::from(self.worker_share.deconstruct())
            + u64::from(self.auditor_share.deconstruct());
        if shares > u64::from(Perbill::one().deconstruct()) {
            return Err(TermsError::Shares);
        }
        let bounds = [
            (self.bond_factor, MAX_BOND_FACTOR),
            (self.least_claim_blocks, MAX_BLOCKS),
            (self.first_claims, MAX_CLAIMS),
            (self.settled_per_claim, u32::MAX),
            (self.committee, MAX_COMMITTEE),
            (self.draws, u32::from(u8::MAX)),
            (self.longest_open_blocks, MAX_BLOCKS),
        ];
        let is_within = bounds
            .iter()
            .all(|(value, most)| (1..=*most).contains(value));
        let is_right =
            self.least_fee > 0 && self.macs_per_block > 0 && self.kept_blocks <= MAX_BLOCKS;
        match is_within && is_right {
            true => Ok(()),
            false => Err(TermsError::OutOfBounds),
        }
    }

    /// Blocks for which a claim of so many multiply-accumulates lasts.
    pub fn claim_blocks(&self, macs: u64) -> u32 {
        let work = u32::try_from(macs / self.macs_per_block.max(1)).unwrap_or(MAX_BLOCKS);
        work.saturating_add(self.least_claim_blocks).min(MAX_BLOCKS)
    }

    /// Claims that an account may have open that has settled so many jobs.
    pub fn claims(&self, settled: u32) -> u32 {
        let earned = settled / self.settled_per_claim.max(1);
        self.first_claims.saturating_add(earned).min(MAX_CLAIMS)
    }

    /// The bond of a claim of a job with this fee; none if no amount is so high.
    pub fn bond(&self, fee: u128) -> Option<u128> {
        fee.checked_mul(u128::from(self.bond_factor))
    }
}
