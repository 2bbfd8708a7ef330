//! The protocol by which a node gets proofs of blocks that it did not hear announced: `/<genesis>/pouw/proofs/1`.
//!
//! A request is a SCALE list of at most [`MAX_HASHES`] block hashes. The answer is a list of optional proofs in the same
//! order: `None` where the peer does not hold one, and a shorter list where the rest did not fit [`MAX_ANSWER_BYTES`].

mod client;
mod downloads;
mod finality;
mod lanes;
mod lookahead;
mod network;
mod noted;
mod queue;
mod server;
mod unsent;

pub use client::{AskError, Hints, Offence, ProofSource, fetch_proof};
pub use downloads::InTurn;
pub use finality::{Finality, FinalitySource, NetworkFinality, NoFinality};
pub use lanes::Lanes;
pub use lookahead::Lookahead;
pub use network::{Bound, NetworkProofs};
pub use queue::{AfterParent, PouwImportQueue};
pub use server::ProofRequestHandler;

pub(crate) use {lanes::AT_ONCE, noted::Noted};

#[cfg(test)]
pub(crate) use {
    client::{ASK_ANOTHER, ASK_TIMEOUT, first_few, in_time},
    finality::first_proved,
    lanes::LANES,
};

use labora_pouw::Proof;
use parity_scale_codec::{Compact, Decode, DecodeAll, Encode};
use sc_network::ProtocolName;
use sp_core::H256;

/// Hashes in one request: at k = 4,096 their proofs (131 KB each) come to 2.1 MB.
pub const MAX_HASHES: usize = 16;

/// Bytes of a request: a compact length of one byte and the hashes.
pub const MAX_REQUEST_BYTES: usize = 1 + 32 * MAX_HASHES;

/// Bytes of an answer: sixteen proofs at k = 4,096, or seven of the largest (527,370 bytes each).
pub const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// What does not decode to a request or to its answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WireError {
    /// The bytes are no request.
    #[error("{got} bytes are not a request for 1 to {MAX_HASHES} proofs")]
    Request {
        /// Bytes that came.
        got: usize,
    },
    /// The bytes are no answer to what was asked.
    #[error("{got} bytes are not an answer to a request for {asked} proofs")]
    Answer {
        /// Bytes that came.
        got: usize,
        /// Proofs that were asked for.
        asked: usize,
    },
}

/// The protocol's name on the wire.
pub fn protocol_name(genesis: H256, fork_id: Option<&str>) -> ProtocolName {
    on_chain(genesis, fork_id, "pouw/proofs/1")
}

/// The name of a protocol that is spoken on one chain alone.
fn on_chain(genesis: H256, fork_id: Option<&str>, protocol: &str) -> ProtocolName {
    match fork_id {
        Some(fork) => format!("/{genesis:x}/{fork}/{protocol}").into(),
        None => format!("/{genesis:x}/{protocol}").into(),
    }
}

/// Decodes a request; its length is checked before anything is allocated.
pub fn decode_request(bytes: &[u8]) -> Result<Vec<H256>, WireError> {
    let wrong = WireError::Request { got: bytes.len() };
    if bytes.len() > MAX_REQUEST_BYTES {
        return Err(wrong);
    }
    match Vec::<H256>::decode_all(&mut &bytes[..]) {
        Ok(hashes) if (1..=MAX_HASHES).contains(&hashes.len()) => Ok(hashes),
        _ => Err(wrong),
    }
}

/// Encodes an answer from proofs that are already SCALE bytes, as far as they fit.
pub fn encode_answer(proofs: impl Iterator<Item = Option<Vec<u8>>>) -> Vec<u8> {
    let (mut body, mut count) = (Vec::new(), 0u32);
    for proof in proofs {
        // The list's length takes up to four bytes, the option's tag one.
        if 4 + body.len() + 1 + proof.as_ref().map_or(0, Vec::len) > MAX_ANSWER_BYTES {
            break;
        }
        match proof {
            Some(bytes) => {
                body.push(1);
                body.extend(bytes);
            }
            None => body.push(0),
        }
        count += 1;
    }
    let mut answer = Compact(count).encode();
    answer.append(&mut body);
    answer
}

/// Decodes an answer to a request for `asked` proofs. Each proof's own decoding is bounded.
pub fn decode_answer(bytes: &[u8], asked: usize) -> Result<Vec<Option<Proof>>, WireError> {
    let wrong = WireError::Answer {
        got: bytes.len(),
        asked,
    };
    if bytes.len() > MAX_ANSWER_BYTES {
        return Err(wrong);
    }
    let mut input = bytes;
    let count = Compact::<u32>::decode(&mut input).map_err(|_| wrong)?.0 as usize;
    if count > asked {
        return Err(wrong);
    }
    let proofs = (0..count)
        .map(|_| Option::<Proof>::decode(&mut input))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| wrong)?;
    if input.is_empty() {
        Ok(proofs)
    } else {
        Err(wrong)
    }
}
