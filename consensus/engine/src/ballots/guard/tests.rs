//! Votes of four validators on two branches, on their way to a voter.

use finality_grandpa::{Message, Precommit as Target, SignedPrecommit};
use futures::{FutureExt, StreamExt, channel::mpsc};
use parity_scale_codec::Encode;
use parking_lot::Mutex;
use sp_consensus_grandpa::{AuthorityId, AuthoritySignature, localized_payload};
use sp_keyring::Ed25519Keyring::{self, Alice, Bob, Charlie, Dave};

use super::{
    super::{
        Vote,
        gossip::{Gossip, Neighbour},
    },
    *,
};

const SET: u64 = 3;
const ROUND: u64 = 7;

/// A network that says what the test wants.
#[derive(Debug)]
struct Script(mpsc::UnboundedReceiver<NotificationEvent>, ProtocolName);

#[async_trait::async_trait]
impl NotificationService for Script {
    async fn open_substream(&mut self, _: PeerId) -> Result<(), ()> {
        Err(())
    }

    async fn close_substream(&mut self, _: PeerId) -> Result<(), ()> {
        Err(())
    }

    fn send_sync_notification(&mut self, _: &PeerId, _: Vec<u8>) {}

    async fn send_async_notification(
        &mut self,
        _: &PeerId,
        _: Vec<u8>,
    ) -> Result<(), NetworkError> {
        Ok(())
    }

    async fn set_handshake(&mut self, _: Vec<u8>) -> Result<(), ()> {
        Ok(())
    }

    fn try_set_handshake(&mut self, _: Vec<u8>) -> Result<(), ()> {
        Ok(())
    }

    async fn next_event(&mut self) -> Option<NotificationEvent> {
        self.0.next().await
    }

    fn clone(&mut self) -> Result<Box<dyn NotificationService>, ()> {
        Err(())
    }

    fn protocol(&self) -> &ProtocolName {
        &self.1
    }

    fn message_sink(&self, _: &PeerId) -> Option<Box<dyn MessageSink>> {
        None
    }
}

/// Blocks 1 to 3 of branch 0, and of branch 1, which part above block 0, the last final one.
#[derive(Default)]
struct World {
    reports: Mutex<usize>,
    wanted: Mutex<Vec<(H256, u32)>>,
}

fn block(branch: u8, number: u32) -> H256 {
    match number {
        0 => H256::zero(),
        _ => H256::from_low_u64_be(u64::from(branch) << 32 | u64::from(number)),
    }
}

impl Blocks for World {
    fn finalised(&self) -> (H256, u32) {
        (block(0, 0), 0)
    }

    fn block(&self, hash: H256) -> Option<(u32, H256)> {
        let known = |branch: u8, number: u32| {
            (block(branch, number) == hash).then(|| (number, block(branch, number - 1)))
        };
        (1..=3).find_map(|number| known(0, number).or(known(1, number)))
    }

    fn is_final(&self, hash: H256) -> bool {
        hash == block(0, 0)
    }
}

impl Surroundings for World {
    fn authorities(&self) -> (u64, AuthorityList) {
        let all = [Alice, Bob, Charlie, Dave];
        (SET, all.map(|key| (key.public().into(), 1)).to_vec())
    }

    fn report(&self, _: EquivocationProof<H256, u32>) {
        *self.reports.lock() += 1;
    }

    fn want(&self, _: PeerId, block: H256, number: u32) {
        self.wanted.lock().push((block, number));
    }
}

type Signed = SignedPrecommit<H256, u32, AuthoritySignature, AuthorityId>;

fn signed(key: Ed25519Keyring, round: u64, (hash, number): (H256, u32)) -> Signed {
    let target = Target {
        target_hash: hash,
        target_number: number,
    };
    let payload = localized_payload(round, SET, &Message::Precommit(target.clone()));
    Signed {
        precommit: target,
        signature: key.sign(&payload).into(),
        id: key.public().into(),
    }
}

fn message(vote: Signed) -> Vec<u8> {
    let vote = Vote {
        message: Message::Precommit(vote.precommit),
        signature: vote.signature,
        id: vote.id,
    };
    let (round, set) = (ROUND, SET);
    Gossip::Vote { round, set, vote }.encode()
}

fn precommit(key: Ed25519Keyring, branch: u8, number: u32) -> Vec<u8> {
    message(signed(key, ROUND, (block(branch, number), number)))
}

struct Scene {
    world: Arc<World>,
    network: mpsc::UnboundedSender<NotificationEvent>,
    guard: Guard,
}

impl Scene {
    /// The voter is in the round.
    fn new() -> Self {
        let (network, events) = mpsc::unbounded();
        let world = Arc::new(World::default());
        let inner = Box::new(Script(events, "/grandpa/1".into()));
        let mut guard = Guard::new(inner, world.clone());
        let here = Gossip::Neighbour(Neighbour::V1 {
            round: ROUND,
            set: SET,
            finalised: 0,
        });
        guard.send_sync_notification(&PeerId::random(), here.encode());
        Self {
            world,
            network,
            guard,
        }
    }

    /// A peer says this; what the voter hears of it and of what waited.
    fn says(&mut self, notification: Vec<u8>) -> Vec<Vec<u8>> {
        let peer = PeerId::random();
        let event = NotificationEvent::NotificationReceived { peer, notification };
        self.network.unbounded_send(event).expect("it listens");
        let mut heard = Vec::new();
        while let Some(Some(event)) = self.guard.next_event().now_or_never() {
            match event {
                NotificationEvent::NotificationReceived { notification, .. } => {
                    heard.push(notification);
                }
                event => panic!("{event:?}"),
            }
        }
        heard
    }

    fn commit(&self, precommits: Vec<Signed>) -> Vec<u8> {
        let commit = finality_grandpa::Commit {
            target_hash: block(0, 2),
            target_number: 2,
            precommits,
        };
        let (round, set) = (ROUND, SET);
        Gossip::Commit {
            round,
            set,
            commit: commit.into(),
        }
        .encode()
    }
}

#[test]
fn precommits_pass_once_more_than_a_third_agree_and_those_beside_never_do() {
    let mut scene = Scene::new();
    let [beside, first, second, third] = [
        precommit(Dave, 1, 3),
        precommit(Alice, 0, 2),
        precommit(Bob, 0, 3),
        precommit(Charlie, 0, 2),
    ];
    assert!(scene.says(beside.clone()).is_empty());
    assert!(scene.says(first.clone()).is_empty());
    let mut heard = scene.says(second.clone());
    // The second stands on the first one's block, which has two of four now.
    heard.sort();
    let mut both = vec![first, second];
    both.sort();
    assert_eq!(heard, both);
    assert_eq!(scene.says(third.clone()), std::slice::from_ref(&third));
    assert_eq!(scene.says(third.clone()), [third], "again, as it came");
    assert!(scene.says(beside).is_empty());
    assert_eq!(*scene.world.reports.lock(), 0);
}

#[test]
fn a_vote_on_another_branch_is_reported_once_and_does_not_pass() {
    let mut scene = Scene::new();
    for vote in [
        precommit(Alice, 0, 2),
        precommit(Bob, 0, 2),
        precommit(Dave, 0, 2),
    ] {
        scene.says(vote);
    }
    for _ in 0..2 {
        assert!(scene.says(precommit(Dave, 1, 2)).is_empty());
        assert_eq!(*scene.world.reports.lock(), 1);
    }
    // On the same branch, below what is proved, the voter can take it.
    assert_eq!(scene.says(precommit(Bob, 0, 1)).len(), 1);
    assert_eq!(*scene.world.reports.lock(), 2);
}

#[test]
fn a_made_up_vote_stands_in_nobodys_way() {
    let mut scene = Scene::new();
    let mut forged = signed(Alice, ROUND, (block(1, 2), 2));
    forged.signature = signed(Bob, ROUND, (block(1, 2), 2)).signature;
    let forged = message(forged);
    assert_eq!(
        scene.says(forged.clone()),
        [forged],
        "the SDK blames its sender"
    );
    scene.says(precommit(Alice, 0, 2));
    assert_eq!(scene.says(precommit(Bob, 0, 2)).len(), 2);
    assert_eq!(*scene.world.reports.lock(), 0);
}

#[test]
fn a_commit_goes_on_without_what_lies_beside_if_enough_is_left() {
    let on = |key, branch, number| signed(key, ROUND, (block(branch, number), number));
    let mut scene = Scene::new();
    let good = vec![on(Alice, 0, 2), on(Bob, 0, 3), on(Charlie, 0, 2)];
    let with = scene.commit([good.clone(), vec![on(Dave, 1, 2)]].concat());
    assert_eq!(scene.says(with), [scene.commit(good.clone())]);
    let as_it_is = scene.commit(good.clone());
    assert_eq!(scene.says(as_it_is.clone()), [as_it_is]);
    let too_few = scene.commit([good[..2].to_vec(), vec![on(Dave, 1, 2)]].concat());
    assert!(scene.says(too_few).is_empty());
}

#[test]
fn a_vote_of_its_own_counts_and_blocks_that_are_not_known_are_asked_for() {
    let mut scene = Scene::new();
    let own = precommit(Alice, 0, 2);
    scene.guard.send_sync_notification(&PeerId::random(), own);
    assert_eq!(scene.says(precommit(Bob, 0, 2)).len(), 1);
    let unknown = (H256::repeat_byte(7), 3);
    assert!(
        scene
            .says(message(signed(Charlie, ROUND, unknown)))
            .is_empty()
    );
    scene.guard.memory.lock().look_again();
    assert_eq!(*scene.world.wanted.lock(), [unknown]);
}

#[test]
fn what_has_no_precommits_goes_through_as_it_is() {
    let mut scene = Scene::new();
    let prevote = Message::Prevote(finality_grandpa::Prevote {
        target_hash: block(1, 3),
        target_number: 3,
    });
    let signature = Dave.sign(&localized_payload(ROUND, SET, &prevote)).into();
    let vote = Vote {
        message: prevote,
        signature,
        id: Dave.public().into(),
    };
    let (round, set) = (ROUND, SET);
    let prevote = Gossip::Vote { round, set, vote }.encode();
    for bytes in [prevote, vec![3, 1, 2], vec![0], Vec::new(), vec![255; 40]] {
        assert_eq!(scene.says(bytes.clone()), [bytes]);
    }
}

#[test]
fn another_set_begins_anew() {
    let mut scene = Scene::new();
    let (round, set) = (1, SET + 1);
    let here = Gossip::Neighbour(Neighbour::V1 {
        round,
        set,
        finalised: 0,
    });
    scene
        .guard
        .send_sync_notification(&PeerId::random(), here.encode());
    // The world still has the old one: until it is known who is of the new one, nobody is.
    assert!(scene.says(precommit(Alice, 0, 2)).is_empty());
}
