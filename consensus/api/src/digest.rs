//! The engine's items in a header: one pre-runtime item, put there by the author, and one seal, always last.
//!
//! The list is closed: what else may stand in a digest is named in [`author_and_time`], and all else is refused.

use labora_pouw::Seal;
use parity_scale_codec::{Decode, DecodeAll, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_core::crypto::AccountId32;
use sp_runtime::{Digest, DigestItem, traits::Header};

use crate::ENGINE_ID;

/// What an author states before the block is executed.
#[derive(
    Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo,
)]
pub struct PreDigest {
    /// Account that the author's share of the subsidy and the tips are paid to.
    pub author: AccountId32,
    /// Unix time in milliseconds; above the parent's, and equal to the timestamp inherent of the block.
    pub timestamp_ms: u64,
}

/// Why a digest is not one of this chain.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "std", derive(thiserror::Error))]
pub enum DigestError {
    /// The last item is not a seal of this engine.
    #[cfg_attr(
        feature = "std",
        error("the header's last digest item is not a seal of this engine")
    )]
    NoSeal,
    /// The seal's bytes are not exactly one valid seal.
    #[cfg_attr(
        feature = "std",
        error("the header's seal does not decode to one valid seal")
    )]
    BadSeal,
    /// The first item is not the author's pre-runtime item.
    #[cfg_attr(
        feature = "std",
        error("the header's first digest item is not the author's pre-runtime item")
    )]
    NoPreDigest,
    /// The author's item does not decode.
    #[cfg_attr(
        feature = "std",
        error("the author's digest item does not decode to an account and a time")
    )]
    BadPreDigest,
    /// An item that has no place in a header of this chain.
    #[cfg_attr(
        feature = "std",
        error("digest item {0} has no place in a header of this chain")
    )]
    Stray(u32),
}

/// The author's item, as it stands first in a digest.
pub fn pre_digest_item(pre: &PreDigest) -> DigestItem {
    DigestItem::PreRuntime(ENGINE_ID, pre.encode())
}

/// The seal, as it stands last in a digest.
pub fn seal_item(seal: &Seal) -> DigestItem {
    DigestItem::Seal(ENGINE_ID, seal.encode())
}

/// Takes the seal off a whole header: what was sealed, whose hash is the proof's `pre_hash`, and the seal.
pub fn split_seal<H: Header>(mut header: H) -> Result<(H, Seal), DigestError> {
    match header.digest_mut().pop() {
        Some(DigestItem::Seal(ENGINE_ID, bytes)) => {
            let seal = Seal::decode_all(&mut &bytes[..]).map_err(|_| DigestError::BadSeal)?;
            Ok((header, seal))
        }
        _ => Err(DigestError::NoSeal),
    }
}

/// Checks a digest without its seal, and reads what the author stated.
///
/// Allowed: the author's item first; then only what the runtime deposits, which is consensus messages (a change of
/// GRANDPA's authorities) and the note of a runtime upgrade.
pub fn author_and_time(digest: &Digest) -> Result<PreDigest, DigestError> {
    let (first, rest) = digest.logs.split_first().ok_or(DigestError::NoPreDigest)?;
    let DigestItem::PreRuntime(ENGINE_ID, bytes) = first else {
        return Err(DigestError::NoPreDigest);
    };
    let stray = rest.iter().position(|item| {
        !matches!(
            item,
            DigestItem::Consensus(..) | DigestItem::RuntimeEnvironmentUpdated
        )
    });
    if let Some(at) = stray {
        return Err(DigestError::Stray(at as u32 + 1));
    }
    PreDigest::decode_all(&mut &bytes[..]).map_err(|_| DigestError::BadPreDigest)
}

#[cfg(test)]
mod tests;
