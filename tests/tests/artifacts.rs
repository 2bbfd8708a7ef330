//! Matrices that a node keeps: one that is killed in the middle of a transfer goes on with it, and a small cap on the disk is kept.

use std::{fs, path::Path, time::Duration};

use labora_tests::{
    Machine, Node, NodeOptions, Outcome,
    http::{Answer, Http},
    seed::Random,
    wait_for,
};
use serde_json::Value;

const MIB: usize = 1 << 20;

/// Until what was sent must be on disk.
const LIMIT: Duration = Duration::from_secs(60);

/// Of a matrix that is transferred.
const SIZE: usize = 20 * MIB;

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
