//! Artifacts between nodes: `/<genesis>/artifacts/1`, and who has which.
//!
//! A request is SCALE: the root (32 bytes), the first group of chunks (`u32`, in groups of 16 KiB) and how many groups (`u8`, at most
//! [`MAX_GROUPS`], a mebibyte). No group asks whether the peer has the artifact, and its length. The answer is an option: `None` where
//! the peer does not hold it whole, else its length in bytes (`u64`) and the encoding of the groups as [`Artifact::encode`] writes it.
//! So whoever asks sees a wrong byte within its group, and takes parts from several peers at a time.
//!
//! Whom to ask: peers that are connected first, then those that the network's DHT names ([`announce()`] says what comes of that).
//!
//! [`Artifact::encode`]: crate::Artifact::encode

mod allowance;
mod announce;
mod crew;
mod error;
mod fetch;
mod handle;
mod network;
mod parts;
mod peers;
mod server;
mod stats;
#[cfg(test)]
mod tests;
mod unsent;
mod wire;

pub use announce::{MAX_ANNOUNCED, Records, announce, record_key};
pub use error::FetchError;
pub use fetch::LEAST_BYTES_PER_S;
pub use handle::{Exchange, FETCHES, Fetching};
pub use network::NetworkPeers;
pub use peers::{AskError, Offence, Peers};
pub use server::ArtifactRequestHandler;
pub use stats::{ExchangeStats, Tally};
pub use wire::{MAX_ANSWER_BYTES, MAX_GROUPS, MAX_PART_BYTES, Part, Request, WireError};

use std::time::Duration;

use sc_network::ProtocolName;
use sp_core::H256;

/// How long a peer may take for an answer: a mebibyte at 0.6 Mbit/s.
pub const ASK_TIMEOUT: Duration = Duration::from_secs(15);

/// The protocol's name on the wire.
pub fn protocol_name(genesis: H256, fork_id: Option<&str>) -> ProtocolName {
    match fork_id {
        Some(fork) => format!("/{genesis:x}/{fork}/artifacts/1").into(),
        None => format!("/{genesis:x}/artifacts/1").into(),
    }
}
