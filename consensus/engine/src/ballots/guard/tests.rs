//! Votes of four validators on two branches, on their way to a voter.

mod bounds;
mod prevotes;

use std::collections::BTreeSet;

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

type Sent = Arc<Mutex<Vec<(PeerId, Vec<u8>)>>>;

/// A network that says what the test wants, and writes down what it is told.
#[derive(Debug)]
struct Script(
    mpsc::UnboundedReceiver<NotificationEvent>,
    ProtocolName,
    Sent,
);

#[async_trait::async_trait]
impl NotificationService for Script {
    async fn open_substream(&mut self, _: PeerId) -> Result<(), ()> {
        Err(())
    }

    async fn close_substream(&mut self, _: PeerId) -> Result<(), ()> {
        Err(())
    }

    fn send_sync_notification(&mut self, peer: &PeerId, notification: Vec<u8>) {
        self.2.lock().push((*peer, notification));
    }

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

/// Blocks 2 and 3 of branch 0, and of branch 1, which part above block 1, and so many more on both; block 0 is the last final
/// one.
#[derive(Default)]
struct World {
    above: u32,
    reports: Mutex<usize>,
    waiting: Mutex<usize>,
    wanted: Mutex<Vec<(H256, u32)>>,
    imported: Mutex<Vec<(H256, u32)>>,
    unknown: Mutex<Vec<H256>>,
    blamed: Mutex<Vec<PeerId>>,
    own: Option<Ed25519Keyring>,
    others: Mutex<usize>,
    ended: Mutex<Option<(u64, EndedRound)>>,
}

fn block(branch: u8, number: u32) -> H256 {
    let branch = if number < 2 { 0 } else { branch };
    H256::from_low_u64_be(u64::from(branch) << 32 | u64::from(number))
}

impl Blocks for World {
    fn finalised(&self) -> (H256, u32) {
        (block(0, 0), 0)
    }

    fn block(&self, hash: H256) -> Option<(u32, H256)> {
        let bits = hash.to_low_u64_be();
        // Below the number of branches, and the last bits.
        let (branch, number) = ((bits >> 32) as u8, bits as u32);
        let is_block = branch < 2 && number <= self.best_number() && block(branch, number) == hash;
        let known = is_block.then(|| (number, block(branch, number.saturating_sub(1))));
        known.filter(|_| !self.unknown.lock().contains(&hash))
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

    fn own(&self, _: &AuthorityList) -> Option<AuthorityId> {
        self.own.map(|key| key.public().into())
    }

    fn another_votes(&self) {
        *self.others.lock() += 1;
    }

    fn last_ended(&self) -> Option<(u64, EndedRound)> {
        self.ended.lock().clone()
    }

    fn import(&self, _: PeerId, _: u64, commit: FinalCommit) {
        let target = (commit.target_hash, commit.target_number);
        self.imported.lock().push(target);
    }

    fn blame(&self, peer: PeerId) {
        self.blamed.lock().push(peer);
    }

    fn report(&self, _: EquivocationProof<H256, u32>) {
        *self.reports.lock() += 1;
    }

    fn best_number(&self) -> u32 {
        3 + self.above
    }

    fn waiting(&self, precommits: usize) {
        *self.waiting.lock() = precommits;
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

fn prevote(key: Ed25519Keyring, branch: u8, number: u32) -> Vec<u8> {
    let message = Message::Prevote(finality_grandpa::Prevote {
        target_hash: block(branch, number),
        target_number: number,
    });
    let signature = key.sign(&localized_payload(ROUND, SET, &message)).into();
    let id = key.public().into();
    let vote = Vote {
        message,
        signature,
        id,
    };
    let (round, set) = (ROUND, SET);
    Gossip::Vote { round, set, vote }.encode()
}

fn here(round: u64, set: u64) -> Vec<u8> {
    let finalised = 0;
    Gossip::Neighbour(Neighbour::V1 {
        round,
        set,
        finalised,
    })
    .encode()
}

fn opened(peer: PeerId) -> NotificationEvent {
    NotificationEvent::NotificationStreamOpened {
        peer,
        direction: sc_network::service::traits::Direction::Inbound,
        handshake: Vec::new(),
        negotiated_fallback: None,
    }
}

struct Scene {
    /// Who is connected.
    open: BTreeSet<PeerId>,
    world: Arc<World>,
    network: mpsc::UnboundedSender<NotificationEvent>,
    sent: Sent,
    guard: Guard,
}

impl Scene {
    /// The voter is in the round.
    fn new() -> Self {
        let mut scene = Self::of(World::default());
        scene.stands(ROUND, SET);
        scene
    }

    /// The voter has said nothing yet.
    fn of(world: World) -> Self {
        let (network, events) = mpsc::unbounded();
        let (world, sent) = (Arc::new(world), Sent::default());
        let inner = Box::new(Script(events, "/grandpa/1".into(), sent.clone()));
        Self {
            open: BTreeSet::new(),
            guard: Guard::new(inner, world.clone()),
            world,
            network,
            sent,
        }
    }

    /// And all have prevoted for block 2 of branch 0.
    fn prevoted() -> Self {
        let mut scene = Self::new();
        scene.all_prevote(2);
        scene
    }

    fn all_prevote(&mut self, number: u32) {
        for key in [Alice, Bob, Charlie, Dave] {
            let prevote = prevote(key, 0, number);
            assert_eq!(self.says(prevote.clone()), [prevote], "as it came");
        }
    }

    /// The voter tells where it is.
    fn stands(&mut self, round: u64, set: u64) {
        let to = PeerId::random();
        self.guard.send_sync_notification(&to, here(round, set));
    }

    /// A peer says this; what the voter hears of it and of what waited.
    fn says(&mut self, notification: Vec<u8>) -> Vec<Vec<u8>> {
        self.hears(PeerId::random(), notification)
    }

    fn hears(&mut self, peer: PeerId, notification: Vec<u8>) -> Vec<Vec<u8>> {
        // The network lets nobody speak who is not connected.
        if self.open.insert(peer) {
            self.network
                .unbounded_send(opened(peer))
                .expect("it listens");
        }
        let event = NotificationEvent::NotificationReceived { peer, notification };
        self.network.unbounded_send(event).expect("it listens");
        self.rest()
    }

    fn rest(&mut self) -> Vec<Vec<u8>> {
        let (mut heard, mut nothing) = (Vec::new(), 0);
        // Once it may only have let others have their turn.
        while nothing < 2 {
            match self.guard.next_event().now_or_never() {
                Some(Some(NotificationEvent::NotificationReceived { notification, peer })) => {
                    assert!(self.open.contains(&peer), "the SDK throws this away");
                    heard.push(notification);
                }
                Some(_) => {}
                None => nothing += 1,
            }
        }
        heard.sort();
        heard
    }

    fn opens(&mut self, peer: PeerId) {
        if self.open.insert(peer) {
            self.network
                .unbounded_send(opened(peer))
                .expect("it listens");
        }
        self.rest();
    }

    /// A peer is gone; what the voter hears then.
    fn closes(&mut self, peer: PeerId) -> Vec<Vec<u8>> {
        self.open.remove(&peer);
        let event = NotificationEvent::NotificationStreamClosed { peer };
        self.network.unbounded_send(event).expect("it listens");
        self.rest()
    }

    /// Time passes.
    fn looks_again(&mut self) -> Vec<Vec<u8>> {
        for _ in 0..super::memory::LOOKS_UNTIL_ASKED {
            self.guard.memory.lock().look_again();
        }
        self.rest()
    }
}

fn on(key: Ed25519Keyring, branch: u8, number: u32) -> Signed {
    signed(key, ROUND, (block(branch, number), number))
}

fn commit(target: u32, precommits: Vec<Signed>) -> Vec<u8> {
    let commit = finality_grandpa::Commit {
        target_hash: block(0, target),
        target_number: target,
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

fn sorted<const N: usize>(mut all: [Vec<u8>; N]) -> [Vec<u8>; N] {
    all.sort();
    all
}

#[test]
fn precommits_wait_until_the_round_can_end_well() {
    let mut scene = Scene::prevoted();
    let [beside, alice, bob, charlie] = [
        precommit(Dave, 1, 2),
        precommit(Alice, 0, 2),
        precommit(Bob, 0, 2),
        precommit(Charlie, 0, 2),
    ];
    assert!(scene.says(beside.clone()).is_empty());
    assert!(scene.says(alice.clone()).is_empty());
    // With these block 1 would be final, for which nobody voted: the SDK could not justify that.
    assert!(scene.says(bob.clone()).is_empty());
    // Block 2 is, and the vote beside it in no commit.
    let all = sorted([beside, alice, bob, charlie.clone()]);
    assert_eq!(scene.says(charlie.clone()), all);
    assert!(
        scene.says(charlie.clone()) == [charlie],
        "again, as it came"
    );
    assert_eq!(*scene.world.reports.lock(), 0);
}

#[test]
fn without_prevotes_no_round_ends() {
    let mut scene = Scene::new();
    for key in [Alice, Bob, Charlie, Dave] {
        assert!(scene.says(precommit(key, 0, 2)).is_empty());
    }
    scene.says(prevote(Alice, 0, 2));
    scene.says(prevote(Bob, 0, 2));
    // The last prevote, and the four.
    assert_eq!(scene.says(prevote(Charlie, 0, 2)).len(), 5);
}

#[test]
fn of_two_votes_the_one_passes_with_which_the_round_ends_and_it_is_reported_once() {
    let mut scene = Scene::prevoted();
    scene.says(precommit(Dave, 1, 2));
    scene.says(precommit(Alice, 0, 2));
    scene.says(precommit(Bob, 0, 2));
    assert_eq!(*scene.world.reports.lock(), 0);
    let all = sorted([
        precommit(Alice, 0, 2),
        precommit(Bob, 0, 2),
        precommit(Dave, 0, 2),
    ]);
    assert_eq!(scene.says(precommit(Dave, 0, 2)), all);
    for _ in 0..2 {
        assert!(scene.says(precommit(Dave, 1, 2)).is_empty());
        assert_eq!(*scene.world.reports.lock(), 1);
    }
    let late = precommit(Charlie, 0, 2);
    assert_eq!(scene.says(late.clone()), [late]);
}

#[test]
fn a_made_up_vote_stands_in_nobodys_way() {
    let mut scene = Scene::prevoted();
    let mut forged = on(Alice, 1, 2);
    forged.signature = on(Bob, 1, 2).signature;
    let peer = PeerId::random();
    assert!(scene.hears(peer, message(forged)).is_empty());
    assert_eq!(*scene.world.blamed.lock(), [peer]);
    for key in [Alice, Bob] {
        scene.says(precommit(key, 0, 2));
    }
    assert_eq!(scene.says(precommit(Charlie, 0, 2)).len(), 3);
    assert_eq!(*scene.world.reports.lock(), 0);
}

#[test]
fn a_commit_goes_on_without_what_lies_beside_if_enough_is_left() {
    let mut scene = Scene::new();
    let good = vec![on(Alice, 0, 2), on(Bob, 0, 3), on(Charlie, 0, 2)];
    let with = commit(2, [good.clone(), vec![on(Dave, 1, 2)]].concat());
    assert_eq!(scene.says(with), [commit(2, good.clone())]);
    let as_it_is = commit(2, good.clone());
    assert_eq!(scene.says(as_it_is.clone()), [as_it_is]);
    let too_few = commit(1, [good[..2].to_vec(), vec![on(Dave, 1, 2)]].concat());
    assert!(scene.says(too_few).is_empty());
}

#[test]
fn a_commit_that_the_voter_cannot_take_is_a_proof_of_finality() {
    let mut scene = Scene::prevoted();
    for vote in [
        on(Alice, 0, 2),
        on(Bob, 0, 2),
        on(Dave, 1, 2),
        on(Charlie, 0, 2),
    ] {
        scene.says(message(vote));
    }
    scene.stands(ROUND + 1, SET);
    let behind = PeerId::random();
    scene.opens(behind);
    scene.hears(behind, here(ROUND, SET));
    scene.sent.lock().clear();
    let other = commit(2, vec![on(Alice, 0, 2), on(Bob, 0, 2), on(Dave, 0, 3)]);
    assert!(scene.says(other.clone()).is_empty());
    assert_eq!(*scene.sent.lock(), [(behind, other)]);
    assert_eq!(*scene.world.imported.lock(), [(block(0, 2), 2)]);
    assert_eq!(*scene.world.reports.lock(), 1);
}

#[test]
fn a_commit_waits_for_its_blocks() {
    let mut scene = Scene::new();
    let unknown = block(0, 3);
    scene.world.unknown.lock().push(unknown);
    let early = commit(2, vec![on(Alice, 0, 2), on(Bob, 0, 3), on(Charlie, 0, 2)]);
    assert!(scene.says(early.clone()).is_empty());
    assert!(scene.looks_again().is_empty());
    assert_eq!(scene.world.wanted.lock().first(), Some(&(unknown, 3)));
    scene.world.unknown.lock().clear();
    assert_eq!(scene.looks_again(), [early]);
}

#[test]
fn a_vote_of_its_own_counts() {
    let mut scene = Scene::prevoted();
    scene.says(precommit(Bob, 0, 2));
    scene.says(precommit(Charlie, 0, 2));
    let own = precommit(Alice, 0, 2);
    scene.guard.send_sync_notification(&PeerId::random(), own);
    let both = sorted([precommit(Bob, 0, 2), precommit(Charlie, 0, 2)]);
    assert_eq!(scene.rest(), both);
}

#[test]
fn what_waits_goes_on_to_peers_of_the_same_round_once() {
    let mut scene = Scene::prevoted();
    let [one, other, late] = [0; 3].map(|_| PeerId::random());
    for (peer, round) in [(one, ROUND), (other, ROUND - 2)] {
        scene.opens(peer);
        scene.hears(peer, here(round, SET));
    }
    let vote = precommit(Alice, 0, 2);
    scene.sent.lock().clear();
    assert!(scene.hears(PeerId::random(), vote.clone()).is_empty());
    assert_eq!(*scene.sent.lock(), [(one, vote.clone())]);
    scene.opens(late);
    scene.hears(late, here(ROUND, SET));
    assert_eq!(scene.sent.lock().last(), Some(&(late, vote.clone())));
    assert_eq!(scene.sent.lock().len(), 2);
    // When the voter has it, and tells all, those get it that did not have it.
    for peer in [one, other, late] {
        scene.guard.send_sync_notification(&peer, vote.clone());
    }
    assert_eq!(scene.sent.lock().last(), Some(&(other, vote)));
    assert_eq!(scene.sent.lock().len(), 3);
}

#[test]
fn what_has_no_votes_goes_through_as_it_is() {
    let mut scene = Scene::new();
    for bytes in [
        vec![3, 1, 2],
        vec![0],
        Vec::new(),
        vec![255; 40],
        vec![1; 9],
    ] {
        assert_eq!(scene.says(bytes.clone()), [bytes]);
    }
}

#[test]
fn another_set_begins_anew() {
    let mut scene = Scene::new();
    scene.stands(1, SET + 1);
    // The world still has the old one: until it is known who is of the new one, nobody is.
    assert!(scene.says(precommit(Alice, 0, 2)).is_empty());
    assert_eq!(scene.guard.memory.lock().held(), 0);
}

#[test]
fn votes_of_the_round_that_is_on_disk_are_known() {
    let world = World::default();
    let vote = |precommit: Signed| Vote {
        message: Message::Precommit(precommit.precommit),
        signature: precommit.signature,
        id: precommit.id,
    };
    *world.ended.lock() = Some((
        SET,
        EndedRound {
            round: ROUND,
            state: finality_grandpa::round::State::genesis((block(0, 0), 0)),
            base: (block(0, 0), 0),
            votes: [(Alice, 0), (Bob, 0), (Dave, 1)]
                .map(|(key, branch)| vote(on(key, branch, 2)))
                .into(),
        },
    ));
    let mut scene = Scene::of(world);
    scene.stands(ROUND + 1, SET);
    assert!(scene.says(precommit(Dave, 0, 2)).is_empty());
    assert_eq!(*scene.world.reports.lock(), 1, "it has voted otherwise");
}
