//! `labora miner`: rigs without a chain of their own, against real nodes that come, go and freeze.

use std::{
    net::TcpListener,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use labora_tests::{
    Machine, Node, NodeOptions, Outcome, Rig,
    binary::{self, Finished},
    gemm::Product,
    http::{self, Http},
    log::Log,
    miner::{author_of, mine, mine_badly, next_work, subscribe, verify_block},
    node::Freeze,
    seed::Random,
    spec, wait_for,
};
use serde_json::{Value, json};

const WEAK: i32 = -32052;
const STALE: i32 = -32051;
const MALFORMED: i32 = -32050;
const SHARES_OFF: i32 = -32058;

/// Until a few blocks are mined.
const BLOCKS_LIMIT: Duration = Duration::from_secs(120);

/// Until a wrong start must have ended.
const REFUSAL_LIMIT: Duration = Duration::from_secs(60);

/// //Alice's public key.
const ALICE: &str = "d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d";

/// A block every second or two whatever the machine, and one that stays above [`SHARE_MACS`].
const STEADY: spec::Work = spec::Work {
    initial_difficulty: 40_000_000_000,
    target_block_time_ms: 2_000,
    half_life_ms: 3_600_000,
};

/// Ten shares a block.
const SHARE_MACS: u128 = 4_000_000_000;

fn url(node: &Node) -> String {
    format!("ws://{}", node.rpc_address())
}

async fn blocks_after(node: &Node, number: u64, more: u64) -> Outcome<u64> {
    let rpc = node.rpc();
    let aim = number + more;
    wait_for(&format!("block {aim}"), BLOCKS_LIMIT, || async move {
        let best = rpc.best_number().await?;
        Ok((best >= aim).then_some(best))
    })
    .await
}

async fn wait_until_mining(rig: &Rig, wanted: bool) -> Outcome {
    wait_for(
        &format!("is_mining to be {wanted}"),
        BLOCKS_LIMIT,
        || async move { Ok((rig.is_mining().await? == wanted).then_some(())) },
    )
    .await
}

async fn assert_products_are_exact(rig: &Rig, random: &mut Random) -> Outcome {
    let product = Product::random(random, [40, 50, 300], i8::MIN, i8::MAX);
    let mut http = Http::tcp(rig.gemm_address()).await?;
    product.assert_exact_from(&mut http).await?;
    Ok(())
}

/// The metrics that a rig serves have its device and what it has done.
async fn assert_devices_are_told(rig: &Rig) -> Outcome {
    let text = http::metrics(rig.log()).await?;
    let filler = text.lines().find(|line| {
        line.starts_with("labora_device_macs_total") && line.contains("purpose=\"filler\"")
    });
    let macs = filler.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    assert!(macs.is_some_and(|macs| macs > 0.0), "{text}");
    Ok(())
}

/// The arguments of a node, with the port that an earlier one had.
fn at_port(options: &NodeOptions, base: &Path, port: u16) -> Vec<String> {
    let mut arguments = options.arguments(base);
    if let Some(at) = arguments.iter().position(|it| it == "--rpc-port") {
        arguments[at + 1] = port.to_string();
    }
    arguments
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rig_mines_for_a_node_and_goes_on_when_the_node_comes_back() -> Outcome {
    let machine = Machine::take().await;
    let mut random = Random::of_test(0x0052_4947);
    let folder = tempfile::tempdir()?;
    let spec = spec::write(folder.path(), spec::QUICK)?;
    let options = NodeOptions::of_spec(&spec).devices("none");
    let base = folder.path().join("node");
    let node = Node::start(&machine, &base, &options).await?;
    let port = node.rpc_address().port();

    let metrics = ["--prometheus-port", "0"];
    let mut rig = Rig::start(
        &machine,
        &folder.path().join("rig"),
        &[url(&node)],
        &metrics,
    )
    .await?;
    println!("the rig listened after {:?}", rig.started_in());
    assert!(rig.started_in() < Duration::from_secs(5));
    let best = blocks_after(&node, 0, 4).await?;
    for number in 1..=3 {
        verify_block(node.rpc(), number).await?;
        let hash = node.rpc().hash_at(number).await?.ok_or("no block")?;
        let header = node.rpc().header(&hash).await?.ok_or("no header")?;
        assert_eq!(author_of(&header)?, ALICE);
    }
    assert_products_are_exact(&rig, &mut random).await?;
    assert_devices_are_told(&rig).await?;

    node.kill()?.assert_no_panic()?;
    wait_until_mining(&rig, false).await?;
    assert_products_are_exact(&rig, &mut random).await?;
    rig.assert_running()?;

    let node = Node::start_with(&machine, &base, &at_port(&options, &base, port)).await?;
    wait_until_mining(&rig, true).await?;
    blocks_after(&node, best, 2).await?;

    let (status, log) = rig.stop().await?;
    assert!(status.success(), "{status}");
    log.assert_no_panic()?;
    assert!(log.text()?.contains("connected anew for the 1st time"));
    node.log().assert_no_panic()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_node_is_not_mined_for_and_gets_nothing_stale_when_it_thaws() -> Outcome {
    let machine = Machine::take().await;
    let mut random = Random::of_test(0x4652_4545_5A45);
    let folder = tempfile::tempdir()?;
    let spec = spec::write(folder.path(), spec::QUICK)?;
    let options = NodeOptions::of_spec(&spec).devices("none");
    let node = Node::start(&machine, &folder.path().join("node"), &options).await?;
    let rig = Rig::start(&machine, &folder.path().join("rig"), &[url(&node)], &[]).await?;
    let mut best = blocks_after(&node, 0, 2).await?;

    // Once for a moment, in which the connection stays; once for so long that the miner gives it up.
    for until in ["no answer for a second", "no answer for too long"] {
        wait_until_mining(&rig, true).await?;
        let rejected = rejected(&node).await?;
        let log = rig.log();
        let silences =
            || -> Outcome<usize> { Ok(log.text()?.matches("no answer for a second").count()) };
        let before = silences()?;
        node.freeze(Freeze::Stop)?;
        let frozen_at = Instant::now();
        wait_for("the miner to notice", BLOCKS_LIMIT, || {
            let noticed = silences().map(|now| (now > before).then_some(()));
            async move { noticed }
        })
        .await?;
        assert!(!rig.is_mining().await?, "a frozen node is mined for");
        let took = frozen_at.elapsed();
        println!("nothing was mined {took:?} after the node froze");
        // The miner's own bound is 0.9 s; the rest is for a poll, and for a machine that is busy.
        assert!(took < Duration::from_millis(2_500), "{took:?}");
        assert_products_are_exact(&rig, &mut random).await?;
        wait_for(until, BLOCKS_LIMIT, || async move {
            Ok(log.text()?.contains(until).then_some(()))
        })
        .await?;
        node.freeze(Freeze::GoOn)?;
        best = blocks_after(&node, best, 3).await?;
        assert_eq!(
            self::rejected(&node).await?,
            rejected,
            "the node refused what was sent after it thawed"
        );
    }
    let (status, log) = rig.stop().await?;
    assert!(status.success(), "{status}");
    log.assert_no_panic()?;
    node.log().assert_no_panic()
}

/// Seals that came by RPC and were refused.
async fn rejected(node: &Node) -> Outcome<u64> {
    let stats: Value = node.rpc().call("pouw_stats", &[]).await?;
    Ok(stats["rpcRejected"]
        .as_u64()
        .ok_or_else(|| format!("no rpcRejected in {stats}"))?)
}

async fn shares(node: &Node) -> Outcome<Value> {
    node.rpc().call("pouw_shares", &[]).await
}

fn shares_of(report: &Value, rig: &str) -> Option<(u64, u128)> {
    let found = report["rigs"]
        .as_array()?
        .iter()
        .find(|it| it["rig"] == rig)?;
    Some((
        found["shares"].as_u64()?,
        found["macs"].as_str()?.parse().ok()?,
    ))
}

/// What a rig says at its end that was counted.
fn counted_by(log: &Log) -> Outcome<u64> {
    let shares = log
        .after_last("shares ", &[' '])?
        .ok_or("no shares in the log")?;
    Ok(shares.parse()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shares_of_two_rigs_are_counted_and_add_up() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let spec = spec::write(folder.path(), STEADY)?;
    let mut options = NodeOptions::of_spec(&spec).devices("none");
    options
        .more
        .extend(["--share-macs".into(), SHARE_MACS.to_string()]);
    let node = Node::start(&machine, &folder.path().join("node"), &options).await?;
    let nodes = [url(&node)];
    let one = Rig::start(
        &machine,
        &folder.path().join("1"),
        &nodes,
        &["--rig", "one"],
    )
    .await?;
    let two = Rig::start(
        &machine,
        &folder.path().join("2"),
        &nodes,
        &["--rig", "two"],
    )
    .await?;

    let of = &node;
    wait_for("shares of both rigs", BLOCKS_LIMIT, || async move {
        let report = shares(of).await?;
        let enough = ["one", "two"]
            .iter()
            .all(|rig| shares_of(&report, rig).is_some_and(|(shares, _)| shares >= 5));
        Ok(enough.then_some(()))
    })
    .await?;
    let best = blocks_after(&node, 0, 1).await?;
    let (one, two) = (one.stop().await?, two.stop().await?);

    let report = shares(&node).await?;
    println!("{report:#}");
    let mut total = (0, 0);
    for (rig, (status, log)) in [("one", &one), ("two", &two)] {
        assert!(status.success(), "{status}");
        log.assert_no_panic()?;
        let (shares, macs) = shares_of(&report, rig).ok_or("the rig is not listed")?;
        assert_eq!(macs, u128::from(shares) * SHARE_MACS);
        // A rig that ends waits for the answers to what it sent.
        assert_eq!(counted_by(log)?, shares, "shares of {rig}");
        total = (total.0 + shares, total.1 + macs);
    }
    assert_eq!(report["total"]["shares"], json!(total.0));
    assert_eq!(report["total"]["macs"], json!(total.1.to_string()));
    // Every block came from a share.
    let blocks = report["total"]["blocks"].as_u64();
    assert!(blocks.is_some_and(|blocks| blocks >= best), "{report}");
    for rig in report["rigs"].as_array().ok_or("no rigs")? {
        assert_eq!(rig["rejected"]["weak"], 0, "{rig}");
        assert_eq!(rig["rejected"]["malformed"], 0, "{rig}");
        assert_eq!(rig["rejected"]["duplicate"], 0, "{rig}");
        assert!(rig["macsPerS10min"].as_f64() > Some(0.0), "{rig}");
    }
    node.log().assert_no_panic()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_that_wins_seals_the_block_and_wrong_shares_are_told_apart() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let spec = spec::write(folder.path(), spec::LOWEST)?;
    let mut options = NodeOptions::of_spec(&spec).devices("none");
    options
        .more
        .extend(["--share-macs".into(), "100000000".into()]);
    let node = Node::start(&machine, &folder.path().join("node"), &options).await?;
    let rpc = node.rpc();
    let info: Value = rpc.call("pouw_info", &[]).await?;
    assert_eq!(info["shareMacs"], "100000000");

    let mut news = subscribe(rpc).await?;
    let work = next_work(&mut news).await?;
    let now: Value = rpc.call("pouw_getWork", &[]).await?;
    assert_eq!(now["kind"], "work");
    let share = |submission: [Value; 3]| [&[json!("bench")][..], &submission].concat();

    let weak = share(mine_badly(&work, "weak share").await?.submission(&work));
    let refusal = rpc.refused("pouw_submitShare", &weak).await?;
    assert_eq!(refusal.code, WEAK, "{refusal:?}");
    let mut nameless = weak.clone();
    nameless[0] = json!("two words");
    let refusal = rpc.refused("pouw_submitShare", &nameless).await?;
    assert_eq!(refusal.code, MALFORMED, "{refusal:?}");

    // At this difficulty a block is worth less than a share: every share wins, and is worth what the block is.
    let good = share(mine(&work, "good share").await?.submission(&work));
    let answer: Value = rpc.call("pouw_submitShare", &good).await?;
    assert_eq!(answer["macs"], spec::LOWEST.initial_difficulty.to_string());
    assert_eq!(answer["block"], rpc.best_hash().await?);
    let refusal = rpc.refused("pouw_submitShare", &good).await?;
    assert_eq!(refusal.code, STALE, "{refusal:?}");

    let report = shares(&node).await?;
    assert_eq!(report["rigs"][0]["rig"], "bench");
    assert_eq!(report["rigs"][0]["blocks"], 1);
    assert_eq!(report["rigs"][0]["rejected"]["stale"], 1);
    assert_eq!(report["strangers"]["weak"], 1, "{report}");
    node.stop().await?;

    let options = NodeOptions::of_spec(&spec).devices("none");
    let node = Node::start(&machine, &folder.path().join("without"), &options).await?;
    let refusal = node.rpc().refused("pouw_submitShare", &good).await?;
    assert_eq!(refusal.code, SHARES_OFF, "{refusal:?}");
    assert!(refusal.message.contains("--share-macs"), "{refusal:?}");
    node.log().assert_no_panic()
}

/// Starts a miner that must end by itself with status 1 and a sentence with these words.
fn refused(arguments: &[&str], words: &[&str]) -> Outcome<Finished> {
    let finished = binary::finish(
        Command::new(binary::labora()?)
            .args(["miner", "--gemm-listen", "none"])
            .args(arguments),
        REFUSAL_LIMIT,
    )?;
    let text = finished.text();
    println!(
        "{arguments:?}\n    {}",
        text.lines().last().unwrap_or_default()
    );
    assert!(!text.contains("panicked"), "{arguments:?}:\n{text}");
    assert_eq!(finished.code, Some(1), "{arguments:?}:\n{text}");
    for word in words {
        assert!(
            text.contains(word),
            "the error should name `{word}`:\n{text}"
        );
    }
    Ok(finished)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_command_line_or_a_node_that_will_not_do_ends_a_miner_with_a_sentence() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("gemm.sock");
    let socket = socket.to_string_lossy();
    let with = |more: &[&str], words: &[&str]| {
        refused(&[&["--gemm-socket", &socket], more].concat(), words)
    };
    with(&["--node", "http://127.0.0.1:9944"], &["ws://"])?;
    with(&["--node", "127.0.0.1:9944"], &["ws://"])?;
    let nobody = "ws://127.0.0.1:1";
    with(&["--node", nobody, "--devices", "none"], &["--devices"])?;
    with(&["--node", nobody, "--rig", "two words"], &["--rig"])?;
    with(
        &["--node", nobody, "--gemm-token", "no such file"],
        &["--gemm-token"],
    )?;
    with(&["--node", nobody, "--log", "a=b=c"], &["--log"])?;

    let base = folder.path().join("idle");
    let idle = Node::start(&machine, &base, &NodeOptions::dev().following()).await?;
    with(
        &["--node", &url(&idle), "--devices", "cpu:1"],
        &["--mine", &url(&idle)],
    )?;
    idle.stop().await?;

    let mut options = NodeOptions::dev().devices("none");
    options.more.extend(["--rpc-methods".into(), "safe".into()]);
    let base = folder.path().join("safe");
    let safe = Node::start(&machine, &base, &options).await?;
    with(
        &["--node", &url(&safe), "--devices", "cpu:1"],
        &["--rpc-methods unsafe"],
    )?;
    safe.log().assert_no_panic()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rig_waits_for_a_node_that_does_not_answer_yet_and_takes_the_next_that_does() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    // Taken and given back: nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let nobody = format!("ws://127.0.0.1:{port}");

    let alone = Rig::start(
        &machine,
        &folder.path().join("alone"),
        std::slice::from_ref(&nobody),
        &[],
    )
    .await?;
    let log = alone.log();
    wait_for("three attempts", BLOCKS_LIMIT, || async move {
        Ok((log.text()?.matches("; trying ws://").count() >= 3).then_some(()))
    })
    .await?;
    let (status, _) = alone.stop().await?;
    assert!(status.success(), "{status}");

    let spec = spec::write(folder.path(), spec::QUICK)?;
    let options = NodeOptions::of_spec(&spec).devices("none");
    let node = Node::start(&machine, &folder.path().join("node"), &options).await?;
    let nodes = [nobody, url(&node)];
    let rig = Rig::start(&machine, &folder.path().join("rig"), &nodes, &[]).await?;
    blocks_after(&node, 0, 1).await?;
    rig.stop().await?.1.assert_no_panic()?;
    node.log().assert_no_panic()
}
