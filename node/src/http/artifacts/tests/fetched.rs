//! What is asked of other nodes.

use labora_artifacts::exchange::{AskError, Offence, Part, Peers, Request as Asked, Tally};
use sc_network::PeerId;

use super::*;

/// One peer. It has what is in its store, and gives it or says nothing.
struct OnePeer {
    store: Store,
    is_silent: bool,
}

#[async_trait::async_trait]
impl Peers for OnePeer {
    async fn connected(&self) -> Vec<PeerId> {
        vec![PeerId::random()]
    }

    async fn providers(&self, _: Root) -> Vec<PeerId> {
        Vec::new()
    }

    async fn ask(&self, _: PeerId, asked: Asked) -> Result<Option<Part>, AskError> {
        let Ok(artifact) = self.store.get(&asked.root()) else {
            return Ok(None);
        };
        let mut encoding = Vec::new();
        if !asked.range().is_empty() {
            if self.is_silent {
                std::future::pending::<()>().await;
            }
            let encoded = artifact.encode(asked.range(), &mut encoding);
            encoded.expect("it is as it was");
        }
        let bytes = artifact.bytes();
        Ok(Some(Part { bytes, encoding }))
    }

    fn report(&self, _: PeerId, offence: Offence) {
        panic!("{offence:?}");
    }
}

/// A node whose only peer has `data`.
fn scene(room: u64, data: &[u8], is_silent: bool) -> (Scene, tempfile::TempDir) {
    let store = |bytes| {
        let folder = tempfile::tempdir().expect("a folder");
        let limits = Limits {
            bytes,
            artifacts: 100,
        };
        let store = Store::open(folder.path(), limits).expect("an empty folder");
        (store, folder)
    };
    let ((theirs, their_folder), (ours, folder)) = (store(1 << 24), store(room));
    theirs
        .put(data, data.len() as u64, None)
        .expect("there is room");
    let peer = OnePeer {
        store: theirs,
        is_silent,
    };
    let exchange = Exchange::new(ours.clone(), Arc::new(peer), Tally::default());
    let artifacts = Artifacts {
        store: ours,
        exchange: Some(exchange),
    };
    let wait = match is_silent {
        true => Duration::from_millis(100),
        false => Duration::from_secs(60),
    };
    let scene = Scene {
        router: router_waiting(artifacts, wait),
        _folder: folder,
    };
    (scene, their_folder)
}

impl Scene {
    async fn fetch(&self, root: &str, bytes: usize) -> Got {
        let path = format!("/v1/artifacts/{root}/fetch?bytes={bytes}");
        self.ask("POST", &path, &[], Body::empty()).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_peer_has_is_fetched_and_what_nobody_has_is_not_found() {
    let data = bytes(5, 3_000_000);
    let (scene, _theirs) = scene(1 << 22, &data, false);
    let root = blake3::hash(&data).to_hex();
    let wrong = scene.fetch(&root, 2_999_999).await;
    wrong.assert_refused(409, "has 3000000 bytes, not 2999999");
    let got = scene.fetch(&root, 3_000_000).await;
    assert_eq!(got.0, StatusCode::CREATED, "{:?}", got.json());
    assert_eq!(got.json()["root"], root.as_str());
    assert_eq!(
        scene.get(&format!("/v1/artifacts/{root}"), &[]).await.2,
        data
    );
    let again = scene.fetch(&root, 3_000_000).await;
    assert_eq!(again.0, StatusCode::CREATED);
    let none = scene.fetch(&"11".repeat(32), 5).await;
    none.assert_refused(404, "no peer that is reachable has artifact 1111");
    scene
        .fetch("xyz", 5)
        .await
        .assert_refused(400, "64 hex digits");
    scene
        .fetch(&"11".repeat(32), 0)
        .await
        .assert_refused(400, "of 0 bytes");
    let path = format!("/v1/artifacts/{root}/fetch");
    let got = scene.ask("POST", &path, &[], Body::empty()).await;
    got.assert_refused(400, "query");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_long_goes_on_by_itself_and_only_so_much_of_it() {
    let data = bytes(6, 3_000_000);
    let (scene, _theirs) = scene(1 << 22, &data, true);
    let root = blake3::hash(&data).to_hex();
    for _ in 0..2 {
        let got = scene.fetch(&root, 3_000_000).await;
        assert_eq!(got.0, StatusCode::ACCEPTED, "{:?}", got.json());
        let missing = serde_json::json!({ "missing": [[0, 3_000_000]] });
        assert_eq!(got.json(), missing);
    }
    let has_begun = async {
        while scene.get("/v1/artifacts", &[]).await.json()["reserved_bytes"] == 0 {
            tokio::task::yield_now().await;
        }
    };
    let has_begun = tokio::time::timeout(Duration::from_secs(60), has_begun).await;
    has_begun.expect("room is taken");
    // The same transfer by another way would be in its way.
    let path = format!("/v1/artifacts/{root}/missing?bytes=3000000");
    scene
        .get(&path, &[])
        .await
        .assert_refused(409, "is being stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_and_who_may_not_ask_is_refused() {
    let data = bytes(7, 3_000_000);
    let (full, _theirs) = scene(1 << 20, &data, false);
    let root = blake3::hash(&data).to_hex();
    full.fetch(&root, 3_000_000)
        .await
        .assert_refused(507, "no room");
    let alone = Scene::new(1 << 22);
    alone
        .fetch(&root, 3_000_000)
        .await
        .assert_refused(501, "no peers");
    let path = format!("/v1/artifacts/{root}/fetch?bytes=3000000");
    let headers = [(header::ORIGIN, "https://example.org")];
    let got = full.ask("POST", &path, &headers, Body::empty()).await;
    got.assert_refused(403, "web pages");
}
