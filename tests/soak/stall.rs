//! Half of the validators away for thousands of blocks.

use std::time::{Duration, Instant};

use labora_tests::{
    Node, Outcome, memory,
    validators::{
        Network, assert_one_final_chain, wait_for_best_within, wait_for_final,
        wait_for_final_within,
    },
};

use crate::{FAST, blocks, mib};

/// Longest for a tenth of the blocks, and for whoever is late to have all of them.
const LIMIT: Duration = Duration::from_secs(1_200);

/// What a node may have resident at the end, more than at the start. While nothing is final the SDK holds the changes of up
/// to 4,096 blocks, some 90 KB each; then it writes thousands of blocks at once, and the allocator keeps what that took.
const MOST_GROWTH: u64 = 1_536 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn finality_that_stalls_for_thousands_of_blocks_catches_up() -> Outcome {
    let blocks = blocks(5_000)?;
    let mut network = Network::with_public_sessions(FAST).await?;
    let mut miner = network.miner("miner", "//Eve").await?;
    let mut validators = network.validators(4).await?;
    wait_for_final(miner.rpc(), 3).await?;
    for mut gone in validators.split_off(2) {
        gone.hush();
        gone.kill()?;
    }
    let stalled = miner.rpc().best_number().await?;
    let began = [
        memory::resident(miner.pid())?,
        memory::resident(validators[0].pid())?,
    ];
    mine_on(&miner, &validators[0], stalled, blocks).await?;
    let last_final = miner.rpc().finalised_number().await?;
    assert!(
        last_final <= stalled,
        "block {last_final} is final, of {stalled}"
    );

    come_late(&mut network, &miner).await?;
    let reached = come_back(&mut network, &miner, &mut validators).await?;
    let all = [&miner, &validators[0], &validators[3]];
    for node in all {
        wait_for_final_within(node.rpc(), reached, LIMIT).await?;
        node.log().assert_no_panic()?;
    }
    assert_one_final_chain(&all.map(Node::rpc)).await?;
    for (node, before) in [&miner, &validators[0]].into_iter().zip(began) {
        let growth = memory::resident(node.pid())?.saturating_sub(before);
        assert!(growth <= MOST_GROWTH, "a node has grown by {}", mib(growth));
    }
    miner.hush();
    validators.iter_mut().for_each(Node::hush);
    Ok(())
}

/// Blocks are mined, and none becomes final.
async fn mine_on(miner: &Node, validator: &Node, from: u64, blocks: u64) -> Outcome {
    println!("blocks not final  miner resident  validator resident  blocks a second");
    for tenth in 1..=10 {
        let (began, first) = (Instant::now(), miner.rpc().best_number().await?);
        let next = from + blocks * tenth / 10;
        wait_for_best_within(miner.rpc(), next, LIMIT).await?;
        // Whoever follows keeps up.
        wait_for_best_within(validator.rpc(), next, LIMIT).await?;
        let made = miner.rpc().best_number().await? - first;
        println!(
            "{:>16}  {:>14}  {:>18}  {:>15.1}",
            next - miner.rpc().finalised_number().await?,
            mib(memory::resident(miner.pid())?),
            mib(memory::resident(validator.pid())?),
            made as f64 / began.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

/// A new node imports all of it, each block with its proof, while the chain goes on.
async fn come_late(network: &mut Network, miner: &Node) -> Outcome {
    let mut late = network
        .start("late", &network.options().following())
        .await?;
    let (began, height) = (Instant::now(), miner.rpc().best_number().await?);
    wait_for_best_within(late.rpc(), height, LIMIT).await?;
    let took = began.elapsed().as_secs_f64();
    println!(
        "a new node imported {height} blocks in {took:.1} s, {:.2} ms each, and has {} resident",
        1_000.0 * took / height as f64,
        mib(memory::resident(late.pid())?)
    );
    late.hush();
    late.log().assert_no_panic()
}

/// The other validators are back on their data; gives the number of the block by which finality has caught up.
async fn come_back(
    network: &mut Network,
    miner: &Node,
    validators: &mut Vec<Node>,
) -> Outcome<u64> {
    let began = Instant::now();
    for at in [2, 3] {
        validators.push(network.validator(at).await?);
    }
    let reached = miner.rpc().best_number().await?;
    for node in &validators[2..] {
        wait_for_best_within(node.rpc(), reached, LIMIT).await?;
    }
    println!(
        "the validators that were away had block {reached} after {:.1} s, their start included",
        began.elapsed().as_secs_f64()
    );
    watch_finality(miner, reached, began).await?;
    println!(
        "block {reached} was final after {:.1} s, with {} resident at the miner and {} at a validator",
        began.elapsed().as_secs_f64(),
        mib(memory::resident(miner.pid())?),
        mib(memory::resident(validators[0].pid())?)
    );
    Ok(reached)
}

/// Waits until a block is final, and tells by which steps.
async fn watch_finality(node: &Node, number: u64, began: Instant) -> Outcome {
    let mut last = node.rpc().finalised_number().await?;
    while last < number {
        wait_for_final_within(node.rpc(), last + 1, LIMIT).await?;
        last = node.rpc().finalised_number().await?;
        println!(
            "block {last} is final after {:.1} s, with {} resident at the miner",
            began.elapsed().as_secs_f64(),
            mib(memory::resident(node.pid())?)
        );
    }
    Ok(())
}
