//! Noised and packed Bt, kept for as long as its template stands.

use labora_pouw::{Hash, Shape};

use crate::layout::Buffer;

/// What the noise on Bt follows from: m is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pre_hash: Hash,
    root: Hash,
    n: u32,
    k: u32,
}

impl Key {
    pub(super) fn new(pre_hash: Hash, root: Hash, shape: Shape) -> Self {
        Key {
            pre_hash,
            root,
            n: shape.n(),
            k: shape.k(),
        }
    }
}

struct Entry {
    /// `None`: the buffer holds nothing of use.
    key: Option<Key>,
    panels: Buffer,
    used: u64,
}

/// Packed panels by what they follow from; memory of stale ones serves the next.
pub(super) struct PanelCache {
    entries: Vec<Entry>,
    max_bytes: usize,
    clock: u64,
}

impl PanelCache {
    /// A cache that keeps `max_bytes`, or a single entry where that one is larger.
    pub(super) fn new(max_bytes: usize) -> Self {
        PanelCache {
            entries: Vec::new(),
            max_bytes,
            clock: 0,
        }
    }

    /// The panels of `key`, made by `make` unless they are there.
    pub(super) fn get_or_make(
        &mut self,
        key: Key,
        bytes: usize,
        make: impl FnOnce(&mut [u8]),
    ) -> &[u8] {
        self.clock += 1;
        let found = self.entries.iter().position(|entry| entry.key == Some(key));
        let at = found.unwrap_or_else(|| {
            let at = self.slot(key, bytes);
            let entry = &mut self.entries[at];
            // Without a key while it is written: a panic in `make` must not leave half an entry to be found.
            entry.key = None;
            entry.panels.resize(bytes);
            make(entry.panels.bytes_mut());
            entry.key = Some(key);
            at
        });
        let entry = &mut self.entries[at];
        entry.used = self.clock;
        entry.panels.bytes()
    }

    /// Forgets what the buffers hold, and keeps their memory.
    pub(super) fn forget(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.key = None);
    }

    /// Where an entry of so many bytes goes: the memory of another template's, else more, else that of the one that
    /// was not used for longest.
    fn slot(&mut self, key: Key, bytes: usize) -> usize {
        for entry in &mut self.entries {
            entry.key = entry.key.filter(|old| old.pre_hash == key.pre_hash);
        }
        if let Some(stale) = self
            .entries
            .iter()
            .position(|entry| entry.key.is_none() && entry.panels.capacity() >= bytes)
        {
            return stale;
        }
        // Whatever else is stale is too small to serve: its memory goes to the new entry.
        self.entries.retain(|entry| entry.key.is_some());
        loop {
            let held: usize = self
                .entries
                .iter()
                .map(|entry| entry.panels.capacity())
                .sum();
            if self.entries.is_empty() || held.saturating_add(bytes) <= self.max_bytes {
                self.entries.push(Entry {
                    key: None,
                    panels: Buffer::default(),
                    used: 0,
                });
                return self.entries.len() - 1;
            }
            let oldest = (0..self.entries.len())
                .min_by_key(|&at| self.entries[at].used)
                .unwrap_or(0);
            self.entries.swap_remove(oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(pre_hash: u8, root: u8) -> Key {
        Key::new([pre_hash; 32], [root; 32], Shape::new(32, 32, 256).unwrap())
    }

    /// Asks for an entry, whose bytes are its root's; says whether it was made.
    fn ask(cache: &mut PanelCache, pre_hash: u8, root: u8, bytes: usize) -> bool {
        let mut made = false;
        let held = cache.get_or_make(key(pre_hash, root), bytes, |to| {
            made = true;
            to.fill(root);
        });
        assert!(held.len() == bytes && held.iter().all(|&byte| byte == root));
        made
    }

    #[test]
    fn an_entry_is_made_once_a_template() {
        let mut cache = PanelCache::new(1 << 20);
        assert!(ask(&mut cache, 1, 1, 1024) && ask(&mut cache, 1, 2, 1024));
        assert!(!ask(&mut cache, 1, 1, 1024) && !ask(&mut cache, 1, 2, 1024));
        assert!(ask(&mut cache, 2, 1, 1024) && ask(&mut cache, 2, 2, 1024));
        assert!(ask(&mut cache, 1, 1, 1024));
    }

    #[test]
    fn what_was_not_used_for_longest_makes_room() {
        let mut cache = PanelCache::new(3000);
        assert!(ask(&mut cache, 1, 1, 1024) && ask(&mut cache, 1, 2, 1024));
        assert!(!ask(&mut cache, 1, 1, 1024));
        assert!(ask(&mut cache, 1, 3, 1024));
        assert!(!ask(&mut cache, 1, 1, 1024) && ask(&mut cache, 1, 2, 1024));
        // Larger than all there is room for: it is kept alone.
        assert!(
            ask(&mut cache, 1, 9, 4096)
                && !ask(&mut cache, 1, 9, 4096)
                && ask(&mut cache, 1, 1, 1024)
        );
    }

    #[test]
    fn after_a_panic_nothing_half_made_is_found() {
        let mut cache = PanelCache::new(1 << 20);
        let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            cache.get_or_make(key(1, 1), 64, |_| panic!("on the way"));
        }));
        assert!(made.is_err() && ask(&mut cache, 1, 1, 64));
    }
}
