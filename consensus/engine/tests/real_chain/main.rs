//! The engine over a real chain: the runtime's WASM, RocksDB, the SDK's pool and proposer, its import queue.

#![allow(clippy::unwrap_used, reason = "tests")]

mod node;
mod sync;

use std::sync::Arc;

use futures::StreamExt;
use labora_consensus::{
    Announce, KeepProofs, MostWork, NetworkProofs, Peers, PouwAnnounceValidator, accumulated_work,
    announce_imported, block_proof, block_work, drop_proofs, drop_proofs_on_finality,
    exchange::protocol_name,
};
use labora_consensus_api::PouwApi;
use parity_scale_codec::Encode;
use sc_client_api::{BlockBackend, Finalizer};
use sp_api::ProvideRuntimeApi;
use sp_blockchain::{BlockStatus, HeaderBackend};
use sp_consensus::{
    SelectChain,
    block_validation::{BlockAnnounceValidator, Validation},
};
use sp_core::{H256, U256};
use sp_keyring::Sr25519Keyring;
use sp_runtime::traits::Header as _;

use node::{DIFFICULTY, Node};
use sync::{SlowStore, StoreOf, Unreachable};

#[tokio::test(flavor = "multi_thread")]
async fn mined_blocks_are_executed_and_their_work_is_what_the_state_says() {
    let node = Node::new();
    let blocks = node.mine(5).await;
    assert_eq!(node.client.info().best_number, 5);
    let mut sum = U256::zero();
    for hash in &blocks {
        let record = block_work(&*node.client, *hash).unwrap().unwrap();
        sum += record.difficulty;
        assert_eq!(record.work, sum);
        assert_eq!(
            node.client.runtime_api().accumulated_work(*hash).unwrap(),
            sum
        );
        assert!(block_proof(&*node.client, *hash).unwrap().is_some());
    }
    assert_eq!(
        block_work(&*node.client, blocks[0])
            .unwrap()
            .unwrap()
            .difficulty,
        DIFFICULTY.into()
    );
    // The state learns of a seal one block later.
    let seal = node
        .client
        .runtime_api()
        .seal_of(blocks[4], 4)
        .unwrap()
        .unwrap();
    assert_eq!(seal.block, blocks[3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_block_is_followed_by_a_second_node_without_asking_for_anything() {
    let (miner, follower) = (Node::new(), Node::new());
    let (sender, mut announced) = futures::channel::mpsc::unbounded();
    let announce: Announce = Arc::new(move |hash, data| {
        let _ = sender.unbounded_send((hash, data));
    });
    tokio::spawn(announce_imported(
        miner.client.clone(),
        miner.engine.clone(),
        announce,
    ));
    let mut validator = PouwAnnounceValidator::new(follower.engine.clone(), Arc::new(Unreachable));
    let queue = follower.queue(Arc::new(Unreachable));
    for hash in miner.mine(3).await {
        let (announced, data) = announced.next().await.unwrap();
        assert_eq!(announced, hash, "each block once, in order");
        let data = data.expect("with its proof");
        let header = miner.client.header(hash).unwrap().unwrap();
        let verdict = validator.validate(&header, &data).await.unwrap();
        assert_eq!(verdict, Validation::Success { is_new_best: true });
        queue.import(vec![miner.incoming(hash)]).await.unwrap();
        assert_eq!(follower.client.info().best_hash, hash);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_node_syncs_with_proofs_from_a_peers_store_and_not_without() {
    let miner = Node::new();
    let blocks = miner.mine(20).await;
    let batch = || {
        blocks
            .iter()
            .map(|hash| miner.incoming(*hash))
            .collect::<Vec<_>>()
    };

    let alone = Node::new();
    let unbound =
        NetworkProofs::<node::Block>::new(protocol_name(alone.client.info().genesis_hash, None));
    alone.queue(unbound).import(batch()).await.unwrap_err();
    assert_eq!(alone.client.info().best_number, 0);

    let late = Node::new();
    let source = StoreOf::new(&miner);
    late.queue(source.clone()).import(batch()).await.unwrap();
    assert_eq!(late.client.info().best_hash, blocks[19]);
    assert_eq!(source.requests(), 2, "twenty proofs at sixteen a request");
    assert_eq!(
        block_proof(&*late.client, blocks[7]).unwrap(),
        block_proof(&*miner.client, blocks[7]).unwrap(),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_whose_proofs_nobody_gives_hold_up_what_builds_on_them_and_nothing_else() {
    let (slow, other) = (Node::mining_for(Sr25519Keyring::Bob), Node::new());
    let (held, blocks) = (slow.mine(4).await, other.mine(3).await);
    let follower = Node::new();
    let source = SlowStore::new(&slow, &other);
    let queue = follower.queue(source.clone());
    queue.send(held[..3].iter().map(|hash| slow.incoming(*hash)).collect());
    queue.send(vec![slow.incoming(held[3])]);

    // One whose proof was announced, and others whose proofs are asked for too.
    let mut validator = PouwAnnounceValidator::new(follower.engine.clone(), Arc::new(Unreachable));
    let header = other.client.header(blocks[0]).unwrap().unwrap();
    let proof = block_proof(&*other.client, blocks[0]).unwrap().unwrap();
    validator.validate(&header, &proof.encode()).await.unwrap();
    for batch in [&blocks[..1], &blocks[1..]] {
        queue.send(batch.iter().map(|hash| other.incoming(*hash)).collect());
        let (through, result) = queue.next().await;
        result.unwrap();
        assert_eq!(through, batch);
    }
    assert_eq!(follower.client.info().best_hash, blocks[2]);
    assert_eq!(source.requests(), 1, "the child waits behind its parent");

    source.give();
    for batch in [&held[..3], &held[3..]] {
        let (through, result) = queue.next().await;
        result.unwrap();
        assert_eq!(through, batch);
    }
    assert_eq!(
        follower.client.status(held[3]).unwrap(),
        BlockStatus::InChain
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorganisation_follows_work_and_equal_work_changes_nothing() {
    let (one, other) = (Node::new(), Node::mining_for(Sr25519Keyring::Bob));
    let ours = one.mine(2).await;
    let theirs = other.mine(3).await;
    let queue = one.queue(StoreOf::new(&other));
    let mut imports = Vec::new();
    for hash in &theirs {
        queue.import(vec![other.incoming(*hash)]).await.unwrap();
        imports.push(one.client.info().best_hash);
    }
    let work = |hash| accumulated_work::<node::Block>(&*one.client, hash).unwrap();
    // Which of two branches of the same length has more work depends on their times; the rule does not.
    for (hash, best) in theirs.iter().zip(&imports) {
        let expected = if work(*hash) > work(ours[1]) {
            *hash
        } else {
            ours[1]
        };
        assert_eq!(*best, expected);
    }
    assert_eq!(one.client.info().best_hash, theirs[2]);
    // A block on the new branch is mined and executed on its state.
    let next = one.mine(1).await;
    assert_eq!(
        *one.client.header(next[0]).unwrap().unwrap().parent_hash(),
        theirs[2]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn finality_makes_its_branch_best_whatever_its_work_and_no_work_passes_it() {
    let (one, other) = (Node::new(), Node::mining_for(Sr25519Keyring::Bob));
    let ours = one.mine(2).await;
    let theirs = other.mine(6).await;
    let queue = one.queue(StoreOf::new(&other));
    queue
        .import(
            theirs[..4]
                .iter()
                .map(|hash| other.incoming(*hash))
                .collect(),
        )
        .await
        .unwrap();
    assert_eq!(
        one.client.info().best_hash,
        theirs[3],
        "four blocks against two"
    );
    one.client.finalize_block(ours[1], None, true).unwrap();
    assert_eq!(one.client.info().best_hash, ours[1]);
    // The branch that was cut off grows on elsewhere.
    for hash in &theirs[4..] {
        queue.import(vec![other.incoming(*hash)]).await.unwrap_err();
    }
    assert_eq!(one.client.info().best_hash, ours[1]);
    let next = one.mine(1).await;
    assert_eq!(
        *one.client.header(next[0]).unwrap().unwrap().parent_hash(),
        ours[1]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_whose_block_left_the_best_chain_still_finds_a_target_on_its_own_branch() {
    let (one, other) = (Node::new(), Node::mining_for(Sr25519Keyring::Bob));
    let ours = one.mine(3).await;
    let theirs = other.mine(5).await;
    let queue = one.queue(StoreOf::new(&other));
    let blocks = theirs.iter().map(|hash| other.incoming(*hash)).collect();
    queue.import(blocks).await.unwrap();
    let select = MostWork::<node::Block, _>::new(one.backend.clone());
    assert_eq!(select.best_chain().await.unwrap().hash(), theirs[4]);

    // On the best chain: its end, or what is asked for at most.
    let genesis = one.client.info().genesis_hash;
    assert_eq!(
        select.finality_target(genesis, None).await.unwrap(),
        theirs[4]
    );
    assert_eq!(
        select.finality_target(theirs[0], Some(3)).await.unwrap(),
        theirs[2]
    );
    // A round that stands on the branch that lost goes on there, instead of stalling.
    assert_eq!(
        select.finality_target(ours[0], None).await.unwrap(),
        ours[2]
    );
    assert_eq!(
        select.finality_target(ours[0], Some(2)).await.unwrap(),
        ours[1]
    );
    assert_eq!(
        select.finality_target(ours[2], None).await.unwrap(),
        ours[2]
    );
    assert!(select.finality_target(ours[2], Some(2)).await.is_err());
    assert!(
        select
            .finality_target(H256::repeat_byte(9), None)
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn proofs_are_dropped_so_many_blocks_below_finality() {
    let node = Node::new();
    let blocks = node.mine(10).await;
    let held = || {
        let has = |hash: &&H256| block_proof(&*node.client, **hash).unwrap().is_some();
        blocks.iter().filter(has).count()
    };
    assert_eq!(
        drop_proofs::<node::Block, _>(&*node.client, 0, 3).unwrap(),
        0
    );
    assert_eq!(held(), 10);
    assert_eq!(
        drop_proofs::<node::Block, _>(&*node.client, 8, 3).unwrap(),
        4,
        "blocks 1 to 4"
    );
    assert_eq!(held(), 6);
    assert!(block_proof(&*node.client, blocks[4]).unwrap().is_some());
    assert_eq!(
        drop_proofs::<node::Block, _>(&*node.client, 8, 3).unwrap(),
        0,
        "once"
    );
    assert!(
        block_work(&*node.client, blocks[0]).unwrap().is_some(),
        "work stays"
    );

    let dropping = drop_proofs_on_finality(node.client.clone(), KeepProofs::Finalised(0));
    let dropping = tokio::spawn(dropping);
    let mut imports = node.wait_until(|| {
        let _ = node.client.finalize_block(blocks[9], None, true);
        held() == 1
    });
    imports.as_mut().await;
    dropping.abort();
}

#[test]
fn a_node_opened_again_has_best_block_work_and_proof_and_mines_on() {
    let dir = node::folder();
    // A database is closed with the last task that uses it: each run has a runtime of its own.
    let (best, work, proof) = node::run(async {
        let node = Node::open(dir.clone(), Sr25519Keyring::Alice);
        let best = node.mine(3).await[2];
        let work = block_work(&*node.client, best).unwrap().unwrap();
        (
            best,
            work,
            block_proof(&*node.client, best).unwrap().unwrap(),
        )
    });
    node::run(async {
        let node = Node::open(dir.clone(), Sr25519Keyring::Alice);
        assert_eq!(node.client.info().best_hash, best);
        assert_eq!(block_work(&*node.client, best).unwrap().unwrap(), work);
        assert_eq!(block_proof(&*node.client, best).unwrap().unwrap(), proof);
        node.mine(1).await;
        assert_eq!(node.client.info().best_number, 4);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_enters_the_next_template_and_the_block_mined_on_it() {
    let node = Node::new();
    let handle = node.start(Peers::NotRequired);
    let mut templates = handle.templates();
    let first = templates
        .wait_for(Option::is_some)
        .await
        .unwrap()
        .clone()
        .unwrap();
    let transfer = node.transfer(Sr25519Keyring::Alice, Sr25519Keyring::Bob, 5);
    node.submit(transfer.clone()).await;
    let newer = templates
        .wait_for(|next| next.as_ref().is_some_and(|next| *next != first))
        .await;
    let newer = newer.unwrap().clone().unwrap();
    assert_eq!(newer.parent, first.parent);
    let hash = node.seal(&handle, &newer).await.unwrap();
    let body = node.client.block_body(hash).unwrap().unwrap();
    assert!(
        body.iter()
            .any(|extrinsic| extrinsic.encode() == transfer.encode())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_template_of_the_same_parent_still_counts() {
    let node = Node::new();
    let handle = node.start(Peers::NotRequired);
    let mut templates = handle.templates();
    let first = templates
        .wait_for(Option::is_some)
        .await
        .unwrap()
        .clone()
        .unwrap();
    node.submit(node.transfer(Sr25519Keyring::Alice, Sr25519Keyring::Bob, 5))
        .await;
    templates
        .wait_for(|next| next.as_ref().is_some_and(|next| *next != first))
        .await
        .unwrap();
    let hash = node.seal(&handle, &first).await.unwrap();
    assert_eq!(node.client.info().best_hash, hash);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_upgrade_is_mined_through_and_followed() {
    let (node, follower) = (Node::new(), Node::new());
    let handle = node.start(Peers::NotRequired);
    let mut templates = handle.templates();
    let first = templates
        .wait_for(Option::is_some)
        .await
        .unwrap()
        .clone()
        .unwrap();
    node.submit(node.upgrade()).await;
    let newer = templates
        .wait_for(|next| next.as_ref().is_some_and(|next| *next != first))
        .await;
    let newer = newer.unwrap().clone().unwrap();
    let upgrade = node.seal(&handle, &newer).await.unwrap();
    let header = node.client.header(upgrade).unwrap().unwrap();
    assert_eq!(
        header.digest().logs().len(),
        3,
        "author, upgrade, seal: {:?}",
        header.digest()
    );
    let next = templates
        .wait_for(|next| next.as_ref().is_some_and(|next| next.number == 2))
        .await;
    let next = next.unwrap().clone().unwrap();
    let after = node.seal(&handle, &next).await.unwrap();
    let queue = follower.queue(StoreOf::new(&node));
    queue
        .import(vec![node.incoming(upgrade), node.incoming(after)])
        .await
        .unwrap();
    assert_eq!(follower.client.info().best_hash, after);
}
