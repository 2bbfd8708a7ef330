//! What an institution is: who acts for it, what it may spend, and what is written of it for all to see.

use frame_support::pallet_prelude::*;
use sp_core::U256;
use sp_staking::EraIndex;

/// Names an institution: numbers in the order of admission, never used twice.
pub type InstitutionId = u32;

/// Longest name of an institution, in bytes.
pub const MAX_NAME: u32 = 64;

/// Name of an institution, UTF-8.
pub type Name = BoundedVec<u8, ConstU32<MAX_NAME>>;

/// Multiply-accumulates that prices are for.
const TERA: u64 = 1_000_000_000_000;

/// Whether these bytes can be a name: text that shows something and moves no cursor.
pub fn is_name(bytes: &[u8]) -> bool {
    core::str::from_utf8(bytes)
        .is_ok_and(|text| !text.trim().is_empty() && !text.chars().any(char::is_control))
}

/// What governance sets about grants.
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
    /// Most that the fund pays for 10^12 multiply-accumulates, in the token's smallest unit. Any figure: of a job that is
    /// so small that this is less than the market's least fee, the fund pays the least fee.
    pub max_rate: u128,
    /// Longest that a sponsored job stays open, in blocks.
    pub open_blocks: u32,
    /// Most that is held for an institution's jobs at a time, fees and deposits together, in quotas of an era.
    pub held_quotas: u32,
}

impl Default for Terms {
    /// A public chain of 12 s blocks.
    fn default() -> Self {
        Self {
            // Three LAB, a few times what its first blocks earn for as much.
            max_rate: 3_000_000_000_000,
            // Two days.
            open_blocks: 14_400,
            // A day and a half's, with the deposits.
            held_quotas: 4,
        }
    }
}

impl Terms {
    /// Most that the fund pays for so many multiply-accumulates, rounded up.
    pub fn most_for(&self, macs: u64) -> u128 {
        // Of 128 and 64 bits: fits 256.
        let most = (U256::from(self.max_rate) * U256::from(macs) + U256::from(TERA - 1))
            / U256::from(TERA);
        u128::try_from(most).unwrap_or(u128::MAX)
    }
}

/// What an institution's members have posted in an era.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Default,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
pub struct Spent {
    /// The era of staking.
    pub era: EraIndex,
    /// Fees of jobs that were posted in it and not refunded in it, in the token's smallest unit.
    pub amount: u128,
}

/// What is written of an institution. It only grows.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Default,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
pub struct Ledger {
    /// Sponsored jobs that were settled.
    pub settled: u64,
    /// Multiply-accumulates of those.
    pub macs_received: u128,
    /// What the fund paid for them, in the token's smallest unit.
    pub paid: u128,
    /// Blocks that its rigs mined.
    pub blocks: u64,
    /// Difficulties of those: the multiply-accumulates that they were expected to take.
    pub macs_contributed: u128,
}

/// An institution.
#[derive(
    Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo,
)]
pub struct Institution<AccountId> {
    /// Its name, for people.
    pub name: Name,
    /// Who says who its members and rigs are.
    pub admin: AccountId,
    /// Fees that its members may post in an era, in the token's smallest unit. What is not used lapses.
    pub quota: u128,
    /// What of it is used.
    pub spent: Spent,
    /// Its members.
    pub members: u32,
    /// Accounts that it has invited and that have not joined.
    pub invited: u32,
    /// Rigs that it has accepted.
    pub rigs: u32,
    /// Whether it ended: nothing is sponsored and no block is counted any more.
    pub is_closed: bool,
    /// What it received and gave.
    pub ledger: Ledger,
}

impl<AccountId> Institution<AccountId> {
    /// One that was admitted a moment ago.
    pub fn new(name: Name, admin: AccountId, quota: u128) -> Self {
        Self {
            name,
            admin,
            quota,
            spent: Spent::default(),
            members: 0,
            invited: 0,
            rigs: 0,
            is_closed: false,
            ledger: Ledger::default(),
        }
    }

    /// What of the quota is left in an era; nothing once it is closed.
    pub fn left(&self, era: EraIndex) -> u128 {
        match (self.is_closed, self.spent.era == era) {
            (true, _) => 0,
            // A quota that was lowered may be below what is spent.
            (false, true) => self.quota.saturating_sub(self.spent.amount),
            (false, false) => self.quota,
        }
    }

    /// Takes a fee from an era's quota; none if so much is not left.
    pub(crate) fn charge(&mut self, era: EraIndex, fee: u128) -> Option<()> {
        self.left(era).checked_sub(fee)?;
        if self.spent.era != era {
            self.spent = Spent { era, amount: 0 };
        }
        self.spent.amount = self.spent.amount.checked_add(fee)?;
        Some(())
    }

    /// Gives a fee back to the quota of the era in which it was taken, if that is this one.
    pub(crate) fn give_back(&mut self, taken: EraIndex, now: EraIndex, fee: u128) {
        if taken == now && self.spent.era == taken {
            // No more than was taken, which is in it.
            self.spent.amount = self.spent.amount.saturating_sub(fee);
        }
    }
}

/// How far an account belongs to an institution.
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
pub enum Membership {
    /// The institution wants it.
    Invited,
    /// Both do: it is a member.
    Joined,
}

/// An account that mines for an institution, or offers to.
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
pub struct Rig {
    /// For which.
    pub institution: InstitutionId,
    /// Whether the institution said yes: from then on its blocks are counted.
    pub is_accepted: bool,
    /// Held of it for its place in the state.
    pub deposit: u128,
}

/// A job that the fund pays for, until it is refunded or forgotten.
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
pub struct Grant {
    /// Whose quota it was taken from.
    pub institution: InstitutionId,
    /// Of which era.
    pub era: EraIndex,
}
