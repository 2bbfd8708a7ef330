//! Who keeps artifacts from being evicted: each lets go only of what it keeps itself.

use std::{
    collections::{BTreeSet, HashMap},
    io,
};

use crate::{
    Root,
    files::{Folder, entries, named},
};

/// Longest name of a holder: an address, what it does, and a number.
const MAX_NAME: usize = 96;

/// Most holders of an artifact: each is a file.
pub(crate) const MAX_HOLDERS: usize = 64;

/// Whoever keeps an artifact, by a name that it chose. Without a name it is whoever pins by hand.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Holder(String);

/// Why a name is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the name of a holder has 1 to {MAX_NAME} letters, digits and hyphens")]
pub struct HolderError;

impl Holder {
    /// With this name.
    ///
    /// # Errors
    ///
    /// If it is empty, too long, or has other characters than letters and digits of ASCII and hyphens.
    pub fn new(name: impl Into<String>) -> Result<Self, HolderError> {
        let name = name.into();
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        match (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_fine) {
            true => Ok(Self(name)),
            false => Err(HolderError),
        }
    }

    /// The name; empty for whoever has none.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who holds what. The files are the truth; this is read from them.
#[derive(Debug, Default)]
pub(crate) struct Pins(HashMap<Root, BTreeSet<Holder>>);

impl Pins {
    /// Files with other names are left where they are.
    pub(crate) fn read(folder: &Folder) -> io::Result<Self> {
        let mut pins = Self::default();
        for path in entries(&folder.pins())? {
            match named(&path) {
                Some((root, "")) => pins.insert(root, Holder::default()),
                Some((root, name)) => {
                    if let Ok(holder) = Holder::new(name) {
                        pins.insert(root, holder);
                    }
                }
                None => {}
            }
        }
        Ok(pins)
    }

    /// In the order of their names.
    pub(crate) fn of(&self, root: &Root) -> impl Iterator<Item = &Holder> {
        self.0.get(root).into_iter().flatten()
    }

    pub(crate) fn is_full(&self, root: &Root) -> bool {
        self.0.get(root).is_some_and(|all| all.len() >= MAX_HOLDERS)
    }

    pub(crate) fn has(&self, root: &Root, holder: &Holder) -> bool {
        self.0.get(root).is_some_and(|all| all.contains(holder))
    }

    pub(crate) fn is_pinned(&self, root: &Root) -> bool {
        self.0.contains_key(root)
    }

    pub(crate) fn insert(&mut self, root: Root, holder: Holder) {
        self.0.entry(root).or_default().insert(holder);
    }

    pub(crate) fn remove(&mut self, root: &Root, holder: &Holder) {
        if let Some(all) = self.0.get_mut(root) {
            all.remove(holder);
            if all.is_empty() {
                self.0.remove(root);
            }
        }
    }
}
