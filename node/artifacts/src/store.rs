//! The store: what is whole, what is pinned, and room for more.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    Artifact, Download, Holder, Info, MAX_BYTES, OpenError, Root, StoreError, bytes_on_disk,
    files::{DATA, Folder, Paths, entries, named},
    index::{Evicted, Index},
    pins::Pins,
    upload,
};

/// How exactly is known when an artifact was last used.
const USED_TO_WITHIN: Duration = Duration::from_secs(60);

/// Bounds of a store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes on disk, for artifacts whole and under way.
    pub bytes: u64,
    /// Artifacts, whole and under way: each takes some hundred bytes of memory and two files.
    pub artifacts: usize,
}

/// What a store takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Usage {
    /// Whole artifacts.
    pub artifacts: usize,
    /// Bytes on disk of those.
    pub stored: u64,
    /// Of these, bytes of what somebody keeps: it is never evicted.
    pub pinned: u64,
    /// Bytes on disk that those under way may come to take.
    pub reserved: u64,
    /// The cap on both together.
    pub limit: u64,
}

/// A store of artifacts. Clones share it.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: Folder,
    limits: Limits,
    index: Mutex<Index>,
    /// Told when an artifact becomes whole, goes, or is pinned or let be.
    changes: watch::Sender<()>,
    /// Held while the store is open.
    _lock: File,
}

impl Store {
    /// Opens the store in a folder, which is made if it is not there. What is there already beyond the cap is evicted.
    ///
    /// # Errors
    ///
    /// If another process has it, or the folder cannot be read and written.
    pub fn open(path: &Path, limits: Limits) -> Result<Self, OpenError> {
        let folder = Folder::new(path);
        let at = |path: &Path| {
            let path = path.to_owned();
            move |error| OpenError::Folder { path, error }
        };
        for part in [
            folder.objects(),
            folder.partial(),
            folder.uploads(),
            folder.pins(),
        ] {
            fs::create_dir_all(&part).map_err(at(&part))?;
        }
        let lock = lock(&folder.lock(), path)?;
        // Nobody goes on with them: they have no name.
        for upload in entries(&folder.uploads()).map_err(at(path))? {
            fs::remove_file(&upload).map_err(at(&upload))?;
        }
        let pins = Pins::read(&folder).map_err(at(&folder.pins()))?;
        let mut index = Index::new(limits, pins);
        read_whole(&folder, &mut index).map_err(at(&folder.objects()))?;
        read_begun(&folder, &mut index).map_err(at(&folder.partial()))?;
        let store = Self(Arc::new(Inner {
            folder,
            limits,
            index: Mutex::new(index),
            changes: watch::Sender::new(()),
            _lock: lock,
        }));
        store.keep_to_the_cap().map_err(at(path))?;
        Ok(store)
    }

    /// After a start with a lower cap: what may go goes, until the rest fits.
    fn keep_to_the_cap(&self) -> io::Result<()> {
        let mut index = self.0.index.lock();
        let (evicted, _) = index.evicted(0, 0);
        self.evict(&mut index, evicted)
    }

    fn evict(&self, index: &mut Index, evicted: Evicted) -> io::Result<()> {
        for root in evicted.begun {
            self.0.folder.begun(&root).remove()?;
            index.forget_begun(&root);
        }
        for root in evicted.whole {
            self.0.folder.whole(&root).remove()?;
            index.remove(&root);
            self.0.changes.send_replace(());
        }
        Ok(())
    }

    /// What it takes.
    pub fn usage(&self) -> Usage {
        let index = self.0.index.lock();
        Usage {
            artifacts: index.count(),
            stored: index.stored(),
            pinned: index.pinned(),
            reserved: index.reserved(),
            limit: self.0.limits.bytes,
        }
    }

    /// Tells that the list of whole artifacts, or which of them are pinned, has changed; not how, and several changes may count as one.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.changes.subscribe()
    }

    /// What is known of an artifact that is there.
    pub fn info(&self, root: &Root) -> Option<Info> {
        self.0.index.lock().get(root)
    }

    /// Artifacts with roots above `after`, or all, in the order of their roots: at most `limit`.
    pub fn list(&self, after: Option<Root>, limit: usize) -> Vec<Info> {
        let index = self.0.index.lock();
        index.above(after).take(limit).copied().collect()
    }

    /// The same with who keeps them; of a `prefix` only what somebody keeps whose name begins so, and only those names.
    pub fn held(
        &self,
        prefix: Option<&str>,
        after: Option<Root>,
        limit: usize,
    ) -> Vec<(Info, Vec<Holder>)> {
        let index = self.0.index.lock();
        let is_asked_for = |holder: &&Holder| holder.as_str().starts_with(prefix.unwrap_or(""));
        let by = |root: &Root| {
            index
                .pins()
                .of(root)
                .filter(is_asked_for)
                .cloned()
                .collect()
        };
        let all = index.above(after).map(|info| (*info, by(&info.root)));
        all.filter(|(_, by): &(_, Vec<Holder>)| prefix.is_none() || !by.is_empty())
            .take(limit)
            .collect()
    }

    /// Opens an artifact to be read. It can be read to its end even if it is evicted meanwhile.
    ///
    /// # Errors
    ///
    /// If it is not there, or cannot be opened.
    pub fn get(&self, root: &Root) -> Result<Artifact, StoreError> {
        let mut index = self.0.index.lock();
        let info = index.get_mut(root).ok_or(StoreError::Unknown(*root))?;
        let paths = self.0.folder.whole(root);
        let artifact = Artifact::open(&paths, *root, info.bytes)?;
        let now = SystemTime::now();
        if now
            .duration_since(info.used)
            .is_ok_and(|since| since > USED_TO_WITHIN)
        {
            info.used = now;
            // For the order of eviction after a restart; not worth an error.
            let _ = touch(&paths, now);
        }
        Ok(artifact)
    }

    /// Stores `bytes` bytes of `from`; their root.
    ///
    /// # Errors
    ///
    /// If there is no room, `from` ends early or fails, or the bytes do not have the root that they should have. Nothing is
    /// left of it then.
    pub fn put(
        &self,
        from: impl Read,
        bytes: u64,
        expected: Option<Root>,
    ) -> Result<Root, StoreError> {
        upload::put(self, from, bytes, expected)
    }

    /// Ranges of bytes that are missing of an artifact; all, where no download of it was begun. Makes no room for it.
    ///
    /// # Errors
    ///
    /// If a download is under way, or those of the disk.
    pub fn missing(&self, root: Root, bytes: u64) -> Result<Vec<Range<u64>>, StoreError> {
        check_size(bytes)?;
        let begun = self.0.index.lock().begun(&root);
        match begun.is_some_and(|(known, _)| known == bytes) {
            true => self.download(root, bytes)?.missing(),
            false => Ok(std::iter::once(0..bytes).collect()),
        }
    }

    /// Begins a download, or goes on with it.
    ///
    /// # Errors
    ///
    /// If there is no room, or it is under way.
    pub fn download(&self, root: Root, bytes: u64) -> Result<Download, StoreError> {
        check_size(bytes)?;
        let paths = self.0.folder.begun(&root);
        let mut index = self.0.index.lock();
        match index.begun(&root) {
            Some((_, true)) => return Err(StoreError::UnderWay(root)),
            Some((known, false)) if known == bytes => {}
            known => {
                if known.is_some() {
                    // Somebody said that it had another size.
                    paths.remove()?;
                    index.forget_begun(&root);
                }
                self.make_room(&mut index, bytes)?;
            }
        }
        index.set_begun(root, bytes, true);
        drop(index);
        Download::open(self.clone(), paths, root, bytes).inspect_err(|_| {
            self.0.index.lock().set_begun(root, bytes, false);
        })
    }

    /// Keeps an artifact from being evicted for somebody.
    ///
    /// # Errors
    ///
    /// If it is not there, 64 others keep it, or the disk cannot be written.
    pub fn hold(&self, root: &Root, holder: &Holder) -> Result<(), StoreError> {
        let mut index = self.0.index.lock();
        index.get(root).ok_or(StoreError::Unknown(*root))?;
        if index.pins().is_full(root) && !index.pins().has(root, holder) {
            return Err(StoreError::Held(*root));
        }
        File::create(self.0.folder.pin(root, holder))?.sync_all()?;
        index.repin(root, |pins| pins.insert(*root, holder.clone()));
        self.0.changes.send_replace(());
        Ok(())
    }

    /// Keeps an artifact for somebody no longer. One that it did not keep is no error.
    ///
    /// # Errors
    ///
    /// If it is not there, or the disk cannot be written.
    pub fn let_go(&self, root: &Root, holder: &Holder) -> Result<(), StoreError> {
        let mut index = self.0.index.lock();
        index.get(root).ok_or(StoreError::Unknown(*root))?;
        self.unpin(&mut index, root, holder)?;
        self.0.changes.send_replace(());
        Ok(())
    }

    fn unpin(&self, index: &mut Index, root: &Root, holder: &Holder) -> io::Result<()> {
        match fs::remove_file(self.0.folder.pin(root, holder)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        index.repin(root, |pins| pins.remove(root, holder));
        Ok(())
    }

    /// Removes an artifact, pinned or not, and what there is of a download of it that is not under way.
    ///
    /// # Errors
    ///
    /// If it is not there, or the disk cannot be written.
    pub fn remove(&self, root: &Root) -> Result<(), StoreError> {
        let mut index = self.0.index.lock();
        index.get(root).ok_or(StoreError::Unknown(*root))?;
        let holders: Vec<Holder> = index.pins().of(root).cloned().collect();
        for holder in holders {
            self.unpin(&mut index, root, &holder)?;
        }
        self.0.folder.whole(root).remove()?;
        index.remove(root);
        self.0.changes.send_replace(());
        Ok(())
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.0.folder
    }

    pub(crate) fn index(&self) -> &Mutex<Index> {
        &self.0.index
    }

    /// Evicts until there is room for an artifact of so many bytes.
    pub(crate) fn make_room(&self, index: &mut Index, bytes: u64) -> Result<(), StoreError> {
        let evicted = index.evicted_for(bytes)?;
        Ok(self.evict(index, evicted)?)
    }

    /// What lies at `paths`, synced, is an artifact now.
    pub(crate) fn adopt(
        &self,
        index: &mut Index,
        paths: &Paths,
        root: Root,
        bytes: u64,
    ) -> Result<(), StoreError> {
        paths.become_whole(&self.0.folder.whole(&root))?;
        index.insert(root, bytes, SystemTime::now());
        self.0.changes.send_replace(());
        Ok(())
    }
}

/// Fails for what is no size of an artifact.
pub(crate) fn check_size(bytes: u64) -> Result<(), StoreError> {
    match bytes {
        1..=MAX_BYTES => Ok(()),
        _ => Err(StoreError::Size(bytes)),
    }
}

fn lock(path: &Path, folder: &Path) -> Result<File, OpenError> {
    let failed = |error| OpenError::Folder {
        path: path.to_owned(),
        error,
    };
    let mut options = OpenOptions::new();
    let file = options.create(true).write(true).truncate(false).open(path);
    let file = file.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn touch(paths: &Paths, now: SystemTime) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .open(&paths.data)?
        .set_modified(now)
}

/// Both files of an artifact, if they are there and of the right sizes; the size of its bytes, and when it was used.
fn sized(paths: &Paths) -> Option<(u64, SystemTime)> {
    let data = fs::metadata(&paths.data).ok()?;
    let tree = fs::metadata(&paths.tree).ok()?;
    let bytes = data.len();
    let is_whole = check_size(bytes).is_ok() && bytes + tree.len() == bytes_on_disk(bytes);
    is_whole.then(|| (bytes, data.modified().unwrap_or(SystemTime::UNIX_EPOCH)))
}

/// Files that are not what they should be are removed: they take room that nobody counts.
fn read_whole(folder: &Folder, index: &mut Index) -> io::Result<()> {
    for part in entries(&folder.objects())? {
        if !part.is_dir() {
            fs::remove_file(&part)?;
            continue;
        }
        for path in entries(&part)? {
            let Some((root, end)) = named(&path) else {
                fs::remove_file(&path)?;
                continue;
            };
            let paths = folder.whole(&root);
            match sized(&paths) {
                Some((bytes, used)) if end == DATA => index.insert(root, bytes, used),
                Some(_) => {}
                None => paths.remove()?,
            }
        }
    }
    Ok(())
}

fn read_begun(folder: &Folder, index: &mut Index) -> io::Result<()> {
    for path in entries(&folder.partial())? {
        let known: Option<PathBuf> = named(&path).map(|(root, _)| folder.begun(&root).data);
        let bytes = known.and_then(|data| fs::metadata(data).ok());
        let bytes = bytes.map(|data| data.len());
        match (named(&path), bytes) {
            (Some((root, _)), Some(bytes)) if check_size(bytes).is_ok() => {
                index.set_begun(root, bytes, false);
            }
            _ => fs::remove_file(&path)?,
        }
    }
    Ok(())
}
