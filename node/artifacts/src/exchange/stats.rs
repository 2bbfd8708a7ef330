//! What the exchange has done since the start.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// What the exchange has done since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ExchangeStats {
    /// Bytes of answers with parts of artifacts, nodes of the tree included.
    pub served_bytes: u64,
    /// Bytes of artifacts that came from peers and were right.
    pub fetched_bytes: u64,
    /// Requests of peers that were refused: malformed, too many, or no room for the answer.
    pub requests_refused: u64,
    /// Parts that peers gave and that were not those of the artifact.
    pub parts_wrong: u64,
    /// Artifacts that are being fetched.
    pub fetches: u64,
}

/// Counts. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    served_bytes: AtomicU64,
    fetched_bytes: AtomicU64,
    requests_refused: AtomicU64,
    parts_wrong: AtomicU64,
    fetches: AtomicU64,
}

impl Tally {
    /// The counts of this moment.
    pub fn stats(&self) -> ExchangeStats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ExchangeStats {
            served_bytes: read(&self.0.served_bytes),
            fetched_bytes: read(&self.0.fetched_bytes),
            requests_refused: read(&self.0.requests_refused),
            parts_wrong: read(&self.0.parts_wrong),
            fetches: read(&self.0.fetches),
        }
    }

    pub(super) fn served(&self, bytes: usize) {
        let count = &self.0.served_bytes;
        count.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn fetched(&self, bytes: u64) {
        self.0.fetched_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.0.requests_refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn wrong(&self) {
        self.0.parts_wrong.fetch_add(1, Ordering::Relaxed);
    }

    /// One more is fetched, until what is returned is dropped.
    pub(super) fn fetching(&self) -> Counted {
        self.0.fetches.fetch_add(1, Ordering::Relaxed);
        Counted(self.clone())
    }
}

/// A fetch that is counted.
pub(super) struct Counted(Tally);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetches.fetch_sub(1, Ordering::Relaxed);
    }
}
