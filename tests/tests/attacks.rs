//! What a network does about members that are wrong, or mean it.

use labora_tests::{
    Node, NodeOptions, Outcome, clock,
    node::Freeze,
    proxy::{Link, Proxy},
    rpc::Rpc,
    spec::VALIDATORS,
    validators::{
        Network, SOON, assert_one_final_chain, storage, wait_for_final, wait_to_be_alone,
        wait_to_catch_up,
    },
    wait_for,
};
use serde_json::Value;
use sp_core::U256;
use std::time::Duration;

/// `Rewards::Burned`: what was burned so far.
const BURNED: &str = "0x540a4f8754aa5298a3d6e9aa09e93f976ddc88ead7a1603ccf6949c69fa32a56";

async fn burned(node: &Node) -> Outcome<u128> {
    let bytes = storage(node.rpc(), BURNED).await?.unwrap_or_default();
    Ok(match <[u8; 16]>::try_from(bytes) {
        Ok(bytes) => u128::from_le_bytes(bytes),
        Err(_) => 0,
    })
}

/// Work up to a node's best block.
async fn work(node: &Node) -> Outcome<U256> {
    let info: Value = node.rpc().call("pouw_info", &[]).await?;
    let work = info["accumulatedWork"].as_str().ok_or("no work is named")?;
    Ok(U256::from_dec_str(work)?)
}

/// The lowest number at which two nodes have different blocks, given one at which they do.
async fn parted_at(one: &Rpc, other: &Rpc, mut number: u64) -> Outcome<u64> {
    assert_ne!(one.hash_at(number).await?, other.hash_at(number).await?);
    while one.hash_at(number - 1).await? != other.hash_at(number - 1).await? {
        number -= 1;
    }
    Ok(number)
}

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
async fn a_private_fork_with_more_work_from_below_the_final_block_is_refused() -> Outcome {
    let mut network = Network::new().await?;
    let miner = network.miner("miner", "//Eve").await?;
    let validators = network.validators(4).await?;
    // The private miner's only way to the others leads to a node that does not mine: that it keeps its best block while the
    // public miner rests is then its own decision.
    let honest = &validators[0];
    let (link, through) = Proxy::to_node(&honest.address().await?).await?;
    let options = NodeOptions {
        author: "//Ferdie",
        ..network.only_through(through)
    };
    let private = network.start("private", &options).await?;
    wait_to_catch_up(private.rpc(), miner.rpc()).await?;
    link.set(Link::Cut);
    let cut_at = wait_to_be_alone(private.rpc()).await?;
    wait_for_final(miner.rpc(), cut_at + 5).await?;
    wait_for_final(honest.rpc(), cut_at + 5).await?;

    // The public miner rests, and the private chain gets ahead.
    miner.freeze(Freeze::Stop)?;
    wait_for("a private chain of more work", SOON, || async {
        let ahead = private.rpc().best_number().await?;
        let is_longer = ahead >= honest.rpc().best_number().await? + 10;
        Ok((is_longer && work(&private).await? > work(honest).await?).then_some(()))
    })
    .await?;
    let parted = parted_at(honest.rpc(), private.rpc(), cut_at + 5).await?;
    assert!(parted <= honest.rpc().finalised_number().await?);
    let fork = private.rpc().hash_at(parted).await?.ok_or("no fork")?;
    let kept = honest.rpc().hash_at(cut_at + 5).await?;
    let best = honest.rpc().best_hash().await?;

    link.set(Link::Up);
    // Nobody else has the fork, so whoever refuses its first block was offered it by the private miner.
    let mark = format!("Error importing block {fork}");
    let reason = wait_for("the fork to be offered and refused", SOON, || {
        let said = honest.log().after_last(&mark, &[]);
        async move { said }
    })
    .await?;
    assert!(reason.contains("finalized"), "refused, but for {reason}");
    assert_eq!(honest.rpc().best_hash().await?, best);
    miner.freeze(Freeze::GoOn)?;

    // The private miner learns what is final, and gives in.
    wait_for("the private miner to follow", SOON, || async {
        Ok((private.rpc().hash_at(cut_at + 5).await? == kept).then_some(()))
    })
    .await?;
    let next = miner.rpc().best_number().await? + 3;
    wait_for_final(private.rpc(), next).await?;
    for node in validators.iter().chain([&miner]) {
        assert_eq!(node.rpc().hash_at(cut_at + 5).await?, kept);
        assert_eq!(
            node.rpc().header(&fork).await?,
            None,
            "a node has a block of the fork"
        );
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
