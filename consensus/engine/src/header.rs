//! What can be said of a header by itself, and beside its parent: length, digest, number and time.
//!
//! The work is proved elsewhere (`engine`); nothing here costs more than a hash.

use labora_consensus_api::{
    MAX_FUTURE_MS, PreDigest, author_and_time, inherent::MAX_HEADER_LEN, split_seal,
};
use labora_pouw::Seal;
use sp_core::H256;
use sp_runtime::traits::Header;

use crate::{chain::number_of, error::EngineError};

/// A header whose digest is one of this chain, taken apart.
#[derive(Clone, Debug)]
pub struct SealedHeader<H> {
    /// Hash with the seal: the block's name.
    pub hash: H256,
    /// Hash without the seal: what was mined on.
    pub pre_hash: H256,
    /// The block's number.
    pub number: u32,
    /// The block's parent.
    pub parent: H256,
    /// Who and when.
    pub pre: PreDigest,
    /// What was found.
    pub seal: Seal,
    /// The header without its seal, as the runtime knows it.
    pub unsealed: H,
}

impl<H: Header<Hash = H256>> SealedHeader<H> {
    /// Takes a sealed header apart; refuses one that is too long or whose digest has anything else than is allowed.
    pub fn open(header: &H) -> Result<Self, EngineError> {
        let got = header.encoded_size();
        if got > MAX_HEADER_LEN {
            return Err(EngineError::HeaderTooLong {
                got,
                max: MAX_HEADER_LEN,
            });
        }
        let hash = header.hash();
        let (unsealed, seal) = split_seal(header.clone())?;
        let pre = author_and_time(unsealed.digest())?;
        Ok(Self {
            hash,
            pre_hash: unsealed.hash(),
            number: number_of(&unsealed),
            parent: *unsealed.parent_hash(),
            pre,
            seal,
            unsealed,
        })
    }

    /// Number and time must follow the parent's.
    pub fn follows(&self, parent: &H) -> Result<(), EngineError> {
        let parent_number = number_of(parent);
        if parent_number.checked_add(1) != Some(self.number) {
            return Err(EngineError::WrongNumber {
                got: self.number,
                parent: parent_number,
            });
        }
        let parent_ms = time_of(parent)?;
        if self.pre.timestamp_ms <= parent_ms {
            return Err(EngineError::TooEarly {
                got_ms: self.pre.timestamp_ms,
                parent_ms,
            });
        }
        Ok(())
    }

    /// The time may lie only a little ahead of the clock `now_ms`.
    pub fn is_due(&self, now_ms: u64) -> Result<(), EngineError> {
        let got_ms = self.pre.timestamp_ms;
        if is_ahead(got_ms, now_ms) {
            return Err(EngineError::TooLate {
                got_ms,
                now_ms,
                max_ahead_ms: MAX_FUTURE_MS,
            });
        }
        Ok(())
    }
}

/// Whether a time lies further ahead of the clock `now_ms` than a block's may.
pub(crate) fn is_ahead(time_ms: u64, now_ms: u64) -> bool {
    time_ms.saturating_sub(now_ms) > MAX_FUTURE_MS
}

/// The time that a header in the chain states, in Unix milliseconds. Genesis has no author and no time: zero.
pub(crate) fn time_of<H: Header<Hash = H256>>(header: &H) -> Result<u64, EngineError> {
    if number_of(header) == 0 {
        return Ok(0);
    }
    let (unsealed, _) = split_seal(header.clone())?;
    Ok(author_and_time(unsealed.digest())?.timestamp_ms)
}
