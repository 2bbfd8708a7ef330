//! The endpoint over real sockets, spoken to in plain bytes.

use std::{num::NonZeroUsize, os::unix::fs::PermissionsExt, time::Duration};

use labora_pouw::{Proof, Seal};
use sp_core::H256;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

use super::*;
use crate::devices::{CpuChoice, DevicesSpec};
use crate::worker::{SubmitSeal, Verdict, Worker, WorkerConfig};

/// Longest that one exchange may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Nothing is ever mined here.
struct NoEngine;

impl SubmitSeal for NoEngine {
    async fn submit(&self, _: H256, _: Seal, _: Proof) -> Verdict {
        Verdict::Refused("there is no engine".into())
    }
}

struct Setup {
    endpoint: Endpoint,
    worker: WorkerHandle,
    folder: tempfile::TempDir,
}

impl Setup {
    async fn new(token: Option<Token>) -> Self {
        let (_, templates) = watch::channel(None);
        let devices = DevicesSpec::cpu(CpuChoice::Threads(NonZeroUsize::MIN));
        let worker = Worker::start(WorkerConfig { devices }, templates, NoEngine).expect("starts");
        let folder = tempfile::tempdir().expect("a folder");
        let config = HttpConfig {
            unix: Some(folder.path().join("gemm.sock")),
            tcp: Some("127.0.0.1:0".parse().expect("an address")),
            token,
            artifacts: None,
        };
        let endpoint = serve(config, worker.clone()).await.expect("listens");
        Self {
            endpoint,
            worker,
            folder,
        }
    }

    async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.endpoint.tcp().expect("over TCP too"))
            .await
            .expect("connects")
    }

    async fn unix(&self) -> UnixStream {
        UnixStream::connect(self.folder.path().join("gemm.sock"))
            .await
            .expect("connects")
    }
}

struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    /// The sentence of a refusal.
    fn error(&self) -> String {
        let value: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_else(|_| {
            panic!(
                "{}: not JSON: {:?}",
                self.head,
                String::from_utf8_lossy(&self.body)
            )
        });
        value["error"].as_str().expect("a sentence").to_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Sends bytes and reads one reply.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, sent: &[u8]) -> Reply {
    let exchange = async {
        stream.write_all(sent).await.expect("sends");
        let mut received = Vec::new();
        let head_end = loop {
            if let Some(at) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            let got = stream.read_buf(&mut received).await.expect("receives");
            assert!(
                got > 0,
                "closed after {:?}",
                String::from_utf8_lossy(&received)
            );
        };
        let head = String::from_utf8(received[..head_end].to_vec()).expect("text");
        let mut reply = Reply {
            status: head[9..12].parse().expect("a status"),
            head,
            body: received.split_off(head_end),
        };
        let length = reply
            .header("content-length")
            .expect("a length")
            .parse()
            .expect("a number");
        while reply.body.len() < length {
            let got = stream.read_buf(&mut reply.body).await.expect("receives");
            assert!(got > 0, "the body breaks off");
        }
        reply
    };
    tokio::time::timeout(PATIENCE, exchange)
        .await
        .expect("in time")
}

fn request(query: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /v1/products{query} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/octet-stream\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A = [[1, 2, 3], [-128, 127, 0]], B = [[4], [5], [6]].
const BODY: &[u8] = &[1, 2, 3, 128, 127, 0, 4, 5, 6];

fn expected() -> Vec<u8> {
    [32i32, 123]
        .into_iter()
        .flat_map(i32::to_le_bytes)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_comes_back_over_both_sockets() {
    let setup = Setup::new(None).await;
    let sent = request("?m=2&n=1&k=3", BODY);
    for reply in [
        exchange(setup.tcp().await, &sent).await,
        exchange(setup.unix().await, &sent).await,
    ] {
        assert_eq!(
            (reply.status, reply.body.as_slice()),
            (200, expected().as_slice())
        );
        assert_eq!(
            reply.header("content-type"),
            Some("application/octet-stream")
        );
        assert_eq!(
            reply.header("labora-macs"),
            Some((32 * 32 * 256).to_string().as_str())
        );
        assert_eq!(reply.header("labora-mined-macs"), Some("0"));
    }
    let status = exchange(
        setup.unix().await,
        b"GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n",
    )
    .await;
    let status: serde_json::Value = serde_json::from_slice(&status.body).expect("JSON");
    assert_eq!(status["worker"]["products"], 2);
    assert_eq!(status["free_in_flight_bytes"], MAX_IN_FLIGHT_BYTES);
    setup.endpoint.stop(&setup.worker).await;
    assert!(!setup.folder.path().join("gemm.sock").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_is_a_body() {
    let setup = Setup::new(None).await;
    let sent = b"POST /v1/products?m=1&n=1&k=2 HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/octet-stream\r\n\
        transfer-encoding: chunked\r\n\r\n1\r\n\x03\r\n3\r\n\x04\x05\x06\r\n0\r\n\r\n";
    let reply = exchange(setup.tcp().await, sent).await;
    assert_eq!(
        (reply.status, reply.body),
        (200, 39i32.to_le_bytes().to_vec())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_malformed_is_refused_with_a_sentence() {
    let setup = Setup::new(None).await;
    let plain = |head: &str| {
        format!("{head} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n").into_bytes()
    };
    let cases = [
        (400, request("", BODY)),
        (400, request("?m=2&n=1", BODY)),
        (400, request("?m=2&n=1&k=3&layout=odd", BODY)),
        (400, request("?m=-2&n=1&k=3", BODY)),
        (400, request("?m=2&m=2&n=1&k=3", BODY)),
        (400, request("?m=99999999999999999999&n=1&k=3", BODY)),
        (400, request("?m=0&n=1&k=3", BODY)),
        (400, request("?m=2&n=1&k=3", &BODY[1..])),
        (400, request("?m=2&n=1&k=3", &[BODY, b"x"].concat())),
        (
            413,
            request("?m=18446744073709551615&n=18446744073709551615&k=1", BODY),
        ),
        (413, request("?m=20000&n=20000&k=1", BODY)),
        (415, plain("POST /v1/products?m=2&n=1&k=3")),
        (405, plain("GET /v1/products")),
        (405, plain("POST /v1/status")),
        (404, plain("GET /")),
        (404, plain("POST /v2/products")),
    ];
    for (status, sent) in cases {
        let shown = String::from_utf8_lossy(&sent[..sent.len().min(90)]).into_owned();
        let reply = exchange(setup.tcp().await, &sent).await;
        assert_eq!(reply.status, status, "{shown}");
        assert!(reply.error().len() > 20, "{shown}: {}", reply.error());
    }
    let reply = exchange(setup.tcp().await, &request("?m=2&n=1&k=3", BODY)).await;
    assert_eq!(reply.body, expected(), "and the endpoint still serves");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_beyond_the_bound_is_refused_before_it_is_sent() {
    let setup = Setup::new(None).await;
    let length = MAX_OPERAND_BYTES + 1;
    let head = format!(
        "POST /v1/products?m=2&n=1&k=3 HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/octet-stream\r\ncontent-length: {length}\r\n\r\n"
    );
    let reply = exchange(setup.tcp().await, head.as_bytes()).await;
    assert_eq!(reply.status, 413);
    assert!(reply.error().contains(&length.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_reserved_before_a_body_comes_and_given_back_after() {
    let setup = Setup::new(None).await;
    let announce = "POST /v1/products?m=8192&n=8192&k=16384 HTTP/1.1\r\nhost: localhost\r\n\
        content-type: application/octet-stream\r\ncontent-length: 268435456\r\n\r\n";
    let mut first = setup.tcp().await;
    first.write_all(announce.as_bytes()).await.expect("sends");
    let free = || async {
        let status = exchange(
            setup.unix().await,
            b"GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n",
        )
        .await;
        let status: serde_json::Value = serde_json::from_slice(&status.body).expect("JSON");
        status["free_in_flight_bytes"].as_u64().expect("a number")
    };
    let all_of_it = 256 << 20 | 512 << 20;
    let wait_for = |bytes| async move {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while free().await != bytes {
            assert!(
                tokio::time::Instant::now() < deadline,
                "{bytes} bytes never were free"
            );
        }
    };
    wait_for(MAX_IN_FLIGHT_BYTES - all_of_it).await;
    let refused = exchange(setup.tcp().await, announce.as_bytes()).await;
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (429, Some("1"))
    );
    assert!(refused.error().contains("try again"));
    let small = exchange(setup.tcp().await, &request("?m=2&n=1&k=3", BODY)).await;
    assert_eq!(small.status, 200, "a small product still fits");
    drop(first);
    wait_for(MAX_IN_FLIGHT_BYTES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tcp_a_token_or_a_host_of_this_machine_is_needed() {
    let setup = Setup::new(None).await;
    let foreign = b"GET /v1/status HTTP/1.1\r\nhost: evil.example\r\n\r\n";
    assert_eq!(exchange(setup.tcp().await, foreign).await.status, 403);
    assert_eq!(exchange(setup.unix().await, foreign).await.status, 200);

    let setup = Setup::new(Some(Token::new("0123456789abcdef").expect("valid"))).await;
    let without = b"GET /v1/status HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let with =
        b"GET /v1/status HTTP/1.1\r\nhost: any\r\nauthorization: Bearer 0123456789abcdef\r\n\r\n";
    let refused = exchange(setup.tcp().await, without).await;
    assert_eq!(
        (refused.status, refused.header("www-authenticate")),
        (401, Some("Bearer"))
    );
    assert_eq!(exchange(setup.tcp().await, with).await.status, 200);
    assert_eq!(exchange(setup.unix().await, without).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_file_is_private_and_replaced_only_when_stale() {
    let setup = Setup::new(None).await;
    let path = setup.folder.path().join("gemm.sock");
    let mode = std::fs::metadata(&path)
        .expect("exists")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = |path: PathBuf| {
        let worker = setup.worker.clone();
        serve(
            HttpConfig {
                unix: Some(path),
                ..HttpConfig::default()
            },
            worker,
        )
    };
    assert!(matches!(
        again(path.clone()).await,
        Err(ListenError::SocketInUse(_))
    ));
    assert!(path.exists(), "somebody else's socket stays");

    let stale = setup.folder.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).expect("binds"));
    let replaced = again(stale.clone()).await.expect("nobody listens there");
    UnixStream::connect(&stale)
        .await
        .expect("now somebody does");
    drop(replaced);

    let file = setup.folder.path().join("file");
    std::fs::write(&file, "not a socket").expect("writes");
    assert!(matches!(
        again(file.clone()).await,
        Err(ListenError::NotASocket(_))
    ));
    assert_eq!(
        std::fs::read_to_string(&file).expect("still there"),
        "not a socket"
    );

    let long = setup.folder.path().join("x".repeat(120));
    assert!(matches!(
        again(long).await,
        Err(ListenError::PathTooLong(_))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_machines_need_a_token_and_a_port_in_use_is_named() {
    let setup = Setup::new(None).await;
    let at = |address: &str| {
        let config = HttpConfig {
            tcp: address.parse().ok(),
            ..HttpConfig::default()
        };
        serve(config, setup.worker.clone())
    };
    assert!(matches!(
        at("0.0.0.0:0").await,
        Err(ListenError::NeedsToken(_))
    ));
    let taken = setup.endpoint.tcp().expect("over TCP").to_string();
    assert!(matches!(at(&taken).await, Err(ListenError::PortInUse(_))));
}

/// The generator is a linear congruence with a fixed seed: what fails once fails again.
#[tokio::test(flavor = "multi_thread")]
async fn random_bytes_get_an_error_or_a_closed_connection_and_nothing_breaks() {
    let setup = Setup::new(None).await;
    let mut state = 7u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    for round in 0..300 {
        let mut sent: Vec<u8> = (0..round).map(|_| next()).collect();
        if round % 3 == 0 {
            sent = request(&format!("?m={}&n={}&k={}", next(), next(), next()), &sent);
        }
        let mut stream = setup.tcp().await;
        stream.write_all(&sent).await.expect("sends");
        stream.shutdown().await.expect("shuts down");
        let mut reply = Vec::new();
        // The peer may reset the connection, which is a refusal too.
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut reply))
            .await
            .expect("in time");
        let is_ok = reply.starts_with(b"HTTP/1.1 2");
        assert!(
            read.is_err() || reply.is_empty() || !is_ok,
            "round {round}: random bytes were accepted"
        );
    }
    let reply = exchange(setup.tcp().await, &request("?m=2&n=1&k=3", BODY)).await;
    assert_eq!(reply.body, expected());
}
