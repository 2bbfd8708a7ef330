//! Full blocks for long: memory goes into caches, and no further.

use std::time::{Duration, Instant};

use labora_tests::{
    Machine, Node, NodeOptions, Outcome, memory,
    node::Mining,
    rpc::next_number,
    spec::{self, VALIDATORS, Work},
    validators::wait_for_final_within,
};

use crate::{
    blocks, mib,
    transfers::{self, Transfers},
};

/// Transfers sent for each block.
const TRANSFERS: u64 = 100;

/// Time for a hundred transfers to arrive and to be taken into the template, which is renewed at most once a second for them. The
/// difficulty starts at what a core does in that time, lest the chain begin with a burst of empty blocks.
const WORK: Work = Work {
    initial_difficulty: 100_000_000_000,
    target_block_time_ms: 1_500,
    half_life_ms: 15_000,
};

/// Longest from one block to the next.
const BLOCK_LIMIT: Duration = Duration::from_secs(60);

/// Until the last block is final.
const FINAL_LIMIT: Duration = Duration::from_secs(120);

/// Bounds of the database's buffers and of the cache of state, so small that they are full long before half of the blocks; by
/// default they may take a gigabyte each.
const CACHES: [&str; 4] = ["--db-cache", "32", "--trie-cache-size", "33554432"];

/// What the second half of the blocks may add: the caches are full by then.
const MOST_GROWTH: u64 = 64 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn full_blocks_do_not_make_memory_grow_past_the_caches() -> Outcome {
    let blocks = blocks(2_000)?;
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let options = NodeOptions {
        mining: Mining::With("cpu:1"),
        more: VALIDATORS[0]
            .arguments()
            .into_iter()
            .chain(CACHES.map(String::from))
            .collect(),
        ..NodeOptions::of_spec(&spec::write(folder.path(), WORK)?)
    };
    let node = Node::start(&machine, &folder.path().join("node"), &options).await?;
    let marks = [blocks / 4, blocks / 2, blocks];
    let resident = grow(&node, &marks).await?;
    wait_for_final_within(node.rpc(), blocks, FINAL_LIMIT).await?;
    println!(
        "after the last is final: {}",
        mib(memory::resident(node.pid())?)
    );
    let growth = resident[2].saturating_sub(resident[1]);
    assert!(
        growth <= MOST_GROWTH,
        "the second half of {blocks} blocks added {}",
        mib(growth)
    );
    node.log().assert_no_panic()?;
    node.stop_well().await
}

/// Has blocks made up to the last of `marks`, each with its transfers; gives the memory at each mark.
async fn grow(node: &Node, marks: &[u64]) -> Outcome<Vec<u64>> {
    let (rpc, began) = (node.rpc(), Instant::now());
    let mut transfers = Transfers::of_chain(rpc).await?;
    let mut news = rpc.heads().await?;
    let (mut resident, mut carried) = (Vec::new(), 0);
    println!("blocks  transfers each  resident  seconds");
    while let Some(next) = marks.get(resident.len()) {
        let number = next_number(&mut news, BLOCK_LIMIT).await?;
        let hash = rpc.hash_at(number).await?.ok_or("a block is missing")?;
        carried += transfers::carried_by(rpc, &hash).await?;
        if number >= *next {
            let now = memory::resident(node.pid())?;
            println!(
                "{number:>6}  {:>14.1}  {:>8}  {:>7}",
                carried as f64 / number as f64,
                mib(now),
                began.elapsed().as_secs()
            );
            resident.push(now);
        }
        // As many as all blocks up to the next one are to have.
        transfers
            .submit_up_to(rpc, (number + 1) * TRANSFERS)
            .await?;
    }
    let blocks = marks[marks.len() - 1];
    assert!(
        carried >= blocks * TRANSFERS * 9 / 10,
        "{blocks} blocks carried {carried} transfers only"
    );
    Ok(resident)
}
