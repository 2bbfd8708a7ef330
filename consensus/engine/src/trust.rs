//! What is known to be final before it is imported.
//!
//! A node that syncs from genesis cannot tell by a block alone whether it is final: authorities sign few blocks, and the
//! proofs of old ones are dropped everywhere. So it asks peers for the warp proof of finality, which goes from one set of
//! authorities to the next, and keeps the last block that it proves as *trusted target*. Up to that number blocks need no
//! proof of work; at that number the hash must be the target's. A sender that led the node elsewhere is found out there:
//! the target's own branch then becomes the best one whatever its work, and the other can never be built upon past it.

use parity_scale_codec::{Decode, Encode};
use sp_core::H256;
use sp_runtime::traits::{Block as BlockT, Header};

use crate::{chain::number_of, error::EngineError};

/// A block that finality vouches for.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq)]
pub struct TrustedTarget {
    /// Its number.
    pub number: u32,
    /// Its hash.
    pub hash: H256,
}

impl TrustedTarget {
    pub(crate) fn of<B: BlockT<Hash = H256>>(header: &B::Header) -> Self {
        Self {
            number: number_of(header),
            hash: header.hash(),
        }
    }

    /// Whether this block is it; an error if it is another of its number.
    pub(crate) fn is(self, number: u32, hash: H256) -> Result<bool, EngineError> {
        match number == self.number {
            false => Ok(false),
            true if hash == self.hash => Ok(true),
            true => Err(EngineError::NotTheFinalOne {
                got: hash,
                finalised: self.hash,
            }),
        }
    }
}
