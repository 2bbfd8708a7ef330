//! What a network does about members that are wrong, or mean it.

use labora_tests::{
    NodeOptions, Outcome, clock,
    proxy::{Link, Proxy},
    spec::VALIDATORS,
    validators::{Network, SOON, assert_one_final_chain, burned, wait_for_final},
    wait_for,
};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_runs_twice_votes_twice_and_is_slashed() -> Outcome {
    let mut network = Network::new().await?;
    let miner = network.miner("miner", "//Eve").await?;
    let validators = network.validators(4).await?;
    wait_for_final(miner.rpc(), 3).await?;
    assert_eq!(burned(&miner).await?, 0);

    // Dave's key on a second machine, which hears of blocks later than the first, and votes in the same rounds.
    let (link, through) = Proxy::to_node(&miner.address().await?).await?;
    link.set(Link::Slow(Duration::from_millis(300)));
    let mut options = network.only_through(through).following();
    options.more.extend(VALIDATORS[3].arguments());
    let twice = network.start("twice", &options).await?;
    let slashed = wait_for("the slash", 2 * SOON, || async {
        let burned = burned(&miner).await?;
        Ok((burned > 0).then_some(burned))
    })
    .await?;
    // One of four: the square of three quarters, of 100,000 LAB; a twentieth of it is the reporter's.
    assert_eq!(slashed, 53_437_500_000_000_000);
    let next = miner.rpc().best_number().await? + 3;
    wait_for_final(miner.rpc(), next).await?;
    for node in validators.iter().chain([&miner, &twice]) {
        node.log().assert_no_panic()?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_ten_seconds_off_do_not_stop_the_network() -> Outcome {
    let mut network = Network::new().await?;
    let late = network.miner("miner", "//Eve").await?;
    let mut options = NodeOptions {
        author: "//Ferdie",
        ..network.options()
    };
    options.environment = clock::off_by(10, &network.base(""))?.into();
    let early = network.start("early", &options).await?;
    let mut validators = Vec::new();
    for (at, seconds) in [(0, 0), (1, 0), (2, -10), (3, 10)] {
        let mut options = network.options().following();
        options.more.extend(VALIDATORS[at].arguments());
        if seconds != 0 {
            options.environment = clock::off_by(seconds, &network.base(""))?.into();
        }
        validators.push(
            network
                .start(VALIDATORS[at].flag.trim_start_matches('-'), &options)
                .await?,
        );
    }
    wait_for_final(late.rpc(), 15).await?;
    wait_for_final(early.rpc(), 15).await?;
    // Two of four are wrong, so finality shows that they vote.
    for node in &validators {
        wait_for_final(node.rpc(), 12).await?;
    }
    assert_one_final_chain(&[late.rpc(), early.rpc(), validators[2].rpc()]).await?;
    Ok(())
}
