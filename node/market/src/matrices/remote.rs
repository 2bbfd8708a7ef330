//! The endpoint `/v1/artifacts` of a node.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use http_body_util::{BodyExt, Limited};
use hyper::{
    Method, Request, StatusCode, Uri,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use labora_artifacts::Holder;
use labora_pouw::Hash;
use serde::Deserialize;

use super::{Matrices, MatrixError, allowance, check};
use crate::node::shown;

/// Until the head of an answer is there; a node waits 30 s for its peers.
const HEAD_LIMIT: Duration = Duration::from_secs(60);

/// Time for a body beside its [`allowance`].
const BODY_LIMIT: Duration = Duration::from_secs(30);

/// How often in a row a node may say that a fetch from its peers is still under way: ten minutes.
const MAX_WAITS: usize = 20;

/// Bytes that are handed to a connection at a time.
const PIECE: usize = 256 << 10;

/// Artifacts of a page of a list, and most pages; longest that is read.
const PAGE: usize = 500;
const MAX_PAGES: usize = 200;
const MAX_LIST: usize = 8 << 20;

/// Longest refusal that is read.
const MAX_REFUSAL: usize = 16 << 10;

/// Why an address of an endpoint was refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected the address of a node's endpoint for matrices, such as http://127.0.0.1:9955")]
pub struct UrlError;

/// Bytes that went to a node and came from it, for whoever shows how far a transfer is.
#[derive(Debug, Default)]
pub struct Traffic {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Traffic {
    /// Bytes of matrices that were sent.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Bytes of matrices and answers that came.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

/// A body that is sent piece by piece, and counted.
struct Counted {
    left: Bytes,
    traffic: Arc<Traffic>,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.left.len().min(PIECE);
        let piece = self.left.split_to(length);
        self.traffic
            .sent
            .fetch_add(length as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}

/// A node that keeps matrices for others.
pub struct Remote {
    base: String,
    token: Option<HeaderValue>,
    client: Client<HttpConnector, Counted>,
    traffic: Arc<Traffic>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

#[derive(Deserialize)]
struct Kept {
    root: String,
}

#[derive(Deserialize)]
struct Held {
    root: String,
    #[serde(default)]
    pinned_for: Vec<String>,
}

#[derive(Deserialize)]
struct Page {
    artifacts: Vec<Held>,
}

#[derive(Deserialize)]
struct Usage {
    limit_bytes: u64,
    /// A node before this one doesn't say.
    #[serde(default)]
    pinned_bytes: u64,
}

impl Remote {
    /// At `http://HOST:PORT`, with the token that it wants, if it wants one.
    ///
    /// # Errors
    ///
    /// If the address is none, or the token has characters that no header can have.
    pub fn new(url: &str, token: Option<&str>) -> Result<Self, UrlError> {
        let uri: Uri = url.parse().map_err(|_| UrlError)?;
        let is_base = matches!(uri.path(), "" | "/") && uri.query().is_none();
        if uri.scheme_str() != Some("http") || uri.authority().is_none() || !is_base {
            return Err(UrlError);
        }
        let token = token.map(|token| {
            let mut value =
                HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| UrlError)?;
            value.set_sensitive(true);
            Ok(value)
        });
        Ok(Self {
            base: url.trim_end_matches('/').to_owned(),
            token: token.transpose()?,
            client: Client::builder(TokioExecutor::new()).build_http(),
            traffic: Arc::default(),
        })
    }

    /// What went to and fro.
    pub fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<hyper::Response<Incoming>, MatrixError> {
        let here = |error: &dyn std::fmt::Display| {
            MatrixError::Here(format!("{}: {}", self.base, shown(&error.to_string())))
        };
        let time = HEAD_LIMIT + allowance(body.len() as u64);
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}/v1/artifacts{path}", self.base))
            .header(CONTENT_TYPE, "application/octet-stream");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        let body = Counted {
            left: body,
            traffic: self.traffic(),
        };
        let request = request.body(body).map_err(|error| here(&error))?;
        match tokio::time::timeout(time, self.client.request(request)).await {
            Ok(answer) => answer.map_err(|error| here(&error)),
            Err(_) => Err(here(&format!("no answer in {} s", time.as_secs()))),
        }
    }

    async fn body(
        &self,
        answer: hyper::Response<Incoming>,
        most: usize,
    ) -> Result<Bytes, MatrixError> {
        let time = BODY_LIMIT + allowance(most as u64);
        let counted = answer.into_body().map_frame(|frame| {
            let length = frame.data_ref().map_or(0, Bytes::len);
            self.traffic
                .received
                .fetch_add(length as u64, Ordering::Relaxed);
            frame
        });
        let body = Limited::new(counted, most).collect();
        match tokio::time::timeout(time, body).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) => {
                let words = shown(&error.to_string());
                Err(MatrixError::Here(format!("{}: {words}", self.base)))
            }
            Err(_) => Err(MatrixError::Here(format!("{}: too slow", self.base))),
        }
    }

    /// What the node says of why not.
    async fn refusal(&self, answer: hyper::Response<Incoming>) -> String {
        let status = answer.status();
        let body = self.body(answer, MAX_REFUSAL).await.unwrap_or_default();
        let said = serde_json::from_slice::<Refusal>(&body).map(|refusal| shown(&refusal.error));
        said.unwrap_or_else(|_| format!("the node answers {status}"))
    }

    /// Has the node fetch a matrix from its peers.
    async fn bring(&self, root: Hash, bytes: u64) -> Result<(), MatrixError> {
        let path = format!("/{}/fetch?bytes={bytes}", hex::encode(root));
        for _ in 0..MAX_WAITS {
            let answer = self.send(Method::POST, &path, Bytes::new()).await?;
            match answer.status() {
                StatusCode::CREATED | StatusCode::OK => return Ok(()),
                StatusCode::ACCEPTED => {}
                StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::BAD_GATEWAY => {
                    let why = self.refusal(answer).await;
                    return Err(MatrixError::Unavailable { root, why });
                }
                _ => return Err(MatrixError::Here(self.refusal(answer).await)),
            }
        }
        let why = "its peers take too long".to_owned();
        Err(MatrixError::Unavailable { root, why })
    }

    async fn pin(&self, root: Hash, holder: &Holder) -> Result<(), MatrixError> {
        let path = pin_of(root, holder);
        let answer = self.send(Method::PUT, &path, Bytes::new()).await?;
        match answer.status().is_success() {
            true => Ok(()),
            false => Err(MatrixError::Here(self.refusal(answer).await)),
        }
    }
}

/// Where a matrix is pinned for somebody.
fn pin_of(root: Hash, holder: &Holder) -> String {
    let root = hex::encode(root);
    // Names have letters, digits and hyphens.
    match holder.as_str() {
        "" => format!("/{root}/pin"),
        name => format!("/{root}/pin?for={name}"),
    }
}

impl Matrices for Remote {
    /// A line of a hundred megabits a second, less what else is on it.
    fn bytes_per_s(&self) -> f64 {
        8e6
    }

    fn fetch(&self, root: Hash, bytes: u64) -> BoxFuture<'_, Result<Vec<u8>, MatrixError>> {
        async move {
            self.bring(root, bytes).await?;
            let path = format!("/{}", hex::encode(root));
            let answer = self.send(Method::GET, &path, Bytes::new()).await?;
            if answer.status() != StatusCode::OK {
                return Err(MatrixError::Here(self.refusal(answer).await));
            }
            let most = usize::try_from(bytes).unwrap_or(usize::MAX);
            let whole = self.body(answer, most).await?;
            check(root, whole.into(), bytes)
        }
        .boxed()
    }

    fn hold(
        &self,
        root: Hash,
        bytes: u64,
        holder: Holder,
    ) -> BoxFuture<'_, Result<(), MatrixError>> {
        async move {
            self.bring(root, bytes).await?;
            self.pin(root, &holder).await
        }
        .boxed()
    }

    fn keep(&self, bytes: Vec<u8>, holder: Holder) -> BoxFuture<'_, Result<Hash, MatrixError>> {
        async move {
            let root: Hash = blake3::hash(&bytes).into();
            let path = format!("/{}", hex::encode(root));
            let answer = self.send(Method::PUT, &path, bytes.into()).await?;
            if !answer.status().is_success() {
                return Err(MatrixError::Here(self.refusal(answer).await));
            }
            let body = self.body(answer, MAX_REFUSAL).await?;
            let kept = serde_json::from_slice::<Kept>(&body).map(|kept| kept.root);
            if kept.is_ok_and(|kept| kept != hex::encode(root)) {
                return Err(MatrixError::Here(format!("{} kept other bytes", self.base)));
            }
            self.pin(root, &holder).await?;
            Ok(root)
        }
        .boxed()
    }

    fn room(&self) -> BoxFuture<'_, Result<u64, MatrixError>> {
        async move {
            let answer = self.send(Method::GET, "?limit=0", Bytes::new()).await?;
            if answer.status() != StatusCode::OK {
                return Err(MatrixError::Here(self.refusal(answer).await));
            }
            let body = self.body(answer, MAX_REFUSAL).await?;
            let usage: Usage = serde_json::from_slice(&body)
                .map_err(|_| MatrixError::Here(format!("{}: a malformed list", self.base)))?;
            Ok(usage.limit_bytes.saturating_sub(usage.pinned_bytes))
        }
        .boxed()
    }

    fn let_go(&self, root: Hash, holder: Holder) -> BoxFuture<'_, ()> {
        async move {
            let path = pin_of(root, &holder);
            // Not there, or not reached: then it stays pinned, and the node's owner sees it in the list.
            let _ = self.send(Method::DELETE, &path, Bytes::new()).await;
        }
        .boxed()
    }

    fn held(&self, prefix: String) -> BoxFuture<'_, Result<Vec<(Hash, Holder)>, MatrixError>> {
        async move {
            let malformed = || MatrixError::Here(format!("{}: a malformed list", self.base));
            let (mut all, mut after) = (Vec::new(), String::new());
            for _ in 0..MAX_PAGES {
                let path = format!("?held={prefix}&limit={PAGE}{after}");
                let answer = self.send(Method::GET, &path, Bytes::new()).await?;
                if answer.status() != StatusCode::OK {
                    return Err(MatrixError::Here(self.refusal(answer).await));
                }
                let body = self.body(answer, MAX_LIST).await?;
                let page: Page = serde_json::from_slice(&body).map_err(|_| malformed())?;
                for held in &page.artifacts {
                    let mut root = Hash::default();
                    hex::decode_to_slice(&held.root, &mut root).map_err(|_| malformed())?;
                    let mine = held.pinned_for.iter();
                    let mine = mine.filter(|name| name.starts_with(&prefix));
                    let holders = mine.filter_map(|name| Holder::new(name.as_str()).ok());
                    all.extend(holders.map(|holder| (root, holder)));
                }
                match page.artifacts.last() {
                    Some(last) if page.artifacts.len() == PAGE => {
                        after = format!("&after={}", last.root);
                    }
                    _ => break,
                }
            }
            Ok(all)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_endpoints_address_is_taken() {
        for (url, is_fine) in [
            ("http://127.0.0.1:9955", true),
            ("http://127.0.0.1:9955/", true),
            ("http://node.example", true),
            ("https://node.example", false),
            ("ws://127.0.0.1:9944", false),
            ("127.0.0.1:9955", false),
            ("http://node.example/v1/artifacts", false),
            ("http://node.example/?x", false),
            ("", false),
        ] {
            assert_eq!(Remote::new(url, None).is_ok(), is_fine, "{url}");
        }
        assert!(Remote::new("http://node.example", Some("two\nlines")).is_err());
    }
}
