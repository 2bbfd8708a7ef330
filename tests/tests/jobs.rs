//! Jobs that nodes work on and audit: four validators, two miners, and posters, miners and auditors that cheat; and a
//! researcher's program that posts its own.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use labora_tests::{
    Machine, Node, NodeOptions, Outcome, Testnet, binary, js, python,
    spec::{self, VALIDATORS},
    validators::Network,
    wait_for,
};

/// A job is audited for sixty blocks of a second or two, and one that failed is done again.
const LIMIT: Duration = Duration::from_secs(600);

/// Three small jobs, and a large one until a block was mined on it.
const LIMIT_OF_PAID: Duration = Duration::from_secs(1_200);

/// A file with the secret of a well-known account.
fn key(network: &Network, uri: &str) -> Outcome<PathBuf> {
    let path = network.base(&format!("key{}", uri.replace('/', "-")));
    fs::write(&path, uri)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(path)
}

fn with_jobs(mut options: NodeOptions, flags: &[&str], key: &str) -> NodeOptions {
    let kept = ["--artifacts", "256MiB", "--job-key", key];
    let all = kept.iter().chain(flags);
    options.more.extend(all.map(|flag| (*flag).to_owned()));
    options
}

/// Four validators, of which all but the last audit.
async fn validators(network: &mut Network) -> Outcome<Vec<Node>> {
    let mut nodes = Vec::new();
    for (at, one) in VALIDATORS.iter().enumerate() {
        let mut options = network.options().following();
        options.more.extend(one.arguments());
        let name = one.flag.trim_start_matches('-');
        if at + 1 < VALIDATORS.len() {
            let mut uri = format!("//{name}");
            uri[2..3].make_ascii_uppercase();
            let key = key(network, &uri)?;
            options = with_jobs(options, &["--audit"], &key.to_string_lossy());
        }
        nodes.push(network.start(name, &options).await?);
    }
    Ok(nodes)
}

/// A miner that works for `uri`.
async fn worker(network: &mut Network, name: &str, author: &'static str) -> Outcome<Node> {
    let key = key(network, author)?;
    let options = NodeOptions {
        author,
        ..network.options()
    };
    let flags = ["--work", "--min-price", "0.001"];
    let options = with_jobs(options, &flags, &key.to_string_lossy());
    network.start(name, &options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_done_audited_and_paid_whoever_cheats() -> Outcome {
    let mut network = Network::with_public_sessions(spec::NETWORK).await?;
    let nodes = validators(&mut network).await?;
    let first = worker(&mut network, "first", "//Ferdie").await?;
    let second = worker(&mut network, "second", "//Bob//worker").await?;
    // A poster keeps its matrices with the first auditor's node.
    let endpoint = format!("http://{}", nodes[0].gemm_address()?);
    let mut script = js::script("jobs.mjs", &nodes[0])?;
    script.arg(&endpoint);
    let cases = [
        "paid",
        "wrong",
        "vanished",
        "withheld",
        "unfetchable",
        "copied",
        "made-up",
    ];
    script.args(cases);
    let told = binary::run(script, LIMIT).await;
    for node in nodes.iter().chain([&first, &second]) {
        node.log().assert_no_panic()?;
    }
    println!("{}", told?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_goes_on_with_its_claim_though_the_posters_node_is_gone() -> Outcome {
    let mut network = Network::with_public_sessions(spec::NETWORK).await?;
    let nodes = validators(&mut network).await?;
    let mut options = network.options().following();
    let keeps = ["--artifacts", "256MiB"].map(String::from);
    options.more.extend(keeps);
    let posters = network.start("posters", &options).await?;
    let first = worker(&mut network, "first", "//Ferdie").await?;
    let [keeps, gives] = [&posters, &nodes[0]].map(Node::gemm_address);
    let mut script = js::script("jobs.mjs", &nodes[0])?;
    script.arg(format!("http://{},http://{}", keeps?, gives?));
    script.arg("paid");
    let telling = tokio::spawn(binary::run(script, LIMIT));
    wait_for("a claim", LIMIT, || async {
        let text = first.log().text()?;
        Ok(text.contains("claimed job 0").then_some(()))
    })
    .await?;
    first.kill()?;
    // Auditors have the matrices of the worker then, which kept them for that.
    posters.kill()?;
    let first = worker(&mut network, "first", "//Ferdie").await?;
    println!("{}", telling.await??);
    let text = first.log().text()?;
    // Claimed, or by then submitted; in either case once.
    assert!(text.contains("takes up job 0"), "{text}");
    assert!(!text.contains("claimed job 0:"), "{text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_networks_layers_and_many_large_products_are_done_as_paid_jobs() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let base = folder.path().join("network");
    let at = base.to_string_lossy().into_owned();
    // One miner: all that it does for a job counts. Whether a block comes meanwhile is chance, more so the faster it is; each
    // job is larger than the one before, so that ten without any come less than once in a thousand runs.
    let flags = [
        "--miners",
        "1",
        "--preset",
        "dev",
        "--market",
        "--base-path",
        &at,
    ];
    let network = Testnet::start(&machine, &folder.path().join("said"), &flags)?;
    // It answers; its miners have yet to earn what they put up as bonds.
    network.rpc("validator-1").await?;
    let line = network.said().after_last("validator-1: RPC ", &[])?;
    let line = line.ok_or("no address")?;
    let url = line.split(',').next().unwrap_or_default();
    let matrices = line.split("matrices ").nth(1).ok_or("no matrices")?;
    let mut paid = python::command("demo")?;
    paid.args(["paid.py", "--url", url, "--matrices", matrices]);
    paid.arg("--key").arg(base.join("validator-1/job-key"));
    // The audit takes minutes of blocks; other tests wait for theirs.
    paid.args(["--accept", "--limit", "600", "--tries", "10"]);
    println!("{}", binary::run(paid, LIMIT_OF_PAID).await?);
    Ok(())
}
