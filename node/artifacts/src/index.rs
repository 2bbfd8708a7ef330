//! What is there, in memory: sizes, pins, and what was not used for longest. The files are the truth; this is read from them.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    time::SystemTime,
};

use crate::{Root, StoreError, bytes_on_disk, pins::Pins, store::Limits};

/// What is known of an artifact.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Info {
    /// BLAKE3 hash of its bytes.
    pub root: Root,
    /// How many they are.
    pub bytes: u64,
    /// Whether somebody keeps it: it is never evicted then.
    pub is_pinned: bool,
    /// When it was last stored or read, to within a minute.
    pub used: SystemTime,
}

/// Whole artifacts, and what is reserved for those under way.
#[derive(Debug)]
pub(crate) struct Index {
    limits: Limits,
    whole: BTreeMap<Root, Info>,
    /// Bytes on disk of whole artifacts.
    stored: u64,
    pins: Pins,
    /// Downloads that are under way, or that ended early.
    begun: HashMap<Root, Begun>,
    /// Bytes on disk that uploads may come to take, and how many they are.
    uploads: (u64, usize),
}

/// A download.
#[derive(Clone, Copy, Debug)]
struct Begun {
    bytes: u64,
    is_under_way: bool,
}

/// What goes so that something else finds room.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Evicted {
    /// Downloads that ended early.
    pub(crate) begun: Vec<Root>,
    /// Whole artifacts.
    pub(crate) whole: Vec<Root>,
}

impl Index {
    pub(crate) fn new(limits: Limits, pins: Pins) -> Self {
        Self {
            limits,
            whole: BTreeMap::new(),
            stored: 0,
            pins,
            begun: HashMap::new(),
            uploads: (0, 0),
        }
    }

    pub(crate) fn get(&self, root: &Root) -> Option<Info> {
        self.whole.get(root).copied()
    }

    pub(crate) fn get_mut(&mut self, root: &Root) -> Option<&mut Info> {
        self.whole.get_mut(root)
    }

    /// How many whole artifacts there are.
    pub(crate) fn count(&self) -> usize {
        self.whole.len()
    }

    /// Whole artifacts with roots above `after`, or all, in the order of their roots.
    pub(crate) fn above(&self, after: Option<Root>) -> impl Iterator<Item = &Info> {
        let first = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.whole
            .range((first, Bound::Unbounded))
            .map(|(_, info)| info)
    }

    pub(crate) fn stored(&self) -> u64 {
        self.stored
    }

    /// Bytes on disk of whole artifacts that somebody keeps.
    pub(crate) fn pinned(&self) -> u64 {
        let pinned = self.whole.values().filter(|info| info.is_pinned);
        pinned.map(|info| bytes_on_disk(info.bytes)).sum()
    }

    /// Bytes on disk that what is not whole may come to take.
    pub(crate) fn reserved(&self) -> u64 {
        let begun = self.begun.values();
        let begun: u64 = begun.map(|it| bytes_on_disk(it.bytes)).sum();
        begun.saturating_add(self.uploads.0)
    }

    /// Who keeps what.
    pub(crate) fn pins(&self) -> &Pins {
        &self.pins
    }

    /// Changes who keeps an artifact.
    pub(crate) fn repin(&mut self, root: &Root, change: impl FnOnce(&mut Pins)) {
        change(&mut self.pins);
        let is_pinned = self.pins.is_pinned(root);
        if let Some(info) = self.whole.get_mut(root) {
            info.is_pinned = is_pinned;
        }
    }

    pub(crate) fn insert(&mut self, root: Root, bytes: u64, used: SystemTime) {
        let info = Info {
            root,
            bytes,
            is_pinned: self.pins.is_pinned(&root),
            used,
        };
        self.stored = self.stored.saturating_add(bytes_on_disk(bytes));
        if let Some(old) = self.whole.insert(root, info) {
            self.stored = self.stored.saturating_sub(bytes_on_disk(old.bytes));
        }
    }

    pub(crate) fn remove(&mut self, root: &Root) -> Option<Info> {
        let info = self.whole.remove(root)?;
        self.stored = self.stored.saturating_sub(bytes_on_disk(info.bytes));
        Some(info)
    }

    /// What has to go so that there is room for an artifact of `bytes` more; nothing is changed.
    pub(crate) fn evicted_for(&self, bytes: u64) -> Result<Evicted, StoreError> {
        let needed = bytes_on_disk(bytes);
        match self.evicted(needed, 1) {
            (
                _,
                Room {
                    over: 1.., freed, ..
                },
            ) => Err(StoreError::Full {
                needed,
                evictable: self.free().saturating_add(freed),
                limit: self.limits.bytes,
            }),
            (_, Room { too_many: 1.., .. }) => Err(StoreError::TooMany(self.limits.artifacts)),
            (evicted, _) => Ok(evicted),
        }
    }

    /// Bytes of the cap that nothing takes.
    fn free(&self) -> u64 {
        let taken = self.stored.saturating_add(self.reserved());
        self.limits.bytes.saturating_sub(taken)
    }

    /// What has to go, of what may, so that `needed` bytes on disk and `more` artifacts find room; and what is lacking after that.
    pub(crate) fn evicted(&self, needed: u64, more: usize) -> (Evicted, Room) {
        let taken = self.stored.saturating_add(self.reserved());
        let mut room = Room {
            over: taken
                .saturating_add(needed)
                .saturating_sub(self.limits.bytes),
            too_many: (self.whole.len() + self.begun.len() + self.uploads.1 + more)
                .saturating_sub(self.limits.artifacts),
            freed: 0,
        };
        let mut evicted = Evicted::default();
        for (root, begun) in self.begun.iter().filter(|(_, it)| !it.is_under_way) {
            if room.is_there() {
                break;
            }
            room.free(begun.bytes);
            evicted.begun.push(*root);
        }
        let mut loose: Vec<&Info> = self.whole.values().filter(|it| !it.is_pinned).collect();
        loose.sort_by_key(|it| (it.used, it.root));
        for info in loose {
            if room.is_there() {
                break;
            }
            room.free(info.bytes);
            evicted.whole.push(info.root);
        }
        (evicted, room)
    }

    /// An upload of so many bytes begins.
    pub(crate) fn begin_upload(&mut self, bytes: u64) {
        self.uploads.0 = self.uploads.0.saturating_add(bytes_on_disk(bytes));
        self.uploads.1 += 1;
    }

    /// It has ended, however it did.
    pub(crate) fn end_upload(&mut self, bytes: u64) {
        self.uploads.0 = self.uploads.0.saturating_sub(bytes_on_disk(bytes));
        self.uploads.1 = self.uploads.1.saturating_sub(1);
    }

    /// Bytes of a download that was begun, and whether it is under way.
    pub(crate) fn begun(&self, root: &Root) -> Option<(u64, bool)> {
        let begun = self.begun.get(root)?;
        Some((begun.bytes, begun.is_under_way))
    }

    /// A download is under way now, or has ended early.
    pub(crate) fn set_begun(&mut self, root: Root, bytes: u64, is_under_way: bool) {
        let begun = Begun {
            bytes,
            is_under_way,
        };
        self.begun.insert(root, begun);
    }

    /// There is nothing of it any more, or it is whole.
    pub(crate) fn forget_begun(&mut self, root: &Root) {
        self.begun.remove(root);
    }
}

/// What is still lacking.
pub(crate) struct Room {
    over: u64,
    too_many: usize,
    freed: u64,
}

impl Room {
    fn is_there(&self) -> bool {
        self.over == 0 && self.too_many == 0
    }

    fn free(&mut self, bytes: u64) {
        let bytes = bytes_on_disk(bytes);
        self.over = self.over.saturating_sub(bytes);
        self.too_many = self.too_many.saturating_sub(1);
        self.freed = self.freed.saturating_add(bytes);
    }
}
