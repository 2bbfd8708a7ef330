//! Matrices that a node keeps: one that is killed in the middle of a transfer goes on with it, from a client or from peers; a small cap on
//! the disk is kept, and a disk that is full breaks nothing.

use std::{fs, path::Path, time::Duration};

use labora_tests::{
    Machine, Node, NodeOptions, Outcome,
    disk::{Mount, fill},
    http::{self, Answer, Http},
    proxy::{Link, Proxy},
    seed::Random,
    wait_for,
};
use serde_json::Value;

const MIB: usize = 1 << 20;

/// Until what was sent must be on disk.
const LIMIT: Duration = Duration::from_secs(60);

/// Of a matrix that is transferred.
const SIZE: usize = 20 * MIB;

/// Of one that goes from node to node.
const LARGE: usize = 40_000_000;

const OCTETS: &str = "content-type: application/octet-stream";
const BAO: &str = "content-type: application/vnd.bao";
const BAO_WANTED: &str = "accept: application/vnd.bao";

/// The head of a request with a body of so many bytes.
fn head(method: &str, path: &str, fields: &[&str], bytes: usize) -> Vec<u8> {
    let mut head = format!("{method} /v1/artifacts{path} HTTP/1.1\r\nhost: localhost\r\n");
    for field in fields {
        head += &format!("{field}\r\n");
    }
    head += &format!("content-length: {bytes}\r\n\r\n");
    head.into_bytes()
}

async fn exchange(
    node: &Node,
    method: &str,
    path: &str,
    fields: &[&str],
    body: &[u8],
) -> Outcome<Answer> {
    let mut http = Http::tcp(node.gemm_address()?).await?;
    let head = head(method, path, fields, body.len());
    http.send(&[&head[..], body].concat()).await?;
    let answer = http.answer().await?;
    Ok(answer.ok_or("the node closed the connection")?)
}

/// A node that keeps up to 64 MiB.
async fn start(machine: &Machine, base: &Path) -> Outcome<Node> {
    let mut options = NodeOptions::dev().following();
    options.more.extend(["--artifacts".into(), "64MiB".into()]);
    Node::start(machine, base, &options).await
}

/// A node with metrics that keeps up to 64 MiB, beside `more`.
async fn start_with(machine: &Machine, base: &Path, more: &[&str]) -> Outcome<Node> {
    let mut options = NodeOptions::dev().following();
    options.more.extend(["--artifacts".into(), "64MiB".into()]);
    options.more.extend(more.iter().map(|it| (*it).to_owned()));
    Node::start_with(machine, base, &options.arguments_with_metrics(base)).await
}

/// Waits until a node has a peer.
async fn wait_for_peer(node: &Node) -> Outcome {
    let rpc = node.rpc();
    wait_for("a peer", LIMIT, || async move {
        Ok((rpc.peers().await? > 0).then_some(()))
    })
    .await
}

/// Stores bytes; their root.
async fn post(node: &Node, data: &[u8]) -> Outcome<String> {
    let put = exchange(node, "POST", "", &[OCTETS], data).await?;
    assert_eq!(put.status, 201, "{}", put.text());
    let put: Value = serde_json::from_slice(&put.body)?;
    Ok(put["root"].as_str().ok_or("no root")?.to_owned())
}

/// Has a node fetch an artifact from its peers.
async fn fetch(node: &Node, root: &str, bytes: usize) -> Outcome<Answer> {
    let path = format!("/{root}/fetch?bytes={bytes}");
    exchange(node, "POST", &path, &[], &[]).await
}

/// A metric that has no labels but the chain's.
async fn metric(node: &Node, name: &str) -> Outcome<f64> {
    let text = http::metrics(node.log()).await?;
    let is_it = |line: &&str| line.split(['{', ' ']).next() == Some(name);
    let line = text.lines().find(is_it);
    let value = line.and_then(|line| line.rsplit(' ').next());
    Ok(value.ok_or_else(|| format!("no {name}"))?.parse()?)
}

/// Bytes on disk below a folder.
fn on_disk(folder: &Path) -> Outcome<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        sum += match path.is_dir() {
            true => on_disk(&path)?,
            false => fs::metadata(&path)?.len(),
        };
    }
    Ok(sum)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_has_whole_matrices_and_goes_on_with_the_others() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let (here, there) = (folder.path().join("here"), folder.path().join("there"));
    let (node, other) = (
        start(&machine, &here).await?,
        start(&machine, &there).await?,
    );
    let mut random = Random::of_test(0x4152_5401);
    let data = random.bytes(SIZE);
    let put = exchange(&node, "POST", "", &[OCTETS], &data).await?;
    assert_eq!(put.status, 201, "{}", put.text());
    let put: Value = serde_json::from_slice(&put.body)?;
    let root = put["root"].as_str().ok_or("no root")?.to_owned();
    let path = format!("/{root}");
    let encoded = exchange(&node, "GET", &path, &[BAO_WANTED], &[])
        .await?
        .body;

    // Half of it comes to another node, which is killed then.
    let mut http = Http::tcp(other.gemm_address()?).await?;
    let to = format!("{path}?bytes={SIZE}");
    http.send(&head("PUT", &to, &[BAO], encoded.len())).await?;
    http.send(&encoded[..encoded.len() / 2]).await?;
    let partial = there.join(format!("artifacts/partial/{root}.data"));
    wait_for("what came to be on disk", LIMIT, || {
        // Each byte is at its place in a file of the whole size.
        let bytes = fs::read(&partial).unwrap_or_default();
        let third = SIZE / 3..SIZE / 3 + 1_000;
        let has_come = bytes.get(third.clone()) == data.get(third);
        async move { Ok(has_come.then_some(())) }
    })
    .await?;
    other.kill()?;

    let other = start(&machine, &there).await?;
    let got = exchange(&other, "GET", &path, &[], &[]).await?;
    assert_eq!(got.status, 404, "it is not whole");
    let missing = format!("{path}/missing?bytes={SIZE}");
    let missing = exchange(&other, "GET", &missing, &[], &[]).await?;
    let missing: Value = serde_json::from_slice(&missing.body)?;
    let from = missing["missing"][0][0].as_u64();
    let from = from.ok_or("nothing is missing")? as usize;
    assert!(
        (SIZE / 3..SIZE).contains(&from),
        "it begins anew: {missing}"
    );

    // The first node gives what is missing, and no more.
    let range = format!("range: bytes={from}-");
    let rest = exchange(&node, "GET", &path, &[BAO_WANTED, &range], &[]).await?;
    assert_eq!(rest.status, 206, "{}", rest.text());
    assert!(rest.body.len() < SIZE - from + SIZE / 100);
    let to = format!("{path}?bytes={SIZE}&from={from}");
    let put = exchange(&other, "PUT", &to, &[BAO], &rest.body).await?;
    assert_eq!(put.status, 201, "{}", put.text());
    let got = exchange(&other, "GET", &path, &[], &[]).await?;
    assert!(got.body == data, "another matrix came out");

    // Three more pass the cap, unless one goes.
    for number in 0..3 {
        let more = random.bytes(SIZE);
        let put = exchange(&other, "POST", "", &[OCTETS], &more).await?;
        assert_eq!(put.status, 201, "{number}: {}", put.text());
        assert!(on_disk(&there.join("artifacts"))? <= 64 * MIB as u64);
    }
    let got = exchange(&other, "GET", &path, &[], &[]).await?;
    assert_eq!(got.status, 404, "it was not used for longest");
    for node in [node, other] {
        node.log().assert_no_panic()?;
        node.stop_well().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_fetches_from_peers_goes_on_after_a_kill_and_says_what_nobody_has() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let base = |name| folder.path().join(name);
    let first = start_with(&machine, &base("first"), &[]).await?;
    let data = Random::of_test(0x4152_5402).bytes(LARGE);
    let root = post(&first, &data).await?;

    // Another knows the first one alone, over a line that takes a quarter of a second each way.
    let (line, address) = Proxy::to_node(&first.address().await?).await?;
    let alone = ["--reserved-only", "--reserved-nodes", address.as_str()];
    let second = start_with(&machine, &base("second"), &alone).await?;
    wait_for_peer(&second).await?;
    line.set(Link::Slow(Duration::from_millis(250)));
    let mut http = Http::tcp(second.gemm_address()?).await?;
    let path = format!("/{root}/fetch?bytes={LARGE}");
    http.send(&head("POST", &path, &[], 0)).await?;
    let partial = base("second").join(format!("artifacts/partial/{root}.data"));
    let quarter = LARGE / 4..LARGE / 4 + 1_000;
    wait_for("a quarter of it", LIMIT, || {
        let bytes = fs::read(&partial).unwrap_or_default();
        let has_come = bytes.get(quarter.clone()) == data.get(quarter.clone());
        async move { Ok(has_come.then_some(())) }
    })
    .await?;
    second.kill()?;

    line.set(Link::Up);
    let second = start_with(&machine, &base("second"), &alone).await?;
    let path = format!("/{root}");
    let got = exchange(&second, "GET", &path, &[], &[]).await?;
    assert_eq!(got.status, 404, "it was killed too late");
    wait_for_peer(&second).await?;
    let fetched = fetch(&second, &root, LARGE).await?;
    assert_eq!(fetched.status, 201, "{}", fetched.text());
    let got = exchange(&second, "GET", &path, &[], &[]).await?;
    assert!(got.body == data, "another matrix came out");
    // What had come was not asked for again, but for what was on its way.
    let came = metric(&second, "labora_artifacts_fetched_bytes_total").await?;
    assert!(came <= (LARGE - LARGE / 5) as f64, "it began anew: {came}");
    let served = metric(&first, "labora_artifacts_served_bytes_total").await?;
    assert!(
        (LARGE as f64..LARGE as f64 * 1.2).contains(&served),
        "{served}"
    );

    let bootnode = first.address().await?;
    let third = start_with(&machine, &base("third"), &["--bootnodes", &bootnode]).await?;
    wait_for_peer(&third).await?;
    let nobody = fetch(&third, &"11".repeat(32), 1_000).await?;
    assert_eq!(nobody.status, 404, "{}", nobody.text());
    let words = "no peer that is reachable has artifact 1111";
    assert!(nobody.text().contains(words), "{}", nobody.text());
    let fetched = fetch(&third, &root, LARGE).await?;
    assert_eq!(fetched.status, 201, "{}", fetched.text());
    for node in [first, second, third] {
        node.log().assert_no_panic()?;
        node.stop_well().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_named_and_breaks_nothing() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let disk = folder.path().join("disk");
    fs::create_dir(&disk)?;
    let Some(_mounted) = Mount::on(&disk, 80) else {
        println!("not run: this user may not mount a tmpfs");
        return Ok(());
    };
    let other = start_with(&machine, &folder.path().join("other"), &[]).await?;
    let mut random = Random::of_test(0x4152_5403);
    let theirs = random.bytes(SIZE);
    let theirs_root = post(&other, &theirs).await?;

    let kept = disk.join("kept");
    let (bootnode, kept_at) = (other.address().await?, kept.display().to_string());
    let more = ["--bootnodes", &bootnode, "--artifacts-path", &kept_at];
    let node = start_with(&machine, &folder.path().join("node"), &more).await?;
    let small = random.bytes(5 * MIB);
    let small_root = post(&node, &small).await?;
    wait_for_peer(&node).await?;

    let filler = disk.join("filler");
    fill(&filler)?;
    let ours = random.bytes(SIZE);
    let refused = exchange(&node, "POST", "", &[OCTETS], &ours).await?;
    assert_eq!(refused.status, 507, "{}", refused.text());
    assert!(refused.text().contains("make room"), "{}", refused.text());
    let refused = fetch(&node, &theirs_root, SIZE).await?;
    assert_eq!(refused.status, 507, "{}", refused.text());
    assert!(refused.text().contains("make room"), "{}", refused.text());
    let got = exchange(&node, "GET", &format!("/{small_root}"), &[], &[]).await?;
    assert!(got.body == small, "what was there is damaged");
    assert_eq!(on_disk(&kept.join("uploads"))?, 0, "an upload was left");

    fs::remove_file(&filler)?;
    let root = post(&node, &ours).await?;
    let fetched = fetch(&node, &theirs_root, SIZE).await?;
    assert_eq!(fetched.status, 201, "{}", fetched.text());
    for (root, data) in [(root, ours), (theirs_root, theirs), (small_root, small)] {
        let got = exchange(&node, "GET", &format!("/{root}"), &[], &[]).await?;
        assert!(got.body == data, "another matrix came out");
    }
    for node in [node, other] {
        node.log().assert_no_panic()?;
        node.stop_well().await?;
    }
    Ok(())
}
