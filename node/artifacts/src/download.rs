//! What comes from somebody who is not trusted: each group of chunks is compared with the root before it is written.

use std::{
    fs::{File, OpenOptions},
    io::Read,
    ops::Range,
};

use bao_tree::{
    BaoTree, ByteRanges, ChunkRanges,
    io::{
        outboard::PreOrderOutboard,
        round_up_to_chunks,
        sync::{decode_ranges, valid_ranges},
    },
};

use crate::{GROUP, Root, Store, StoreError, files::Paths};

/// A download that is under way. Dropped before its end, it stays on disk and can be gone on with.
#[derive(Debug)]
pub struct Download {
    store: Store,
    paths: Paths,
    root: Root,
    bytes: u64,
    data: File,
    tree: PreOrderOutboard<File>,
    /// Whether it has become an artifact, or was thrown away.
    is_over: bool,
}

impl Download {
    pub(crate) fn open(
        store: Store,
        paths: Paths,
        root: Root,
        bytes: u64,
    ) -> Result<Self, StoreError> {
        let open = |path| {
            let mut options = OpenOptions::new();
            options
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)
        };
        let (data, nodes) = (open(&paths.data)?, open(&paths.tree)?);
        // The size is what tells the form of the tree after a restart.
        data.set_len(bytes)?;
        Ok(Self {
            store,
            paths,
            root,
            bytes,
            data,
            tree: PreOrderOutboard {
                root: root.into(),
                tree: BaoTree::new(bytes, GROUP),
                data: nodes,
            },
            is_over: false,
        })
    }

    /// BLAKE3 hash of the artifact.
    pub fn root(&self) -> Root {
        self.root
    }

    /// Its bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Ranges of bytes that have not come yet. Reads what has come, and compares it with the root.
    ///
    /// # Errors
    ///
    /// Those of the disk.
    pub fn missing(&self) -> Result<Vec<Range<u64>>, StoreError> {
        let all = round_up_to_chunks(&ByteRanges::from(0..self.bytes));
        let mut missing = all.clone();
        for range in valid_ranges(&self.tree, &self.data, &all) {
            missing -= ChunkRanges::from(range?);
        }
        let bounds = missing.boundaries();
        let bytes = |at: usize| {
            bounds
                .get(at)
                .map_or(self.bytes, |chunk| chunk.to_bytes().min(self.bytes))
        };
        let ranges = (0..bounds.len())
            .step_by(2)
            .map(|at| bytes(at)..bytes(at + 1));
        Ok(ranges.collect())
    }

    /// Takes the encoding of a range, as [`Artifact::encode`](crate::Artifact::encode) writes it for the same range.
    ///
    /// # Errors
    ///
    /// [`StoreError::Wrong`] at the first group that is not the artifact's, and [`StoreError::Short`] if `from` ends early: what
    /// came before is kept.
    pub fn take(&mut self, range: Range<u64>, from: impl Read) -> Result<(), StoreError> {
        let range = range.start.min(self.bytes)..range.end.min(self.bytes);
        let ranges = round_up_to_chunks(&ByteRanges::from(range));
        decode_ranges(from, &ranges, &mut self.data, &mut self.tree)
            .map_err(|error| StoreError::of_decoding(error, self.bytes))
    }

    /// Makes it an artifact.
    ///
    /// # Errors
    ///
    /// [`StoreError::Short`] if something is missing.
    pub fn finish(self) -> Result<Root, StoreError> {
        let (root, expected) = (self.root, self.bytes);
        match self.finish_if_whole()?.is_empty() {
            true => Ok(root),
            false => Err(StoreError::Short { expected }),
        }
    }

    /// Makes it an artifact, if nothing is missing; what is. Reads all of it once, as [`Download::missing`] does.
    ///
    /// # Errors
    ///
    /// Those of the disk.
    pub fn finish_if_whole(mut self) -> Result<Vec<Range<u64>>, StoreError> {
        let missing = self.missing()?;
        if !missing.is_empty() {
            return Ok(missing);
        }
        self.data.sync_all()?;
        self.tree.data.sync_all()?;
        let mut index = self.store.index().lock();
        match index.get(&self.root) {
            // It came by another way meanwhile.
            Some(_) => self.paths.remove()?,
            None => self
                .store
                .adopt(&mut index, &self.paths, self.root, self.bytes)?,
        }
        index.forget_begun(&self.root);
        drop(index);
        self.is_over = true;
        Ok(missing)
    }

    /// Throws away what has come.
    ///
    /// # Errors
    ///
    /// If it cannot be removed; it is then as if dropped.
    pub fn abandon(mut self) -> Result<(), StoreError> {
        self.paths.remove()?;
        self.store.index().lock().forget_begun(&self.root);
        self.is_over = true;
        Ok(())
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        if !self.is_over {
            let mut index = self.store.index().lock();
            index.set_begun(self.root, self.bytes, false);
        }
    }
}
