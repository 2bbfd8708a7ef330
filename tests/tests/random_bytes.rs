//! Ten thousand random byte strings to each endpoint: an error each, no panic, and the node goes on mining.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use labora_tests::{
    Machine, Node, NodeOptions, Outcome,
    gemm::{OCTETS, Product},
    http::Http,
    rpc::{Rpc, hex_of},
    seed::Random,
    spec, wait_for,
    websocket::{Kind, WebSocket},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// Strings for each endpoint.
const STRINGS: usize = 10_000;

/// Connections that share them.
const LANES: usize = 8;

/// Requests on their way on one connection.
const PIPELINE: usize = 25;

/// Connections in a row that a server may close without an answer to one string.
const MOST_IN_VAIN: usize = 20;

/// Longest string: a whole proof at k = 256 is a third of it; most are far shorter.
const LONGEST: usize = 24 << 10;

const BLOCK_LIMIT: Duration = Duration::from_secs(60);

/// Until a peer that sent nonsense must have been dropped: the SDK gives a handshake twenty seconds.
const DROP_LIMIT: Duration = Duration::from_secs(30);

async fn miner(machine: &Machine, folder: &tempfile::TempDir) -> Outcome<Node> {
    let spec = spec::write(folder.path(), spec::NETWORK)?;
    let node = Node::start(
        machine,
        &folder.path().join("node"),
        &NodeOptions::of_spec(&spec),
    )
    .await?;
    assert_still_mines(&node).await?;
    Ok(node)
}

async fn assert_still_mines(node: &Node) -> Outcome {
    node.log().assert_no_panic()?;
    let rpc = node.rpc();
    let before = rpc.best_number().await?;
    wait_for("a block after all of that", BLOCK_LIMIT, || async move {
        Ok((rpc.best_number().await? > before).then_some(()))
    })
    .await?;
    node.log().assert_no_panic()
}

/// Runs `lane` in each of the lanes with its share of the strings.
async fn in_lanes<F, L>(random: &Random, lane: L) -> Outcome
where
    L: Fn(Random, usize) -> F,
    F: Future<Output = Outcome> + Send + 'static,
{
    let mut lanes = JoinSet::new();
    for index in 0..LANES {
        lanes.spawn(lane(random.part(&format!("lane {index}")), STRINGS / LANES));
    }
    while let Some(ended) = lanes.join_next().await {
        ended??;
    }
    Ok(())
}

/// Posts strings one after the other, and checks the answers until the server closes the connection; how many there were.
async fn json_rpc_answers(http: &mut Http, strings: &[Vec<u8>]) -> Outcome<usize> {
    for string in strings {
        // A server that has closed meanwhile may still have answered the first of them.
        if http.post("/", "application/json", string).await.is_err() {
            break;
        }
    }
    for (index, string) in strings.iter().enumerate() {
        // Closing with bytes unread can take back what was on its way to this side.
        let Ok(Some(answer)) = http.answer().await else {
            return Ok(index);
        };
        if answer.status == 200 {
            assert_json_error(&answer.body, string)?;
        } else {
            let (status, text) = (answer.status, answer.text());
            assert!((400..500).contains(&status), "{status}: {text}");
        }
    }
    Ok(strings.len())
}

/// Fails unless a JSON-RPC answer, or each one of a batch, is an error with a code and a sentence.
fn assert_json_error(body: &[u8], sent: &[u8]) -> Outcome {
    let sent = || String::from_utf8_lossy(&sent[..sent.len().min(80)]).into_owned();
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        format!(
            "{error} in {:?}, the answer to {:?}",
            String::from_utf8_lossy(body),
            sent()
        )
    })?;
    let fine = value["error"]["code"].is_i64() && value["error"]["message"].is_string();
    if fine {
        Ok(())
    } else {
        Err(format!("{value} is no error, and was the answer to {:?}", sent()).into())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_bodies_to_json_rpc_over_http() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let node = miner(&machine, &folder).await?;
    let address = node.rpc_address();
    in_lanes(
        &Random::of_test(0x5250_4331),
        move |mut random, share| async move {
            let mut http = Http::tcp(address).await?;
            for _ in 0..share / PIPELINE {
                let strings: Vec<Vec<u8>> = (0..PIPELINE).map(|_| random.string(LONGEST)).collect();
                let (mut answered, mut in_vain) = (0, 0);
                while answered < strings.len() {
                    // After a connection that answered nothing, one string at a time.
                    let many = if in_vain == 0 { PIPELINE } else { 1 };
                    let left = strings.len().min(answered + many);
                    let more = json_rpc_answers(&mut http, &strings[answered..left]).await?;
                    answered += more;
                    in_vain = if more == 0 { in_vain + 1 } else { 0 };
                    if in_vain > MOST_IN_VAIN {
                        return Err("JSON-RPC closes connections without an answer".into());
                    }
                    // Of bytes that cannot begin a request the server need not read the rest: where that was still on
                    // its way it closes the connection after its answer.
                    if answered < left {
                        http = Http::tcp(address).await?;
                    }
                }
            }
            Ok(())
        },
    )
    .await?;
    assert_still_mines(&node).await
}

#[tokio::test(flavor = "multi_thread")]
async fn random_messages_to_json_rpc_over_a_websocket() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let node = miner(&machine, &folder).await?;
    let address = node.rpc_address();
    let random = Random::of_test(0x5250_4332);
    in_lanes(&random, move |mut random, share| async move {
        let mut socket = WebSocket::connect(address, random.part("masks")).await?;
        for _ in 0..share / PIPELINE {
            // Binary frames may hold anything; text ones must be UTF-8, or the connection ends: that comes below.
            let strings: Vec<Vec<u8>> = (0..PIPELINE).map(|_| random.string(LONGEST)).collect();
            for string in &strings {
                socket.send(Kind::Binary, string).await?;
            }
            // Answers may come in any order, one for each message.
            for string in &strings {
                let answer = socket
                    .receive()
                    .await?
                    .ok_or("JSON-RPC closed the connection")?;
                assert_json_error(&answer, string)?;
            }
        }
        Ok(())
    })
    .await?;
    // Bytes that are no frames: each needs a connection of its own, which ends.
    let mut random = random.part("no frames");
    for _ in 0..STRINGS / 20 {
        let mut socket = WebSocket::connect(address, random.part("masks")).await?;
        // A server that has enough may close while the rest is still being sent.
        let _ = socket.send_raw(&random.string(LONGEST)).await;
    }
    assert_still_mines(&node).await
}

/// Calls `method` with random parameters, many at a time; each call must be refused, and none may end the connection.
async fn random_calls(
    address: SocketAddr,
    random: &Random,
    method: &'static str,
    parameters: fn(&mut Random) -> Vec<Value>,
) -> Outcome {
    in_lanes(random, move |mut random, share| async move {
        let rpc = Arc::new(Rpc::connect(address).await?);
        for _ in 0..share / PIPELINE {
            let mut calls = JoinSet::new();
            for _ in 0..PIPELINE {
                let (rpc, parameters) = (rpc.clone(), parameters(&mut random));
                calls.spawn(async move { rpc.refused(method, &parameters).await });
            }
            while let Some(refusal) = calls.join_next().await {
                let refusal = refusal??;
                assert!(
                    !refusal.message.is_empty() && refusal.code < 0 || refusal.code > 1_000,
                    "{method}: {refusal:?}"
                );
            }
        }
        Ok(())
    })
    .await
    .map_err(|error| format!("{method}: {error}").into())
}

fn hex_string(random: &mut Random, longest: usize) -> Value {
    hex_of(&random.string(longest)).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn random_parameters_to_the_methods_that_decode_bytes() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let node = miner(&machine, &folder).await?;
    let address = node.rpc_address();
    let random = Random::of_test(0x5250_4333);
    random_calls(address, &random, "pouw_submitSeal", |random| {
        // Often a hash of the right length, so that what comes after it is looked at too.
        let hash = if random.between(0, 3) > 0 {
            hex_of(&random.bytes(32)).into()
        } else {
            hex_string(random, 64)
        };
        let seal = if random.between(0, 3) > 0 {
            hex_of(&random.bytes(84)).into()
        } else {
            hex_string(random, 200)
        };
        vec![hash, seal, hex_string(random, LONGEST)]
    })
    .await?;
    random_calls(address, &random, "pouw_blockProof", |random| {
        vec![if random.between(0, 3) > 0 {
            hex_of(&random.bytes(32)).into()
        } else {
            hex_string(random, LONGEST)
        }]
    })
    .await?;
    random_calls(address, &random, "author_submitExtrinsic", |random| {
        vec![hex_string(random, LONGEST)]
    })
    .await?;
    assert_still_mines(&node).await
}

#[tokio::test(flavor = "multi_thread")]
async fn random_bodies_and_random_requests_to_the_gemm_endpoint() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let node = miner(&machine, &folder).await?;
    let address = node.gemm_address()?;
    let random = Random::of_test(0x4745_4D4D);
    in_lanes(&random, move |mut random, share| async move {
        let mut http = Http::tcp(address).await?;
        for _ in 0..share {
            let body = random.string(LONGEST);
            let [m, n, k] = [40, 40, 400].map(|longest| random.between(0, longest));
            let answer = http
                .exchange(&format!("/v1/products?m={m}&n={n}&k={k}"), OCTETS, &body)
                .await?;
            let fits = (m + n) * k == body.len() as u64 && m * n * k > 0;
            let expected = if fits { 200 } else { 400 };
            assert_eq!(
                answer.status,
                expected,
                "{m}×{k}×{n}, {} bytes: {}",
                body.len(),
                answer.text()
            );
            if answer.field("connection") == Some("close") {
                http = Http::tcp(address).await?;
            }
        }
        Ok(())
    })
    .await?;

    // Bytes that are no HTTP: an answer of 4xx or the end of the connection.
    let mut random = random.part("no HTTP");
    for _ in 0..STRINGS / 20 {
        let mut http = Http::tcp(address).await?;
        let mut string = random.string(LONGEST);
        string.extend_from_slice(b"\r\n\r\n");
        // It may close before it has all, which is its right.
        let _ = http.send(&string).await;
        let _ = http.end().await;
        if let Ok(Some(answer)) = http.answer().await {
            assert!(
                (400..500).contains(&answer.status),
                "{}: {}",
                answer.status,
                answer.text()
            );
        }
    }
    let product = Product::random(&mut random, [30, 30, 300], -128, 127);
    product
        .assert_exact_from(&mut Http::tcp(address).await?)
        .await?;
    assert_still_mines(&node).await
}

#[tokio::test(flavor = "multi_thread")]
async fn random_bytes_to_the_port_where_peers_come() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let node = miner(&machine, &folder).await?;
    let multiaddress = node.address().await?;
    let port: u16 = multiaddress
        .split('/')
        .nth(4)
        .ok_or("no port in the address")?
        .parse()?;
    // How a connection of libp2p begins, after which the bytes reach the next layer.
    let greetings: [&[u8]; 3] = [
        b"",
        b"\x13/multistream/1.0.0\n",
        b"\x13/multistream/1.0.0\n\x07/noise\n",
    ];
    in_lanes(
        &Random::of_test(0x5032_5031),
        move |mut random, share| async move {
            for _ in 0..share {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
                let mut bytes = greetings[random.between(0, 2) as usize].to_vec();
                bytes.extend(random.string(2_048));
                // The node may drop the connection at any byte, which is its right.
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                let mut said = Vec::new();
                let _ = tokio::time::timeout(DROP_LIMIT, stream.read_to_end(&mut said))
                    .await
                    .map_err(|_| "a peer that sent nonsense and nothing more was not dropped")?;
            }
            Ok(())
        },
    )
    .await?;
    assert_still_mines(&node).await?;

    // Real peers are still welcome.
    let options = NodeOptions::of_spec(&folder.path().join("spec.json"))
        .following()
        .bootnode(multiaddress);
    let peer = Node::start(&machine, &folder.path().join("peer"), &options).await?;
    let target = node.rpc().best_number().await?;
    let rpc = peer.rpc();
    wait_for(
        "a real peer to follow after all of that",
        BLOCK_LIMIT,
        || async move { Ok((rpc.best_number().await? >= target).then_some(())) },
    )
    .await?;
    node.log().assert_no_panic()
}
