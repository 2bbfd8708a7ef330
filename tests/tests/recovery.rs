//! What the runbook says, done: validators that are gone for good, and an upgrade of the runtime.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use labora_tests::{
    Node, Outcome, binary,
    blocks::header_at,
    js,
    node::Chain,
    rpc::Rpc,
    spec::VALIDATORS,
    validators::{Network, SOON, assert_one_final_chain, wait_for_best, wait_for_final},
    wait_for,
};
use parity_scale_codec::Decode;
use serde_json::Value;

/// What the header of a block that changed the code has in its digest: `RuntimeEnvironmentUpdated`, in SCALE.
const CODE_CHANGED: &str = "0x08";

/// Sets the chain's code by root's key.
fn upgrade(node: &Node, code: &Path) -> Outcome<Command> {
    let mut script = js::script("govern.mjs", node)?;
    script.arg("upgrade").arg(code);
    Ok(script)
}

/// Writes a runtime's code to a file.
fn write_code(network: &Network, name: &str, code: Option<&[u8]>) -> Outcome<PathBuf> {
    let path = network.base(name);
    fs::write(&path, code.ok_or("the runtime was built without its WASM")?)?;
    Ok(path)
}

/// How often the next runtime's migration ran up to a block of a node's best chain; nothing if it never did.
async fn migrated(rpc: &Rpc, number: u64) -> Outcome<Option<u32>> {
    let hash = rpc.hash_at(number).await?.ok_or("no such block")?;
    let key = format!("0x{}", hex::encode(labora_runtime::next::MIGRATED_KEY));
    let value: Option<String> = rpc
        .call("state_getStorage", &[key.into(), hash.into()])
        .await?;
    let Some(value) = value else { return Ok(None) };
    let bytes = hex::decode(value.trim_start_matches("0x"))?;
    Ok(Some(u32::decode(&mut &bytes[..])?))
}

/// The version of the runtime after a block of a node's best chain.
async fn spec_version(rpc: &Rpc, number: u64) -> Outcome<u64> {
    let hash = rpc.hash_at(number).await?.ok_or("no such block")?;
    let version: Value = rpc.call("state_getRuntimeVersion", &[hash.into()]).await?;
    let number = version["specVersion"].as_u64();
    Ok(number.ok_or_else(|| format!("no version in {version}"))?)
}

/// The blocks up to this one that changed the code.
async fn changes_of_code(rpc: &Rpc, up_to: u64) -> Outcome<Vec<u64>> {
    let mut changes = Vec::new();
    for number in 1..=up_to {
        let header = header_at(rpc, number).await?.ok_or("no such block")?;
        let logs = header["digest"]["logs"].as_array().ok_or("no digest")?;
        if logs.iter().any(|log| log == CODE_CHANGED) {
            changes.push(number);
        }
    }
    Ok(changes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_lost_half_of_its_validators_for_ever_recovers_by_a_forced_change() -> Outcome
{
    let mut network = Network::new().await?;
    let miner = network.miner("miner", "//Eve").await?;
    let mut validators = network.validators(4).await?;
    wait_for_final(miner.rpc(), 3).await?;
    validators.pop().ok_or("a fourth")?.kill()?;
    validators.pop().ok_or("a third")?.kill()?;
    let at = miner.rpc().best_number().await?;
    wait_for_best(miner.rpc(), at + 15).await?;
    let stalled = miner.rpc().finalised_number().await?;
    assert!(stalled <= at + 1, "finality went on with two of four");
    let votes: Value = validators[0].rpc().call("grandpa_roundState", &[]).await?;
    let set = votes["setId"].as_u64().ok_or("no set of authorities")?;

    let mut script = js::script("govern.mjs", &miner)?;
    script.args(["recover", VALIDATORS[2].account, VALIDATORS[3].account]);
    println!("{}", binary::run(script, 4 * SOON).await?);
    let next = miner.rpc().best_number().await? + 3;
    wait_for("finality by the two that are left", 2 * SOON, || async {
        Ok((miner.rpc().finalised_number().await? >= next).then_some(()))
    })
    .await?;
    for node in &validators {
        wait_for_final(node.rpc(), next).await?;
    }
    assert_one_final_chain(&[miner.rpc(), validators[0].rpc(), validators[1].rpc()]).await?;
    // The change that was forced in vain makes a set, too.
    newcomers_follow_if_they_are_told(&mut network, &miner, next, set + 2).await?;
    miner.log().assert_no_panic()
}

/// A forced change, which made this set of authorities, is in no proof of finality, and proofs of work are gone: newcomers
/// have to be told by the chain spec.
async fn newcomers_follow_if_they_are_told(
    network: &mut Network,
    miner: &Node,
    next: u64,
    set: u64,
) -> Outcome {
    let forced: Value = miner.rpc().call("pouw_forcedChanges", &[]).await?;
    let effective = forced[0]["effective"].as_u64().ok_or("no forced change")?;
    // Of two after one block the one that stands.
    assert_eq!(forced.as_array().map(Vec::len), Some(1), "{forced}");
    let left = forced[0]["authorities"].as_array().map(Vec::len);
    assert_eq!(
        (left, &forced[0]["setId"]),
        (Some(2), &set.into()),
        "{forced}"
    );
    let mut untold = network.options().following();
    let mut told = untold.clone();
    told.chain = Chain::File(network.spec_with("forcedChanges", forced)?);
    let mut warp = told.clone();
    warp.more.extend(["--sync".into(), "warp".into()]);
    let log = "peerset=trace,labora_consensus=debug";
    for options in [&mut untold, &mut told, &mut warp] {
        options.more.extend(["--log".into(), log.into()]);
    }

    let full = network.start("told", &told).await?;
    let warped = network.start("warped", &warp).await?;
    for node in [&full, &warped] {
        wait_for_final(node.rpc(), next).await?;
        let log = node.log().text()?;
        assert!(!log.contains("A peer gave a wrong proof of finality"));
        assert!(!log.contains("Banned, disconnecting"));
    }
    assert!(
        warped.log().text()?.contains("Warp sync is complete"),
        "it did not sync by warp"
    );
    // Its history has the blocks in which authorities were announced that nobody signed.
    for number in [2, effective - 5, effective, effective + 1] {
        wait_for("the history behind the warp", SOON, || async {
            let (here, there) = (warped.rpc().hash_at(number), miner.rpc().hash_at(number));
            Ok((here.await? == there.await?).then_some(()))
        })
        .await?;
    }
    assert_one_final_chain(&[miner.rpc(), full.rpc(), warped.rpc()]).await?;

    let untold = network.start("untold", &untold).await?;
    for said in [
        "A peer gave a wrong proof of finality",
        "Reason: Neither proof nor finality of a block that it sent",
    ] {
        wait_for(said, SOON, || {
            let text = untold.log().text();
            async move { Ok(text?.contains(said).then_some(())) }
        })
        .await?;
    }
    assert!(untold.rpc().best_number().await? < effective);
    for node in [&full, &warped, &untold] {
        node.log().assert_no_panic()?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_passes_while_mining_migrates_once_and_voids_signatures_for_the_version_before()
-> Outcome {
    let mut network = Network::new().await?;
    let miner = network.miner("miner", "//Eve").await?;
    let validators = network.validators(4).await?;
    wait_for_final(miner.rpc(), 2).await?;
    let before = spec_version(miner.rpc(), 1).await?;

    let same = write_code(&network, "same.wasm", labora_runtime::WASM_BINARY)?;
    let next = write_code(&network, "next.wasm", labora_runtime::next::WASM_BINARY)?;
    let Err(refusal) = binary::run(upgrade(&miner, &same)?, SOON).await else {
        return Err("code of the same version was set".into());
    };
    assert!(
        refusal.to_string().contains("SpecVersionNeedsToIncrease"),
        "{refusal}"
    );
    println!("{}", binary::run(upgrade(&miner, &next)?, SOON).await?);
    let reached = wait_for("a final block of the higher version", SOON, || async {
        let number = miner.rpc().finalised_number().await?;
        let version = spec_version(miner.rpc(), number).await?;
        Ok((version == before + 1).then_some(number))
    })
    .await?;
    let changes = changes_of_code(miner.rpc(), reached).await?;
    let [changed] = changes[..] else {
        return Err(format!("one block changes the code, not {changes:?}").into());
    };

    // The new code makes the blocks that follow.
    for node in validators.iter().chain([&miner]) {
        wait_for_final(node.rpc(), changed + 3).await?;
    }
    // Who comes after the upgrade syncs through it.
    let late = network
        .start("late", &network.options().following())
        .await?;
    wait_for_final(late.rpc(), changed + 3).await?;
    for node in validators.iter().chain([&miner, &late]) {
        // The block after the one that has the new code is the first that it executes.
        for (number, version, migrations) in [
            (changed - 1, before, None),
            (changed, before + 1, None),
            (changed + 1, before + 1, Some(1)),
            (changed + 3, before + 1, Some(1)),
        ] {
            assert_eq!(
                spec_version(node.rpc(), number).await?,
                version,
                "after block {number}, where block {changed} has the new code"
            );
            assert_eq!(migrated(node.rpc(), number).await?, migrations);
        }
        node.log().assert_no_panic()?;
    }
    assert_one_final_chain(&[miner.rpc(), validators[3].rpc(), late.rpc()]).await?;
    Ok(())
}
