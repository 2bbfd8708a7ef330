//! Both ends: an exchange, and handlers that it reaches without a network, or peers that do not do what they should.

#![expect(
    clippy::single_range_in_vec_init,
    reason = "lists of ranges are compared, of which there may be one"
)]

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use futures::channel::oneshot;
use parity_scale_codec::Encode;
use parking_lot::Mutex;
use sc_network::config::IncomingRequest;
use sc_network_types::PeerId;
use tempfile::TempDir;

use super::{fetch::Pace, *};
use crate::{Limits, Root, Store, StoreError};

const MIB: usize = 1 << 20;

/// Until whatever is waited for must have come.
const LIMIT: Duration = Duration::from_secs(60);

/// Peers are given up soon here, but not so soon that a busy machine makes honest ones late.
const PACE: Pace = Pace {
    ask: Duration::from_secs(5),
    rest: Duration::from_millis(1),
    find: Duration::from_secs(60),
};

/// For tests in which somebody says nothing.
const SHORT_PACE: Pace = Pace {
    ask: Duration::from_millis(500),
    ..PACE
};

fn bytes(seed: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

fn store(bytes: u64) -> (TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let limits = Limits {
        bytes,
        artifacts: 100,
    };
    let store = Store::open(folder.path(), limits).expect("an empty folder");
    (folder, store)
}

/// What a peer does with a request for a part, if it is not what it should.
#[derive(Clone, Copy)]
enum Vice {
    /// One byte of the last group is another.
    WrongByte,
    /// Says nothing.
    Silence,
    /// Has an artifact of another length, as it says.
    Length(u64),
    /// Sends less than it should.
    Short,
    /// Sends a byte more.
    Long,
    /// Refuses so often before it answers.
    Refuses(u32),
    /// After so many parts it has it no more.
    Forgets(u32),
}

/// Somebody to ask: a handler, and what is done to its answers.
struct Other {
    requests: async_channel::Sender<IncomingRequest>,
    tally: Tally,
    vice: Option<Vice>,
    /// Requests for parts that came.
    parts: u32,
    _folder: TempDir,
}

#[derive(Default)]
struct Network {
    others: Mutex<BTreeMap<PeerId, Other>>,
    connected: Mutex<Vec<PeerId>>,
    /// In the DHT alone.
    named: Mutex<Vec<PeerId>>,
    offences: Mutex<HashMap<PeerId, Vec<Offence>>>,
}

impl Network {
    /// A peer that has these bytes; whether it is connected, or has to be searched for.
    fn add(&self, data: &[u8], is_connected: bool, vice: Option<Vice>) -> PeerId {
        let (folder, store) = store(1 << 30);
        if !data.is_empty() {
            store
                .put(data, data.len() as u64, None)
                .expect("there is room");
        }
        let (requests, receiver) = async_channel::bounded(16);
        let (peer, tally) = (PeerId::random(), Tally::default());
        tokio::spawn(ArtifactRequestHandler::over(store, tally.clone(), receiver).run());
        let other = Other {
            requests,
            tally,
            vice,
            parts: 0,
            _folder: folder,
        };
        self.others.lock().insert(peer, other);
        match is_connected {
            true => self.connected.lock().push(peer),
            false => self.named.lock().push(peer),
        }
        peer
    }

    fn offences(&self, peer: PeerId) -> Vec<Offence> {
        self.offences.lock().get(&peer).cloned().unwrap_or_default()
    }

    fn parts(&self, peer: PeerId) -> u32 {
        self.others.lock()[&peer].parts
    }
}

#[async_trait::async_trait]
impl Peers for Network {
    async fn connected(&self) -> Vec<PeerId> {
        self.connected.lock().clone()
    }

    async fn providers(&self, _root: Root) -> Vec<PeerId> {
        self.named.lock().clone()
    }

    async fn ask(&self, peer: PeerId, request: Request) -> Result<Option<Part>, AskError> {
        let is_part = !request.range().is_empty();
        let (requests, vice, parts) = {
            let mut others = self.others.lock();
            let other = others.get_mut(&peer).expect("a peer of this network");
            other.parts += u32::from(is_part);
            (other.requests.clone(), other.vice, other.parts)
        };
        let (sender, answer) = oneshot::channel();
        let incoming = IncomingRequest {
            peer: PeerId::random(),
            payload: request.encode(),
            pending_response: sender,
        };
        requests.send(incoming).await.expect("its handler runs");
        let response = answer.await.expect("it answers");
        let answer = response.result.map_err(|()| AskError::Refused)?;
        let mut answer = request.answer_of_bytes(&answer)?;
        if let (Some(part), Some(vice)) = (&mut answer, vice) {
            match vice {
                Vice::Length(bytes) => part.bytes = bytes,
                _ if !is_part => {}
                Vice::WrongByte => *part.encoding.last_mut().expect("it has bytes") ^= 1,
                Vice::Short => drop(part.encoding.pop()),
                Vice::Long => part.encoding.push(0),
                Vice::Silence => std::future::pending().await,
                Vice::Refuses(times) if parts <= times => return Err(AskError::Refused),
                Vice::Forgets(after) if parts > after => return Ok(None),
                Vice::Refuses(_) | Vice::Forgets(_) => {}
            }
        }
        Ok(answer)
    }

    fn report(&self, peer: PeerId, offence: Offence) {
        self.offences.lock().entry(peer).or_default().push(offence);
    }
}

/// An exchange with a store of its own, on a network.
struct Scene {
    network: Arc<Network>,
    store: Store,
    exchange: Exchange,
    tally: Tally,
    _folder: TempDir,
}

impl Scene {
    fn new(room: u64, pace: Pace) -> Self {
        let (folder, store) = store(room);
        let (network, tally) = (Arc::new(Network::default()), Tally::default());
        let exchange = Exchange::with_pace(store.clone(), network.clone(), tally.clone(), pace);
        Self {
            network,
            store,
            exchange,
            tally,
            _folder: folder,
        }
    }

    async fn fetch(&self, data: &[u8]) -> Result<(), Arc<FetchError>> {
        let root = blake3::hash(data).into();
        let fetch = self.exchange.fetch(root, data.len() as u64);
        let in_time = tokio::time::timeout(LIMIT, fetch);
        in_time.await.expect("it ends in time")
    }

    async fn fetch_well(&self, data: &[u8]) {
        self.fetch(data).await.expect("somebody has it");
        let artifact = self.store.get(&blake3::hash(data).into());
        artifact.expect("it is here").verify().expect("it is right");
    }

    /// What nobody has: why it is not fetched.
    async fn refused(&self, data: &[u8]) -> String {
        let refused = self.fetch(data).await.expect_err("nobody gives it");
        refused.to_string()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_comes_from_several_peers_each_byte_once() {
    let scene = Scene::new(1 << 30, PACE);
    let data = bytes(1, 20 * MIB + 12_345);
    let all = [0; 3].map(|_| scene.network.add(&data, true, None));
    scene.network.add(&[], true, None);
    scene.fetch_well(&data).await;
    let shares = all.map(|peer| scene.network.parts(peer));
    assert_eq!(shares.iter().sum::<u32>(), 21, "{shares:?}");
    assert!(
        shares.iter().filter(|share| **share > 0).count() > 1,
        "{shares:?}"
    );
    let stats = scene.tally.stats();
    assert_eq!((stats.fetched_bytes, stats.fetches), (data.len() as u64, 0));
    let served: u64 = {
        let others = scene.network.others.lock();
        let served = others.values().map(|it| it.tally.stats().served_bytes);
        served.sum()
    };
    assert!(served > data.len() as u64 && served < data.len() as u64 * 101 / 100);
    scene.fetch_well(&data).await;
    assert_eq!(scene.tally.stats(), stats, "it is here already");
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_of_any_length_come_whole() {
    let scene = Scene::new(1 << 30, PACE);
    for len in [
        1,
        1_023,
        1_024,
        16_384,
        16_385,
        MIB - 1,
        MIB,
        MIB + 1,
        3 * MIB + 16_383,
    ] {
        let data = bytes(2, len);
        scene.network.add(&data, true, None);
        scene.fetch_well(&data).await;
        scene.network.connected.lock().clear();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gives_wrong_bytes_is_blamed_and_not_asked_again_and_others_go_on() {
    for (vice, offence) in [
        (Vice::WrongByte, Offence::WrongBytes),
        (Vice::Short, Offence::MalformedAnswer),
        (Vice::Long, Offence::MalformedAnswer),
    ] {
        let scene = Scene::new(1 << 30, PACE);
        let data = bytes(3, 5 * MIB);
        let bad = scene.network.add(&data, true, Some(vice));
        let good = scene.network.add(&data, false, None);
        scene.fetch_well(&data).await;
        let offences = scene.network.offences(bad);
        assert!(offences.iter().all(|it| *it == offence), "{offences:?}");
        assert_eq!(offences.len() as u32, scene.network.parts(bad));
        assert!((1..=2).contains(&offences.len()), "{offences:?}");
        assert!(scene.network.offences(good).is_empty());
        assert_eq!(scene.tally.stats().fetched_bytes, data.len() as u64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_another_length_is_asked_no_further_and_others_are() {
    let scene = Scene::new(1 << 30, PACE);
    let data = bytes(4, 2 * MIB);
    let liar = scene.network.add(&data, true, Some(Vice::Length(77)));
    let sentence = scene.refused(&data).await;
    assert!(sentence.contains("has 77 bytes, not 2097152"), "{sentence}");
    scene.network.add(&data, true, None);
    scene.fetch_well(&data).await;
    assert_eq!(scene.network.parts(liar), 0);
    // It is here now, and who asks for it with another length is wrong.
    let wrong = scene.exchange.fetch(blake3::hash(&data).into(), 5).await;
    assert!(matches!(
        &*wrong.expect_err("another"),
        FetchError::Length {
            bytes: 2_097_152,
            ..
        }
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_is_given_up_and_others_are_asked() {
    let scene = Scene::new(1 << 30, SHORT_PACE);
    let data = bytes(5, 4 * MIB);
    let silent = scene.network.add(&data, true, Some(Vice::Silence));
    scene.network.add(&data, false, None);
    scene.fetch_well(&data).await;
    assert_eq!(scene.network.parts(silent), 2);
    assert!(scene.network.offences(silent).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_refuses_is_asked_again_a_little_later() {
    let scene = Scene::new(1 << 30, PACE);
    let data = bytes(6, 4 * MIB);
    let busy = scene.network.add(&data, true, Some(Vice::Refuses(6)));
    scene.fetch_well(&data).await;
    assert_eq!(scene.network.parts(busy), 6 + 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_takes_no_room_and_evicts_nothing() {
    let kept = bytes(7, MIB);
    let scene = Scene::new(crate::bytes_on_disk(MIB as u64), PACE);
    let root = scene
        .store
        .put(&kept[..], MIB as u64, None)
        .expect("there is room");
    scene.network.add(&[], true, None);
    scene.network.add(&[], false, None);
    let sentence = scene.refused(&bytes(8, MIB)).await;
    assert!(
        sentence.contains("no peer that is reachable has"),
        "{sentence}"
    );
    assert!(sentence.contains("2 were asked"), "{sentence}");
    assert!(scene.store.info(&root).is_some());
    assert_eq!(scene.store.usage().reserved, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_was_given_up_goes_on_with_what_has_come() {
    let scene = Scene::new(1 << 30, PACE);
    let data = bytes(9, 6 * MIB);
    let first = scene.network.add(&data, true, Some(Vice::Forgets(3)));
    let sentence = scene.refused(&data).await;
    assert!(sentence.contains("3145728 bytes are missing"), "{sentence}");
    assert!(scene.network.offences(first).is_empty());
    let second = scene.network.add(&data, false, None);
    scene.network.connected.lock().clear();
    scene.fetch_well(&data).await;
    assert_eq!(scene.network.parts(second), 3);
    assert_eq!(scene.tally.stats().fetched_bytes, data.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_a_bound_on_fetches_and_the_same_one_is_joined() {
    let scene = Scene::new(1 << 30, Pace { ask: LIMIT, ..PACE });
    let all: Vec<Vec<u8>> = (20..21 + FETCHES as u8)
        .map(|seed| bytes(seed, MIB))
        .collect();
    for data in &all {
        scene.network.add(data, true, Some(Vice::Silence));
    }
    let begin = |data: &[u8]| {
        let root = blake3::hash(data).into();
        scene.exchange.begin(root, data.len() as u64)
    };
    for data in &all[..FETCHES] {
        let fetching = begin(data).expect("there is room for it");
        assert_eq!(fetching.missing(), [0..MIB as u64]);
    }
    assert!(begin(&all[0]).is_ok(), "it is under way");
    let busy = begin(&all[FETCHES]).expect_err("too many");
    assert!(matches!(busy, FetchError::Busy), "{busy}");
    let begun_otherwise = scene.exchange.begin(blake3::hash(&all[0]).into(), 5);
    assert!(matches!(begun_otherwise, Err(FetchError::Length { .. })));
    let none = scene.exchange.begin([0; 32], 0);
    assert!(matches!(none, Err(FetchError::Store(StoreError::Size(0)))));
    assert_eq!(scene.tally.stats().requests_refused, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gives_too_slowly_holds_no_place_for_long() {
    let find = Duration::from_millis(200);
    let scene = Scene::new(
        1 << 30,
        Pace {
            ask: LIMIT,
            find,
            ..PACE
        },
    );
    let data = bytes(40, MIB);
    scene.network.add(&data, true, Some(Vice::Silence));
    let sentence = scene.refused(&data).await;
    assert!(
        sentence.contains("less than 1048576 bytes a second"),
        "{sentence}"
    );
    assert_eq!(scene.tally.stats().fetches, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused_and_nothing_is_left_of_it() {
    let scene = Scene::new(MIB as u64, PACE);
    let data = bytes(16, 2 * MIB);
    scene.network.add(&data, true, None);
    let sentence = scene.refused(&data).await;
    assert!(sentence.contains("no room for"), "{sentence}");
    assert_eq!(scene.store.usage().reserved, 0);
    let small = bytes(17, MIB / 2);
    scene.network.add(&small, true, None);
    scene.fetch_well(&small).await;
}
