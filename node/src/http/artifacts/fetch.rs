//! `POST /v1/artifacts/ROOT/fetch?bytes=N`: the artifact comes from other nodes.
//!
//! 201 once it is whole, as for `PUT`. What takes longer than [`WAIT`] goes on by itself, and the answer is 202 with the ranges that are
//! missing: the same request again waits on, and begins anew where the fetch was given up meanwhile, with what has come.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Path, Request, State},
    http::{StatusCode, header},
    response::IntoResponse,
};
use serde::Deserialize;
use tokio::time::timeout;

use super::{Answer, Shelf, query, ranges, refusal::ArtifactRefusal, root_of, whole};

/// How long a request waits for its artifact.
pub(super) const WAIT: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FetchQuery {
    bytes: u64,
}

pub(super) async fn fetch(
    State(shelf): State<Shelf>,
    Path(root): Path<String>,
    request: Request,
) -> Answer {
    // Browsers add it to whatever a page sends elsewhere; this has no body whose type would make them ask first.
    if request.headers().contains_key(header::ORIGIN) {
        return Err(ArtifactRefusal::WebPage);
    }
    let root = root_of(&root)?;
    let FetchQuery { bytes } = query(&request)?;
    let exchange = shelf.exchange.ok_or(ArtifactRefusal::NoNetwork)?;
    let mut fetching = exchange.begin(root, bytes).map_err(Arc::new)?;
    match timeout(shelf.wait, fetching.over()).await {
        Ok(over) => {
            over?;
            Ok(whole(root, bytes))
        }
        Err(_) => Ok((StatusCode::ACCEPTED, ranges(&fetching.missing())).into_response()),
    }
}
