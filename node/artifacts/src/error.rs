//! What goes wrong.

use std::{io, path::PathBuf};

use bao_tree::{
    ChunkNum,
    io::{DecodeError, EncodeError},
};

use crate::{MAX_BYTES, Root, pins::MAX_HOLDERS};

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the artifacts in {} are used by another process; stop it, or choose another folder", .0.display())]
    InUse(PathBuf),
    /// The folder cannot be read or written.
    #[error("the folder of artifacts {}: {error}", path.display())]
    Folder {
        /// What could not be read or written.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Why something was not stored, or not read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The cap would be passed, and what could be evicted does not make room for it.
    #[error(
        "no room for {needed} bytes: {evictable} of the {limit} bytes for artifacts could be freed; raise the limit, or unpin something"
    )]
    Full {
        /// Bytes that it takes on disk.
        needed: u64,
        /// Bytes that are free, or could be.
        evictable: u64,
        /// The cap.
        limit: u64,
    },
    /// As many artifacts as there may be, all pinned or under way.
    #[error("{0} artifacts are there, as many as there may be, and none can be evicted")]
    TooMany(usize),
    /// As many keep it already as may.
    #[error("artifact {} is pinned for {MAX_HOLDERS} already, as many as there may be", hex::encode(.0))]
    Held(Root),
    /// Nothing is so large.
    #[error("an artifact of {0} bytes; it has 1 to {MAX_BYTES}")]
    Size(u64),
    /// The bytes are not those of the root.
    #[error(transparent)]
    Wrong(#[from] WrongBytes),
    /// The sender stopped early.
    #[error("the bytes ended before {expected} had come")]
    Short {
        /// Bytes that were announced.
        expected: u64,
    },
    /// It is under way already.
    #[error("artifact {} is being stored already", hex::encode(.0))]
    UnderWay(Root),
    /// There is no such artifact.
    #[error("there is no artifact {}", hex::encode(.0))]
    Unknown(Root),
    /// The disk is full.
    #[error("the disk of the artifacts is full; make room on it")]
    DiskFull,
    /// The disk fails, or whoever sends or receives does.
    #[error("{0}")]
    Io(io::Error),
}

/// Bytes that do not have the root that they should have.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the bytes from {offset} on are not those of the artifact")]
pub struct WrongBytes {
    /// Where the group begins in which that shows, or zero.
    pub offset: u64,
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Io(error),
        }
    }
}

impl StoreError {
    /// Of what came for an artifact of so many bytes.
    pub(crate) fn of_decoding(error: DecodeError, expected: u64) -> Self {
        match error {
            DecodeError::LeafHashMismatch(chunk) => wrong_from(chunk),
            DecodeError::ParentHashMismatch(node) => wrong_from(node.chunk_range().start),
            DecodeError::LeafNotFound(_) | DecodeError::ParentNotFound(_) => {
                Self::Short { expected }
            }
            DecodeError::Io(error) => error.into(),
        }
    }

    /// Of what is on disk here.
    pub(crate) fn of_encoding(error: EncodeError) -> Self {
        match error {
            EncodeError::LeafHashMismatch(chunk) => wrong_from(chunk),
            EncodeError::ParentHashMismatch(node) => wrong_from(node.chunk_range().start),
            EncodeError::SizeMismatch => wrong_from(ChunkNum(0)),
            error => io::Error::from(error).into(),
        }
    }
}

fn wrong_from(chunk: ChunkNum) -> StoreError {
    let offset = chunk.to_bytes();
    WrongBytes { offset }.into()
}
