//! The endpoint that multiplies for users: HTTP/1.1 on a Unix socket and on a loopback port.
//!
//! `POST /v1/products?m=…&n=…&k=…`, content type `application/octet-stream`: the body is A (m×k, row-major int8) and
//! then B *transposed* (n×k, row-major int8), (m + n)·k bytes, nothing else. The answer's body is C = A·B (m×n,
//! row-major, int32 little-endian), 4·m·n bytes, always exact. Any m, n, k from 1 up and all of int8. Headers of the
//! answer: `labora-macs` (multiply-accumulates that were done for it, padding included), `labora-mined-macs` (those that
//! took part in mining), and `labora-roots`, the BLAKE3 roots of the padded matrices that were mined on, as
//! `ROOT_A:ROOT_B` in hex, separated by commas: a block whose seal bears such a pair was mined on this product.
//!
//! `GET /v1/status`: figures of the worker and the bounds, as JSON.
//!
//! Whatever is refused gets a JSON object `{"error": SENTENCE}`: 400 malformed, 401 without the token, 403 for a foreign
//! `Host`, 404 and 405 for other paths and methods, 408 too slow, 413 too large (before the body is read), 415 another
//! content type, 429 with `Retry-After` if too much waits, 503 without a device or while shutting down.
//!
//! `/v1/artifacts`, if the node keeps any: matrices by their BLAKE3 root; see [`artifacts`].
//!
//! This module knows nothing of devices and of mining beyond [`WorkerHandle`].

mod access;
mod artifacts;
mod connection;
mod listen;
mod products;
mod refusal;
#[cfg(test)]
mod tests;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Json, Router, middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::Listener,
};
use serde::Serialize;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinHandle,
};

use crate::{
    artifacts::Artifacts,
    gemm::{MAX_OPERAND_BYTES, MAX_PRODUCT_BYTES},
    worker::{WorkerHandle, WorkerStats},
};
pub use access::{Token, TokenError};
pub use listen::{ListenError, permit_tcp};
pub use products::MAX_IN_FLIGHT_BYTES;
use refusal::Refusal;

/// How long [`Endpoint::stop`] lets answers that are under way get out after the worker gave them.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Where the endpoint listens.
#[derive(Clone, Debug, Default)]
pub struct HttpConfig {
    /// Path of the Unix socket, readable and writable by its owner only.
    pub unix: Option<PathBuf>,
    /// Address to listen on over TCP. Port 0 takes any free one.
    pub tcp: Option<SocketAddr>,
    /// What clients over TCP must send as `Authorization: Bearer …`. Required if `tcp` is not a loopback address.
    pub token: Option<Token>,
    /// What is served at `/v1/artifacts`.
    pub artifacts: Option<Artifacts>,
}

/// A listening endpoint.
pub struct Endpoint {
    unix: Option<PathBuf>,
    tcp: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    servers: Vec<JoinHandle<()>>,
}

/// What the handlers share.
struct Shared {
    worker: WorkerHandle,
    /// One permit per KiB of [`MAX_IN_FLIGHT_BYTES`].
    memory: Arc<Semaphore>,
}

/// Listens, and serves until [`Endpoint::stop`]. Must be called within a tokio runtime.
///
/// A socket file that a killed node left behind is replaced; one that somebody listens on is an error, as is a port in
/// use.
pub async fn serve(config: HttpConfig, worker: WorkerHandle) -> Result<Endpoint, ListenError> {
    let unix = config.unix.as_deref().map(listen::unix).transpose()?;
    let tcp = match config.tcp {
        Some(address) => Some(listen::tcp(address, config.token.is_some()).await?),
        None => None,
    };
    let shared = Arc::new(Shared {
        worker,
        memory: products::memory(),
    });
    let router = router(shared);
    let router = match config.artifacts {
        Some(kept) => router.merge(artifacts::router(kept)),
        None => router,
    };
    let (stop, _) = watch::channel(false);
    let mut endpoint = Endpoint {
        unix: config.unix,
        tcp: None,
        stop,
        servers: Vec::new(),
    };
    if let Some(listener) = unix {
        endpoint.spawn(listener, router.clone());
    }
    if let Some(listener) = tcp {
        endpoint.tcp = listener.local_addr().ok();
        let check = Arc::new(access::Check::new(config.token));
        let guarded = router.layer(middleware::from_fn_with_state(check, access::check));
        endpoint.spawn(listener, guarded);
    }
    Ok(endpoint)
}

impl Endpoint {
    /// Address listened on over TCP, with the port that was taken.
    pub fn tcp(&self) -> Option<SocketAddr> {
        self.tcp
    }

    /// Path of the Unix socket.
    pub fn unix(&self) -> Option<&std::path::Path> {
        self.unix.as_deref()
    }

    /// Takes no more connections, lets the worker finish what it took (see [`WorkerHandle::shutdown`]), sends those
    /// answers, and removes the socket file.
    pub async fn stop(mut self, worker: &WorkerHandle) {
        self.stop.send_replace(true);
        worker.shutdown().await;
        let deadline = tokio::time::Instant::now() + STOP_GRACE;
        for mut server in std::mem::take(&mut self.servers) {
            if tokio::time::timeout_at(deadline, &mut server)
                .await
                .is_err()
            {
                server.abort();
            }
        }
    }

    fn spawn<L>(&mut self, listener: L, router: Router)
    where
        L: Listener,
        L::Addr: std::fmt::Debug,
    {
        let mut stop = self.stop.subscribe();
        let stopped = async move {
            // An error means that the endpoint was dropped, which stops it too.
            let _ = stop.wait_for(|stop| *stop).await;
        };
        let listener = connection::Guarded::new(listener);
        self.servers.push(tokio::spawn(async move {
            let router = router
                .layer(middleware::from_fn(connection::note))
                .into_make_service_with_connect_info::<connection::Asking>();
            let server = axum::serve(listener, router).with_graceful_shutdown(stopped);
            if let Err(error) = server.await {
                tracing::error!(target: "labora", %error, "the GEMM endpoint ended");
            }
        }));
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(path) = &self.unix {
            // Gone already, or not ours to remove: either way nothing is left to do.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/products", post(products::multiply))
        .route("/v1/status", get(status))
        .fallback(|| async { Refusal::NotFound.into_response() })
        .method_not_allowed_fallback(|| async { Refusal::Method.into_response() })
        .with_state(shared)
}

/// Body of `GET /v1/status`.
#[derive(Serialize)]
struct Status {
    version: &'static str,
    worker: WorkerStats,
    max_operand_bytes: u64,
    max_product_bytes: u64,
    max_in_flight_bytes: u64,
    free_in_flight_bytes: u64,
}

async fn status(axum::extract::State(shared): axum::extract::State<Arc<Shared>>) -> Response {
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        worker: shared.worker.stats(),
        max_operand_bytes: MAX_OPERAND_BYTES,
        max_product_bytes: MAX_PRODUCT_BYTES,
        max_in_flight_bytes: MAX_IN_FLIGHT_BYTES,
        free_in_flight_bytes: shared.memory.available_permits() as u64 * products::PERMIT_BYTES,
    })
    .into_response()
}
