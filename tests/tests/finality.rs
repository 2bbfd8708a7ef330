//! Finality among real processes: validators that vote, miners that mine, and what happens when some of them are gone,
//! late, cut off, or vote twice.

use labora_tests::{
    Node, NodeOptions, Outcome,
    binary::{self, refused},
    js,
    node::Freeze,
    proxy::{Link, Proxy},
    rpc::Rpc,
    spec::{NETWORK, VALIDATORS},
    validators::{
        Network, SOON, assert_one_final_chain, wait_for_best, wait_for_final, wait_to_be_alone,
        wait_to_catch_up,
    },
    wait_for,
};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn four_validators_and_two_miners_finalise_and_late_nodes_follow_fully_and_by_warp() -> Outcome
{
    let mut network = Network::new().await?;
    let first = network.miner("first", "//Eve").await?;
    let second = network.miner("second", "//Ferdie").await?;
    let validators = network.validators(4).await?;
    wait_for_final(first.rpc(), 1).await?;
    // Beyond two changes of sessions; what is final has no proofs any more.
    wait_for_final(first.rpc(), 45).await?;
    let all: Vec<&Rpc> = [first.rpc(), second.rpc()]
        .into_iter()
        .chain(validators.iter().map(Node::rpc))
        .collect();
    for rpc in &all {
        wait_for_final(rpc, 40).await?;
    }
    assert_one_final_chain(&all).await?;
    let lag = first.rpc().best_number().await? - first.rpc().finalised_number().await?;
    println!("blocks not final: {lag}");

    // A proof of block 2 is nowhere to be had.
    let hash = first.rpc().hash_at(2).await?.ok_or("block 2 is missing")?;
    first
        .rpc()
        .refused("pouw_blockProof", &[hash.clone().into()])
        .await?;

    let full = network.options().following();
    let late = network.start("late", &full).await?;
    let reached = first.rpc().finalised_number().await?;
    wait_for_final(late.rpc(), reached).await?;
    assert_eq!(late.rpc().hash_at(2).await?, Some(hash.clone()));

    let mut warp = network.options().following();
    warp.more.extend(["--sync".into(), "warp".into()]);
    // Warp sync wants three peers.
    let warped = network.start("warped", &warp).await?;
    let reached = first.rpc().finalised_number().await?;
    wait_for_final(warped.rpc(), reached).await?;
    assert!(
        warped.log().text()?.contains("Warp sync is complete"),
        "it did not sync by warp"
    );
    wait_for("the history behind the warp", SOON, || async {
        Ok((warped.rpc().hash_at(2).await? == Some(hash.clone())).then_some(()))
    })
    .await?;
    // And both go on with the others.
    let next = first.rpc().best_number().await? + 3;
    wait_for_final(late.rpc(), next).await?;
    wait_for_final(warped.rpc(), next).await?;
    assert_one_final_chain(&[first.rpc(), late.rpc(), warped.rpc()]).await?;
    for node in validators.iter().chain([&first, &second, &late, &warped]) {
        node.log().assert_no_panic()?;
    }
    a_checkpoint_is_held_to(&mut network, late).await
}

/// Two late nodes, one of which was told a false block; and one that has the true block already, and is told the false one.
async fn a_checkpoint_is_held_to(network: &mut Network, late: Node) -> Outcome {
    let number = late.rpc().finalised_number().await?;
    let hash = late.rpc().hash_at(number).await?.ok_or("no final block")?;
    let with = |number: u64, hash: &str| {
        let mut options = network.options().following();
        let checkpoint = ["--checkpoint".into(), format!("{number}:{hash}")];
        options.more.extend(checkpoint);
        options
    };
    let (right, wrong) = (with(number, &hash), with(20, &hash));
    let told = network.start("told", &right).await?;
    wait_for_final(told.rpc(), number).await?;
    told.log().assert_no_panic()?;

    let misled = network.start("misled", &wrong).await?;
    wait_for("the true chain to be refused", SOON, || async {
        let refused = misled.log().text()?.contains("which finality is proved of");
        Ok(refused.then_some(()))
    })
    .await?;
    assert!(misled.rpc().best_number().await? < 20);
    misled.log().assert_no_panic()?;

    late.stop_well().await?;
    let arguments = wrong.arguments(&network.base("late"));
    refused(&arguments, &["block 20 ", "false history", "purge-chain"])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_half_of_the_validators_the_chain_grows_and_finality_waits_for_them() -> Outcome {
    let mut network = Network::new().await?;
    let miner = network.miner("miner", "//Eve").await?;
    let mut validators = network.validators(4).await?;
    wait_for_final(miner.rpc(), 3).await?;

    validators.pop().ok_or("a fourth")?.kill()?;
    assert!(validators.pop().ok_or("a third")?.stop().await?.success());
    // What was being voted on may still become final.
    let stalled = wait_for("finality to stall", SOON, || async {
        let (best, finalised) = (
            miner.rpc().best_number().await?,
            miner.rpc().finalised_number().await?,
        );
        Ok((best > finalised + 8).then_some(finalised))
    })
    .await?;
    let best = miner.rpc().best_number().await?;
    wait_for_best(miner.rpc(), best + 10).await?;
    assert_eq!(
        miner.rpc().finalised_number().await?,
        stalled,
        "two of four are no majority"
    );

    let third = network.validator(2).await?;
    let fourth = network.validator(3).await?;
    wait_for_final(miner.rpc(), best + 10).await?;
    wait_for_final(third.rpc(), best + 10).await?;
    wait_for_final(fourth.rpc(), best + 10).await?;
    assert_one_final_chain(&[miner.rpc(), third.rpc(), fourth.rpc()]).await?;
    Ok(())
}

/// Blocks above the change of authorities: more than a node asks for the proofs of at once, so that whoever comes late asks
/// first whether they are final.
const ABOVE_THE_CHANGE: u64 = 24;

#[tokio::test(flavor = "multi_thread")]
async fn finality_that_stalls_where_the_authorities_change_is_followed_by_late_nodes_and_goes_on()
-> Outcome {
    let mut network = Network::new().await?;
    let miner = network.miner("miner", "//Eve").await?;
    let validators = network.validators(4).await?;
    wait_for_final(miner.rpc(), 1).await?;

    // Charlie and Dave will vote with keys of a machine that is down when those begin to count.
    let mut options = network.options().following();
    let more = ["--validator", "--unsafe-force-node-key-generation"];
    options.more.extend(more.map(String::from));
    let spare = network.start("spare", &options).await?;
    let mut script = js::script("govern.mjs", &miner)?;
    script
        .arg("rekey")
        .arg(format!("ws://{}", spare.rpc_address()));
    script.args(["//Charlie", "//Dave"]);
    println!("{}", binary::run(script, SOON).await?);
    network.known.pop();
    spare.kill()?;

    let stalled = wait_for("finality to stall", 2 * SOON, || async {
        let best = miner.rpc().best_number().await?;
        let finalised = miner.rpc().finalised_number().await?;
        Ok((best >= finalised + ABOVE_THE_CHANGE).then_some(finalised))
    })
    .await?;
    assert!(stalled > 20, "the keys of a session are known one before");
    for flags in [&[][..], &["--sync", "warp"]] {
        let mut options = network.options().following();
        options.more.extend(flags.iter().map(|flag| (*flag).into()));
        let level = "peerset=trace,labora_consensus=debug,sync=debug";
        options.more.extend(["--log".into(), level.into()]);
        let late = network
            .start(&format!("late{}", flags.len()), &options)
            .await?;
        let reached = miner.rpc().best_number().await?;
        wait_for_best(late.rpc(), reached).await?;
        wait_for_final(late.rpc(), stalled).await?;
        let blamed = late.log().text()?.contains("rong proof of finality");
        assert!(!blamed, "an honest peer is blamed");
        late.log().assert_no_panic()?;
        network.known.pop();
    }
    assert_eq!(miner.rpc().finalised_number().await?, stalled);

    // Of the two keys there it votes with one: three of four.
    let spare = network.start("spare", &options).await?;
    let reached = miner.rpc().best_number().await?;
    for node in validators.iter().chain([&miner, &spare]) {
        wait_for_final(node.rpc(), reached).await?;
        node.log().assert_no_panic()?;
    }
    assert_one_final_chain(&[miner.rpc(), validators[3].rpc(), spare.rpc()]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minority_that_was_cut_off_gives_up_its_branch_and_its_vote_when_the_link_is_mended()
-> Outcome {
    // Nobody votes for what comes after a change of authorities that is not final, and alone the minority makes none final.
    let mut network = Network::with_public_sessions(NETWORK).await?;
    let majority = network.miner("majority", "//Eve").await?;
    let _validators = network.validators(3).await?;
    // The minority hears of the others by one link only.
    let (link, through) = Proxy::to_node(&majority.address().await?).await?;
    let mut options = NodeOptions {
        author: "//Ferdie",
        ..network.only_through(through)
    };
    let minority = network.start("minority", &options).await?;
    wait_to_catch_up(minority.rpc(), majority.rpc()).await?;

    link.set(Link::Cut);
    let cut_at = wait_to_be_alone(minority.rpc()).await?;
    wait_for_best(minority.rpc(), cut_at + 5).await?;
    // Only now it votes, in a round in which it has not: for its own branch, since it knows no other.
    minority.stop().await?;
    options.more.extend(VALIDATORS[3].arguments());
    options
        .more
        .extend(["--log".into(), "grandpa=debug".into()]);
    let mut minority = network.start("minority", &options).await?;
    minority.hush();
    let (voted, voted_for) = own_vote(&minority, cut_at + 1).await?;
    wait_for_final(majority.rpc(), cut_at + 5).await?;
    let theirs = majority.rpc().hash_at(cut_at + 4).await?;
    let own = minority.rpc().hash_at(cut_at + 4).await?;
    assert_ne!(theirs, own, "two branches while the link is cut");
    assert!(
        minority.rpc().finalised_number().await? <= cut_at + 1,
        "one of four finalises nothing"
    );

    link.set(Link::Up);
    wait_for("the majority's branch", SOON, || async {
        Ok((minority.rpc().hash_at(cut_at + 4).await? == theirs).then_some(()))
    })
    .await?;
    let next = majority.rpc().best_number().await? + 3;
    wait_for_final(minority.rpc(), next).await?;
    assert_one_final_chain(&[majority.rpc(), minority.rpc()]).await?;
    let kept = minority.rpc().hash_at(voted).await?;
    assert_ne!(
        kept,
        Some(voted_for),
        "what it voted for has left the best chain"
    );
    // And it votes on, with the others.
    wait_for("a round with all four votes", SOON, || async {
        let rounds: Value = majority.rpc().call("grandpa_roundState", &[]).await?;
        let all = rounds["best"]["prevotes"]["currentWeight"] == VALIDATORS.len();
        Ok(all.then_some(()))
    })
    .await?;
    minority.log().assert_no_panic()
}

/// The height and hash of the first block from this height on of a node's own best chain that its validator voted for.
async fn own_vote(node: &Node, from: u64) -> Outcome<(u64, String)> {
    wait_for("a vote for a block of its own", SOON, || async {
        let said = node.log().after_last("Announcing block ", &[' '])?;
        let Some(said) = said else { return Ok(None) };
        for number in from..=node.rpc().best_number().await? {
            let Some(hash) = node.rpc().hash_at(number).await? else {
                continue;
            };
            // In the log hashes are shortened.
            let short = format!("{}…{}", &hash[..6], &hash[hash.len() - 4..]);
            if said == short {
                return Ok(Some((number, hash)));
            }
        }
        Ok(None)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_at_once_are_killed_and_go_on() -> Outcome {
    let mut network = Network::new().await?;
    let miner = network.miner("miner", "//Eve").await?;
    let validators = network.validators(4).await?;
    wait_for_final(miner.rpc(), 5).await?;
    let had = miner.rpc().finalised_number().await?;
    let hash = miner.rpc().hash_at(had).await?;
    for node in validators {
        node.kill()?;
    }
    miner.kill()?;

    network.known.clear();
    let miner = network.miner("miner", "//Eve").await?;
    assert!(miner.rpc().finalised_number().await? >= had);
    assert_eq!(miner.rpc().hash_at(had).await?, hash);
    let validators = network.validators(4).await?;
    let next = miner.rpc().best_number().await? + 4;
    wait_for_final(miner.rpc(), next).await?;
    for validator in &validators {
        // Of a record that the SDK's voter wrote, in its own format.
        let on_disk =
            (validator.log()).after_last("Voting goes on after the round on disk", &[])?;
        let on_disk = on_disk.ok_or("the votes of the last round were not found on disk")?;
        assert!(on_disk.contains("votes="), "{on_disk}");
    }
    miner.log().assert_no_panic()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_validator_catches_up() -> Outcome {
    let mut network = Network::new().await?;
    let miner = network.miner("miner", "//Eve").await?;
    let validators = network.validators(4).await?;
    wait_for_final(validators[3].rpc(), 2).await?;
    validators[3].freeze(Freeze::Stop)?;
    let at = miner.rpc().best_number().await?;
    wait_for_final(miner.rpc(), at + 6).await?;
    validators[3].freeze(Freeze::GoOn)?;
    let next = miner.rpc().best_number().await? + 3;
    wait_for_final(validators[3].rpc(), next).await?;
    Ok(())
}
