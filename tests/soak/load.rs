//! Full blocks for long: memory goes into caches, and no further.

use std::time::{Duration, Instant};

use labora_tests::{
    Machine, Node, NodeOptions, Outcome, http, memory,
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

/// How often memory is read: at the end of each eighth of the blocks.
const EIGHTHS: usize = 8;

/// Longest from one block to the next.
const BLOCK_LIMIT: Duration = Duration::from_secs(60);

/// Until the last block is final.
const FINAL_LIMIT: Duration = Duration::from_secs(120);

/// Bounds of the database's buffers and of the cache of state, so small that they are full long before half of the blocks; by
/// default they may take a gigabyte each.
const CACHES: [&str; 4] = ["--db-cache", "32", "--trie-cache-size", "33554432"];

/// What the second half of the blocks may add, with the caches nearly full by then: less than their transactions have, 14 KB a
/// block. Memory goes up and down by some MiB with what the database is about to write.
const MOST_GROWTH: u64 = 12 << 20;

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
    let base = folder.path().join("node");
    let node = Node::start_with(&machine, &base, &options.arguments_with_metrics(&base)).await?;
    let marks: Vec<u64> = (1..=EIGHTHS as u64)
        .map(|eighths| blocks * eighths / EIGHTHS as u64)
        .collect();
    let held = grow(&node, &marks).await?;
    wait_for_final_within(node.rpc(), blocks, FINAL_LIMIT).await?;
    println!(
        "after the last is final: {}",
        mib(memory::resident(node.pid())?)
    );
    let (half, end) = (held[EIGHTHS / 2 - 1], held[EIGHTHS - 1]);
    for (what, half, end) in [
        ("resident", half.resident, end.resident),
        ("allocated", half.allocated, end.allocated),
    ] {
        let growth = end.saturating_sub(half);
        assert!(
            growth <= MOST_GROWTH,
            "the second half of {blocks} blocks added {} to what is {what}",
            mib(growth)
        );
    }
    node.log().assert_no_panic()?;
    node.stop_well().await
}

/// What a node holds, in bytes: the pages that it has in memory, and what it and its database have asked for.
#[derive(Clone, Copy)]
struct Held {
    resident: u64,
    allocated: u64,
}

impl Held {
    async fn by(node: &Node) -> Outcome<Self> {
        let metrics = http::metrics(node.log()).await?;
        let allocated: f64 = metrics
            .lines()
            .find_map(|line| line.strip_prefix("labora_memory_allocated_bytes"))
            .and_then(|rest| rest.rsplit(' ').next())
            .ok_or("the node does not tell what it has allocated")?
            .parse()?;
        Ok(Self {
            resident: memory::resident(node.pid())?,
            allocated: allocated as u64,
        })
    }
}

/// Has blocks made up to the last of `marks`, each with its transfers; gives what is held at each mark.
async fn grow(node: &Node, marks: &[u64]) -> Outcome<Vec<Held>> {
    let (rpc, began) = (node.rpc(), Instant::now());
    let mut transfers = Transfers::of_chain(rpc).await?;
    let mut news = rpc.heads().await?;
    let (mut held, mut carried) = (Vec::new(), 0);
    println!("blocks  transfers each  resident  allocated  seconds");
    while let Some(next) = marks.get(held.len()) {
        let number = next_number(&mut news, BLOCK_LIMIT).await?;
        let hash = rpc.hash_at(number).await?.ok_or("a block is missing")?;
        carried += transfers::carried_by(rpc, &hash).await?;
        if number >= *next {
            let now = Held::by(node).await?;
            println!(
                "{number:>6}  {:>14.1}  {:>8}  {:>9}  {:>7}",
                carried as f64 / number as f64,
                mib(now.resident),
                mib(now.allocated),
                began.elapsed().as_secs()
            );
            held.push(now);
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
    Ok(held)
}
