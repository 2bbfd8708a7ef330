//! What a job is, and where it stands.

use frame_support::pallet_prelude::*;
use labora_pouw::{Hash, Shape, fraud::Claim};
use sp_runtime::Perbill;

use crate::Terms;

/// Names a job: numbers in the order of posting, never used twice.
pub type JobId = u64;

/// Most products of a job. With 2^54 multiply-accumulates each, all of them fit 2^60.
pub const MAX_PRODUCTS: u32 = 64;

/// One hash for each product of a job.
pub type Hashes = BoundedVec<Hash, ConstU32<MAX_PRODUCTS>>;

/// The left factor of a product.
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
pub struct Left {
    /// BLAKE3 hash of A, m×k int8, row-major.
    pub root: Hash,
    /// Rows of A.
    pub m: u32,
}

/// Products that share their right factor: C = A·B for each A. Entries may be any int8.
#[derive(
    Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo,
)]
pub struct Batch {
    /// BLAKE3 hash of Bt, n×k int8, row-major.
    pub root_b: Hash,
    /// Rows of Bt.
    pub n: u32,
    /// Columns of Bt and of each A.
    pub k: u32,
    /// The left factors, at least one.
    pub left: BoundedVec<Left, ConstU32<MAX_PRODUCTS>>,
}

impl Batch {
    /// Multiply-accumulates of all products, at most 2^60. None if there is no product, or one has no provable shape.
    pub fn macs(&self) -> Option<u64> {
        let macs = |left: &Left| Some(Shape::new(left.m, self.n, self.k).ok()?.macs());
        let all: Option<u64> = self.left.iter().map(macs).sum();
        all.filter(|all| *all > 0)
    }

    /// What whoever gives `root_c` as the result of product `index` claims. None if there is no such product.
    pub fn claim(&self, index: u32, root_c: Hash) -> Option<Claim> {
        let left = self.left.get(usize::try_from(index).ok()?)?;
        Some(Claim {
            shape: Shape::new(left.m, self.n, self.k).ok()?,
            root_a: left.root,
            root_b: self.root_b,
            root_c,
        })
    }
}

/// What is posted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Order {
    /// The products.
    pub batch: Batch,
    /// What is paid for all of them, in the token's smallest unit.
    pub fee: u128,
    /// Blocks in which somebody can claim it.
    pub open_blocks: u32,
}

/// Of the terms in force when a job was claimed, those by which that claim ends, whatever is set meanwhile.
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
pub struct Agreed {
    /// Share of the fee for the worker.
    pub worker_share: Perbill,
    /// Share for the auditors together.
    pub auditor_share: Perbill,
    /// Share of the bond that is burned when the claim ends late, or its data cannot be fetched.
    pub failure_share: Perbill,
    /// Auditors of a result.
    pub committee: u32,
    /// How often they are drawn anew.
    pub draws: u32,
}

impl From<Terms> for Agreed {
    fn from(terms: Terms) -> Self {
        Self {
            worker_share: terms.worker_share,
            auditor_share: terms.auditor_share,
            failure_share: terms.failure_share,
            committee: terms.committee,
            draws: terms.draws,
        }
    }
}

/// Who works on a job, and with what at stake.
#[derive(
    Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo,
)]
pub struct Claimed<AccountId> {
    /// The worker.
    pub worker: AccountId,
    /// What is held of it, in the token's smallest unit.
    pub bond: u128,
    /// The block in which it was claimed.
    pub since: u32,
    /// The last block in which it can submit.
    pub until: u32,
    /// How it ends.
    pub agreed: Agreed,
}

/// The time in which a result is audited, in block numbers that belong to it.
///
/// Auditors are drawn by the seal of the block after the first, which the block after that one brings. They say what they
/// found in the first half, sealed; open it in the third quarter; and all the time anyone can prove a wrong entry.
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
pub struct Window {
    /// The block in which it began.
    pub since: u32,
    /// Its length, at least [`Window::LEAST`].
    pub blocks: u32,
}

impl Window {
    /// Least length: two blocks until the seal is known, and two for each of what follows.
    pub const LEAST: u32 = 8;

    /// Begins now.
    pub fn new(since: u32, blocks: u32) -> Self {
        Self {
            since,
            blocks: blocks.max(Self::LEAST),
        }
    }

    /// The block whose seal draws the auditors.
    pub fn drawn_by(&self) -> u32 {
        self.since.saturating_add(1)
    }

    /// The last block in which auditors can attest.
    pub fn attest_until(&self) -> u32 {
        self.since.saturating_add(self.blocks / 2)
    }

    /// The last block in which they can open what they attested.
    pub fn reveal_until(&self) -> u32 {
        self.since.saturating_add(self.blocks - self.blocks / 4)
    }

    /// The last block in which a fault can be proved.
    pub fn ends(&self) -> u32 {
        self.since.saturating_add(self.blocks)
    }
}

/// A result that is audited.
#[derive(
    Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo,
)]
pub struct Submitted<AccountId> {
    /// Who submitted it, and what is at stake.
    pub claimed: Claimed<AccountId>,
    /// BLAKE3 hash of each C, int32 little-endian in tile-major order.
    pub roots: Hashes,
    /// Until when it can be challenged.
    pub window: Window,
    /// How often auditors were drawn that did not come to say anything.
    pub unheard: u32,
}

/// Where a job stands.
#[derive(
    Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo,
)]
pub enum Stage<AccountId> {
    /// Nobody works on it.
    Open,
    /// Somebody does.
    Claimed(Claimed<AccountId>),
    /// There is a result, which is audited.
    Submitted(Submitted<AccountId>),
    /// The result was paid. Kept for a while, so that the poster finds it.
    Settled {
        /// Who was paid.
        worker: AccountId,
        /// BLAKE3 hash of each C.
        roots: Hashes,
        /// The block in which that one had claimed it.
        since: u32,
        /// The last block in which its result could come.
        until: u32,
        /// In which block it was paid.
        at: u32,
    },
}

/// A job.
#[derive(
    Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo,
)]
pub struct Job<AccountId> {
    /// Who wants the products.
    pub poster: AccountId,
    /// Who pays for them in the poster's stead: none where the poster does.
    pub payer: Option<AccountId>,
    /// The products.
    pub batch: Batch,
    /// What is paid for all of them, in the token's smallest unit. Held of who pays until the job is settled.
    pub fee: u128,
    /// Held of who pays until the job is forgotten.
    pub deposit: u128,
    /// The last block in which somebody can claim it.
    pub deadline: u32,
    /// Claims of it that failed.
    pub failed: u32,
    /// Why the last of them did.
    pub last_failure: Option<Failure>,
    /// Where it stands.
    pub stage: Stage<AccountId>,
}

impl<AccountId> Job<AccountId> {
    /// Of whom fee and deposit are held.
    pub fn held_of(&self) -> &AccountId {
        self.payer.as_ref().unwrap_or(&self.poster)
    }

    /// Who works on it, or was paid for it.
    pub fn worker(&self) -> Option<&AccountId> {
        match &self.stage {
            Stage::Open => None,
            Stage::Claimed(claimed) => Some(&claimed.worker),
            Stage::Submitted(submitted) => Some(&submitted.claimed.worker),
            Stage::Settled { worker, .. } => Some(worker),
        }
    }
}

/// What is known of a worker.
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
pub struct Record {
    /// Jobs that it has claimed and that are not settled.
    pub open: u32,
    /// Jobs that were settled since it last failed one.
    pub settled: u32,
}

/// Why a claim ended without a settlement.
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
pub enum Failure {
    /// Its time ran out without a result.
    Late,
    /// The auditors could not get the matrices or the result.
    Unavailable,
    /// An entry of the result was proved wrong.
    Wrong,
}

/// Why whoever pays for a job has its money back.
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
pub enum Refund {
    /// The poster, or whoever pays for it, took it back.
    Cancelled,
    /// The deadline passed and nobody works on it.
    Deadline,
    /// Auditors were drawn several times, and too few said anything.
    Unaudited,
}
