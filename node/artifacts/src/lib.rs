//! Matrices, addressed by the BLAKE3 hash of their bytes: the name that they have in jobs and in seals.
//!
//! Each artifact is two files: its bytes, and the inner nodes of its BLAKE3 tree down to groups of 16 chunks (16 KiB), 0.4 % of
//! it. With them any range is sent so that whoever receives it can tell a wrong byte within its group ([`Artifact::encode`],
//! [`Download::take`]), and what has arrived of a download is known again after a restart, without trusting the disk
//! ([`Download::missing`]).
//!
//! ```text
//! FOLDER/objects/ab/abcd….data, .tree   whole artifacts; whoever is killed leaves a whole one, or none
//!        partial/abcd….data, .tree      downloads; a later one goes on where the last one ended
//!        uploads/…                      what comes without a name; removed at the next start
//!        pins/abcd…, .NAME              who keeps an artifact from being evicted
//! ```
//!
//! **The cap on disk is never passed**: room for an artifact is reserved before its first byte is written, and what was not used for
//! longest is evicted for it, unless it is pinned. Calls block; they are for threads that may.

mod artifact;
mod download;
mod error;
pub mod exchange;
mod files;
mod index;
mod pins;
mod store;
#[cfg(test)]
mod tests;
mod upload;

pub use artifact::Artifact;
pub use download::Download;
pub use error::{OpenError, StoreError, WrongBytes};
pub use index::Info;
pub use pins::{Holder, HolderError};
pub use store::{Limits, Store, Usage};

use bao_tree::BlockSize;

/// BLAKE3 hash of an artifact's bytes.
pub type Root = [u8; 32];

/// Bytes of a group of chunks, within which a wrong byte is noticed.
pub const GROUP_BYTES: u64 = 16 * 1024;

/// 16 chunks of 1 KiB.
const GROUP: BlockSize = BlockSize::from_chunk_log(4);

/// Largest artifact: C of the largest product that has a shape, 2^20 × 2^20 × 4 bytes.
pub const MAX_BYTES: u64 = 1 << 42;

/// Bytes on disk of an artifact: its own, and 64 for each inner node above its groups.
pub fn bytes_on_disk(bytes: u64) -> u64 {
    let groups = bytes.div_ceil(GROUP_BYTES).max(1);
    bytes.saturating_add((groups - 1).saturating_mul(64))
}
