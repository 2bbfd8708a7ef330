//! Why an artifact was not fetched.

use super::{FETCHES, LEAST_BYTES_PER_S};
use crate::{Root, StoreError};

/// Why an artifact was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// So many are under way already.
    #[error(
        "{FETCHES} artifacts are being fetched, as many as there may be at a time; try again in a moment"
    )]
    Busy,
    /// It is there, or under way, with another length, or those who have it say so.
    #[error(
        "artifact {} has {bytes} bytes, not {asked}; ask for it with that length",
        hex::encode(root)
    )]
    Length {
        /// Which.
        root: Root,
        /// The length that was asked for.
        asked: u64,
        /// The length that is told.
        bytes: u64,
    },
    /// Nobody who was asked has it.
    #[error(
        "no peer that is reachable has artifact {}: {asked} were asked; see that the root is right, or try again once somebody \
         who has it is online",
        hex::encode(root)
    )]
    Nobody {
        /// Which.
        root: Root,
        /// Peers that were asked, and said that they do not have it, or nothing.
        asked: usize,
    },
    /// Those who have it did not give all of it.
    #[error(
        "the peers that have artifact {} gave no more of it, and {missing} bytes are missing; what came is kept: ask again, and it \
         goes on from there",
        hex::encode(root)
    )]
    GaveUp {
        /// Which.
        root: Root,
        /// Bytes that are missing.
        missing: u64,
    },
    /// Those who have it give it too slowly.
    #[error(
        "the peers that have artifact {} give it at less than {LEAST_BYTES_PER_S} bytes a second, and {missing} bytes are missing; what \
         came is kept: ask again, and it goes on from there",
        hex::encode(root)
    )]
    TooSlow {
        /// Which.
        root: Root,
        /// Bytes that are missing.
        missing: u64,
    },
    /// It cannot be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The fetch ended without a word; a defect, or the node ends.
    #[error("the fetch was interrupted; ask again, and it goes on with what has come")]
    Interrupted,
}
