//! Every way in which the endpoint says no, with its status and its sentence.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{
    gemm::{GemmError, MAX_OPERAND_BYTES},
    worker::MultiplyError,
};

/// Seconds after which a client may try again.
const RETRY_AFTER_S: u64 = 1;

/// Why a request got no product.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "there is nothing here; products are made by POST /v1/products, figures by GET /v1/status, and matrices are kept at \
         /v1/artifacts by a node with --artifacts"
    )]
    NotFound,
    #[error(
        "this method is not for this path: POST /v1/products, GET /v1/status, GET or POST /v1/artifacts"
    )]
    Method,
    #[error("send `Authorization: Bearer TOKEN` with the token that the node was started with")]
    Token,
    #[error(
        "the Host header names another machine; use 127.0.0.1 or localhost, or start the node with a token"
    )]
    Host,
    #[error(
        "the body's content type must be application/octet-stream: A (m×k) and then B transposed (n×k), int8, row-major"
    )]
    ContentType,
    #[error(
        "the query must be m, n and k as decimal numbers and nothing else: /v1/products?m=3&n=4&k=5 for A of 3×5 and B of 5×4"
    )]
    Query,
    #[error("the body has {got} bytes, and (m + n)·k = {expected} are expected")]
    Length { got: u64, expected: u64 },
    #[error(
        "the body has {got} bytes, and at most {MAX_OPERAND_BYTES} are taken; split the product into smaller ones"
    )]
    TooLong { got: u64 },
    #[error("the body broke off after {got} of {expected} bytes")]
    Broken { got: u64, expected: u64 },
    #[error("the body came too slowly: {got} of {expected} bytes in {} s", .allowed.as_secs())]
    Slow {
        got: u64,
        expected: u64,
        allowed: Duration,
    },
    #[error(
        "products of {free} more bytes fit into memory at the moment, and this one needs {needed}; try again in a moment"
    )]
    Memory { needed: u64, free: u64 },
    #[error(transparent)]
    Product(#[from] GemmError),
    #[error(transparent)]
    Multiply(#[from] MultiplyError),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Token => StatusCode::UNAUTHORIZED,
            Self::Host => StatusCode::FORBIDDEN,
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Query | Self::Length { .. } | Self::Broken { .. } => StatusCode::BAD_REQUEST,
            Self::Slow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::Memory { .. } | Self::Multiply(MultiplyError::Busy) => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::Product(error) | Self::Multiply(MultiplyError::Product(error)) => {
                if error.is_too_large() {
                    StatusCode::PAYLOAD_TOO_LARGE
                } else {
                    StatusCode::BAD_REQUEST
                }
            }
            Self::Multiply(
                MultiplyError::NoDevice | MultiplyError::DevicesLost | MultiplyError::ShuttingDown,
            ) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Multiply(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status();
        let body = serde_json::json!({ "error": self.to_string() });
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        match status {
            StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::REQUEST_TIMEOUT => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}
