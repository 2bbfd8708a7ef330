//! What one peer or one validator can make a node keep, ask for, or leave out.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Wake, Waker},
};

use super::{super::super::HELD, *};

fn held(scene: &Scene) -> usize {
    scene.guard.memory.lock().held()
}

/// A vote for a block that nobody has.
fn made_up(key: Ed25519Keyring, round: u64, number: u32, variant: u64) -> Vec<u8> {
    let hash = H256::from_low_u64_be(u64::MAX - variant);
    let vote = signed(key, round, (hash, number));
    let vote = Vote {
        message: Message::Precommit(vote.precommit),
        signature: vote.signature,
        id: vote.id,
    };
    let set = SET;
    Gossip::Vote { round, set, vote }.encode()
}

#[test]
fn votes_thousands_of_blocks_above_the_last_final_one_pass_too() {
    let mut scene = Scene::of(World {
        above: 20_000,
        ..World::default()
    });
    scene.stands(ROUND, SET);
    scene.all_prevote(15_000);
    for key in [Alice, Bob] {
        assert!(scene.says(precommit(key, 0, 15_000)).is_empty());
    }
    assert_eq!(scene.says(precommit(Charlie, 0, 15_000)).len(), 3);
    // As does a commit of the next round that comes before its votes.
    scene.stands(ROUND + 1, SET);
    let far = [Alice, Bob, Charlie].map(|key| on(key, 0, 14_999));
    let far = commit(14_999, far.to_vec());
    assert_eq!(*scene.says(far.clone()).last().expect("it passes"), far);
}

#[test]
fn a_block_that_is_voted_for_and_not_known_is_asked_for_near_the_best_one_alone() {
    let mut scene = Scene::prevoted();
    let near = scene.world.best_number() + 5;
    for (number, variant) in [(near, 1), (near + 1, 2), (u32::MAX, 3)] {
        let vote = made_up(Charlie, ROUND, number, variant);
        assert!(scene.says(vote).is_empty());
    }
    assert!(scene.looks_again().is_empty());
    let hash = H256::from_low_u64_be(u64::MAX - 1);
    assert_eq!(*scene.world.wanted.lock(), [(hash, near)]);
    assert_eq!(*scene.world.waiting.lock(), 3, "as is told");
}

#[test]
fn a_vote_goes_on_to_peers_once_its_block_is_known() {
    let mut scene = Scene::prevoted();
    let peer = PeerId::random();
    scene.opens(peer);
    scene.hears(peer, here(ROUND, SET));
    scene.sent.lock().clear();
    let unknown = block(0, 3);
    scene.world.unknown.lock().push(unknown);
    let vote = precommit(Alice, 0, 3);
    assert!(scene.says(vote.clone()).is_empty());
    scene.looks_again();
    assert!(scene.sent.lock().is_empty(), "it would be asked for it");
    scene.world.unknown.lock().clear();
    scene.looks_again();
    assert_eq!(*scene.sent.lock(), [(peer, vote)]);
}

#[test]
fn one_validator_with_many_votes_leaves_room_for_those_of_others() {
    let mut scene = Scene::prevoted();
    let peers = [0; 40].map(|_| PeerId::random());
    for variant in 0..1_000 {
        for round in ROUND..ROUND + 4 {
            let peer = peers[variant as usize % peers.len()];
            scene.hears(peer, made_up(Dave, round, 3, variant));
        }
    }
    assert_eq!(held(&scene), 4 * HELD);
    for key in [Alice, Bob] {
        assert!(scene.says(precommit(key, 0, 2)).is_empty());
    }
    assert_eq!(scene.says(precommit(Charlie, 0, 2)).len(), 3);
}

#[test]
fn a_commit_with_more_than_two_votes_of_somebody_is_dropped() {
    let mut scene = Scene::new();
    let votes = [on(Alice, 0, 2), on(Bob, 0, 2), on(Charlie, 0, 2)];
    let double = [on(Dave, 0, 2), on(Dave, 0, 3)];
    let all = [&votes[..], &double].concat();
    let with = |more: Signed| commit(2, [all.clone(), vec![more]].concat());
    assert!(scene.says(with(on(Dave, 1, 3))).is_empty());
    assert!(scene.says(with(on(Dave, 0, 2))).is_empty());
    assert_eq!(held(&scene), 0, "nothing of it is kept");
    let good = commit(2, all);
    assert_eq!(scene.says(good.clone()).last(), Some(&good));
}

#[test]
fn a_commit_with_votes_that_nobody_signed_is_dropped() {
    let mut scene = Scene::new();
    let votes = vec![on(Alice, 0, 2), on(Bob, 0, 2), on(Charlie, 0, 2)];
    let good = commit(2, votes);
    let Some(Gossip::Commit {
        round,
        set,
        commit: mut long,
    }) = Gossip::read(&good)
    else {
        panic!("it is a commit");
    };
    let unknown = Target {
        target_hash: H256::repeat_byte(7),
        target_number: 3,
    };
    long.precommits.extend(vec![unknown; 10_000]);
    let commit = long;
    let long = Gossip::Commit { round, set, commit }.encode();
    assert!(scene.says(long).is_empty());
    assert!(scene.looks_again().is_empty());
    assert!(scene.world.wanted.lock().is_empty());
    assert_eq!(scene.says(good.clone()).last(), Some(&good));
}

#[test]
fn one_peer_brings_four_votes_of_a_voter_at_most_and_two_that_wait_go_on_to_each() {
    let mut scene = Scene::prevoted();
    let [peer, other] = [0; 2].map(|_| PeerId::random());
    scene.opens(other);
    scene.hears(other, here(ROUND, SET));
    scene.sent.lock().clear();
    for (branch, number) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3)] {
        assert!(
            scene
                .hears(peer, precommit(Dave, branch, number))
                .is_empty()
        );
    }
    assert_eq!(held(&scene), 4);
    assert_eq!(scene.sent.lock().len(), 2, "what another may bring too");
    assert!(scene.says(precommit(Dave, 1, 3)).is_empty());
    assert_eq!(held(&scene), 5);
}

/// A vote, with the signature of somebody else.
fn forged(round: u64, number: u32) -> Vec<u8> {
    let mut vote = signed(Alice, round, (block(0, number), number));
    vote.signature = on(Bob, 1, 1).signature;
    let vote = Vote {
        message: Message::Precommit(vote.precommit),
        signature: vote.signature,
        id: vote.id,
    };
    let set = SET;
    Gossip::Vote { round, set, vote }.encode()
}

#[test]
fn what_can_be_refused_without_checking_a_signature_is() {
    let mut scene = Scene::prevoted();
    // Nobody is blamed, so nobody has looked: the SDK refuses these by their round.
    for round in [ROUND - 2, ROUND + 4, 0, u64::MAX] {
        let far = forged(round, 2);
        assert_eq!(scene.says(far.clone()), [far]);
    }
    // Beside the voter's round it would take them.
    assert!(scene.says(forged(ROUND - 1, 2)).is_empty());
    assert!(scene.world.blamed.lock().is_empty());
    let again = prevote(Alice, 0, 2);
    assert_eq!(scene.says(again.clone()), [again]);
    // A peer that has brought four votes of Alice's brings no fifth, signed or not.
    let peer = PeerId::random();
    for (branch, number) in [(0, 1), (0, 2), (1, 2), (1, 3)] {
        scene.hears(peer, precommit(Alice, branch, number));
    }
    assert!(scene.hears(peer, forged(ROUND, 3)).is_empty());
    assert!(scene.world.blamed.lock().is_empty());
    assert!(scene.says(forged(ROUND, 3)).is_empty());
    assert_eq!(
        scene.world.blamed.lock().len(),
        1,
        "where it has to be looked at"
    );
}

#[test]
fn commits_of_rounds_far_away_are_not_remembered() {
    let mut scene = Scene::new();
    let of_round = |round: u64, voters: &[Ed25519Keyring]| {
        let target = (H256::from_low_u64_be(u64::MAX - round), 3);
        let votes = voters.iter().map(|key| signed(*key, round, target));
        let commit = finality_grandpa::Commit {
            target_hash: target.0,
            target_number: target.1,
            precommits: votes.collect(),
        };
        let (set, commit) = (SET, commit.into());
        Gossip::Commit { round, set, commit }.encode()
    };
    let peer = PeerId::random();
    for round in (ROUND + 4..).take(200) {
        let alone = of_round(round, &[Dave]);
        assert_eq!(
            scene.hears(peer, alone.clone()),
            [alone],
            "for the SDK to blame its sender"
        );
        assert!(
            scene
                .hears(peer, of_round(round, &[Alice, Bob, Dave]))
                .is_empty()
        );
    }
    let memory = scene.guard.memory.lock();
    assert_eq!(memory.peers.remembered(), 0);
    assert_eq!(
        memory.early.len(),
        2,
        "the first of this peer, and the last"
    );
}

#[test]
fn commits_that_name_a_wrong_height_prove_nothing() {
    let mut scene = Scene::new();
    for (branch, height, number) in [(0, 2, 3), (0, 3, 2)] {
        let target = (block(branch, height), number);
        let votes = [Alice, Bob, Charlie].map(|key| signed(key, ROUND, target));
        let commit = finality_grandpa::Commit {
            target_hash: target.0,
            target_number: target.1,
            precommits: votes.to_vec(),
        };
        let (round, set, commit) = (ROUND, SET, commit.into());
        let commit = Gossip::Commit { round, set, commit }.encode();
        assert!(scene.says(commit).is_empty());
        assert!(scene.looks_again().is_empty());
    }
    assert!(scene.world.imported.lock().is_empty());
}

#[test]
fn commits_up_to_the_height_that_the_voter_tells_go_on_unread() {
    let mut scene = Scene::new();
    let neighbour = Neighbour::V1 {
        round: ROUND,
        set: SET,
        finalised: 2,
    };
    let tells = Gossip::Neighbour(neighbour).encode();
    let peer = PeerId::random();
    scene.guard.send_sync_notification(&peer, tells);
    let mut votes = [Alice, Bob, Charlie].map(|key| on(key, 0, 2));
    votes[0].signature = votes[1].signature.clone();
    let old = commit(2, votes.to_vec());
    assert_eq!(scene.says(old.clone()), [old]);
    assert!(scene.world.blamed.lock().is_empty());
    let mut votes = [Alice, Bob, Charlie].map(|key| on(key, 0, 3));
    votes[0].signature = votes[1].signature.clone();
    assert!(scene.says(commit(3, votes.to_vec())).is_empty());
    assert_eq!(scene.world.blamed.lock().len(), 1);
}

#[test]
fn commits_of_one_peer_rise() {
    let mut scene = Scene::of(World {
        above: 100,
        ..World::default()
    });
    scene.stands(ROUND, SET);
    let peer = PeerId::random();
    let of_height = |number| {
        commit(
            number,
            [Alice, Bob, Charlie].map(|key| on(key, 0, number)).to_vec(),
        )
    };
    assert!(!scene.hears(peer, of_height(50)).is_empty());
    assert!(scene.hears(peer, of_height(49)).is_empty());
    for _ in 0..3 {
        assert!(!scene.hears(peer, of_height(50)).is_empty());
    }
    assert!(scene.hears(peer, of_height(50)).is_empty());
    assert!(!scene.hears(peer, of_height(51)).is_empty());
    assert!(!scene.says(of_height(49)).is_empty(), "another peer's");
}

/// Help with the round, in which one vote has another's signature.
fn wrong_help() -> Vec<u8> {
    let signed = [Alice, Bob, Charlie].map(|key| {
        let prevote = finality_grandpa::Prevote {
            target_hash: block(0, 2),
            target_number: 2,
        };
        let message = Message::Prevote(prevote.clone());
        let payload = localized_payload(ROUND, SET, &message);
        finality_grandpa::SignedPrevote {
            prevote,
            signature: AuthoritySignature::from(key.sign(&payload)),
            id: AuthorityId::from(key.public()),
        }
    });
    let mut precommits = [Alice, Bob, Charlie].map(|key| on(key, 0, 2)).to_vec();
    precommits[2].signature = precommits[1].signature.clone();
    let catch_up = finality_grandpa::CatchUp {
        round_number: ROUND,
        prevotes: signed.to_vec(),
        precommits,
        base_hash: block(0, 0),
        base_number: 0,
    };
    let set = SET;
    Gossip::CatchUp { set, catch_up }.encode()
}

#[test]
fn help_that_nobody_asked_for_goes_on_unread_and_of_other_help_two_answers_are_read() {
    let mut scene = Scene::new();
    let (peer, help) = (PeerId::random(), wrong_help());
    let as_it_is = std::slice::from_ref(&help);
    assert_eq!(scene.hears(peer, help.clone()), as_it_is);
    assert!(scene.world.blamed.lock().is_empty());
    let question = (3u8, ROUND, SET).encode();
    scene.guard.send_sync_notification(&peer, question);
    assert_eq!(scene.says(help.clone()), as_it_is, "of somebody else");
    for answer in 1..4 {
        assert!(scene.hears(peer, help.clone()).is_empty());
        assert_eq!(scene.world.blamed.lock().len(), answer.min(2));
    }
}

#[test]
fn a_vote_that_is_signed_in_two_ways_is_one_vote_with_the_first_signature() {
    let mut scene = Scene::prevoted();
    for key in [Alice, Bob] {
        assert!(scene.says(precommit(key, 0, 2)).is_empty());
    }
    let again = |mut vote: Signed| {
        vote.signature = on(Dave, 1, 3).signature;
        vote
    };
    // By itself it is nothing, right or wrong.
    assert!(scene.says(message(again(on(Alice, 0, 2)))).is_empty());
    assert!(scene.world.blamed.lock().is_empty());
    // In a commit it counts once, and goes on as it is known.
    let votes = [again(on(Alice, 0, 2)), on(Bob, 0, 2), on(Charlie, 0, 2)];
    let twice = [on(Alice, 0, 2), again(on(Alice, 0, 2)), on(Bob, 0, 2)];
    assert!(
        scene.says(commit(2, twice.to_vec())).is_empty(),
        "of two voters"
    );
    let known = commit(2, [Alice, Bob, Charlie].map(|key| on(key, 0, 2)).to_vec());
    assert_eq!(scene.says(commit(2, votes.to_vec())).last(), Some(&known));
    // And a prevote.
    let Some(Gossip::Vote {
        round,
        set,
        mut vote,
    }) = Gossip::read(&prevote(Alice, 0, 2))
    else {
        panic!("it is a vote");
    };
    vote.signature = on(Dave, 1, 3).signature;
    let other = Gossip::Vote { round, set, vote }.encode();
    assert!(scene.says(other).is_empty());
    assert!(scene.world.blamed.lock().is_empty());
}

#[test]
fn a_vote_goes_on_though_who_brought_it_is_gone_and_waits_while_nobody_is_there() {
    let mut scene = Scene::prevoted();
    for peer in scene.open.clone() {
        scene.closes(peer);
    }
    let [first, second] = [0; 2].map(|_| PeerId::random());
    for key in [Alice, Bob] {
        assert!(scene.hears(first, precommit(key, 0, 2)).is_empty());
    }
    assert!(scene.closes(first).is_empty());
    // All three, in the name of who is connected, as each scene sees to.
    assert_eq!(scene.hears(second, precommit(Charlie, 0, 2)).len(), 3);

    let mut scene = Scene::prevoted();
    for key in [Alice, Bob] {
        scene.says(precommit(key, 0, 2));
    }
    for peer in scene.open.clone() {
        scene.closes(peer);
    }
    // This node's own vote is the third.
    let own = precommit(Charlie, 0, 2);
    scene.guard.send_sync_notification(&first, own);
    assert!(
        scene.looks_again().is_empty(),
        "nobody is there to have said it"
    );
    scene.opens(second);
    assert_eq!(scene.looks_again().len(), 2);
}

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// How often the voter has its turn while these come, after each of which the guard wants to go on.
fn turns_in(scene: &mut Scene, flood: Vec<Vec<u8>>) -> usize {
    let (peer, last) = (PeerId::random(), vec![254; 40]);
    scene.opens(peer);
    for notification in flood.into_iter().chain([last.clone()]) {
        let event = NotificationEvent::NotificationReceived { peer, notification };
        scene.network.unbounded_send(event).expect("it listens");
    }
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(bell.clone());
    let mut turns = 0;
    loop {
        let event = std::pin::pin!(scene.guard.next_event()).poll(&mut Context::from_waker(&waker));
        match event {
            Poll::Pending => turns += 1,
            Poll::Ready(Some(NotificationEvent::NotificationReceived { notification, .. }))
                if notification == last =>
            {
                return turns;
            }
            Poll::Ready(_) => {}
        }
        assert_eq!(
            bell.0.load(Ordering::Relaxed),
            turns,
            "it would not be polled again"
        );
    }
}

#[test]
fn a_flood_leaves_the_voter_its_turns_whether_it_is_kept_back_or_not() {
    let mut scene = Scene::prevoted();
    let many = 10 * IN_A_ROW;
    let known = vec![precommit(Alice, 0, 2); many];
    let garbage = vec![vec![255; 40]; many];
    let old = vec![prevote(Alice, 0, 2); many];
    for flood in [known, garbage, old] {
        let turns = turns_in(&mut scene, flood);
        // What goes on takes two steps: it comes, and it goes.
        assert!((9..=21).contains(&turns), "{turns}");
    }
    assert_eq!(held(&scene), 1);
}
