//! What comes whole, from somebody who is trusted to have it: its root is known at the end.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, Read, Write},
};

use bao_tree::{
    BaoTree,
    io::{outboard::PreOrderOutboard, sync::outboard},
};

use crate::{
    GROUP, GROUP_BYTES, Root, Store, StoreError, WrongBytes,
    files::{Paths, TREE},
    store::check_size,
};

/// What is read is written as well.
struct Tee<R> {
    from: R,
    to: File,
    /// Bytes that are still to come.
    left: u64,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let read = self.from.read(&mut buffer[..most])?;
        self.to.write_all(&buffer[..read])?;
        self.left -= read as u64;
        Ok(read)
    }
}

/// Room for an upload; given back when dropped, with whatever was written.
struct Begun<'a> {
    store: &'a Store,
    paths: Paths,
    bytes: u64,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.paths.remove() {
            tracing::warn!(%error, "What was left of an upload is removed at the next start");
        }
        self.store.index().lock().end_upload(self.bytes);
    }
}

pub(crate) fn put(
    store: &Store,
    from: impl Read,
    bytes: u64,
    expected: Option<Root>,
) -> Result<Root, StoreError> {
    check_size(bytes)?;
    if let Some(root) = expected.filter(|root| store.info(root).is_some()) {
        // Nothing to do; whether the sender has it makes no difference.
        return Ok(root);
    }
    let name = tempfile::Builder::new()
        .prefix("upload-")
        .suffix(&format!(".{TREE}"))
        .tempfile_in(store.folder().uploads())?;
    let (tree, path) = name.keep().map_err(|error| error.error)?;
    let stem = path
        .file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into());
    let paths = store.folder().upload(&stem);
    {
        let mut index = store.index().lock();
        if let Err(error) = store.make_room(&mut index, bytes) {
            let _ = paths.remove();
            return Err(error);
        }
        index.begin_upload(bytes);
    }
    let begun = Begun {
        store,
        paths,
        bytes,
    };
    let root = write(&begun.paths, tree, from, bytes)?;
    if expected.is_some_and(|expected| expected != root) {
        return Err(WrongBytes { offset: 0 }.into());
    }
    let mut index = store.index().lock();
    if index.get(&root).is_none() {
        store.adopt(&mut index, &begun.paths, root, bytes)?;
    }
    drop(index);
    Ok(root)
}

/// Writes both files, and syncs them.
fn write(paths: &Paths, tree: File, from: impl Read, bytes: u64) -> Result<Root, StoreError> {
    let mut options = OpenOptions::new();
    let data = options.write(true).create_new(true).open(&paths.data)?;
    let tee = Tee {
        from,
        to: data.try_clone()?,
        left: bytes,
    };
    let geometry = BaoTree::new(bytes, GROUP);
    let mut nodes = PreOrderOutboard {
        root: Root::default().into(),
        tree: geometry,
        data: tree,
    };
    let from = BufReader::with_capacity(64 * GROUP_BYTES as usize, tee);
    let root = outboard(from, geometry, &mut nodes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => StoreError::Short { expected: bytes },
        _ => error.into(),
    })?;
    data.sync_all()?;
    nodes.data.sync_all()?;
    Ok(root.into())
}
