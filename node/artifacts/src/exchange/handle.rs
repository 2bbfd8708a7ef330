//! The handle by which artifacts are fetched from peers.

use std::{collections::HashMap, fmt, ops::Range, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    error::FetchError,
    fetch::{Fetch, Job, Pace},
    peers::Peers,
    stats::Tally,
};
use crate::{Root, Store, store::check_size};

/// Artifacts that are fetched at a time: the answers of each take up to 8.5 MB.
pub const FETCHES: usize = 8;

/// Fetches artifacts into a store from peers. Clones share it.
#[derive(Clone)]
pub struct Exchange(Arc<Inner>);

struct Inner {
    store: Store,
    peers: Arc<dyn Peers>,
    tally: Tally,
    pace: Pace,
    running: Mutex<HashMap<Root, Running>>,
}

/// A fetch that is under way.
struct Running {
    bytes: u64,
    state: watch::Receiver<State>,
}

/// How far a fetch is.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// These ranges of bytes are missing, or more than are told of.
    UnderWay(Vec<Range<u64>>),
    /// It is whole, or was given up.
    Over(Result<(), Arc<FetchError>>),
}

/// A fetch, as one sees it who waits for it. It goes on without.
#[derive(Debug)]
pub struct Fetching {
    state: watch::Receiver<State>,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Exchange").finish_non_exhaustive()
    }
}

impl Exchange {
    /// Fetches into `store` from `peers`.
    pub fn new(store: Store, peers: Arc<dyn Peers>, tally: Tally) -> Self {
        Self::with_pace(store, peers, tally, Pace::default())
    }

    pub(super) fn with_pace(store: Store, peers: Arc<dyn Peers>, tally: Tally, pace: Pace) -> Self {
        Self(Arc::new(Inner {
            store,
            peers,
            tally,
            pace,
            running: Mutex::default(),
        }))
    }

    /// Begins to fetch an artifact of so many bytes, goes on where an earlier fetch or transfer ended, or joins one that is under way.
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`FetchError::Busy`] if [`FETCHES`] are under way, [`FetchError::Length`] if it is there, or on its way, with another
    /// length, and for what is no size of an artifact.
    pub fn begin(&self, root: Root, bytes: u64) -> Result<Fetching, FetchError> {
        check_size(bytes)?;
        let mut running = self.0.running.lock();
        let known = self.0.store.info(&root).map(|info| info.bytes);
        let known = known.or_else(|| running.get(&root).map(|it| it.bytes));
        match known {
            Some(known) if known != bytes => {
                return Err(FetchError::Length {
                    root,
                    asked: bytes,
                    bytes: known,
                });
            }
            _ => {}
        }
        if self.0.store.info(&root).is_some() {
            let (_, state) = watch::channel(State::Over(Ok(())));
            return Ok(Fetching { state });
        }
        if let Some(running) = running.get(&root) {
            let state = running.state.clone();
            return Ok(Fetching { state });
        }
        if running.len() >= FETCHES {
            return Err(FetchError::Busy);
        }
        let missing = std::iter::once(0..bytes).collect();
        let (progress, state) = watch::channel(State::UnderWay(missing));
        let of_root = Running {
            bytes,
            state: state.clone(),
        };
        running.insert(root, of_root);
        drop(running);
        let listed = Listed {
            exchange: self.clone(),
            root,
        };
        tokio::spawn(listed.run(bytes, progress));
        Ok(Fetching { state })
    }

    /// Fetches an artifact of so many bytes; see [`Exchange::begin`]. Dropped before its end, the fetch goes on.
    ///
    /// # Errors
    ///
    /// Those of [`Exchange::begin`]; [`FetchError::Nobody`] where no peer has it, [`FetchError::GaveUp`] where those that have it
    /// did not give all of it, [`FetchError::TooSlow`] where they give it too slowly, and [`FetchError::Store`] where it cannot be stored.
    pub async fn fetch(&self, root: Root, bytes: u64) -> Result<(), Arc<FetchError>> {
        self.begin(root, bytes)?.over().await
    }
}

impl Fetching {
    /// Ranges of bytes that are missing: the first 1,000.
    pub fn missing(&self) -> Vec<Range<u64>> {
        match &*self.state.borrow() {
            State::UnderWay(missing) => missing.clone(),
            State::Over(_) => Vec::new(),
        }
    }

    /// Waits until it is whole, or was given up.
    ///
    /// # Errors
    ///
    /// Why it was given up.
    pub async fn over(&mut self) -> Result<(), Arc<FetchError>> {
        let over = self.state.wait_for(|it| matches!(it, State::Over(_))).await;
        match over.as_deref() {
            Ok(State::Over(outcome)) => outcome.clone(),
            _ => Err(Arc::new(FetchError::Interrupted)),
        }
    }
}

/// A fetch in the list of those under way, until this is dropped.
struct Listed {
    exchange: Exchange,
    root: Root,
}

impl Listed {
    async fn run(self, bytes: u64, progress: watch::Sender<State>) {
        let inner = &*self.exchange.0;
        let counted = inner.tally.fetching();
        let job = Job {
            root: self.root,
            bytes,
            store: inner.store.clone(),
            peers: Arc::clone(&inner.peers),
            tally: inner.tally.clone(),
            pace: inner.pace,
        };
        let outcome = Fetch::new(job, &progress).run().await;
        let root = hex::encode(self.root);
        match &outcome {
            Ok(()) => tracing::info!(target: "labora", %root, bytes, "fetched an artifact"),
            Err(error) => tracing::debug!(%root, bytes, %error, "An artifact was not fetched"),
        }
        // Before those who wait are told: whoever asks again then begins anew.
        drop(counted);
        drop(self);
        progress.send_replace(State::Over(outcome.map_err(Arc::new)));
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.exchange.0.running.lock().remove(&self.root);
    }
}
