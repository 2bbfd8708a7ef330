//! Which import queue a batch waits in.

use std::{collections::HashSet, sync::Arc};

use labora_consensus_api::MAX_FUTURE_MS;
use sc_consensus::IncomingBlock;
use sc_network_types::PeerId;
use sp_runtime::OpaqueExtrinsic;

use super::{
    miner::{Block, EASY, Mined, NOW_MS, mine, unsealed},
    mock::{Node, chain_of, incoming},
};
use crate::{
    TrustedTarget, VerifyBlocks,
    exchange::{AT_ONCE, LANES, Lanes},
};

fn batch(blocks: &[&Mined]) -> Vec<IncomingBlock<Block>> {
    blocks.iter().map(|block| incoming(block, None)).collect()
}

/// A node, and blocks on its genesis that have nothing to do with each other.
fn forks(count: usize) -> (Node, Vec<Mined>) {
    let node = Node::new();
    let genesis = node.chain.best();
    let forks = (0..count).map(|_| node.child(&genesis)).collect();
    (node, forks)
}

fn lanes_of(node: &Node) -> Arc<Lanes<Block>> {
    Lanes::new(node.engine.clone(), VerifyBlocks::Unfinalised)
}

async fn verify(node: &Node, block: &Mined) {
    let proof = Arc::new(block.proof.clone());
    let verified = node.engine.check(&Node::open(&block.header), proof).await;
    node.engine.proofs.keep_verified(verified.unwrap());
}

#[test]
fn blocks_without_proof_spread_over_all_queues_but_the_first() {
    let (node, forks) = forks(LANES);
    let lanes = lanes_of(&node);
    let (last, others) = forks.split_last().unwrap();
    let taken: Vec<usize> = others
        .iter()
        .map(|fork| lanes.enter(&batch(&[fork])))
        .collect();
    assert!(!taken.contains(&AT_ONCE));
    assert_eq!(taken.iter().collect::<HashSet<_>>().len(), LANES - 1);
    // All are taken: the next goes to the one that is free again.
    lanes.leave([others[2].hash()].into_iter());
    assert_eq!(lanes.enter(&batch(&[last])), taken[2]);
}

#[tokio::test]
async fn what_builds_on_a_block_that_waits_goes_behind_it_until_that_is_imported() {
    let (node, forks) = forks(2);
    let lanes = lanes_of(&node);
    let (first, other) = (&forks[0], &forks[1]);
    let second = node.child(&first.header);
    let third = node.child(&second.header);
    let lane = lanes.enter(&batch(&[first]));
    assert_eq!(lanes.enter(&batch(&[&second])), lane);
    assert_eq!(lanes.enter(&batch(&[&second])), lane, "the block itself");
    let beside = lanes.enter(&batch(&[other]));
    assert_ne!(beside, lane);
    // One that waits already counts where it does, though it comes again with others.
    let child = node.child(&other.header);
    assert_eq!(lanes.enter(&batch(&[first, other, &child])), beside);
    lanes.leave([other.hash(), child.hash()].into_iter());
    assert_eq!(lanes.enter(&batch(&[&third])), lane);
    // Even if it is verified.
    node.hear_and_sync(first).await.unwrap();
    verify(&node, &second).await;
    verify(&node, &third).await;
    assert_eq!(lanes.enter(&batch(&[&third])), lane);
    // Its batch may have more blocks, but the parent is there.
    let lanes = lanes_of(&node);
    let unproved = node.child(&first.header);
    assert_ne!(lanes.enter(&batch(&[first, &unproved])), AT_ONCE);
    assert_eq!(lanes.enter(&batch(&[&second])), AT_ONCE);
}

#[test]
fn what_has_no_parent_waits_where_the_most_wait() {
    let (node, forks) = forks(3);
    let lanes = lanes_of(&node);
    let orphan = node.child(&node.child(&forks[2].header).header);
    let one = lanes.enter(&batch(&[&forks[0]]));
    let child = node.child(&forks[1].header);
    let two = lanes.enter(&batch(&[&forks[1], &child]));
    assert_ne!(one, two);
    assert_eq!(lanes.enter(&batch(&[&orphan])), two);
}

#[tokio::test]
async fn blocks_that_need_no_proof_of_peers_have_the_first_queue_to_themselves() {
    let (node, forks) = forks(2);
    let lanes = lanes_of(&node);
    let (first, other) = (&forks[0], &forks[1]);
    verify(&node, first).await;
    assert_eq!(lanes.enter(&batch(&[first])), AT_ONCE);
    // All of a batch must be.
    node.hear_and_sync(first).await.unwrap();
    let second = node.child(&first.header);
    let third = node.child(&second.header);
    verify(&node, &second).await;
    let lanes = lanes_of(&node);
    assert_ne!(lanes.enter(&batch(&[&second, &third])), AT_ONCE);
    // What is imported is not, unless it is to be imported again.
    let lanes = lanes_of(&node);
    let mut again = batch(&[first, &second]);
    assert_eq!(lanes.enter(&again), AT_ONCE);
    again[0].import_existing = true;
    assert_ne!(lanes_of(&node).enter(&again), AT_ONCE);

    let lanes = lanes_of(&node);
    assert_ne!(lanes.enter(&batch(&[other])), AT_ONCE);
    node.engine.trust(TrustedTarget::of::<Block>(&third.header));
    let lanes = lanes_of(&node);
    assert_eq!(lanes.enter(&batch(&[other])), AT_ONCE, "it may be final");
    let auditing = Lanes::new(node.engine.clone(), VerifyBlocks::All);
    assert_ne!(auditing.enter(&batch(&[other])), AT_ONCE);
}

#[tokio::test]
async fn what_builds_on_a_block_that_waits_for_nobody_holds_up_nobody() {
    let (node, forks) = forks(1);
    let lanes = lanes_of(&node);
    let parent = &forks[0];
    let child = node.child(&parent.header);
    verify(&node, parent).await;
    assert_eq!(lanes.enter(&batch(&[parent])), AT_ONCE);
    let lane = lanes.enter(&batch(&[&child]));
    assert_ne!(lane, AT_ONCE);

    // There it waits until its parent is through.
    assert!(lanes.waits_at_once(parent.hash()) && !lanes.waits_at_once(child.hash()));
    node.hear_and_sync(parent).await.unwrap();
    assert!(!lanes.waits_at_once(parent.hash()));
}

/// As sync hands over what this peer sent.
fn sent(peer: PeerId, blocks: &[Mined]) -> Vec<IncomingBlock<Block>> {
    let blocks = blocks.iter();
    blocks.map(|block| incoming(block, Some(peer))).collect()
}

#[test]
fn nobody_takes_more_than_one_queue() {
    let (node, forks) = forks(3);
    let lanes = lanes_of(&node);
    let (peer, other) = (PeerId::random(), PeerId::random());
    let lane = lanes.enter(&sent(peer, &forks[..1]));
    assert_eq!(lanes.enter(&sent(peer, &forks[1..2])), lane);
    assert_ne!(lanes.enter(&sent(other, &forks[2..])), lane);
}

#[tokio::test]
async fn a_peer_of_which_a_batch_waits_is_asked_for_no_more() {
    let chain = chain_of(65);
    let node = Node::new();
    let lanes = lanes_of(&node);
    let (peer, other) = (PeerId::random(), PeerId::random());
    lanes.enter(&sent(peer, &chain[..63]));
    assert!(!lanes.has_enough_of(peer));
    lanes.enter(&sent(peer, &chain[63..64]));
    assert!(lanes.has_enough_of(peer));
    assert!(!lanes.has_enough_of(other));
    lanes.leave(chain[..1].iter().map(Mined::hash));
    assert!(!lanes.has_enough_of(peer));

    // What waits for nobody does not count.
    node.engine
        .trust(TrustedTarget::of::<Block>(&chain[64].header));
    let lanes = lanes_of(&node);
    lanes.enter(&sent(peer, &chain));
    assert!(!lanes.has_enough_of(peer));
}

#[tokio::test]
async fn of_a_peer_whose_blocks_take_much_memory_fewer_wait() {
    let (node, forks) = forks(2);
    let lanes = lanes_of(&node);
    let (peer, other) = (PeerId::random(), PeerId::random());
    let heavy = |block: &Mined, bytes: usize| {
        let extrinsic = OpaqueExtrinsic::from_blob(vec![0; bytes]);
        let mut block = incoming(block, Some(peer));
        block.body = Some(vec![extrinsic]);
        block
    };
    lanes.enter(&[heavy(&forks[0], 15 << 20)]);
    assert!(!lanes.has_enough_of(peer));
    lanes.enter(&[heavy(&forks[1], 1 << 20)]);
    assert!(lanes.has_enough_of(peer) && !lanes.has_enough_of(other));
    let (blocks, bytes) = lanes.load();
    assert!(blocks == 2 && bytes > 16 << 20, "{blocks}, {bytes}");
    lanes.leave(forks.iter().map(Mined::hash));
    assert_eq!(lanes.load(), (0, 0));
}

#[tokio::test]
async fn a_block_ahead_of_the_clock_is_not_among_those_that_wait_for_nobody() {
    let node = Node::new();
    let genesis = node.chain.best();
    let late = MAX_FUTURE_MS + 1;
    let early = mine(unsealed(&genesis, NOW_MS + late, 1), EASY);
    let due = node.child(&genesis);
    let target = node.child(&due.header);
    node.engine
        .trust(TrustedTarget::of::<Block>(&target.header));
    let lanes = lanes_of(&node);
    assert_eq!(lanes.enter(&batch(&[&due])), AT_ONCE);
    assert_ne!(lanes.enter(&batch(&[&early])), AT_ONCE);
}

#[tokio::test]
async fn a_fork_that_finality_cut_off_is_not_among_those_that_wait_for_nobody() {
    let node = Node::new();
    let genesis = node.chain.best();
    let first = node.grow(&genesis).await;
    let fork = node.child(&genesis);
    node.chain.set_finalised(1);
    let lanes = lanes_of(&node);
    assert_ne!(lanes.enter(&batch(&[&fork])), AT_ONCE);
    assert_eq!(lanes.enter(&batch(&[&first])), AT_ONCE);
}
