//! Nodes among themselves: following, checking proofs, taking over, catching up.

use std::time::Duration;

use labora_tests::{
    Machine, Node, NodeOptions, Outcome,
    blocks::header_at,
    miner::{author_of, verify_block},
    rpc::Rpc,
    spec, wait_for,
};

/// Public keys of the development accounts.
const ALICE: &str = "d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d";
const BOB: &str = "8eaf04151687736326c9fea17e25fc5287613693c912909cb226aa4794f26a48";

const FEW_BLOCKS: Duration = Duration::from_secs(120);

async fn wait_for_number(rpc: &Rpc, number: u64) -> Outcome {
    wait_for(&format!("block {number}"), FEW_BLOCKS, || async move {
        Ok((rpc.best_number().await? >= number).then_some(()))
    })
    .await
}

/// Waits until both nodes have the same block at `number`, and fails if they keep different ones.
async fn wait_for_agreement(one: &Rpc, other: &Rpc, number: u64) -> Outcome {
    wait_for(
        &format!("agreement on block {number}"),
        FEW_BLOCKS,
        || async move {
            let hashes = (one.hash_at(number).await?, other.hash_at(number).await?);
            Ok((hashes.0.is_some() && hashes.0 == hashes.1).then_some(()))
        },
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_node_follows_with_every_proof_and_takes_over_when_the_first_stops() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let spec = spec::write(folder.path(), spec::NETWORK)?;

    let first = Node::start(
        &machine,
        &folder.path().join("first"),
        &NodeOptions::of_spec(&spec),
    )
    .await?;
    wait_for_number(first.rpc(), 3).await?;

    let options = NodeOptions {
        author: "//Bob",
        ..NodeOptions::of_spec(&spec)
    }
    .bootnode(first.address().await?);
    let second = Node::start(&machine, &folder.path().join("second"), &options).await?;
    let reached = first.rpc().best_number().await?;
    wait_for_agreement(first.rpc(), second.rpc(), reached).await?;
    // Long enough together that each hears the other's announcements.
    wait_for_number(second.rpc(), reached + 5).await?;
    wait_for_agreement(first.rpc(), second.rpc(), reached + 5).await?;

    let mut authors = Vec::new();
    for number in 1..=reached + 5 {
        verify_block(second.rpc(), number).await?;
        let header = header_at(second.rpc(), number)
            .await?
            .ok_or("a block below the best is missing")?;
        authors.push(author_of(&header)?);
    }
    assert_eq!(
        authors[0], ALICE,
        "the first block can only be of the first node"
    );

    let status = first.stop().await?;
    assert!(status.success(), "a node asked to stop ends with {status}");
    let left_at = second.rpc().best_number().await?;
    wait_for_number(second.rpc(), left_at + 4).await?;
    for number in left_at + 2..=left_at + 4 {
        let header = header_at(second.rpc(), number)
            .await?
            .ok_or("a block below the best is missing")?;
        assert_eq!(
            author_of(&header)?,
            BOB,
            "block {number} was mined after the first node had stopped"
        );
    }
    // What the first node had mined is still below.
    let first_block = header_at(second.rpc(), 1)
        .await?
        .ok_or("block 1 is missing")?;
    assert_eq!(author_of(&first_block)?, ALICE);
    second.log().assert_no_panic()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_comes_late_gets_the_proofs_of_blocks_that_it_did_not_hear_announced() -> Outcome
{
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let spec = spec::write(folder.path(), spec::NETWORK)?;
    let base = folder.path().join("late");

    let miner = Node::start(
        &machine,
        &folder.path().join("miner"),
        &NodeOptions::of_spec(&spec),
    )
    .await?;
    wait_for_number(miner.rpc(), 8).await?;

    let options = NodeOptions::of_spec(&spec)
        .following()
        .bootnode(miner.address().await?);
    let missed = miner.rpc().best_number().await?;
    let late = Node::start(&machine, &base, &options).await?;
    wait_for_agreement(miner.rpc(), late.rpc(), missed).await?;
    for number in 1..=missed {
        verify_block(late.rpc(), number).await?;
    }

    // Away for some blocks, and back on the same data.
    let had = late.rpc().best_number().await?;
    assert!(late.stop().await?.success());
    wait_for_number(miner.rpc(), had + 5).await?;
    let missed = miner.rpc().best_number().await?;
    let late = Node::start(&machine, &base, &options).await?;
    wait_for_agreement(miner.rpc(), late.rpc(), missed).await?;
    for number in had..=missed {
        verify_block(late.rpc(), number).await?;
    }

    // And it now hears of new ones as they come.
    let next = missed + 2;
    wait_for_agreement(miner.rpc(), late.rpc(), next).await?;
    verify_block(late.rpc(), next).await?;
    miner.log().assert_no_panic()?;
    late.log().assert_no_panic()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_proofs_passes_through_a_node_that_does_not_mine() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let spec = spec::write(folder.path(), spec::NETWORK)?;

    let miner = Node::start(
        &machine,
        &folder.path().join("miner"),
        &NodeOptions::of_spec(&spec),
    )
    .await?;
    let following = NodeOptions::of_spec(&spec).following();
    let relay = Node::start(
        &machine,
        &folder.path().join("relay"),
        &following.clone().bootnode(miner.address().await?),
    )
    .await?;
    wait_for_number(relay.rpc(), 3).await?;
    // The last one is told of the relay only, and refuses to look for others.
    let options = NodeOptions {
        more: vec![
            "--reserved-only".into(),
            "--reserved-nodes".into(),
            relay.address().await?,
        ],
        ..following
    };
    let last = Node::start(&machine, &folder.path().join("last"), &options).await?;
    let target = miner.rpc().best_number().await? + 3;
    wait_for_agreement(miner.rpc(), last.rpc(), target).await?;
    assert_eq!(
        last.rpc().peers().await?,
        1,
        "the last node must know the relay only"
    );
    for number in 1..=target {
        verify_block(last.rpc(), number).await?;
    }
    relay.log().assert_no_panic()?;
    last.log().assert_no_panic()
}
