//! What is done with an announcement, before anything is downloaded.

use std::sync::Arc;

use labora_consensus_api::MAX_FUTURE_MS;
use labora_pouw::Proof;
use parity_scale_codec::Encode;
use sc_network_types::PeerId;
use sp_consensus::block_validation::{BlockAnnounceValidator, Validation};
use sp_runtime::DigestItem;

use super::{miner::*, mock::*};
use crate::PouwAnnounceValidator;

const ACCEPTED_BEST: Validation = Validation::Success { is_new_best: true };
const ACCEPTED: Validation = Validation::Success { is_new_best: false };
const HANG_UP: Validation = Validation::Failure { disconnect: true };
const REFUSED: Validation = Validation::Failure { disconnect: false };

async fn announce_to(
    node: &Node,
    peers: Arc<MockPeers>,
    header: &Header,
    data: &[u8],
) -> Validation {
    PouwAnnounceValidator::new(node.engine.clone(), peers)
        .validate(header, data)
        .await
        .unwrap()
}

async fn announce(node: &Node, header: &Header, data: &[u8]) -> Validation {
    announce_to(node, MockPeers::none(), header, data).await
}

#[tokio::test]
async fn an_honest_announcement_is_accepted_and_its_block_needs_no_second_verification() {
    let node = Node::new();
    let block = node.child(&node.chain.best());
    assert_eq!(
        announce(&node, &block.header, &block.proof.encode()).await,
        ACCEPTED_BEST
    );
    assert!(node.engine.proofs.verified(block.hash()).is_some());
    node.sync(&block.header).await.unwrap();
    assert_eq!(node.chain.best().hash(), block.hash());
    assert!(
        !node.engine.proofs.holds(block.hash()),
        "the store has it now"
    );
}

#[tokio::test]
async fn a_block_of_no_more_work_than_the_best_is_accepted_as_such() {
    let node = Node::new();
    let genesis = node.chain.best();
    node.grow(&genesis).await;
    let sibling = node.child(&genesis);
    assert_eq!(
        announce(&node, &sibling.header, &sibling.proof.encode()).await,
        ACCEPTED
    );
}

#[tokio::test]
async fn a_wrong_proof_hangs_up_and_the_same_bytes_cost_no_second_verification() {
    let node = Node::new();
    let block = node.child(&node.chain.best());
    let wrong = flipped(&block.proof).encode();
    assert_eq!(announce(&node, &block.header, &wrong).await, HANG_UP);
    assert!(node.engine.proofs.was_refused(block.hash(), &wrong));
    assert_eq!(announce(&node, &block.header, &wrong).await, HANG_UP);
    let right = block.proof.encode();
    assert_eq!(
        announce(&node, &block.header, &right).await,
        ACCEPTED_BEST,
        "the header is not condemned with the proof",
    );
}

#[tokio::test]
async fn a_proof_replayed_from_another_block_hangs_up() {
    let node = Node::new();
    let genesis = node.chain.best();
    let first = node.grow(&genesis).await;
    let second = node.child(&first.header);
    assert_eq!(
        announce(&node, &second.header, &first.proof.encode()).await,
        HANG_UP
    );
}

#[tokio::test]
async fn a_seal_moved_to_another_header_hangs_up() {
    let node = Node::new();
    let block = node.child(&node.chain.best());
    // Everything is as mined, but the block pays somebody else: the state root differs.
    for salt in 1_000..1_020 {
        let mut stolen = block.header.clone();
        stolen.state_root = sp_core::H256::from_low_u64_be(salt);
        let verdict = announce(&node, &stolen, &block.proof.encode()).await;
        // The moved tile is a fresh ticket, which wins by luck once in two: then it is a block like any other.
        let lucky = labora_pouw::verify(
            &Node::open(&stolen).pre_hash.0,
            &Node::open(&stolen).seal,
            &block.proof,
            node.engine
                .difficulty_after(block.header.parent_hash)
                .unwrap(),
        )
        .is_ok();
        assert_eq!(verdict, if lucky { ACCEPTED_BEST } else { HANG_UP });
        if !lucky {
            return;
        }
    }
    panic!("twenty coin tosses fell on the same side");
}

#[tokio::test]
async fn a_proof_that_is_too_weak_hangs_up() {
    let node = Node::new();
    let header = unsealed(&node.chain.best(), time_at(1), 1);
    let weak = lose(header, EASY);
    assert_eq!(
        announce(&node, &weak.header, &weak.proof.encode()).await,
        HANG_UP
    );
}

#[tokio::test]
async fn an_oversized_proof_hangs_up_before_it_is_decoded() {
    let node = Node::new();
    let block = node.child(&node.chain.best());
    let long = vec![0; Proof::MAX_ENCODED_LEN + 1];
    assert_eq!(announce(&node, &block.header, &long).await, HANG_UP);
    let mut trailing = block.proof.encode();
    trailing.push(0);
    assert_eq!(announce(&node, &block.header, &trailing).await, HANG_UP);
}

#[tokio::test]
async fn a_missing_proof_is_asked_for_and_its_lack_is_no_reason_to_hang_up() {
    let node = Node::new();
    let block = node.child(&node.chain.best());
    assert_eq!(announce(&node, &block.header, &[]).await, REFUSED);
    let peers = MockPeers::of(vec![(PeerId::random(), MockPeers::holding(&[&block]))]);
    assert_eq!(
        announce_to(&node, peers.clone(), &block.header, &[]).await,
        ACCEPTED_BEST
    );
    assert_eq!(peers.asked_peers().len(), 1);
}

#[tokio::test]
async fn a_known_block_is_accepted_whatever_comes_with_it() {
    let node = Node::new();
    let block = node.grow(&node.chain.best()).await;
    assert_eq!(announce(&node, &block.header, &[1, 2, 3]).await, ACCEPTED);
    assert_eq!(announce(&node, &block.header, &[]).await, ACCEPTED);
}

#[tokio::test]
async fn a_timestamp_not_above_the_parents_hangs_up() {
    let node = Node::new();
    let parent = node.grow(&node.chain.best()).await;
    for (timestamp_ms, verdict) in [
        (time_at(1) - 1, HANG_UP),
        (time_at(1), HANG_UP),
        (time_at(1) + 1, ACCEPTED_BEST),
    ] {
        let block = mine(unsealed(&parent.header, timestamp_ms, 1), EASY);
        assert_eq!(
            announce(&node, &block.header, &block.proof.encode()).await,
            verdict
        );
    }
}

#[tokio::test]
async fn a_timestamp_too_far_ahead_is_refused_for_now() {
    let node = Node::new();
    let genesis = node.chain.best();
    let due = mine(unsealed(&genesis, NOW_MS + MAX_FUTURE_MS, 1), EASY);
    assert_eq!(
        announce(&node, &due.header, &due.proof.encode()).await,
        ACCEPTED_BEST
    );
    let early = mine(unsealed(&genesis, NOW_MS + MAX_FUTURE_MS + 1, 1), EASY);
    assert_eq!(
        announce(&node, &early.header, &early.proof.encode()).await,
        REFUSED
    );
}

#[tokio::test]
async fn a_number_that_does_not_follow_the_parents_hangs_up() {
    let node = Node::new();
    let mut header = unsealed(&node.chain.best(), time_at(1), 1);
    header.number = 2;
    let block = mine(header, EASY);
    assert_eq!(
        announce(&node, &block.header, &block.proof.encode()).await,
        HANG_UP
    );
}

#[tokio::test]
async fn a_stray_digest_item_hangs_up_and_those_of_the_runtime_do_not() {
    let node = Node::new();
    let genesis = node.chain.best();
    let stray = [
        DigestItem::Other(vec![1]),
        DigestItem::PreRuntime(*b"pouw", vec![]),
        DigestItem::Seal(*b"pouw", vec![]),
    ];
    for item in stray {
        let block = mine(with_item(unsealed(&genesis, time_at(1), 1), item), EASY);
        assert_eq!(
            announce(&node, &block.header, &block.proof.encode()).await,
            HANG_UP
        );
    }
    let runtimes = [
        DigestItem::RuntimeEnvironmentUpdated,
        DigestItem::Consensus(*b"FRNK", vec![1, 2, 3]),
    ];
    for item in runtimes {
        let block = mine(with_item(unsealed(&genesis, time_at(1), 1), item), EASY);
        assert_eq!(
            announce(&node, &block.header, &block.proof.encode()).await,
            ACCEPTED_BEST
        );
    }
}

#[tokio::test]
async fn a_header_that_no_child_could_carry_hangs_up() {
    let node = Node::new();
    let long = DigestItem::Consensus(
        *b"FRNK",
        vec![0; labora_consensus_api::inherent::MAX_HEADER_LEN],
    );
    let block = mine(
        with_item(unsealed(&node.chain.best(), time_at(1), 1), long),
        EASY,
    );
    assert_eq!(
        announce(&node, &block.header, &block.proof.encode()).await,
        HANG_UP
    );
}

#[tokio::test]
async fn an_orphan_needs_a_proof_that_costs_work() {
    let node = Node::new();
    let parent = node.child(&node.chain.best());
    let orphan = node.child(&parent.header);
    assert_eq!(
        announce(&node, &orphan.header, &[]).await,
        REFUSED,
        "free to send"
    );
    let wrong = flipped(&orphan.proof).encode();
    assert_eq!(announce(&node, &orphan.header, &wrong).await, HANG_UP);
    assert_eq!(
        announce(&node, &orphan.header, &orphan.proof.encode()).await,
        ACCEPTED
    );
    assert!(
        node.engine.proofs.verified(orphan.hash()).is_none(),
        "its difficulty is not known yet"
    );
    // Once its parent is there, the proof heard early is enough.
    node.hear_and_sync(&parent).await.unwrap();
    node.sync(&orphan.header).await.unwrap();
    assert_eq!(node.chain.best().hash(), orphan.hash());
}

#[tokio::test]
async fn an_orphan_worth_less_than_a_sixteenth_of_a_block_is_refused_without_hanging_up() {
    let node = Node::new();
    let genesis = node.chain.best();
    node.chain.set_difficulty(genesis.hash(), EASY * 1_000);
    let parent = mine(unsealed(&genesis, time_at(1), 1), EASY);
    let cheap = lose(unsealed(&parent.header, time_at(2), 1), EASY * 1_000 / 16);
    assert_eq!(
        announce(&node, &cheap.header, &cheap.proof.encode()).await,
        REFUSED
    );
}
