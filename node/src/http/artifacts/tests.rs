use std::io;

use axum::body::{Bytes, to_bytes};
use futures::stream;
use labora_artifacts::{Limits, bytes_on_disk};
use tower::ServiceExt;

use super::*;

mod fetched;

struct Scene {
    router: Router,
    _folder: tempfile::TempDir,
}

/// An answer: its status, headers, and body.
struct Got(StatusCode, HeaderMap, Vec<u8>);

impl Got {
    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.2).expect("JSON")
    }

    /// Fails unless it is a refusal with this status that says this.
    fn assert_refused(&self, status: u16, words: &str) {
        let text = String::from_utf8_lossy(&self.2);
        assert_eq!(self.0.as_u16(), status, "{text}");
        assert!(text.contains(words), "{text}");
        assert!(self.json()["error"].is_string());
    }
}

/// Headers of a request.
type Headers<'a> = &'a [(header::HeaderName, &'a str)];

const OCTETS_TYPE: Headers<'_> = &[(header::CONTENT_TYPE, OCTETS)];
const BAO_TYPE: Headers<'_> = &[(header::CONTENT_TYPE, BAO)];
const BAO_WANTED: Headers<'_> = &[(header::ACCEPT, BAO)];

impl Scene {
    fn new(bytes: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let limits = Limits {
            bytes,
            artifacts: 100,
        };
        let store = Store::open(folder.path(), limits).expect("an empty folder");
        Self {
            router: router(Artifacts::alone(store)),
            _folder: folder,
        }
    }

    async fn ask(&self, method: &str, path: &str, headers: Headers<'_>, body: Body) -> Got {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let request = request.body(body).expect("a request");
        let answer = self.router.clone().oneshot(request).await;
        let (head, body) = answer.expect("an answer").into_parts();
        let body = to_bytes(body, 1 << 24).await.map(Vec::from);
        // A body that is cut off.
        Got(head.status, head.headers, body.unwrap_or_default())
    }

    async fn get(&self, path: &str, headers: Headers<'_>) -> Got {
        self.ask("GET", path, headers, Body::empty()).await
    }

    async fn try_post(&self, bytes: &[u8]) -> Got {
        let body = Body::from(bytes.to_vec());
        self.ask("POST", "/v1/artifacts", OCTETS_TYPE, body).await
    }

    async fn post(&self, bytes: &[u8]) -> String {
        let got = self.try_post(bytes).await;
        assert_eq!(got.0, StatusCode::CREATED, "{:?}", got.json());
        got.json()["root"].as_str().expect("a root").into()
    }
}

fn bytes(seed: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new()
        .update(&[seed])
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_posted_can_be_read_whole_and_in_ranges() {
    let scene = Scene::new(1 << 22);
    let data = bytes(1, 600_000);
    let root = scene.post(&data).await;
    assert_eq!(root, blake3::hash(&data).to_hex().as_str());
    let path = format!("/v1/artifacts/{root}");
    let Got(status, headers, body) = scene.get(&path, &[]).await;
    assert_eq!((status, &body), (StatusCode::OK, &data));
    assert_eq!(headers[header::CONTENT_LENGTH], "600000");
    for (asked, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=1000-299999", 1_000, 300_000),
        ("bytes=599990-", 599_990, 600_000),
        ("bytes=-7", 599_993, 600_000),
        ("bytes=5-9999999", 5, 600_000),
    ] {
        let Got(status, headers, body) = scene.get(&path, &[(header::RANGE, asked)]).await;
        assert_eq!(status, StatusCode::PARTIAL_CONTENT, "{asked}");
        assert_eq!(body, data[from..to], "{asked}");
        let range = format!("bytes {from}-{}/600000", to - 1);
        assert_eq!(headers[header::CONTENT_RANGE], range.as_str());
    }
    let beyond = scene.get(&path, &[(header::RANGE, "bytes=600000-")]).await;
    beyond.assert_refused(416, "600000");
    // What is no range of bytes asks for all of it.
    for nonsense in ["bytes=9-3", "bytes=a-b", "lines=1-2", "bytes=-"] {
        let got = scene.get(&path, &[(header::RANGE, nonsense)]).await;
        assert_eq!(got.0, StatusCode::OK, "{nonsense}");
    }
    let head = scene.ask("HEAD", &path, &[], Body::empty()).await;
    assert_eq!(head.1[header::CONTENT_LENGTH], "600000");
    assert!(head.2.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_broke_off_goes_on_and_wrong_bytes_are_named() {
    let (source, scene) = (Scene::new(1 << 22), Scene::new(1 << 22));
    let data = bytes(2, 600_000);
    let path = format!("/v1/artifacts/{}", source.post(&data).await);
    let encoding = source.get(&path, BAO_WANTED).await.2;
    let to = |from: usize, to: usize| format!("{path}?bytes=600000&from={from}&to={to}");

    // Half of it comes, and then the line breaks.
    let half = Body::from(encoding[..encoding.len() / 2].to_vec());
    let got = scene.ask("PUT", &to(0, 600_000), BAO_TYPE, half).await;
    got.assert_refused(400, "ended before");
    let missing = scene
        .get(&format!("{path}/missing?bytes=600000"), &[])
        .await;
    let missing = missing.json()["missing"].clone();
    let from = missing[0][0].as_u64().expect("a range") as usize;
    assert_eq!(missing, serde_json::json!([[from, 600_000]]));
    assert!((250_000..300_000).contains(&from), "{from}");

    // The rest, with one bit of a later group wrong.
    let range = format!("bytes={from}-");
    let headers = [(header::ACCEPT, BAO), (header::RANGE, range.as_str())];
    let rest = source.get(&path, &headers).await.2;
    let mut wrong = rest.clone();
    let last = wrong.len() - 1;
    wrong[last] ^= 1;
    let got = scene
        .ask("PUT", &to(from, 600_000), BAO_TYPE, Body::from(wrong))
        .await;
    got.assert_refused(422, "the bytes from 589824 on");
    let got = scene
        .ask(
            "PUT",
            &to(589_824, 600_000),
            BAO_TYPE,
            Body::from(rest.clone()),
        )
        .await;
    got.assert_refused(422, "the bytes from");
    let got = scene
        .ask("PUT", &to(from, 600_000), BAO_TYPE, Body::from(rest))
        .await;
    assert_eq!(got.0, StatusCode::CREATED, "{:?}", got.json());
    assert_eq!(scene.get(&path, &[]).await.2, data);
    let none = scene
        .get(&format!("{path}/missing?bytes=600000"), &[])
        .await;
    assert_eq!(none.json(), serde_json::json!({ "missing": [] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_taken_in_any_order() {
    let (source, scene) = (Scene::new(1 << 22), Scene::new(1 << 22));
    let data = bytes(3, 100_000);
    let path = format!("/v1/artifacts/{}", source.post(&data).await);
    for (from, to, status) in [
        (65_536, 100_000, StatusCode::ACCEPTED),
        (0, 32_768, StatusCode::ACCEPTED),
        (32_768, 65_536, StatusCode::CREATED),
    ] {
        let range = format!("bytes={from}-{}", to - 1);
        let headers = [(header::ACCEPT, BAO), (header::RANGE, range.as_str())];
        let part = source.get(&path, &headers).await.2;
        let path = format!("{path}?bytes=100000&from={from}&to={to}");
        let got = scene.ask("PUT", &path, BAO_TYPE, Body::from(part)).await;
        assert_eq!(got.0, status);
    }
    assert_eq!(scene.get(&path, &[]).await.2, data);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_a_list_pins_and_an_end_of_room() {
    let scene = Scene::new(3 * bytes_on_disk(20_000));
    let mut roots = Vec::new();
    for seed in 0..3 {
        roots.push(scene.post(&bytes(seed, 20_000)).await);
    }
    let pin = |root: &str| format!("/v1/artifacts/{root}/pin");
    for root in &roots {
        let got = scene.ask("PUT", &pin(root), &[], Body::empty()).await;
        assert_eq!(got.0, StatusCode::NO_CONTENT);
    }
    let more = bytes(9, 20_000);
    let got = scene.try_post(&more).await;
    got.assert_refused(507, "no room for 20064 bytes");
    let got = scene
        .ask("DELETE", &pin(&roots[1]), &[], Body::empty())
        .await;
    assert_eq!(got.0, StatusCode::NO_CONTENT);
    // Kept for somebody else by name, it still is when whoever pins by hand lets it go.
    let named = format!("{}?for=work-5F-7", pin(&roots[2]));
    for method in ["PUT", "PUT"] {
        let got = scene.ask(method, &named, &[], Body::empty()).await;
        assert_eq!(got.0, StatusCode::NO_CONTENT);
    }
    let got = scene
        .ask("DELETE", &pin(&roots[2]), &[], Body::empty())
        .await;
    assert_eq!(got.0, StatusCode::NO_CONTENT);
    let held = scene.get("/v1/artifacts?held=work-5F-", &[]).await.json();
    assert_eq!(held["artifacts"].as_array().map(Vec::len), Some(1));
    assert_eq!(held["artifacts"][0]["root"], roots[2].as_str());
    assert_eq!(
        held["artifacts"][0]["pinned_for"],
        serde_json::json!(["work-5F-7"])
    );
    let wrong = format!("{}?for=a.b", pin(&roots[2]));
    let got = scene.ask("PUT", &wrong, &[], Body::empty()).await;
    got.assert_refused(400, "letters, digits and hyphens");
    let new = scene.post(&more).await;
    scene
        .get(&format!("/v1/artifacts/{}", roots[1]), &[])
        .await
        .assert_refused(404, "there is no artifact");

    let mut expected = [roots[0].clone(), roots[2].clone(), new.clone()];
    expected.sort_unstable();
    let list = scene.get("/v1/artifacts?limit=2", &[]).await.json();
    let names = |list: &serde_json::Value| -> Vec<String> {
        let listed = list["artifacts"].as_array().expect("a list");
        let names = listed
            .iter()
            .map(|it| it["root"].as_str().expect("a root").to_owned());
        names.collect()
    };
    assert_eq!(names(&list), expected[..2]);
    assert_eq!(list["count"], 3);
    assert_eq!(list["stored_bytes"], list["limit_bytes"]);
    // By hand, and for somebody else; the third may be evicted.
    assert_eq!(list["pinned_bytes"], 2 * bytes_on_disk(20_000));
    let rest = format!("/v1/artifacts?after={}", expected[1]);
    assert_eq!(names(&scene.get(&rest, &[]).await.json()), expected[2..]);

    let path = format!("/v1/artifacts/{new}");
    let got = scene.ask("DELETE", &path, &[], Body::empty()).await;
    assert_eq!(got.0, StatusCode::NO_CONTENT);
    scene.get(&path, &[]).await.assert_refused(404, &new);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_meant_is_refused_with_a_sentence() {
    let scene = Scene::new(1 << 20);
    let root = "11".repeat(32);
    let body = || Body::from(vec![1; 100]);
    let path = format!("/v1/artifacts/{root}");
    for (method, path, headers, body, status, words) in [
        (
            "GET",
            "/v1/artifacts/xyz",
            &[][..],
            Body::empty(),
            400,
            "64 hex digits",
        ),
        (
            "GET",
            "/v1/artifacts?limit=x",
            &[],
            Body::empty(),
            400,
            "query",
        ),
        (
            "GET",
            &path,
            &[],
            Body::empty(),
            404,
            "there is no artifact",
        ),
        ("POST", "/v1/artifacts", &[], body(), 415, OCTETS),
        (
            "POST",
            "/v1/artifacts",
            OCTETS_TYPE,
            Body::empty(),
            400,
            "of 0 bytes",
        ),
        (
            "PUT",
            &path,
            OCTETS_TYPE,
            body(),
            422,
            "not those of the artifact",
        ),
        (
            "POST",
            "/v1/artifacts",
            OCTETS_TYPE,
            Body::from_stream(stream::once(async { Ok::<_, io::Error>(Bytes::new()) })),
            411,
            "Content-Length",
        ),
        (
            "PUT",
            &format!("{path}?bytes=100"),
            OCTETS_TYPE,
            body(),
            415,
            BAO,
        ),
        (
            "PUT",
            &format!("{path}?bytes=100"),
            BAO_TYPE,
            body(),
            422,
            "from 0 on",
        ),
        (
            "PUT",
            &format!("{path}?bytes=0"),
            BAO_TYPE,
            body(),
            400,
            "of 0 bytes",
        ),
        (
            "PUT",
            &format!("{path}?bytes=9999999"),
            BAO_TYPE,
            body(),
            507,
            "no room",
        ),
        (
            "PUT",
            &format!("{path}/pin"),
            &[],
            Body::empty(),
            404,
            "there is no artifact",
        ),
        (
            "GET",
            &format!("{path}/missing"),
            &[],
            Body::empty(),
            400,
            "query",
        ),
    ] {
        let got = scene.ask(method, path, headers, body).await;
        got.assert_refused(status, words);
    }
    let list = scene.get("/v1/artifacts", &[]).await.json();
    assert_eq!(
        (&list["count"], &list["stored_bytes"]),
        (&0.into(), &0.into())
    );
}
