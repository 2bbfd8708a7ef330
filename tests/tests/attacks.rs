//! What a network does about members that are wrong, or mean it.

use labora_tests::{
    Node, NodeOptions, Outcome, clock,
    proxy::{Link, Proxy},
    spec::VALIDATORS,
    validators::{
        Network, SLASHED, SOON, assert_one_final_chain, burned, timestamp_ms, wait_for_final,
    },
    wait_for,
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_runs_twice_falls_silent() -> Outcome {
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
    let falls_silent = |node: &Node| {
        let text = node.log().text()?;
        Outcome::Ok(text.contains("Another process votes with this validator's key"))
    };
    wait_for("one of the two to fall silent", 2 * SOON, || async {
        Ok((falls_silent(&validators[3])? || falls_silent(&twice)?).then_some(()))
    })
    .await?;
    // In their first round together they may have voted twice; what is done to whoever does so is shown in `rogue`.
    let slashed = burned(&miner).await?;
    assert!([0, SLASHED].contains(&slashed), "{slashed}");
    let next = miner.rpc().best_number().await? + 3;
    wait_for_final(miner.rpc(), next).await?;
    for node in validators.iter().chain([&miner, &twice]) {
        node.log().assert_no_panic()?;
    }
    Ok(())
}

/// How far a time is in the future.
fn ahead_of_now(at_ms: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Duration::from_millis(at_ms).saturating_sub(now.unwrap_or_default())
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
    // Else nobody would notice that the loader has ignored the clock.
    wait_for("a block from the future", SOON, || async {
        let ahead = ahead_of_now(timestamp_ms(late.rpc()).await?);
        Ok((ahead >= Duration::from_secs(7)).then_some(()))
    })
    .await?;
    // Two of four are wrong, so finality shows that they vote.
    for node in &validators {
        wait_for_final(node.rpc(), 12).await?;
    }
    assert_one_final_chain(&[late.rpc(), early.rpc(), validators[2].rpc()]).await?;
    Ok(())
}
