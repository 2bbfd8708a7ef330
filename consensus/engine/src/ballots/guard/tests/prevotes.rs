//! Prevotes: the voter gets those that it counts as the guard does, and gets them however many others somebody signs.

use super::{super::super::HELD, *};

fn prevote_in(key: Ed25519Keyring, round: u64, (hash, number): (H256, u32)) -> Vec<u8> {
    let message = Message::Prevote(finality_grandpa::Prevote {
        target_hash: hash,
        target_number: number,
    });
    let signature = key.sign(&localized_payload(round, SET, &message)).into();
    let (set, id) = (SET, key.public().into());
    let vote = Vote {
        message,
        signature,
        id,
    };
    Gossip::Vote { round, set, vote }.encode()
}

fn made_up(key: Ed25519Keyring, round: u64, variant: u64) -> Vec<u8> {
    prevote_in(key, round, (H256::from_low_u64_be(u64::MAX - variant), 3))
}

/// Block 2 of branch 0 is final by the votes of the round, and the voter is in the next one.
fn ended() -> Scene {
    let mut scene = Scene::prevoted();
    for key in [Alice, Bob, Charlie] {
        scene.says(precommit(key, 0, 2));
    }
    scene.stands(ROUND + 1, SET);
    scene.rest();
    scene
}

#[test]
fn a_prevote_that_the_next_voter_ignores_reaches_none() {
    let mut scene = ended();
    // This voter may still have begun on block 0, and would count both of Dave's for every block; after a restart it begins on
    // block 2, and would count one.
    let next = |branch, number| prevote_in(Dave, ROUND + 1, (block(branch, number), number));
    assert!(scene.says(next(0, 1)).is_empty());
    assert!(scene.says(next(1, 3)).is_empty());
    let good = next(0, 3);
    assert_eq!(scene.says(good.clone()), [good]);
    for key in [Alice, Bob, Charlie] {
        let vote = prevote_in(key, ROUND + 1, (block(0, 3), 3));
        assert_eq!(scene.says(vote.clone()), [vote]);
    }
}

#[test]
fn what_the_voter_has_of_the_last_round_decides_on_what_the_next_begins() {
    let world = World::default();
    let own = on(Charlie, 0, 2);
    let mut scene = Scene::of(world);
    scene.stands(ROUND, SET);
    scene.all_prevote(2);
    scene.says(precommit(Alice, 0, 2));
    scene.says(precommit(Bob, 0, 2));
    // Its own, of which it told nobody, has ended the round.
    let vote = Vote {
        message: Message::Precommit(own.precommit),
        signature: own.signature,
        id: own.id,
    };
    let votes = [on(Alice, 0, 2), on(Bob, 0, 2)].map(|vote| Vote {
        message: Message::Precommit(vote.precommit),
        signature: vote.signature,
        id: vote.id,
    });
    *scene.world.ended.lock() = Some((
        SET,
        EndedRound {
            round: ROUND,
            state: finality_grandpa::round::State::genesis((block(0, 0), 0)),
            base: (block(0, 0), 0),
            votes: votes.into_iter().chain([vote]).collect(),
        },
    ));
    scene.stands(ROUND + 1, SET);
    scene.rest();
    let below = prevote_in(Dave, ROUND + 1, (block(0, 1), 1));
    assert!(scene.says(below).is_empty());
}

#[test]
fn prevotes_of_the_next_round_wait_for_the_voter_and_go_on_to_peers_that_are_in_it() {
    let mut scene = Scene::prevoted();
    let [ahead, behind] = [0; 2].map(|_| PeerId::random());
    for (peer, round) in [(ahead, ROUND + 1), (behind, ROUND - 1)] {
        scene.opens(peer);
        scene.hears(peer, here(round, SET));
    }
    scene.sent.lock().clear();
    let next = prevote_in(Alice, ROUND + 1, (block(0, 3), 3));
    assert!(scene.says(next.clone()).is_empty());
    assert_eq!(*scene.sent.lock(), [(ahead, next.clone())]);
    scene.stands(ROUND + 1, SET);
    assert_eq!(scene.rest(), [next]);
}

#[test]
fn a_prevote_waits_for_its_block_and_two_of_a_voter_are_enough() {
    let mut scene = Scene::new();
    let unknown = block(0, 3);
    scene.world.unknown.lock().push(unknown);
    let early = prevote(Dave, 0, 3);
    assert!(scene.says(early.clone()).is_empty());
    assert!(scene.looks_again().is_empty());
    assert_eq!(scene.world.wanted.lock().first(), Some(&(unknown, 3)));
    let [first, second] = [prevote(Dave, 0, 2), prevote(Dave, 1, 2)];
    for vote in [first, second] {
        assert_eq!(scene.says(vote.clone()), [vote]);
    }
    scene.world.unknown.lock().clear();
    assert!(scene.looks_again().is_empty(), "the voter would ignore it");
    let wrong = prevote_in(Alice, ROUND, (block(0, 2), 3));
    assert!(scene.says(wrong).is_empty(), "no block has this height");
    let right = prevote(Alice, 0, 2);
    assert_eq!(scene.says(right.clone()), [right]);
}

#[test]
fn made_up_prevotes_without_end_keep_out_none_that_a_peers_voter_has() {
    let mut scene = Scene::new();
    let peers = [0; 40].map(|_| PeerId::random());
    for variant in 0..1_000 {
        let peer = peers[variant as usize % peers.len()];
        assert!(scene.hears(peer, made_up(Dave, ROUND, variant)).is_empty());
        assert!(
            scene
                .hears(peer, made_up(Dave, ROUND + 1, variant))
                .is_empty()
        );
    }
    assert_eq!(scene.guard.memory.lock().prevotes.len(), 2 * HELD);
    let real = prevote(Dave, 0, 2);
    assert_eq!(scene.says(real.clone()), [real]);
    let next = prevote_in(Dave, ROUND + 1, (block(0, 3), 3));
    assert!(scene.says(next.clone()).is_empty());
    scene.stands(ROUND + 1, SET);
    assert_eq!(scene.rest(), [next]);
}

#[test]
fn the_same_holds_of_precommits() {
    let mut scene = Scene::prevoted();
    let peers = [0; 40].map(|_| PeerId::random());
    for variant in 0..1_000 {
        let peer = peers[variant as usize % peers.len()];
        let target = (H256::from_low_u64_be(u64::MAX - variant), 3);
        assert!(
            scene
                .hears(peer, message(signed(Dave, ROUND, target)))
                .is_empty()
        );
    }
    for key in [Alice, Bob] {
        assert!(scene.says(precommit(key, 0, 2)).is_empty());
    }
    assert_eq!(
        scene.says(precommit(Dave, 0, 2)).len(),
        3,
        "with the real one"
    );
}

#[test]
fn help_that_is_refused_changes_nothing() {
    let mut scene = Scene::prevoted();
    let next = prevote_in(Alice, ROUND + 1, (block(0, 3), 3));
    assert!(scene.says(next.clone()).is_empty());
    let peer = PeerId::random();
    scene.opens(peer);
    let question = (3u8, ROUND + 1, SET).encode();
    scene.guard.send_sync_notification(&peer, question);
    // Votes on either branch, with which no round ends.
    let prevotes = [(Alice, 0), (Bob, 0), (Charlie, 1)].map(|(key, branch)| {
        let Some(Gossip::Vote { vote, .. }) =
            Gossip::read(&prevote_in(key, ROUND + 1, (block(branch, 3), 3)))
        else {
            panic!("it is a vote");
        };
        let Message::Prevote(prevote) = vote.message else {
            panic!("it is a prevote");
        };
        finality_grandpa::SignedPrevote {
            prevote,
            signature: vote.signature,
            id: vote.id,
        }
    });
    let precommits = [(Alice, 0), (Bob, 1), (Charlie, 1)];
    let precommits = precommits.map(|(key, branch)| signed(key, ROUND + 1, (block(branch, 3), 3)));
    let catch_up = finality_grandpa::CatchUp {
        round_number: ROUND + 1,
        prevotes: prevotes.to_vec(),
        precommits: precommits.to_vec(),
        base_hash: block(0, 0),
        base_number: 0,
    };
    let set = SET;
    let help = Gossip::CatchUp { set, catch_up }.encode();
    let heard = scene.hears(peer, help.clone());
    assert!(!heard.contains(&help), "nothing ends with it");
    scene.stands(ROUND + 1, SET);
    assert!(scene.rest().contains(&next), "it waited on");
}

#[test]
fn an_answer_about_an_earlier_round_than_was_asked_for_goes_on_unread() {
    let mut scene = Scene::new();
    let peer = PeerId::random();
    scene.opens(peer);
    let question = (3u8, ROUND + 2, SET).encode();
    scene.guard.send_sync_notification(&peer, question);
    let mut vote = signed(Alice, ROUND + 1, (block(0, 2), 2));
    vote.signature = signed(Bob, ROUND, (block(0, 3), 3)).signature;
    let catch_up = finality_grandpa::CatchUp {
        round_number: ROUND + 1,
        prevotes: Vec::new(),
        precommits: vec![vote],
        base_hash: block(0, 0),
        base_number: 0,
    };
    let set = SET;
    let help = Gossip::CatchUp { set, catch_up }.encode();
    assert_eq!(
        scene.hears(peer, help.clone()),
        [help],
        "the SDK refuses it"
    );
    assert!(scene.world.blamed.lock().is_empty());
}

#[test]
fn a_commit_that_names_another_block_than_its_votes_make_final_is_put_right() {
    let mut scene = ended();
    let votes = [Alice, Bob, Charlie].map(|key| on(key, 0, 2)).to_vec();
    let right = commit(2, votes.clone());
    for named in [1, 3] {
        let heard = scene.says(commit(named, votes.clone()));
        let commits: Vec<_> = heard
            .into_iter()
            .filter(|it| it.first() == Some(&1))
            .collect();
        assert_eq!(commits, std::slice::from_ref(&right), "{named}");
    }
}

/// The voter of Dave's has begun in the round, and is in the next one.
fn of_dave() -> Scene {
    let mut scene = Scene::of(World {
        own: Some(Dave),
        ..World::default()
    });
    scene.stands(ROUND, SET);
    scene
}

#[test]
fn whose_key_another_process_votes_with_says_nothing_more() {
    let peer = PeerId::random();
    let cast = |scene: &mut Scene, vote: Vec<u8>| {
        scene.sent.lock().clear();
        scene.guard.send_sync_notification(&peer, vote);
        !scene.sent.lock().is_empty()
    };
    let mut scene = of_dave();
    // In the round in which it began these may be its own, of an earlier run.
    scene.says(prevote(Dave, 0, 2));
    scene.says(precommit(Dave, 1, 2));
    assert_eq!(*scene.world.others.lock(), 0);
    scene.stands(ROUND + 1, SET);
    let own = |number| prevote_in(Dave, ROUND + 1, (block(0, number), number));
    assert!(cast(&mut scene, own(3)));
    // What peers say again is its own.
    scene.says(own(3));
    assert_eq!(*scene.world.others.lock(), 0);
    for _ in 0..2 {
        scene.says(own(2));
        assert_eq!(*scene.world.others.lock(), 1, "it is told once");
    }
    assert!(!cast(&mut scene, own(3)));
    let other = prevote_in(Alice, ROUND + 1, (block(0, 3), 3));
    assert!(cast(&mut scene, other), "it relays those of others");

    let mut scene = of_dave();
    scene.stands(ROUND + 1, SET);
    let precommit = signed(Dave, ROUND + 1, (block(0, 3), 3));
    let vote = Vote {
        message: Message::Precommit(precommit.precommit),
        signature: precommit.signature,
        id: precommit.id,
    };
    let (round, set) = (ROUND + 1, SET);
    scene.says(Gossip::Vote { round, set, vote }.encode());
    assert_eq!(*scene.world.others.lock(), 1);
    assert!(!cast(&mut scene, own(3)), "before it has voted at all");
}
