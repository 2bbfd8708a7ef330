//! Who audits a result, and what they say of it.
//!
//! Each auditor checks the result with a vector that it draws from a secret of its own (`labora_pouw::freivalds`), and attests
//! with a seal over that secret and what it found. It opens the seal once nobody can attest any more, so nobody can copy it;
//! whoever made its answers up is caught by anyone who has the data.

use alloc::vec::Vec;

use frame_support::pallet_prelude::*;
use labora_pouw::{Hash, freivalds};
use sp_core::H256;
use sp_io::hashing::blake2_256;
use sp_staking::SessionIndex;

use crate::{Config, Hashes, JobId};

/// Most auditors of a result.
pub const MAX_COMMITTEE: u32 = 16;

/// What an auditor attests, in a transaction.
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
pub enum Attestation {
    /// The result holds; the seal over secret and answers ([`freivalds::sealed`]).
    Holds(Hash),
    /// A matrix or a result could not be fetched.
    Unavailable,
}

/// What an auditor has said so far.
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
pub enum Said {
    /// Nothing.
    Nothing,
    /// That the data could not be fetched.
    Unavailable,
    /// That the result holds, sealed.
    Sealed(Hash),
    /// The same, opened.
    Opened,
}

/// A place in a committee.
#[derive(
    Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo,
)]
pub struct Seat<AccountId> {
    /// The validator that was drawn.
    pub auditor: AccountId,
    /// What it has said.
    pub said: Said,
}

/// The auditors of a result.
#[derive(
    Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo,
)]
pub struct Committee<AccountId> {
    /// The session whose validators they are.
    pub session: SessionIndex,
    /// Of each what it has said.
    pub seats: BoundedVec<Seat<AccountId>, ConstU32<MAX_COMMITTEE>>,
}

impl<AccountId: Clone + Encode + PartialEq> Committee<AccountId> {
    /// Draws `size` of `candidates`, validators of `session`, by a seal; all of them where there are fewer.
    pub fn draw(
        seal: H256,
        job: JobId,
        session: SessionIndex,
        mut candidates: Vec<AccountId>,
        size: u32,
    ) -> Self {
        let mut seats = BoundedVec::new();
        for draw in 0..size.min(MAX_COMMITTEE) {
            let Some(last) = candidates.len().checked_sub(1) else {
                break;
            };
            let hash = (seal, job, draw).using_encoded(blake2_256);
            let mut number = [0; 8];
            number.copy_from_slice(&hash[..8]);
            // Below the number of candidates, so it fits; 64 bits over so few leave no bias that matters.
            let at = (u64::from_le_bytes(number) % (last as u64 + 1)) as usize;
            let auditor = candidates.swap_remove(at);
            let said = Said::Nothing;
            if seats.try_push(Seat { auditor, said }).is_err() {
                break;
            }
        }
        Self { session, seats }
    }

    /// How many make a majority.
    pub fn quorum(&self) -> usize {
        self.seats.len() / 2 + 1
    }

    fn count(&self, said: impl Fn(&Said) -> bool) -> usize {
        self.seats.iter().filter(|seat| said(&seat.said)).count()
    }

    /// Whether a majority opened that the result holds.
    pub fn confirms(&self) -> bool {
        self.count(|said| *said == Said::Opened) >= self.quorum()
    }

    /// Whether a majority could not fetch the data.
    pub fn misses_data(&self) -> bool {
        self.count(|said| *said == Said::Unavailable) >= self.quorum()
    }

    /// Those who opened that the result holds: who is paid.
    pub fn confirmed_by(&self) -> Vec<AccountId> {
        self.who(|said| *said == Said::Opened)
    }

    /// Those who said that the result holds, opened or not.
    pub fn vouched_by(&self) -> Vec<AccountId> {
        self.who(|said| matches!(said, Said::Opened | Said::Sealed(_)))
    }

    fn who(&self, said: impl Fn(&Said) -> bool) -> Vec<AccountId> {
        let seats = self.seats.iter().filter(|seat| said(&seat.said));
        seats.map(|seat| seat.auditor.clone()).collect()
    }
}

/// Of what an auditor is accused: that it vouched for a result that was proved wrong.
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
pub struct Accusation {
    /// The session whose validator it was.
    pub session: SessionIndex,
    /// The block with which the window of that result began: no job has two results of one.
    pub since: u32,
}

/// Whether `sealed` is the seal of this auditor over what it opens.
pub fn opens<T: Config>(
    auditor: &T::AccountId,
    secret: &Hash,
    answers: &Hashes,
    sealed: &Hash,
) -> bool {
    auditor.using_encoded(|auditor| freivalds::sealed(auditor, secret, answers)) == *sealed
}
