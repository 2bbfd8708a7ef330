//! A whole artifact, to be read.

use std::{
    fs::File,
    io::{self, Write},
    ops::Range,
    os::unix::fs::FileExt,
};

use bao_tree::{
    BaoTree, ByteRanges,
    io::{
        outboard::PreOrderOutboard,
        round_up_to_chunks,
        sync::{encode_ranges_validated, valid_ranges},
    },
};

use crate::{GROUP, Root, StoreError, WrongBytes, files::Paths};

/// An open artifact.
#[derive(Debug)]
pub struct Artifact {
    root: Root,
    bytes: u64,
    data: File,
    tree: PreOrderOutboard<File>,
}

impl Artifact {
    pub(crate) fn open(paths: &Paths, root: Root, bytes: u64) -> Result<Self, StoreError> {
        Ok(Self {
            root,
            bytes,
            data: File::open(&paths.data)?,
            tree: PreOrderOutboard {
                root: root.into(),
                tree: BaoTree::new(bytes, GROUP),
                data: File::open(&paths.tree)?,
            },
        })
    }

    /// BLAKE3 hash of its bytes.
    pub fn root(&self) -> Root {
        self.root
    }

    /// How many bytes it has.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads bytes from `offset` on, as they are on disk; how many there were.
    ///
    /// # Errors
    ///
    /// Those of the disk.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.data.read_at(buffer, offset)
    }

    /// Writes a range, widened to whole chunks, with the nodes that show that it is of this artifact: the encoding of bao, with
    /// groups of 16 chunks and without a length before it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Wrong`] if the disk has other bytes than it had; what was written before is right.
    pub fn encode(&self, range: Range<u64>, to: impl Write) -> Result<(), StoreError> {
        let range = range.start.min(self.bytes)..range.end.min(self.bytes);
        let ranges = round_up_to_chunks(&ByteRanges::from(range));
        encode_ranges_validated(&self.data, &self.tree, &ranges, to)
            .map_err(StoreError::of_encoding)
    }

    /// Reads all of it, and compares it with its root.
    ///
    /// # Errors
    ///
    /// [`StoreError::Wrong`] with the first group that is not as it was.
    pub fn verify(&self) -> Result<(), StoreError> {
        let all = round_up_to_chunks(&ByteRanges::from(0..self.bytes));
        let mut right = 0;
        for range in valid_ranges(&self.tree, &self.data, &all) {
            let range = range?;
            if range.start.to_bytes() > right {
                break;
            }
            right = range.end.to_bytes();
        }
        match right >= self.bytes {
            true => Ok(()),
            false => Err(WrongBytes { offset: right }.into()),
        }
    }
}
