//! A validator that votes twice is told of, reported and slashed, and ends no node.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use labora_tests::{
    Node, NodeOptions, Outcome,
    proxy::{Link, Proxy},
    rpc::Rpc,
    seed::Random,
    validators::{Network, SLASHED, SOON, burned, wait_for_final, wait_for_final_within},
    wait_for,
};
use serde_json::Value;
use sp_keyring::Ed25519Keyring;
use tokio::sync::watch;

use super::{
    chain::Chain,
    peer::Key,
    voter::{Beside, Voter},
};

/// Rounds in which a validator votes for two branches, and before that for blocks that nobody mined.
const DOUBLE_VOTES: usize = 8;
const MADE_UP_VOTES: usize = 4;

/// A block by which blocks come at their pace.
const ADAPTED: u64 = 50;

/// Tells of the blocks beside the best chain that two miners had, above the last final one.
async fn tell_of_forks(miners: [&Rpc; 2], beside: &watch::Sender<Beside>) -> Outcome {
    let mut seen: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    loop {
        let last = miners[0].finalised_number().await?;
        seen.retain(|number, _| *number > last);
        for miner in miners {
            for number in last + 1..=miner.best_number().await? {
                let hash = miner.hash_at(number).await?;
                seen.entry(number).or_default().extend(hash);
            }
        }
        let mut forks = Vec::new();
        for (number, hashes) in &seen {
            let best = miners[0].hash_at(*number).await?;
            let others = hashes.iter().filter(|hash| Some(*hash) != best.as_ref());
            for hash in others {
                forks.push((hash.parse()?, u32::try_from(*number)?));
            }
        }
        beside.send_replace(Beside::Branches(forks));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until a validator's node has told of a double vote in one of these sets and rounds.
async fn wait_for_report(validator: &Node, rounds: &[(u64, u64)]) -> Outcome {
    wait_for("the report", SOON, || async {
        let text = validator.log().text()?;
        let mark = "A validator precommitted to two blocks in one round";
        let mut told = text.lines().filter(|line| line.contains(mark));
        let is_of = |line: &str, (set, round): &(u64, u64)| {
            let words: Vec<_> = line.split_whitespace().collect();
            words.contains(&format!("round={round}").as_str())
                && words.contains(&format!("set={set}").as_str())
        };
        let is_told = told.any(|line| rounds.iter().any(|round| is_of(line, round)));
        Ok(is_told.then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_votes_for_made_up_blocks_and_two_branches_ends_no_node_and_stops_nothing()
-> Outcome {
    let mut network = Network::new().await?;
    let miner = network.miner("miner", "//Eve").await?;
    // Before there is another miner, whose blocks may take the place of those that are read.
    let chain = Chain::of(miner.rpc()).await?;
    let (link, through) = Proxy::to_node(&miner.address().await?).await?;
    let options = NodeOptions {
        author: "//Ferdie",
        ..network.only_through(through)
    };
    // First it gets to know the chain, past the blocks that come many a second until the difficulty has adapted: it would mine a
    // chain of its own, and the SDK leaves one that is no lower than that of a peer, and parts from it by more than an answer's
    // blocks, as it is.
    let follower = network.start("other", &options.clone().following()).await?;
    wait_for("the miner's chain", SOON, || async {
        let known = follower.rpc().hash_at(ADAPTED).await?;
        let is_the_miners = known.is_some() && known == miner.rpc().hash_at(ADAPTED).await?;
        Ok(is_the_miners.then_some(()))
    })
    .await?;
    follower.stop_well().await?;
    // Its blocks come late, and so beside others.
    link.set(Link::Slow(Duration::from_millis(400)));
    let other = network.start("other", &options).await?;
    let validators = network.validators(3).await?;
    let mut addresses = Vec::new();
    for validator in &validators {
        addresses.push(validator.address().await?);
    }
    // Three of four are enough.
    wait_for_final(miner.rpc(), 3).await?;

    let (tell, beside) = watch::channel(Beside::MadeUp);
    let mut key = Key::default();
    key.copy_from_slice(&Random::of_test(0x524F_4704).bytes(32));
    let began = other.rpc().finalised_number().await?;
    let voter = Voter::start(key, &addresses, chain, Ed25519Keyring::Dave, beside)?;
    wait_for("votes for made-up blocks", SOON, || async {
        Ok((voter.lies().made_up.len() >= MADE_UP_VOTES).then_some(()))
    })
    .await?;
    for validator in &validators {
        wait_for_report(validator, &voter.lies().made_up).await?;
    }
    // The voter has none of these votes, so that who is slashed is slashed for what was seen before it.
    let slashed = wait_for("the slash", SOON, || async {
        let burned = burned(&miner).await?;
        Ok((burned > 0).then_some(burned))
    });
    assert_eq!(slashed.await?, SLASHED);
    // Nobody takes itself to be behind for a block that was named to it: miners would rest.
    let next = miner.rpc().best_number().await? + 3;
    for node in validators.iter().chain([&miner]) {
        wait_for_final(node.rpc(), next).await?;
        let health: Value = node.rpc().call("system_health", &[]).await?;
        assert_eq!(health["isSyncing"], false, "{health}");
    }

    let voted = wait_for("votes for two branches", 2 * SOON, || async {
        Ok((voter.lies().branches.len() >= DOUBLE_VOTES).then_some(()))
    });
    tokio::select! {
        voted = voted => voted?,
        failed = tell_of_forks([miner.rpc(), other.rpc()], &tell) => failed?,
    }
    for validator in &validators {
        wait_for_report(validator, &voter.lies().branches).await?;
    }
    let next = miner.rpc().best_number().await? + 3;
    for node in validators.iter().chain([&miner]) {
        wait_for_final(node.rpc(), next).await?;
    }
    // Where its blocks are refused for coming too late, the SDK lets it wait for minutes.
    wait_for_final_within(other.rpc(), began + 1, 2 * SOON).await?;
    for node in validators.iter().chain([&miner, &other]) {
        let text = node.log().text()?;
        assert!(!text.contains("GRANDPA voter error"), "{text}");
        node.log().assert_no_panic()?;
    }
    println!("{:?}", voter.lies());
    Ok(())
}
