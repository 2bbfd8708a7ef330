//! A mining node killed with `kill -9` at random moments goes on where it was, and no block that it announced is lost.

use std::time::{Duration, Instant};

use labora_tests::{
    Machine, Node, NodeOptions, Outcome,
    blocks::{Headers, Recorder, assert_all_on},
    seed::Random,
    spec, wait_for,
};

const KILLS: usize = 20;

/// From a life's first block to the kill, in milliseconds: up to several blocks more.
const LONGEST_LIFE_MS: u64 = 2_000;

/// Each so many lives one is ended at once instead: while the node hardly has begun.
const CUT_SHORT_EVERY: usize = 4;

/// Until a life's first block.
const FIRST_BLOCK: Duration = Duration::from_secs(120);

const NEXT_BLOCK: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_miner_killed_at_random_moments_loses_no_block_that_it_announced() -> Outcome {
    let machine = Machine::take().await;
    let mut random = Random::of_test(0x004B_494C_4C39);
    let folder = tempfile::tempdir()?;
    let spec = spec::write(folder.path(), spec::QUICK)?;
    let miner = NodeOptions::of_spec(&spec);
    let base = folder.path().join("miner");

    // The follower lives through it all. It does not know where the miner comes up next, so the miner cannot get blocks
    // that it lost back from it before it is checked.
    let follower = Node::start(
        &machine,
        &folder.path().join("follower"),
        &miner.clone().following(),
    )
    .await?;
    let heard = Recorder::of(follower.rpc()).await?;
    let mut announced = Headers::new();
    let mut lives_that_mined = 0;

    for kill in 1..=KILLS {
        let node = Node::start(&machine, &base, &miner).await?;
        assert_all_on(node.rpc(), &announced)
            .await
            .map_err(|error| format!("after {} kills: {error}", kill - 1))?;
        let best = node.rpc().best_number().await?;
        let told = Recorder::of(node.rpc()).await?;

        let () = follower
            .rpc()
            .call("system_addReservedPeer", &[node.address().await?.into()])
            .await?;
        let life = Duration::from_millis(random.between(0, LONGEST_LIFE_MS));
        if kill % CUT_SHORT_EVERY != 0 {
            let rpc = node.rpc();
            wait_for("this life's first block", FIRST_BLOCK, || async move {
                Ok((rpc.best_number().await? > best).then_some(()))
            })
            .await?;
        }
        let began = Instant::now();
        // The moment of the kill is the point of this test: the one place where time itself is waited for.
        tokio::time::sleep_until((began + life).into()).await;
        node.kill()?.assert_no_panic()?;

        let told = told.finish().await?;
        lives_that_mined += usize::from(told.keys().any(|number| *number > best));
        println!(
            "kill {kill}: after {life:?}, from block {best}, told of {}",
            told.len()
        );
        announced.extend(told);
        announced.extend(heard.so_far());
    }

    let node = Node::start(&machine, &base, &miner).await?;
    assert_all_on(node.rpc(), &announced).await?;
    let (heard_of, last) = (
        heard.so_far().len(),
        announced.keys().next_back().copied().unwrap_or(0),
    );
    println!(
        "{KILLS} kills, {} blocks announced, {heard_of} of them heard by the follower",
        announced.len()
    );
    assert!(
        lives_that_mined >= KILLS / 2,
        "only {lives_that_mined} of {KILLS} lives mined: too few for the test to mean anything"
    );
    assert!(
        heard_of >= 10,
        "the follower heard of only {heard_of} of {}",
        announced.len()
    );

    let rpc = node.rpc();
    wait_for(
        "a block mined after the last kill",
        NEXT_BLOCK,
        || async move { Ok((rpc.best_number().await? > last).then_some(())) },
    )
    .await?;
    node.log().assert_no_panic()?;
    follower.log().assert_no_panic()
}
