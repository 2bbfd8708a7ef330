//! `labora testnet` with real processes: a network that finalises, loses members and gets them back, and leaves nothing
//! behind; and one that is written out and started by hand.

use std::{fs, path::Path, process::Command, time::Duration};

use labora_tests::{
    Machine, Node, Outcome, Testnet, binary, rpc::number_of, validators::wait_for_final_within,
};
use serde_json::Value;

/// For a few blocks more: they come every few seconds, on a machine that may have more to do.
const FEW_BLOCKS: Duration = Duration::from_secs(240);

/// Blocks of the run that is summed up.
const BLOCKS: u64 = 20;

/// Until that many blocks of 6 s are final.
const WHOLE_RUN: Duration = Duration::from_secs(900);

/// Twice the goal, which is for two cores with nothing else to do: these take some 30 s (docs/benchmarks.md), and other work
/// makes it longer.
const SECONDS_TO_FIRST_FINALISED: f64 = 120.0;

#[tokio::test(flavor = "multi_thread")]
async fn four_validators_and_two_miners_finalise_and_the_run_is_summed_up() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let mut network = Testnet::of_four_and_two(&machine, folder.path(), BLOCKS)?;
    network.says("4 validators and 2 miners start in").await?;
    let path = network
        .said()
        .after_last("miners start in ", &[])?
        .ok_or("no path")?;
    let status = network.end(WHOLE_RUN).await?;
    assert!(status.success(), "{status}");
    assert!(network.members()?.is_empty());
    assert!(
        !Path::new(&path).exists(),
        "a temporary network is removed at the end"
    );

    let summary = network.summary()?;
    let figure = |name: &str| summary.figure(name);
    assert!(figure("finalised_blocks")? >= BLOCKS as f64);
    assert!(figure("blocks")? >= figure("finalised_blocks")?);
    let by_miner = summary.0["blocks_per_miner"]
        .as_object()
        .ok_or("no miners")?;
    assert_eq!(by_miner.keys().collect::<Vec<_>>(), ["miner-1", "miner-2"]);
    let mined: f64 = by_miner.values().filter_map(Value::as_f64).sum();
    assert_eq!(mined, figure("blocks")?, "each block has an author");
    assert!(figure("seconds_to_first_finalised")? < SECONDS_TO_FIRST_FINALISED);
    // A vote is at least a block behind the best one. The first blocks come faster than they can be voted on, until the
    // difficulty has adapted: `make soak` holds 200 of them to the goal.
    assert!(figure("median_finality_lag")? >= 1.0);
    // This only tells a network that works from one that does not.
    assert!((0.0..=0.5).contains(&figure("orphan_rate")?));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_killed_and_started_and_none_outlives_its_supervisor() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let base = folder.path().join("network");
    let at = base.to_string_lossy().into_owned();
    let flags = [
        "--validators",
        "4",
        "--miners",
        "1",
        "--preset",
        "dev",
        "--base-path",
        &at,
    ];
    let mut network = Testnet::start(&machine, &folder.path().join("first"), &flags)?;
    let first = network.rpc("validator-1").await?;
    wait_for_final_within(&first, 2, FEW_BLOCKS).await?;

    // What cannot be done is said.
    network.order("explode")?;
    network.says("`explode` is no command").await?;
    network.order("kill validator-9")?;
    network.says("there is no member validator-9").await?;
    network.order("start validator-1")?;
    network.says("validator-1 runs already").await?;

    // Three of four finalise without the fourth, which catches up when it is back.
    let fourth = network
        .member("validator-4")?
        .ok_or("no process of validator-4")?;
    network.order("kill validator-4")?;
    fourth.ended().await?;
    let left_at = first.finalised_number().await?;
    wait_for_final_within(&first, left_at + 3, FEW_BLOCKS).await?;
    network.order("start validator-4")?;
    wait_for_final_within(&network.rpc("validator-4").await?, left_at + 3, FEW_BLOCKS).await?;

    // One that is asked to end does, and one that dies by itself is told of with its log.
    let third = network
        .member("validator-3")?
        .ok_or("no process of validator-3")?;
    network.order("stop validator-3")?;
    third.ended().await?;
    network.order("start validator-3")?;
    network.says("validator-3 starts").await?;
    network
        .member("validator-2")?
        .ok_or("no process of validator-2")?
        .signal("KILL")?;
    network.says("validator-2 has ended by itself").await?;
    network
        .says(&format!("The last lines of {at}/validator-2/log"))
        .await?;

    let members = network.members()?;
    assert_eq!(members.len(), 4, "all but the one that died");
    network.signal("KILL")?;
    for member in members {
        member.ended().await?;
    }

    let reached = number_of(&saved_best(&machine, &base).await?)?;
    let mut network = Testnet::start(
        &machine,
        &folder.path().join("second"),
        &["--base-path", &at],
    )?;
    wait_for_final_within(&network.rpc("validator-2").await?, reached + 2, FEW_BLOCKS).await?;
    let members = network.members()?;
    assert_eq!(members.len(), 5);
    let status = network.stop().await?;
    assert!(status.success(), "{status}");
    assert!(members.iter().all(|member| !member.is_alive()));
    assert!(network.printed().text()?.contains("median finality lag"));
    assert!(
        base.join("network.json").exists(),
        "a network with a path is kept"
    );
    Ok(())
}

/// The header of the best block of validator-1's database, which a node that is alone shows.
async fn saved_best(machine: &Machine, base: &Path) -> Outcome<Value> {
    let data = base.join("validator-1/data");
    let node =
        Node::start_with(machine, &data, &alone(&base.join("chain.json"), &data, &[])).await?;
    let header = node.rpc().call("chain_getHeader", &[]).await?;
    assert!(node.stop().await?.success());
    Ok(header)
}

/// A node's arguments on any free ports of this machine.
fn alone(chain: &Path, data: &Path, more: &[&str]) -> Vec<String> {
    let (chain, data) = (chain.to_string_lossy(), data.to_string_lossy());
    let words = [
        "--chain",
        &chain,
        "--base-path",
        &data,
        "--rpc-port",
        "0",
        "--listen-addr",
    ];
    let local = [
        "/ip4/127.0.0.1/tcp/0",
        "--no-mdns",
        "--no-prometheus",
        "--no-telemetry",
    ];
    words
        .iter()
        .chain(&local)
        .chain(more)
        .map(|word| (*word).to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_was_written_out_starts_by_hand() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let network = folder.path().join("network");
    let at = network.to_string_lossy().into_owned();
    let mut writer = Testnet::start(
        &machine,
        &folder.path().join("writer"),
        &[
            "--validators",
            "1",
            "--miners",
            "1",
            "--preset",
            "dev",
            "--write",
            &at,
        ],
    )?;
    assert!(writer.end(FEW_BLOCKS).await?.success());
    let chain = network.join("chain.json");
    let data = network.join("validator-1/data");
    let validator =
        Node::start_with(&machine, &data, &alone(&chain, &data, &["--validator"])).await?;
    let address = validator.address().await?;
    let id = address.rsplit('/').next().unwrap_or_default();
    let bootnodes = fs::read_to_string(network.join("bootnodes.env"))?;
    assert!(
        bootnodes.contains(&format!("/dns/HOST-OF-validator-1/tcp/30333/p2p/{id}")),
        "{bootnodes}"
    );

    let unit = fs::read_to_string(network.join("miner-1/labora.service"))?;
    let author = unit
        .split("--author ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let more = ["--mine", "--author", author.ok_or("no author in the unit")?];
    let devices = [
        "--devices",
        "cpu:1",
        "--gemm-listen",
        "none",
        "--bootnodes",
        &address,
    ];
    let data = network.join("miner-1/data");
    let arguments = alone(&chain, &data, &[&more[..], &devices[..]].concat());
    let miner = Node::start_with(&machine, &data, &arguments).await?;
    wait_for_final_within(miner.rpc(), 2, FEW_BLOCKS).await?;
    validator.log().assert_no_panic()?;
    miner.log().assert_no_panic()
}

#[test]
fn blocks_that_nobody_makes_are_not_waited_for() -> Outcome {
    let mut command = Command::new(binary::labora()?);
    command.args(["testnet", "--miners", "0", "--blocks", "1"]);
    let refused = binary::finish(&mut command, FEW_BLOCKS)?;
    assert_eq!(refused.code, Some(1), "{}", refused.text());
    assert!(
        refused.text().contains("has no miners"),
        "{}",
        refused.text()
    );
    Ok(())
}
