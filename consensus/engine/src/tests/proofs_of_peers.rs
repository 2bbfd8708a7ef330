//! Proofs of blocks that nobody announced: who is asked, who is believed, who is blamed.

use std::{io::ErrorKind, sync::Arc};

use parity_scale_codec::Encode;
use sc_consensus::Verifier as _;
use sc_network::{OutboundFailure, RequestFailure};
use sc_network_types::PeerId;
use sp_core::H256;

use super::{miner::*, mock::*};
use crate::{
    Finality, TrustedTarget, VerifyBlocks,
    exchange::{AskError, Offence},
};

/// A node with these peers, and a chain of blocks that it has not seen.
fn late_node(
    peers: impl FnOnce(&[Mined]) -> Vec<(PeerId, Answer)>,
) -> (Node, Arc<MockPeers>, Vec<Mined>) {
    let blocks = chain_of(3);
    let peers = MockPeers::of(peers(&blocks));
    (Node::with_peers(peers.clone()), peers, blocks)
}

fn all(blocks: &[Mined]) -> Answer {
    MockPeers::holding(&blocks.iter().collect::<Vec<_>>())
}

/// A block with a wrong proof.
fn spoiled(block: &Mined) -> Mined {
    Mined {
        header: block.header.clone(),
        proof: flipped(&block.proof),
    }
}

#[tokio::test]
async fn a_late_node_gets_the_proofs_of_a_batch_in_one_request() {
    let (node, peers, blocks) = late_node(|blocks| vec![(PeerId::random(), all(blocks))]);
    let batch: Vec<_> = blocks.iter().map(|block| incoming(block, None)).collect();
    node.lookahead.remember(&batch);
    for block in &blocks {
        node.sync(&block.header).await.unwrap();
    }
    assert_eq!(node.chain.best().hash(), blocks[2].hash());
    let asked = peers.asked.lock();
    assert_eq!(asked.len(), 1);
    assert_eq!(
        asked[0].1,
        blocks.iter().map(Mined::hash).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn without_a_batch_each_proof_is_asked_for_by_itself() {
    let (node, peers, blocks) = late_node(|blocks| vec![(PeerId::random(), all(blocks))]);
    for block in &blocks {
        node.sync(&block.header).await.unwrap();
    }
    assert_eq!(peers.asked.lock().len(), 3);
}

#[tokio::test]
async fn a_peer_with_a_wrong_proof_is_reported_and_the_next_one_asked() {
    let (liar, honest) = (PeerId::random(), PeerId::random());
    let (node, peers, blocks) = late_node(|blocks| {
        let lie = spoiled(&blocks[0]);
        vec![(liar, MockPeers::holding(&[&lie])), (honest, all(blocks))]
    });
    node.sync(&blocks[0].header).await.unwrap();
    assert_eq!(*peers.reported.lock(), [(liar, Offence::WrongProof)]);
    assert_eq!(peers.asked_peers(), [liar, honest]);
}

#[tokio::test]
async fn a_proof_replayed_from_another_block_is_a_wrong_proof() {
    let liar = PeerId::random();
    let (node, peers, blocks) = late_node(|blocks| {
        let lie = Mined {
            header: blocks[0].header.clone(),
            proof: blocks[1].proof.clone(),
        };
        vec![(liar, MockPeers::holding(&[&lie]))]
    });
    assert!(matches!(
        node.sync(&blocks[0].header).await,
        Err(SyncError::NotNow(_))
    ));
    assert_eq!(*peers.reported.lock(), [(liar, Offence::WrongProof)]);
}

#[tokio::test]
async fn a_malformed_answer_is_reported() {
    let peer = PeerId::random();
    let (node, peers, blocks) = late_node(|_| vec![(peer, Answer::Malformed)]);
    assert!(node.sync(&blocks[0].header).await.is_err());
    assert_eq!(*peers.reported.lock(), [(peer, Offence::MalformedAnswer)]);
}

#[tokio::test]
async fn a_missing_proof_keeps_the_block_out_and_bans_nobody_who_may_be_honest() {
    let broken = PeerId::random();
    let (node, _, blocks) = late_node(|_| vec![(broken, Answer::Broken)]);
    node.lookahead
        .remember(&[incoming(&blocks[0], Some(broken))]);
    let error = node.sync(&blocks[0].header).await.unwrap_err();
    assert!(
        matches!(&error, SyncError::NotNow(why) if why.contains("1 peers were asked")),
        "{error:?}"
    );
    assert!(!node.chain.has(blocks[0].hash()));
}

#[tokio::test]
async fn another_peer_is_asked_beside_one_that_says_nothing() {
    let (silent, honest) = (PeerId::random(), PeerId::random());
    let blocks = chain_of(1);
    let peers = MockPeers::of(vec![(silent, Answer::Never), (honest, all(&blocks))]);
    let node = Node::in_no_time(peers.clone());
    node.sync(&blocks[0].header).await.unwrap();
    assert_eq!(node.chain.best().hash(), blocks[0].hash());
    assert_eq!(peers.asked_peers(), [silent, honest]);
}

/// What the sender of a block that nobody has a proof of is reported for, by what it and another peer answer.
async fn reported(of_sender: Answer, of_other: Answer) -> Vec<Offence> {
    let (sender, other) = (PeerId::random(), PeerId::random());
    let peers = MockPeers::of(vec![(other, of_other), (sender, of_sender)]);
    let node = Node::without_patience(peers.clone());
    let blocks = chain_of(1);
    node.lookahead
        .remember(&[incoming(&blocks[0], Some(sender))]);
    assert!(node.sync(&blocks[0].header).await.is_err());
    let reported = peers.reported.lock();
    assert!(reported.iter().all(|(peer, _)| *peer == sender));
    reported.iter().map(|(_, offence)| *offence).collect()
}

#[tokio::test]
async fn a_sender_that_says_nothing_is_reported_where_others_answer() {
    let nothing = || MockPeers::holding(&[]);
    assert_eq!(reported(Answer::Never, nothing()).await, [Offence::Silence]);
    assert_eq!(
        reported(Answer::TimedOut, nothing()).await,
        [Offence::Silence]
    );
    // The line may be to blame: nobody answers, or it broke.
    assert_eq!(reported(Answer::Never, Answer::Never).await, []);
    assert_eq!(reported(Answer::Never, Answer::Broken).await, []);
    assert_eq!(reported(Answer::Broken, nothing()).await, []);
}

#[tokio::test]
async fn a_sender_without_proof_is_reported_if_nobody_can_say_whether_its_block_is_final() {
    let sender = PeerId::random();
    let peers = MockPeers::of(vec![(sender, MockPeers::holding(&[]))]);
    let blocks = chain_of(1);
    let target = |number| TrustedTarget {
        number,
        hash: H256::repeat_byte(7),
    };
    for (said, offences) in [
        (Finality::Unknown, 1),
        (Finality::ProvedInPart(target(0)), 1),
        // Sync itself hangs up.
        (Finality::NothingNewer, 0),
        // Its block lost just now.
        (Finality::Proved(target(1)), 1),
    ] {
        *peers.finality.lock() = Some(said);
        peers.reported.lock().clear();
        let node = Node::with_peers(peers.clone());
        node.lookahead
            .remember(&[incoming(&blocks[0], Some(sender))]);
        assert!(node.sync(&blocks[0].header).await.is_err());
        let expected = vec![(sender, Offence::NoEvidence); offences];
        assert_eq!(*peers.reported.lock(), expected, "{said:?}");
    }
}

#[tokio::test]
async fn who_verifies_all_blames_nobody_for_old_proofs_that_were_dropped() {
    let sender = PeerId::random();
    let peers = MockPeers::of(vec![(sender, MockPeers::holding(&[]))]);
    let node = Node::verifying(peers.clone(), VerifyBlocks::All);
    let blocks = chain_of(1);
    node.lookahead
        .remember(&[incoming(&blocks[0], Some(sender))]);
    let result = node.sync(&blocks[0].header).await;
    assert!(matches!(result, Err(SyncError::NotNow(_))), "{result:?}");
    assert!(peers.reported.lock().is_empty());
}

#[tokio::test]
async fn who_is_slow_with_many_proofs_is_asked_for_one_before_it_is_blamed() {
    let (sender, other) = (PeerId::random(), PeerId::random());
    let nothing = MockPeers::holding(&[]);
    let peers = MockPeers::of(vec![(sender, Answer::Never), (other, nothing)]);
    let node = Node::without_patience(peers.clone());
    let blocks = chain_of(3);
    let batch: Vec<_> = blocks
        .iter()
        .map(|block| incoming(block, Some(sender)))
        .collect();
    for reported in [vec![], vec![(sender, Offence::Silence)]] {
        node.lookahead.remember(&batch);
        assert!(node.sync(&blocks[0].header).await.is_err());
        assert_eq!(*peers.reported.lock(), reported);
    }
    let asked = peers.asked.lock();
    let of_sender = asked.iter().filter(|(peer, _)| *peer == sender);
    let lengths: Vec<usize> = of_sender.map(|(_, blocks)| blocks.len()).collect();
    assert_eq!(lengths, [3, 1]);
}

#[tokio::test]
async fn who_gave_a_wrong_proof_of_a_later_block_is_reported_when_that_is_found_out() {
    let liar = PeerId::random();
    let (node, peers, blocks) = late_node(|blocks| {
        let lie = spoiled(&blocks[1]);
        vec![(liar, MockPeers::holding(&[&blocks[0], &lie]))]
    });
    let batch: Vec<_> = blocks.iter().map(|block| incoming(block, None)).collect();
    node.lookahead.remember(&batch);
    node.sync(&blocks[0].header).await.unwrap();
    assert!(peers.reported.lock().is_empty());
    assert!(node.sync(&blocks[1].header).await.is_err());
    assert_eq!(peers.reported.lock()[0], (liar, Offence::WrongProof));
}

#[tokio::test]
async fn a_damaged_proof_in_the_database_is_got_anew() {
    let (node, peers, blocks) = late_node(|blocks| vec![(PeerId::random(), all(blocks))]);
    for damaged in [vec![1, 2, 3], flipped(&blocks[0].proof).encode()] {
        let key = crate::store::proof_key(blocks[0].hash());
        node.chain.put_record(key, damaged);
        peers.asked.lock().clear();
        let block = Node::from_sync(&blocks[0].header);
        node.verifier.verify(block).await.unwrap();
        assert_eq!(peers.asked.lock().len(), 1);
    }
    assert!(peers.reported.lock().is_empty());
}

#[test]
fn an_answer_that_the_network_would_not_read_is_the_peers_fault() {
    let failed = |kind: ErrorKind| {
        let error = Arc::new(std::io::Error::from(kind));
        AskError::from(RequestFailure::Network(OutboundFailure::Io(error)))
    };
    let unreadable = failed(ErrorKind::InvalidInput);
    assert!(matches!(unreadable, AskError::Unreadable(_)));
    let broken = failed(ErrorKind::ConnectionReset);
    assert!(matches!(broken, AskError::Network(_)));
}

#[tokio::test]
async fn a_sender_who_cannot_prove_its_own_block_is_banned() {
    let (sender, other) = (PeerId::random(), PeerId::random());
    let nothing = || MockPeers::holding(&[]);
    let (node, peers, blocks) = late_node(|_| vec![(other, nothing()), (sender, nothing())]);
    node.lookahead
        .remember(&[incoming(&blocks[0], Some(sender))]);
    assert!(matches!(
        node.sync(&blocks[0].header).await,
        Err(SyncError::SenderBanned(_))
    ));
    assert_eq!(peers.asked_peers(), [sender, other], "the sender first");
}

#[tokio::test]
async fn a_wrong_proof_heard_earlier_does_not_condemn_the_block() {
    let (node, _, blocks) = late_node(|blocks| vec![(PeerId::random(), all(blocks))]);
    let wrong = Arc::new(flipped(&blocks[0].proof));
    let proofs = &node.engine.proofs;
    proofs.keep_unchecked(blocks[0].hash(), wrong, None);
    node.sync(&blocks[0].header).await.unwrap();
    assert_eq!(node.chain.best().hash(), blocks[0].hash());
}

#[test]
fn verification_asks_no_clock_that_ends_with_the_runtime() {
    // The import queue's blocking task goes on while the runtime ends; a runtime without a clock stands for that.
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let broken = PeerId::random();
    let (node, _, blocks) = late_node(|_| vec![(broken, Answer::Broken)]);
    let result = runtime.block_on(node.sync(&blocks[0].header));
    assert!(matches!(result, Err(SyncError::NotNow(_))), "{result:?}");
}
