//! Every way in which a request about artifacts is refused, with its status and its sentence.

use std::sync::Arc;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use labora_artifacts::{HolderError, StoreError, exchange::FetchError};

use super::{BAO, OCTETS, TRANSFERS};

/// Why a request about artifacts was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArtifactRefusal {
    #[error("{0} is not a root; expected the BLAKE3 hash of the bytes, 64 hex digits")]
    Root(String),
    #[error("the query is wrong: {0}")]
    Query(String),
    #[error(transparent)]
    Holder(#[from] HolderError),
    #[error("send the length of the body (Content-Length): room is reserved for it")]
    Length,
    #[error(
        "the body's content type must be {OCTETS}, or, with bytes, from and to in the query, {BAO}"
    )]
    ContentType,
    #[error("the range has no byte of the {bytes} there are")]
    Range { bytes: u64 },
    #[error("{TRANSFERS} transfers are under way, as many as there may be; try again in a moment")]
    Busy,
    #[error("the body came too slowly")]
    Slow,
    #[error("the body broke off")]
    Broken,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Fetch(#[from] Arc<FetchError>),
    #[error(
        "nothing can be fetched here: this miner has no chain and no peers; ask a node that was started with --artifacts"
    )]
    NoNetwork,
    #[error("web pages may not have artifacts fetched; send no Origin")]
    WebPage,
    #[error("the thread of the transfer ended: {0}")]
    Thread(String),
}

impl ArtifactRefusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Root(_) | Self::Query(_) | Self::Holder(_) | Self::Broken => {
                StatusCode::BAD_REQUEST
            }
            Self::Length => StatusCode::LENGTH_REQUIRED,
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Range { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Busy => StatusCode::TOO_MANY_REQUESTS,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Thread(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Store(error) => of_store(error),
            Self::NoNetwork => StatusCode::NOT_IMPLEMENTED,
            Self::WebPage => StatusCode::FORBIDDEN,
            Self::Fetch(error) => match &**error {
                FetchError::Busy => StatusCode::TOO_MANY_REQUESTS,
                FetchError::Length { .. } => StatusCode::CONFLICT,
                FetchError::Nobody { .. } => StatusCode::NOT_FOUND,
                FetchError::GaveUp { .. } | FetchError::TooSlow { .. } => StatusCode::BAD_GATEWAY,
                FetchError::Store(error) => of_store(error),
                FetchError::Interrupted => StatusCode::INTERNAL_SERVER_ERROR,
            },
        }
    }
}

fn of_store(error: &StoreError) -> StatusCode {
    match error {
        StoreError::Unknown(_) => StatusCode::NOT_FOUND,
        StoreError::Size(_) | StoreError::Short { .. } => StatusCode::BAD_REQUEST,
        StoreError::Wrong(_) => StatusCode::UNPROCESSABLE_ENTITY,
        StoreError::UnderWay(_) => StatusCode::CONFLICT,
        StoreError::Full { .. }
        | StoreError::TooMany(_)
        | StoreError::Held(_)
        | StoreError::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
        StoreError::Io(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for ArtifactRefusal {
    fn into_response(self) -> Response {
        let status = self.status();
        let body = Json(serde_json::json!({ "error": self.to_string() }));
        let mut response = (status, body).into_response();
        if status == StatusCode::TOO_MANY_REQUESTS {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(1));
        }
        response
    }
}
