//! Answering peers that ask for artifacts.

use std::{future::Future, time::Instant};

use futures::{StreamExt, channel::oneshot, stream::FuturesUnordered};
use parity_scale_codec::Encode;
use sc_network::{
    NetworkBackend, ReputationChange, config::IncomingRequest, request_responses::OutgoingResponse,
};
use sc_network_types::PeerId;
use schnellru::{ByLength, LruMap};
use sp_core::H256;
use sp_runtime::traits::Block as BlockT;

use super::{
    ASK_TIMEOUT,
    allowance::Allowance,
    protocol_name,
    stats::Tally,
    unsent::Unsent,
    wire::{MAX_ANSWER_BYTES, Part, REQUEST_BYTES, Request},
};
use crate::{Store, StoreError};

/// Requests that wait to be answered: with a mebibyte from a disk of 500 MB/s each, a full queue is half a second of work. The
/// network refuses more.
const MAX_WAITING: usize = 256;

/// Reads of the disk at a time, each on a thread that may block.
const READS: usize = 4;

/// Peers whose allowance is remembered: 48 bytes each.
const MAX_PEERS: u32 = 1024;

const MALFORMED: ReputationChange =
    ReputationChange::new(-(1 << 16), "Malformed request for an artifact");

/// Whoever asks for more than it may takes the place of others in the queue. A few a second too many are forgiven as they come
/// (whoever fetches waits a second after each refusal); some hundred are a ban in the end.
const TOO_MANY: ReputationChange =
    ReputationChange::new(-(1 << 16), "Too many requests for artifacts");

/// Serves the whole artifacts of a store. Run it as a task of its own.
pub struct ArtifactRequestHandler {
    store: Store,
    requests: async_channel::Receiver<IncomingRequest>,
    allowances: LruMap<PeerId, Allowance>,
    unsent: Unsent,
    tally: Tally,
}

/// A request that was admitted.
struct Admitted {
    peer: PeerId,
    request: Request,
    /// Tells that the answer is sent, or was not made.
    sent: oneshot::Sender<()>,
}

impl ArtifactRequestHandler {
    /// The handler, and the protocol's configuration for the network of a chain.
    pub fn new<B, N>(
        store: Store,
        tally: Tally,
        genesis: H256,
        fork_id: Option<&str>,
    ) -> (Self, N::RequestResponseProtocolConfig)
    where
        B: BlockT<Hash = H256>,
        N: NetworkBackend<B, H256>,
    {
        let (sender, requests) = async_channel::bounded(MAX_WAITING);
        let config = N::request_response_config(
            protocol_name(genesis, fork_id),
            Vec::new(),
            REQUEST_BYTES as u64,
            MAX_ANSWER_BYTES as u64,
            ASK_TIMEOUT,
            Some(sender),
        );
        (Self::over(store, tally, requests), config)
    }

    pub(super) fn over(
        store: Store,
        tally: Tally,
        requests: async_channel::Receiver<IncomingRequest>,
    ) -> Self {
        Self {
            store,
            requests,
            allowances: LruMap::new(ByLength::new(MAX_PEERS)),
            unsent: Unsent::default(),
            tally,
        }
    }

    /// Answers until the network goes.
    pub async fn run(mut self) {
        let mut reads = FuturesUnordered::new();
        loop {
            tokio::select! {
                request = self.requests.next(), if reads.len() < READS => match request {
                    Some(request) => reads.extend(self.begin(request)),
                    None => return,
                },
                Some((peer, bytes)) = reads.next(), if !reads.is_empty() => self.made(peer, bytes),
            }
        }
    }

    /// Reads what is asked for, or refuses at once.
    fn begin(
        &mut self,
        incoming: IncomingRequest,
    ) -> Option<impl Future<Output = (PeerId, usize)> + use<>> {
        let IncomingRequest {
            peer,
            payload,
            pending_response,
        } = incoming;
        match self.admit(peer, &payload, Instant::now()) {
            Ok(admitted) => {
                let (store, tally) = (self.store.clone(), self.tally.clone());
                Some(answer(store, tally, admitted, pending_response))
            }
            Err(offence) => {
                self.tally.refused();
                let _ = pending_response.send(refusal(offence));
                None
            }
        }
    }

    /// An answer of so many bytes was made, or none.
    fn made(&mut self, peer: PeerId, bytes: usize) {
        if let Some(allowance) = self.allowances.get(&peer) {
            allowance.take(bytes);
        }
    }

    /// Whether the request is answered; else what the peer did wrong, or nothing of that kind.
    fn admit(
        &mut self,
        peer: PeerId,
        payload: &[u8],
        now: Instant,
    ) -> Result<Admitted, Option<ReputationChange>> {
        let allowance = self
            .allowances
            .get_or_insert(peer, || Allowance::full(now))
            // Only a list of no peers at all would take none in.
            .ok_or(Some(TOO_MANY))?;
        if !allowance.admits(now) {
            tracing::debug!(%peer, "Peer asks for more of artifacts than it may");
            return Err(Some(TOO_MANY));
        }
        let request = Request::of_bytes(payload).map_err(|error| {
            tracing::debug!(%peer, %error, "Malformed request for an artifact");
            Some(MALFORMED)
        })?;
        let Some(sent) = self.unsent.reserve(peer, request.most_answered()) else {
            // Others may have taken the room, and a line that is slow is no offence: it is asked elsewhere, or again.
            tracing::debug!(%peer, "Too many parts of artifacts are not sent yet");
            return Err(None);
        };
        Ok(Admitted {
            peer,
            request,
            sent,
        })
    }
}

/// Reads and answers; whom, and with how many bytes.
async fn answer(
    store: Store,
    tally: Tally,
    admitted: Admitted,
    to: oneshot::Sender<OutgoingResponse>,
) -> (PeerId, usize) {
    let Admitted {
        peer,
        request,
        sent,
    } = admitted;
    let read = tokio::task::spawn_blocking(move || read(&store, &request).map(|it| it.encode()));
    let (response, bytes) = match read.await {
        Ok(Ok(answer)) => {
            let bytes = answer.len();
            let response = OutgoingResponse {
                result: Ok(answer),
                reputation_changes: Vec::new(),
                sent_feedback: Some(sent),
            };
            (response, bytes)
        }
        Ok(Err(error)) => {
            let root = hex::encode(request.root());
            tracing::warn!(%root, %error, "An artifact cannot be read; remove it (DELETE /v1/artifacts/ROOT) and store it again");
            (refusal(None), 0)
        }
        Err(error) => {
            tracing::warn!(%error, "The thread that reads an artifact ended");
            (refusal(None), 0)
        }
    };
    tally.served(bytes);
    // Whoever asked may be gone.
    let _ = to.send(response);
    (peer, bytes)
}

/// The network tells the peer that its request was refused.
fn refusal(offence: Option<ReputationChange>) -> OutgoingResponse {
    OutgoingResponse {
        result: Err(()),
        reputation_changes: offence.into_iter().collect(),
        sent_feedback: None,
    }
}

fn read(store: &Store, request: &Request) -> Result<Option<Part>, StoreError> {
    let (root, range) = (request.root(), request.range());
    if range.is_empty() {
        // A question does not count as a use.
        let info = store.info(&root);
        return Ok(info.map(|info| Part {
            bytes: info.bytes,
            encoding: Vec::new(),
        }));
    }
    let artifact = match store.get(&root) {
        Err(StoreError::Unknown(_)) => return Ok(None),
        artifact => artifact?,
    };
    let bytes = artifact.bytes();
    let mut encoding = Vec::new();
    if range.start < bytes {
        encoding.reserve_exact(request.most_answered());
        artifact.encode(range, &mut encoding)?;
    }
    Ok(Some(Part { bytes, encoding }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{GROUP_BYTES, Limits, Root};

    struct Scene {
        requests: async_channel::Sender<IncomingRequest>,
        tally: Tally,
        store: Store,
        _folder: tempfile::TempDir,
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let limits = Limits {
                bytes: 1 << 24,
                artifacts: 10,
            };
            let store = Store::open(folder.path(), limits).expect("an empty folder");
            let (requests, receiver) = async_channel::bounded(4);
            let tally = Tally::default();
            let handler = ArtifactRequestHandler::over(store.clone(), tally.clone(), receiver);
            tokio::spawn(handler.run());
            Self {
                requests,
                tally,
                store,
                _folder: folder,
            }
        }

        fn put(&self, bytes: &[u8]) -> Root {
            let put = self.store.put(bytes, bytes.len() as u64, None);
            put.expect("there is room")
        }

        async fn ask(&self, peer: PeerId, payload: Vec<u8>) -> OutgoingResponse {
            let (pending_response, response) = oneshot::channel();
            let incoming = IncomingRequest {
                peer,
                payload,
                pending_response,
            };
            self.requests.send(incoming).await.expect("it runs");
            response.await.expect("every request is answered")
        }

        async fn answered(&self, request: Request) -> Option<Part> {
            let response = self.ask(PeerId::random(), request.encode()).await;
            let answer = response.result.expect("it is not refused");
            request.answer_of_bytes(&answer).expect("an answer to it")
        }
    }

    #[tokio::test]
    async fn parts_are_as_the_store_encodes_them_and_no_longer_than_is_said() {
        let scene = Scene::new();
        let bytes: Vec<u8> = (0..5_000_123u32).map(|it| (it % 251) as u8).collect();
        let (root, len) = (scene.put(&bytes), bytes.len() as u64);
        let whole = Some(Part {
            bytes: len,
            encoding: Vec::new(),
        });
        assert_eq!(scene.answered(Request::whether(root)).await, whole);
        for range in [
            0..1,
            0..1 << 20,
            GROUP_BYTES..GROUP_BYTES + (1 << 20),
            3_333_333..4_000_000,
            len - 1..len,
        ] {
            let request = Request::part(root, range).expect("it is allowed");
            let part = scene.answered(request).await.expect("it is there");
            let mut encoding = Vec::new();
            let artifact = scene.store.get(&root).expect("it is there");
            artifact
                .encode(request.range(), &mut encoding)
                .expect("it is right");
            assert!(part.encode().len() < request.most_answered());
            assert_eq!((part.bytes, part.encoding), (len, encoding));
        }
        // Beyond its end there is nothing.
        let beyond = Request::part(root, len + GROUP_BYTES..len + GROUP_BYTES + 1);
        assert_eq!(scene.answered(beyond.expect("it is allowed")).await, whole);
        for request in [
            Request::whether([9; 32]),
            Request::part([9; 32], 0..1).expect("allowed"),
        ] {
            assert_eq!(scene.answered(request).await, None);
        }
    }

    #[tokio::test]
    async fn what_is_no_request_costs_reputation() {
        let scene = Scene::new();
        for payload in [
            Vec::new(),
            vec![0; REQUEST_BYTES - 1],
            vec![255; REQUEST_BYTES],
        ] {
            let response = scene.ask(PeerId::random(), payload).await;
            assert!(response.result.is_err());
            assert_eq!(response.reputation_changes, [MALFORMED]);
        }
        assert_eq!(scene.tally.stats().requests_refused, 3);
    }

    #[test]
    fn who_asks_for_too_much_is_refused_and_others_are_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let limits = Limits {
            bytes: 1 << 20,
            artifacts: 10,
        };
        let store = Store::open(folder.path(), limits).expect("an empty folder");
        let (_requests, receiver) = async_channel::bounded(4);
        let mut handler = ArtifactRequestHandler::over(store, Tally::default(), receiver);
        let request = Request::part([7; 32], 0..1 << 20)
            .expect("allowed")
            .encode();
        let (peer, now) = (PeerId::random(), Instant::now());
        let mut answers = 0;
        let offence = loop {
            match handler.admit(peer, &request, now) {
                // Dropped, as what was sent is.
                Ok(_) => handler.made(peer, MAX_ANSWER_BYTES),
                Err(offence) => break offence,
            }
            answers += 1;
        };
        assert_eq!(offence, Some(TOO_MANY));
        assert!((50..64).contains(&answers), "{answers}");
        assert!(handler.admit(PeerId::random(), &request, now).is_ok());
        let later = now + Duration::from_secs(1);
        assert!(handler.admit(peer, &request, later).is_ok());
    }

    #[tokio::test]
    async fn who_does_not_read_is_refused_without_blame() {
        let scene = Scene::new();
        let root = scene.put(&[7; 1 << 20]);
        let request = Request::part(root, 0..1 << 20)
            .expect("it is allowed")
            .encode();
        let peer = PeerId::random();
        let mut unread = Vec::new();
        for _ in 0..8 {
            let response = scene.ask(peer, request.clone()).await;
            assert!(response.result.is_ok());
            unread.push(response.sent_feedback);
        }
        let response = scene.ask(peer, request.clone()).await;
        assert!(response.result.is_err() && response.reputation_changes.is_empty());
        drop(unread);
        assert!(
            scene.ask(peer, request).await.result.is_ok(),
            "they are gone"
        );
    }
}
