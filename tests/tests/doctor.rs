//! `labora doctor` before, while and after a node runs, and on what was broken on purpose.

use std::{
    fs, net::TcpListener, os::unix::fs::PermissionsExt, path::Path, process::Command,
    time::Duration,
};

use labora_tests::{
    Machine, Node, NodeOptions, Outcome,
    binary::{self, Finished},
    spec, wait_for,
};
use serde_json::Value;

/// Until the doctor must have looked at everything: two waits of three seconds for those who do not answer, and more for a
/// busy machine.
const DOCTOR_LIMIT: Duration = Duration::from_secs(60);

/// Until the dev chain must have a block.
const BLOCK_LIMIT: Duration = Duration::from_secs(120);

/// Looks at a node on `base` whose RPC answers on this port, with more flags; of the dev chain, if they name no other.
fn doctor(base: &Path, rpc_port: u16, more: &[&str]) -> Outcome<Finished> {
    let port = rpc_port.to_string();
    let mut command = Command::new(binary::labora()?);
    command.arg("doctor").arg("--base-path").arg(base);
    if !more.contains(&"--chain") {
        command.arg("--dev");
    }
    command.args([
        "--rpc-port",
        &port,
        "--no-prometheus",
        "--mine",
        "--devices",
        "cpu:1",
    ]);
    command.args(["--listen-addr", "/ip4/127.0.0.1/tcp/0"]);
    if !more.contains(&"--gemm-listen") {
        command.args(["--gemm-listen", "none"]);
    }
    binary::finish(command.args(more), DOCTOR_LIMIT)
}

/// Puts the vote key of this secret into the keystore of a chain in `base`.
fn insert_key(base: &Path, chain: &str, secret: &str) -> Outcome {
    let mut command = Command::new(binary::labora()?);
    command.args(["key", "insert", "--chain", chain, "--base-path"]);
    command.arg(base).args(["--key-type", "gran"]);
    command.args(["--scheme", "ed25519", "--suri", secret]);
    let finished = binary::finish(&mut command, DOCTOR_LIMIT)?;
    assert_eq!(finished.code, Some(0), "{}", finished.text());
    Ok(())
}

/// What a doctor says of keys, of which the chain must know one only once Alice's is there.
fn finds_the_key_that_votes(
    base: &Path,
    chain: &str,
    rpc_port: u16,
    more: &[&str],
    votes: &str,
) -> Outcome {
    // Without `--dev` or `--alice` it is a validator like any.
    let validator = ["--chain", chain, "--validator", "--author", "//Alice"];
    let flags = [more, &validator].concat();
    insert_key(base, chain, "//Nobody")?;
    let unknown = findings(base, rpc_port, 0, &flags)?;
    let (health, found) = of(&unknown, "keystore")?;
    assert!(
        health == "warning" && found.starts_with("1 key; "),
        "{found}"
    );
    let remedy = finding(&unknown, "keystore").map(|it| it["do"].to_string());
    assert!(
        remedy.is_some_and(|it| it.contains("session.setKeys")),
        "{unknown:#}"
    );
    insert_key(base, chain, "//Alice")?;
    let known = findings(base, rpc_port, 0, &flags)?;
    assert_eq!(of(&known, "keystore")?, ("good", votes));
    Ok(())
}

/// The same, as JSON, which must end with this status.
fn findings(base: &Path, rpc_port: u16, status: i32, more: &[&str]) -> Outcome<Value> {
    let finished = doctor(base, rpc_port, &[more, &["--json"]].concat())?;
    assert_eq!(finished.code, Some(status), "{}", finished.text());
    Ok(serde_json::from_str(&finished.stdout)?)
}

/// Health and words of one finding.
fn of<'a>(findings: &'a Value, what: &str) -> Outcome<(&'a str, &'a str)> {
    let found = finding(findings, what).ok_or_else(|| format!("no {what} in {findings:#}"))?;
    let text = |field: &str| found[field].as_str().unwrap_or_default();
    Ok((text("health"), text("found")))
}

fn finding<'a>(findings: &'a Value, what: &str) -> Option<&'a Value> {
    let mut all = findings.as_array().into_iter().flatten();
    all.find(|it| it["what"] == what)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_sees_a_node_before_while_and_after_it_runs() -> Outcome {
    sees_a_node(&[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn it_sees_a_node_on_the_other_database_that_there_is() -> Outcome {
    sees_a_node(&["--database", "paritydb"]).await
}

/// Looks at a node with these flags before, while and after it runs.
async fn sees_a_node(flags: &[&str]) -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let base = folder.path().join("data");
    let options = NodeOptions {
        more: flags.iter().copied().map(String::from).collect(),
        ..NodeOptions::dev()
    };

    let before = findings(&base, 0, 0, flags)?;
    assert_eq!(
        of(&before, "database")?,
        ("good", "none yet: the first start makes it")
    );
    assert!(of(&before, "devices")?.1.contains("CPU"), "{before:#}");
    assert_eq!(of(&before, "chain spec")?.0, "good");

    let node = Node::start(&machine, &base, &options).await?;
    let rpc = node.rpc();
    wait_for("a block", BLOCK_LIMIT, || async move {
        Ok((rpc.best_number().await? > 0).then_some(()))
    })
    .await?;
    let port = node.rpc_address().port();
    let while_it_runs = findings(&base, port, 0, flags)?;
    assert_eq!(
        of(&while_it_runs, "database")?,
        ("good", "in use by the node that runs")
    );
    assert_eq!(of(&while_it_runs, "peers")?, ("good", "0"));
    let (health, newest) = of(&while_it_runs, "newest block")?;
    assert!(health == "good" && newest.starts_with("block "), "{newest}");
    assert_eq!(of(&while_it_runs, "port of RPC")?.0, "good");
    let votes = "2 keys; one of them votes";
    finds_the_key_that_votes(&base, "dev", port, flags, votes)?;
    // The same port, but asked about another chain.
    let of_another = findings(&base, port, 1, &[flags, &["--chain", "local"]].concat())?;
    let (health, found) = of(&of_another, "port of RPC")?;
    assert!(
        health == "bad" && found.contains("a node of another chain"),
        "{found}"
    );
    assert_eq!(
        of(&of_another, "database")?,
        ("good", "none yet: the first start makes it")
    );
    assert!(finding(&of_another, "peers").is_none(), "{of_another:#}");
    let best = node.rpc().best_number().await?;
    assert!(node.stop().await?.success());

    let after = findings(&base, 0, 0, flags)?;
    let (health, stands) = of(&after, "database")?;
    assert_eq!(health, "good");
    let number = stands
        .strip_prefix("block ")
        .and_then(|rest| rest.split(',').next());
    let number: u64 = number.ok_or(stands)?.parse()?;
    assert!(number >= best, "{stands}, and the node had {best}");
    // It changed nothing: the node starts again on what it has.
    let node = Node::start(&machine, &base, &options).await?;
    assert!(node.rpc().best_number().await? >= number);
    node.log().assert_no_panic()
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_start_it_tells_a_key_that_votes_by_genesis() -> Outcome {
    let _machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let base = folder.path().join("data");
    let votes = "2 keys; one of them votes from genesis on";
    finds_the_key_that_votes(&base, "local", 0, &[], votes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_spec_that_no_node_starts_on_is_told_of() -> Outcome {
    let _machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let base = folder.path().join("data");
    let mut spec = spec::dev()?;
    let terms = &mut spec["genesis"]["runtimeGenesis"]["patch"]["eras"]["terms"];
    assert!(terms["unbondingEras"].is_u64(), "{terms}");
    terms["unbondingEras"] = 1.into();
    let path = folder.path().join("spec.json");
    fs::write(&path, serde_json::to_vec(&spec)?)?;
    let path = path.to_string_lossy();
    let flags = ["--chain", &*path, "--author", "//Alice"];
    let found = findings(&base, 0, 1, &flags)?;
    let (health, words) = of(&found, "chain spec")?;
    // The sentence that the node logs, and not the trap that it ends with.
    assert!(
        health == "bad" && words.contains("raise unbondingEras"),
        "{words}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_broken_is_found_and_says_what_to_do() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let base = folder.path().join("data");
    let node = Node::start(&machine, &base, &NodeOptions::dev()).await?;
    assert!(node.stop().await?.success());

    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let port = findings(&base, 0, 1, &["--gemm-listen", &address])?;
    let (health, found) = of(&port, "port of products")?;
    assert!(
        health == "bad" && found.contains("in use by another program"),
        "{found}"
    );

    let chain = fs::read_dir(base.join("chains"))?
        .next()
        .ok_or("no chain")??
        .path();
    let key = chain.join("network").join("secret_ed25519");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644))?;
    let text = doctor(&base, 0, &[])?;
    assert_eq!(text.code, Some(1), "{}", text.text());
    assert!(text.stdout.contains("chmod 600"), "{}", text.text());
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;

    let current = chain.join("db").join("full").join("CURRENT");
    fs::write(&current, b"nonsense")?;
    let broken = findings(&base, 0, 1, &[])?;
    assert_eq!(of(&broken, "database")?.0, "bad");
    fs::remove_file(&current)?;
    let damaged = findings(&base, 0, 1, &[])?;
    let (health, found) = of(&damaged, "database")?;
    assert!(health == "bad" && found.contains("is damaged"), "{found}");

    // Nobody listens where this peer is said to be.
    let gone = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let peer = format!(
        "/ip4/127.0.0.1/tcp/{gone}/p2p/12D3KooWHNTjzDDw5vBZaYjYRi9qivnDdopwKe9QBM4NsQnfJU7S"
    );
    let alone = findings(&base, 0, 1, &["--bootnodes", &peer])?;
    assert_eq!(
        of(&alone, "nodes to begin with")?,
        ("bad", "0 of 1 take connections")
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_contradicts_the_database_is_named_and_no_node_starts_on_it() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let (base, elsewhere) = (folder.path().join("data"), folder.path().join("elsewhere"));
    fs::create_dir(&elsewhere)?;
    let spec = spec::write_with_validators(folder.path(), spec::QUICK, spec::Sessions::Short)?;
    let other = spec::write_with_validators(&elsewhere, spec::NETWORK, spec::Sessions::Short)?;
    let options = NodeOptions::of_spec(&spec);
    let node = Node::start(&machine, &base, &options).await?;
    let rpc = node.rpc();
    wait_for("three blocks", BLOCK_LIMIT, || async move {
        Ok((rpc.best_number().await? > 3).then_some(()))
    })
    .await?;
    node.stop_well().await?;

    let false_block = format!("1:0x{}", "11".repeat(32));
    let of_other = NodeOptions::of_spec(&other);
    let with = |more: &[&str]| {
        let mut options = options.clone();
        options.more.extend(more.iter().copied().map(String::from));
        options
    };
    let cases: [(&Path, NodeOptions, &[&str], &str); 3] = [
        (&other, of_other, &[], "of another chain"),
        (
            &spec,
            with(&["--checkpoint", &false_block]),
            &["--checkpoint", &false_block],
            "--checkpoint says",
        ),
        (
            &spec,
            with(&["--state-pruning", "archive"]),
            &["--state-pruning", "archive"],
            "pruning",
        ),
    ];
    for (spec, options, flags, words) in cases {
        let spec = spec.to_str().ok_or("a path that is no text")?;
        let flags = [&["--chain", spec, "--author", "//Ferdie"], flags].concat();
        let found = findings(&base, 0, 1, &flags)?;
        let (health, said) = of(&found, "database")?;
        assert!(health == "bad" && said.contains(words), "{said}");
        binary::refused(&options.arguments(&base), &[words])?;
    }
    let spec = spec.to_str().ok_or("a path that is no text")?;
    let found = findings(&base, 0, 0, &["--chain", spec, "--author", "//Ferdie"])?;
    assert_eq!(of(&found, "database")?.0, "good");
    Ok(())
}
