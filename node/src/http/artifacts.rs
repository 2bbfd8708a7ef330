//! `/v1/artifacts`: matrices by their BLAKE3 root, in and out.
//!
//! | request | what it does |
//! | --- | --- |
//! | `GET /v1/artifacts?after=ROOT&limit=N` | lists what is there, in the order of roots, and what room is left |
//! | `POST /v1/artifacts` | stores the body, of a known length; its root |
//! | `PUT /v1/artifacts/ROOT` | the same, if the body has this root |
//! | `PUT /v1/artifacts/ROOT?bytes=N&from=A&to=B`, content type `application/vnd.bao` | takes bytes A to B of an artifact of N, with the nodes of the tree that show that they are its own; 201 once it is whole, and before that 202 with the ranges that are missing |
//! | `GET /v1/artifacts/ROOT/missing?bytes=N` | the ranges that are missing of a transfer that broke off |
//! | `POST /v1/artifacts/ROOT/fetch?bytes=N` | fetches it from peers; see [`fetch`] |
//! | `GET`, `HEAD /v1/artifacts/ROOT` | the bytes, or those of a `Range` |
//! | the same with `Accept: application/vnd.bao` | with the nodes, to be verified as they come |
//! | `DELETE /v1/artifacts/ROOT` | removes it |
//! | `PUT`, `DELETE /v1/artifacts/ROOT/pin?for=NAME` | keeps it from being evicted, for whoever has this name or by hand, or keeps it no longer for that one |
//! | `GET /v1/artifacts?held=NAME` | lists what is kept for those whose names begin so |
//!
//! `application/vnd.bao` is the encoding of <https://github.com/oconnor663/bao> with groups of 16 chunks and no length before it, of the
//! range widened to whole chunks of 1,024 bytes.

mod body;
mod fetch;
mod refusal;
#[cfg(test)]
mod tests;

use std::{io::Write, ops::Range, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::{Body, HttpBody},
    extract::{Path, Query, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post as on_post, put},
};
use labora_artifacts::{
    Artifact, GROUP_BYTES, Holder, Info, Root, Store, StoreError, exchange::Exchange,
};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::products::discard_unasked;
use crate::artifacts::Artifacts;
use body::{Outgoing, taken, written};
use refusal::ArtifactRefusal;

/// Transfers at a time: each has a thread that reads or writes the disk.
const TRANSFERS: usize = 16;

/// Most artifacts of a list.
const MAX_LISTED: usize = 1_000;

/// Most missing ranges that are told of.
const MAX_RANGES: usize = 1_000;

const BAO: &str = "application/vnd.bao";
const OCTETS: &str = "application/octet-stream";

type Answer = Result<Response, ArtifactRefusal>;

/// What the handlers share.
#[derive(Clone)]
struct Shelf {
    store: Store,
    /// Other nodes, if there is a network.
    exchange: Option<Exchange>,
    transfers: Arc<Semaphore>,
    /// How long a request waits for what peers give.
    wait: Duration,
}

impl Shelf {
    fn transfer(&self) -> Result<OwnedSemaphorePermit, ArtifactRefusal> {
        let permit = Arc::clone(&self.transfers).try_acquire_owned();
        permit.map_err(|_| ArtifactRefusal::Busy)
    }

    /// What can be known of a body before it is read.
    fn accept(
        &self,
        request: &Request,
        content_type: &str,
    ) -> Result<OwnedSemaphorePermit, ArtifactRefusal> {
        // Exactly this type, so that no web page can post here without the browser asking first (CORS).
        let came = request.headers().get(header::CONTENT_TYPE);
        if came.map(HeaderValue::as_bytes) != Some(content_type.as_bytes()) {
            return Err(ArtifactRefusal::ContentType);
        }
        self.transfer()
    }
}

/// Serves a store.
pub(super) fn router(artifacts: Artifacts) -> Router {
    router_waiting(artifacts, fetch::WAIT)
}

fn router_waiting(artifacts: Artifacts, wait: Duration) -> Router {
    let shelf = Shelf {
        store: artifacts.store,
        exchange: artifacts.exchange,
        transfers: Arc::new(Semaphore::new(TRANSFERS)),
        wait,
    };
    Router::new()
        .route("/v1/artifacts", get(list).post(post))
        .route(
            "/v1/artifacts/{root}",
            get(read).put(put_named).delete(remove),
        )
        .route("/v1/artifacts/{root}/fetch", on_post(fetch::fetch))
        .route("/v1/artifacts/{root}/missing", get(missing))
        .route("/v1/artifacts/{root}/pin", put(pin).delete(pin))
        .with_state(shelf)
}

fn root_of(text: &str) -> Result<Root, ArtifactRefusal> {
    let mut root = Root::default();
    let digits = text.strip_prefix("0x").unwrap_or(text);
    hex::decode_to_slice(digits, &mut root).map_err(|_| ArtifactRefusal::Root(text.into()))?;
    Ok(root)
}

fn query<T: serde::de::DeserializeOwned>(request: &Request) -> Result<T, ArtifactRefusal> {
    let Query(query) = Query::try_from_uri(request.uri())
        .map_err(|error| ArtifactRefusal::Query(error.body_text()))?;
    Ok(query)
}

/// An artifact, as JSON.
#[derive(Debug, Serialize)]
struct Listed {
    root: String,
    bytes: u64,
    pinned: bool,
    /// For whom, beside those who pin by hand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pinned_for: Vec<String>,
    /// Seconds since it was last used.
    unused_s: u64,
}

impl Listed {
    fn new(info: Info, holders: &[Holder]) -> Self {
        let names = holders.iter().map(Holder::as_str);
        Self {
            root: hex::encode(info.root),
            bytes: info.bytes,
            pinned: info.is_pinned,
            pinned_for: names
                .filter(|name| !name.is_empty())
                .map(String::from)
                .collect(),
            unused_s: info.used.elapsed().unwrap_or_default().as_secs(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    after: Option<String>,
    limit: Option<usize>,
    held: Option<String>,
}

async fn list(State(shelf): State<Shelf>, request: Request) -> Answer {
    let ListQuery { after, limit, held } = query(&request)?;
    let after = after.as_deref().map(root_of).transpose()?;
    let limit = limit.unwrap_or(100).min(MAX_LISTED);
    let usage = shelf.store.usage();
    let listed = shelf.store.held(held.as_deref(), after, limit);
    let listed = listed.iter();
    let artifacts: Vec<_> = listed
        .map(|(info, holders)| Listed::new(*info, holders))
        .collect();
    Ok(Json(serde_json::json!({
        "artifacts": artifacts,
        "count": usage.artifacts,
        "stored_bytes": usage.stored,
        "pinned_bytes": usage.pinned,
        "reserved_bytes": usage.reserved,
        "limit_bytes": usage.limit,
    }))
    .into_response())
}

/// Reads a body into nothing, so that its sender gets to read the answer.
fn discard(request: Request) {
    let (head, body) = request.into_parts();
    discard_unasked(&head.headers, body);
}

/// Stores a body of octets.
async fn store_body(shelf: Shelf, expected: Option<Root>, request: Request) -> Answer {
    let accepted = shelf.accept(&request, OCTETS).and_then(|permit| {
        let bytes = request.body().size_hint().exact();
        Ok((permit, bytes.ok_or(ArtifactRefusal::Length)?))
    });
    let (_permit, bytes) = match accepted {
        Ok(accepted) => accepted,
        Err(refusal) => {
            discard(request);
            return Err(refusal);
        }
    };
    let body = request.into_body();
    let store = shelf.store.clone();
    let root = taken(body, bytes, move |from| store.put(from, bytes, expected)).await?;
    Ok(whole(root, bytes))
}

async fn post(State(shelf): State<Shelf>, request: Request) -> Answer {
    store_body(shelf, None, request).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutQuery {
    bytes: Option<u64>,
    from: Option<u64>,
    to: Option<u64>,
}

async fn put_named(
    State(shelf): State<Shelf>,
    Path(root): Path<String>,
    request: Request,
) -> Answer {
    let root = root_of(&root)?;
    let PutQuery { bytes, from, to } = query(&request)?;
    let Some(bytes) = bytes else {
        return store_body(shelf, Some(root), request).await;
    };
    let _permit = match shelf.accept(&request, BAO) {
        Ok(permit) => permit,
        Err(refusal) => {
            discard(request);
            return Err(refusal);
        }
    };
    if shelf.store.info(&root).is_some() {
        discard(request);
        return Ok(whole(root, bytes));
    }
    let range = from.unwrap_or(0)..to.unwrap_or(bytes);
    let store = shelf.store.clone();
    let missing = taken(request.into_body(), bytes, move |incoming| {
        let mut download = store.download(root, bytes)?;
        download.take(range, incoming)?;
        download.finish_if_whole()
    });
    let missing = missing.await?;
    Ok(match missing.is_empty() {
        true => whole(root, bytes),
        false => (StatusCode::ACCEPTED, ranges(&missing)).into_response(),
    })
}

fn whole(root: Root, bytes: u64) -> Response {
    let answer = Json(serde_json::json!({ "root": hex::encode(root), "bytes": bytes }));
    (StatusCode::CREATED, answer).into_response()
}

fn ranges(missing: &[Range<u64>]) -> Json<serde_json::Value> {
    let listed = missing.iter().take(MAX_RANGES);
    let listed: Vec<[u64; 2]> = listed.map(|range| [range.start, range.end]).collect();
    Json(serde_json::json!({ "missing": listed }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MissingQuery {
    bytes: u64,
}

async fn missing(State(shelf): State<Shelf>, Path(root): Path<String>, request: Request) -> Answer {
    let root = root_of(&root)?;
    let MissingQuery { bytes } = query(&request)?;
    let _permit = shelf.transfer()?;
    if shelf.store.info(&root).is_some() {
        return Ok(ranges(&[]).into_response());
    }
    let store = shelf.store.clone();
    let missing = blocking(move || store.missing(root, bytes)).await?;
    Ok(ranges(&missing).into_response())
}

async fn blocking<T: Send + 'static>(
    what: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, ArtifactRefusal> {
    let done = tokio::task::spawn_blocking(what).await;
    Ok(done.map_err(|error| ArtifactRefusal::Thread(error.to_string()))??)
}

async fn remove(State(shelf): State<Shelf>, Path(root): Path<String>) -> Answer {
    let root = root_of(&root)?;
    blocking(move || shelf.store.remove(&root)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PinQuery {
    r#for: Option<String>,
}

async fn pin(State(shelf): State<Shelf>, Path(root): Path<String>, request: Request) -> Answer {
    let root = root_of(&root)?;
    let PinQuery { r#for } = query(&request)?;
    let holder = r#for.map(Holder::new).transpose()?.unwrap_or_default();
    let is_pinned = request.method() == Method::PUT;
    blocking(move || match is_pinned {
        true => shelf.store.hold(&root, &holder),
        false => shelf.store.let_go(&root, &holder),
    })
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The bytes that a `Range` header asks for, if it has one range of them; a header that is no such thing asks for all.
fn range_of(headers: &HeaderMap, bytes: u64) -> Result<Option<Range<u64>>, ArtifactRefusal> {
    let asked = headers.get(header::RANGE).and_then(|it| it.to_str().ok());
    let Some((first, last)) = asked
        .and_then(|asked| asked.strip_prefix("bytes="))
        .and_then(|range| range.split_once('-'))
    else {
        return Ok(None);
    };
    let number = |text: &str| text.parse::<u64>().ok();
    let range = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(bytes),
        (Some(first), None) if last.is_empty() => first..bytes,
        (None, Some(count)) if first.is_empty() => bytes.saturating_sub(count)..bytes,
        _ => return Ok(None),
    };
    match range.is_empty() {
        true => Err(ArtifactRefusal::Range { bytes }),
        false => Ok(Some(range)),
    }
}

fn copy(artifact: &Artifact, range: Range<u64>, to: &mut Outgoing) -> Result<(), StoreError> {
    let mut buffer = vec![0; GROUP_BYTES as usize];
    let mut at = range.start;
    while at < range.end {
        let most = (range.end - at).min(GROUP_BYTES) as usize;
        let read = artifact.read_at(&mut buffer[..most], at)?;
        if read == 0 {
            return Err(StoreError::Short {
                expected: artifact.bytes(),
            });
        }
        to.write_all(&buffer[..read])?;
        at += read as u64;
    }
    Ok(())
}

async fn read(State(shelf): State<Shelf>, Path(root): Path<String>, request: Request) -> Answer {
    let root = root_of(&root)?;
    let permit = shelf.transfer()?;
    let store = shelf.store.clone();
    let artifact = blocking(move || store.get(&root)).await?;
    let bytes = artifact.bytes();
    let headers = request.headers();
    let asked = range_of(headers, bytes)?;
    let range = asked.clone().unwrap_or(0..bytes);
    let wants_bao = headers
        .get(header::ACCEPT)
        .is_some_and(|accept| accept.as_bytes() == BAO.as_bytes());
    let is_head = request.method() == Method::HEAD;
    let (content_type, length) = match wants_bao {
        true => (BAO, None),
        false => (OCTETS, Some(range.end - range.start)),
    };
    let body = match (is_head, wants_bao) {
        (true, _) => Body::empty(),
        (false, true) => {
            let range = range.clone();
            written(permit, move |to| artifact.encode(range, to))
        }
        (false, false) => {
            let range = range.clone();
            written(permit, move |to| copy(&artifact, range, to))
        }
    };
    let mut response = Response::new(body);
    if asked.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let text = format!("bytes {}-{}/{bytes}", range.start, range.end - 1);
        if let Ok(value) = HeaderValue::try_from(text) {
            response.headers_mut().insert(header::CONTENT_RANGE, value);
        }
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    // What it is never changes.
    let tag = format!("\"{}\"", hex::encode(root));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(header::ETAG, tag);
    }
    Ok(response)
}
