//! One fetch: whom to ask, for what, and what comes of it.

use std::{ops::Range, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use parking_lot::Mutex;
use sc_network_types::PeerId;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    ASK_TIMEOUT,
    crew::Crew,
    error::FetchError,
    handle::State,
    parts::Parts,
    peers::{AskError, Offence, Peers},
    stats::Tally,
    wire::{Part, Request},
};
use crate::{Download, Root, Store, StoreError};

/// Parts that are asked for at a time, of all peers: each is in memory twice while it is taken, 8.5 MB together.
const PARTS_AT_ONCE: usize = 4;

/// Missing ranges that are told of.
const MAX_TOLD: usize = 1_000;

/// Slower than this, beside the time for finding somebody, a fetch makes room for others: whoever gives little by little would else
/// hold a place for hours.
pub const LEAST_BYTES_PER_S: u64 = 1 << 20;

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// A peer that has said nothing for so long is not asked again.
    pub(super) ask: Duration,
    /// One that refused is left alone for so long.
    pub(super) rest: Duration,
    /// Time for finding somebody who has it; a second more for each [`LEAST_BYTES_PER_S`] of it.
    pub(super) find: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            ask: ASK_TIMEOUT,
            rest: Duration::from_secs(1),
            find: Duration::from_secs(60),
        }
    }
}

/// What is to be fetched, and from whom.
pub(super) struct Job {
    pub(super) root: Root,
    pub(super) bytes: u64,
    pub(super) store: Store,
    pub(super) peers: Arc<dyn Peers>,
    pub(super) tally: Tally,
    pub(super) pace: Pace,
}

/// A fetch.
pub(super) struct Fetch<'a> {
    job: Job,
    progress: &'a watch::Sender<State>,
    crew: Crew,
    /// What is missing, and where it goes to. Room is taken once somebody has the artifact, so that a root that nobody has evicts
    /// nothing.
    begun: Option<(Parts, Arc<Mutex<Download>>)>,
    /// Another length, of which somebody told.
    other_length: Option<u64>,
    has_searched: bool,
    events: FuturesUnordered<BoxFuture<'static, Event>>,
}

/// What a fetch waits for.
enum Event {
    /// What a peer said of whether it has the artifact.
    Told(PeerId, Result<Part, Fault>),
    /// Whom the DHT names.
    Named(Vec<PeerId>),
    /// What came of asking a peer for a part.
    Came(PeerId, Range<u64>, Result<(), Fault>),
    /// A peer that refused was left alone for a while.
    Rested(PeerId),
}

/// Why a peer gave nothing.
enum Fault {
    /// It did something wrong.
    Offence(Offence),
    /// It has too much to do.
    Refused,
    /// It has an artifact of another length under this root, as it says.
    Length(u64),
    /// It does not have it, said nothing in time, or cannot be reached.
    Nothing,
    /// What it gave cannot be stored, which is not its fault.
    Store(StoreError),
    /// The thread that takes parts ended.
    Interrupted,
}

impl<'a> Fetch<'a> {
    pub(super) fn new(job: Job, progress: &'a watch::Sender<State>) -> Self {
        Self {
            job,
            progress,
            crew: Crew::default(),
            begun: None,
            other_length: None,
            has_searched: false,
            events: FuturesUnordered::new(),
        }
    }

    /// Fetches until it is whole, or nobody is left to ask.
    pub(super) async fn run(mut self) -> Result<(), FetchError> {
        let outcome = self.fetch().await;
        if outcome.is_err() {
            self.leave().await;
        }
        outcome
    }

    async fn fetch(&mut self) -> Result<(), FetchError> {
        let Job {
            root, bytes, pace, ..
        } = self.job;
        let limit = Instant::now() + pace.find + Duration::from_secs(bytes / LEAST_BYTES_PER_S);
        if self.job.store.index().lock().begun(&root) == Some((bytes, false)) {
            // It has its room already, and may be whole.
            self.open().await?;
        }
        self.crew.add(self.job.peers.connected().await);
        loop {
            if self
                .begun
                .as_ref()
                .is_some_and(|(parts, _)| parts.is_done())
            {
                return self.finish().await;
            }
            self.ask_around();
            self.ask_for_parts();
            match timeout_at(limit, self.events.next()).await {
                Ok(Some(event)) => self.take(event).await?,
                Ok(None) => return Err(self.verdict()),
                Err(_) => return Err(self.too_slow()),
            }
        }
    }

    /// Takes room, and sees what is there already.
    async fn open(&mut self) -> Result<(), FetchError> {
        let Job { root, bytes, .. } = self.job;
        let store = self.job.store.clone();
        let opened = blocking(move || {
            let download = store.download(root, bytes)?;
            let missing = download.missing()?;
            Ok((Parts::new(&missing, bytes), download))
        });
        let (parts, download) = opened.await?;
        self.begun = Some((parts, Arc::new(Mutex::new(download))));
        self.tell();
        Ok(())
    }

    fn ask_around(&mut self) {
        let Job {
            root, bytes, pace, ..
        } = self.job;
        while let Some(peer) = self.crew.next_candidate() {
            let peers = Arc::clone(&self.job.peers);
            // Twice the time of a part: it may have to be found and dialled first.
            let question = async move {
                let told = ask(&*peers, peer, Request::whether(root), bytes, 2 * pace.ask).await;
                Event::Told(peer, told)
            };
            self.events.push(question.boxed());
        }
        if self.crew.is_thin() && !self.has_searched {
            self.has_searched = true;
            let peers = Arc::clone(&self.job.peers);
            let search = async move { Event::Named(peers.providers(root).await) };
            self.events.push(search.boxed());
        }
    }

    fn ask_for_parts(&mut self) {
        let Some((parts, download)) = &mut self.begun else {
            return;
        };
        while parts.asked() < PARTS_AT_ONCE && parts.has_left() {
            let Some(peer) = self.crew.for_part() else {
                return;
            };
            let Some(range) = parts.next() else {
                return;
            };
            let (job, download) = (&self.job, Arc::clone(download));
            let (peers, root, bytes) = (Arc::clone(&job.peers), job.root, job.bytes);
            let limit = job.pace.ask;
            let part = async move {
                let asked =
                    part(&*peers, peer, (root, bytes, range.clone()), download, limit).await;
                Event::Came(peer, range, asked)
            };
            self.events.push(part.boxed());
        }
    }

    async fn take(&mut self, event: Event) -> Result<(), FetchError> {
        match event {
            Event::Named(peers) => self.crew.add(peers),
            Event::Rested(peer) => self.crew.rested(peer),
            Event::Told(peer, Ok(_)) => {
                self.crew.has(peer);
                if self.begun.is_none() {
                    self.open().await?;
                }
            }
            Event::Told(peer, Err(fault)) => self.blame(peer, fault)?,
            Event::Came(peer, range, came) => {
                self.crew.end_part(peer);
                let Some((parts, _)) = &mut self.begun else {
                    return Ok(());
                };
                match came {
                    Ok(()) => {
                        parts.done(&range);
                        self.job.tally.fetched(range.end - range.start);
                        self.crew.has(peer);
                    }
                    Err(fault) => {
                        parts.put_back(range);
                        self.blame(peer, fault)?;
                    }
                }
                self.tell();
            }
        }
        Ok(())
    }

    /// A peer gave nothing: whether it is asked again.
    fn blame(&mut self, peer: PeerId, fault: Fault) -> Result<(), FetchError> {
        match fault {
            Fault::Store(error) => return Err(error.into()),
            Fault::Interrupted => return Err(FetchError::Interrupted),
            Fault::Refused => {
                if self.crew.refused(peer) {
                    let pause = sleep(self.job.pace.rest);
                    let rest = async move {
                        pause.await;
                        Event::Rested(peer)
                    };
                    self.events.push(rest.boxed());
                }
                return Ok(());
            }
            Fault::Offence(offence) => {
                if offence == Offence::WrongBytes {
                    self.job.tally.wrong();
                }
                self.job.peers.report(peer, offence);
            }
            Fault::Length(bytes) => self.other_length = Some(bytes),
            Fault::Nothing => {}
        }
        self.crew.out(peer);
        Ok(())
    }

    /// Tells those who wait what is missing.
    fn tell(&self) {
        if let Some((parts, _)) = &self.begun {
            let missing = parts.missing(MAX_TOLD);
            self.progress.send_replace(State::UnderWay(missing));
        }
    }

    async fn finish(&mut self) -> Result<(), FetchError> {
        let bytes = self.job.bytes;
        // Nobody has it for a part any more, since none is asked for.
        let begun = self.begun.take().and_then(|(_, it)| Arc::into_inner(it));
        let download = begun.ok_or(FetchError::Interrupted)?.into_inner();
        let missing = blocking(move || download.finish_if_whole()).await?;
        match missing.is_empty() {
            true => Ok(()),
            // The disk has other bytes than were written.
            false => Err(StoreError::Short { expected: bytes }.into()),
        }
    }

    fn too_slow(&self) -> FetchError {
        let root = self.job.root;
        match &self.begun {
            Some((parts, _)) => FetchError::TooSlow {
                root,
                missing: parts.bytes(),
            },
            None => FetchError::Nobody {
                root,
                asked: self.crew.asked(),
            },
        }
    }

    /// Nobody is left to ask.
    fn verdict(&self) -> FetchError {
        let root = self.job.root;
        match (&self.begun, self.other_length) {
            (Some((parts, _)), _) if self.crew.had_any() => FetchError::GaveUp {
                root,
                missing: parts.bytes(),
            },
            (_, Some(bytes)) => FetchError::Length {
                root,
                asked: self.job.bytes,
                bytes,
            },
            _ => FetchError::Nobody {
                root,
                asked: self.crew.asked(),
            },
        }
    }

    /// What came is kept; where nothing did, the room is given back.
    async fn leave(&mut self) {
        self.events.clear();
        let Some((parts, download)) = self.begun.take() else {
            return;
        };
        if parts.bytes() < self.job.bytes {
            return;
        }
        // A thread may still write to it; then it stays until room is needed.
        if let Some(download) = Arc::into_inner(download) {
            let abandoned = blocking(move || download.into_inner().abandon()).await;
            if let Err(error) = abandoned {
                tracing::warn!(%error, "What was begun of an artifact cannot be removed");
            }
        }
    }
}

/// Runs on a thread that may block.
async fn blocking<T: Send + 'static>(
    what: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, FetchError> {
    let done = tokio::task::spawn_blocking(what).await;
    Ok(done.map_err(|_| FetchError::Interrupted)??)
}

/// Asks a peer for what it has of an artifact of so many bytes.
async fn ask(
    peers: &dyn Peers,
    peer: PeerId,
    request: Request,
    bytes: u64,
    limit: Duration,
) -> Result<Part, Fault> {
    let answer = timeout(limit, peers.ask(peer, request)).await;
    match answer {
        Ok(Ok(Some(part))) if part.bytes == bytes => Ok(part),
        Ok(Ok(Some(part))) => Err(Fault::Length(part.bytes)),
        Ok(Ok(None)) => Err(Fault::Nothing),
        Ok(Err(AskError::Refused)) => Err(Fault::Refused),
        Ok(Err(error @ AskError::Network(_))) => {
            tracing::debug!(%peer, %error, "Peer did not answer");
            Err(Fault::Nothing)
        }
        Ok(Err(error @ (AskError::Wire(_) | AskError::Unreadable(_)))) => {
            tracing::debug!(%peer, %error, "Peer gave a malformed answer");
            Err(Fault::Offence(Offence::MalformedAnswer))
        }
        Err(_) => {
            tracing::debug!(%peer, "Peer said nothing in time");
            Err(Fault::Nothing)
        }
    }
}

/// Asks a peer for a range of an artifact of so many bytes, and takes it into the download.
async fn part(
    peers: &dyn Peers,
    peer: PeerId,
    (root, bytes, range): (Root, u64, Range<u64>),
    download: Arc<Mutex<Download>>,
    limit: Duration,
) -> Result<(), Fault> {
    // Parts are no longer than a request may ask for, and within the artifact.
    let request = Request::part(root, range.clone()).ok_or(Fault::Interrupted)?;
    let part = ask(peers, peer, request, bytes, limit).await?;
    let taken = tokio::task::spawn_blocking(move || {
        let mut encoding = &part.encoding[..];
        download.lock().take(range, &mut encoding)?;
        Ok(encoding.is_empty())
    });
    match taken.await {
        Ok(Ok(true)) => Ok(()),
        // More than was asked for, or less.
        Ok(Ok(false) | Err(StoreError::Short { .. })) => {
            Err(Fault::Offence(Offence::MalformedAnswer))
        }
        Ok(Err(StoreError::Wrong(error))) => {
            tracing::debug!(%peer, root = hex::encode(root), %error, "Peer gave wrong bytes");
            Err(Fault::Offence(Offence::WrongBytes))
        }
        Ok(Err(error)) => Err(Fault::Store(error)),
        Err(_) => Err(Fault::Interrupted),
    }
}
