//! `POST /v1/products`: from a request's bytes to a product and back. Memory is reserved before anything is allocated.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, BodyDataStream, Bytes, HttpBody},
    extract::{Query, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures::{Stream, StreamExt, stream};
use serde::Deserialize;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::{Refusal, Shared};
use crate::{
    gemm::{Dimensions, MAX_OPERAND_BYTES, Product},
    worker::Answer,
};

/// Bytes of operands and products, read in or not yet sent, at any moment: two of the largest, or hundreds of typical
/// ones. What devices pack comes on top: two pieces of 64 MiB for each operand and the product, 384 MiB a device.
pub const MAX_IN_FLIGHT_BYTES: u64 = 1 << 30;

/// Bytes that one permit of the memory semaphore stands for.
pub(super) const PERMIT_BYTES: u64 = 1024;

/// Time for a body of any length to come; for each [`SLOWEST_BYTES_PER_S`] bytes of it there is one second more.
const BODY_TIME: Duration = Duration::from_secs(10);
const SLOWEST_BYTES_PER_S: u64 = 1 << 20;

/// Entries of a product that are turned into bytes at a time.
const CHUNK_ENTRIES: usize = 64 * 1024;

const MACS: HeaderName = HeaderName::from_static("labora-macs");
const MINED_MACS: HeaderName = HeaderName::from_static("labora-mined-macs");
const ROOTS: HeaderName = HeaderName::from_static("labora-roots");

/// All of [`MAX_IN_FLIGHT_BYTES`], free.
pub(super) fn memory() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(
        (MAX_IN_FLIGHT_BYTES / PERMIT_BYTES) as usize,
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    m: u64,
    n: u64,
    k: u64,
}

pub(super) async fn multiply(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let accepted = accept(&head.headers, &head.uri, &body, &shared.memory);
    let (dimensions, reserved) = match accepted {
        Ok(accepted) => accepted,
        Err(refusal) => {
            discard_unasked(&head.headers, body);
            return refusal.into_response();
        }
    };
    let answer = async {
        let product = read(body.into_data_stream(), dimensions).await?;
        Ok::<_, Refusal>(shared.worker.multiply(product).await?)
    };
    match answer.await {
        Ok(answer) => respond(answer, reserved),
        Err(refusal) => refusal.into_response(),
    }
}

/// Everything that can be known before the body is read.
fn accept(
    headers: &HeaderMap,
    uri: &axum::http::Uri,
    body: &Body,
    memory: &Arc<Semaphore>,
) -> Result<(Dimensions, OwnedSemaphorePermit), Refusal> {
    // Exactly this type, so that no web page can post here without the browser asking us first (CORS).
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if content_type != Some(b"application/octet-stream") {
        return Err(Refusal::ContentType);
    }
    let Query(Parameters { m, n, k }) = Query::try_from_uri(uri).map_err(|_| Refusal::Query)?;
    let dimensions = Dimensions::new(m, n, k)?;
    let expected = dimensions.operand_bytes() as u64;
    // A chunked body's length is checked as it comes.
    if let Some(got) = body.size_hint().exact().filter(|got| *got != expected) {
        return Err(if got > MAX_OPERAND_BYTES {
            Refusal::TooLong { got }
        } else {
            Refusal::Length { got, expected }
        });
    }
    // Operands, sums and the product are not all there at the same time, but two of the three are. Below 2^20 permits.
    let needed = expected + 2 * dimensions.product_bytes() as u64;
    let permits = needed.div_ceil(PERMIT_BYTES) as u32;
    let reserved = Arc::clone(memory)
        .try_acquire_many_owned(permits)
        .map_err(|_| Refusal::Memory {
            needed,
            free: memory.available_permits() as u64 * PERMIT_BYTES,
        })?;
    Ok((dimensions, reserved))
}

/// Reads exactly the operands.
async fn read(mut body: BodyDataStream, dimensions: Dimensions) -> Result<Product, Refusal> {
    let expected = dimensions.operand_bytes();
    let allowed = BODY_TIME + Duration::from_secs(expected as u64 / SLOWEST_BYTES_PER_S);
    let deadline = Instant::now() + allowed;
    let a_bytes = dimensions.m() * dimensions.k();
    let (mut a, mut bt) = (
        Vec::with_capacity(a_bytes),
        Vec::with_capacity(expected - a_bytes),
    );
    loop {
        let got = a.len() + bt.len();
        let next = timeout_at(deadline, body.next())
            .await
            .map_err(|_| Refusal::Slow {
                got: got as u64,
                expected: expected as u64,
                allowed,
            })?;
        let Some(bytes) = next else { break };
        let bytes = bytes.map_err(|_| Refusal::Broken {
            got: got as u64,
            expected: expected as u64,
        })?;
        if got + bytes.len() > expected {
            return Err(Refusal::Length {
                got: (got + bytes.len()) as u64,
                expected: expected as u64,
            });
        }
        let (to_a, to_bt) = bytes.split_at(bytes.len().min(a_bytes - a.len()));
        a.extend(to_a.iter().map(|byte| *byte as i8));
        bt.extend(to_bt.iter().map(|byte| *byte as i8));
    }
    let got = a.len() + bt.len();
    if got != expected {
        return Err(Refusal::Length {
            got: got as u64,
            expected: expected as u64,
        });
    }
    Ok(Product::new(dimensions, a, bt)?)
}

/// Discards a body of which nothing was read, if it comes at all.
pub(super) fn discard_unasked(headers: &HeaderMap, body: Body) {
    // Who waits for `100 Continue` will not send it, and reading it would be the invitation.
    if !headers.contains_key(header::EXPECT) {
        tokio::spawn(discard(body.into_data_stream()));
    }
}

/// Reads a refused body into nothing, so that its sender gets to read the refusal: a connection closed with bytes unread
/// is reset, and what was sent on it may be lost.
pub(super) async fn discard(mut body: BodyDataStream) {
    let deadline = Instant::now() + BODY_TIME;
    let mut left = MAX_OPERAND_BYTES;
    while let Ok(Some(Ok(bytes))) = timeout_at(deadline, body.next()).await {
        match left.checked_sub(bytes.len() as u64) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

fn respond(answer: Answer, reserved: OwnedSemaphorePermit) -> Response {
    let length = 4 * answer.product.len();
    let roots: Vec<String> = answer
        .roots
        .iter()
        .map(|roots| format!("{}:{}", hex::encode(roots.a), hex::encode(roots.bt)))
        .collect();
    let mut response = Body::from_stream(bytes_of(answer.product, reserved)).into_response();
    let headers = response.headers_mut();
    let octets = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, octets);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(MACS, HeaderValue::from(answer.macs));
    headers.insert(MINED_MACS, HeaderValue::from(answer.mined_macs));
    // Hex digits, colons and commas are valid in a header.
    if let Ok(roots) = HeaderValue::try_from(roots.join(",")) {
        headers.insert(ROOTS, roots);
    }
    response
}

/// The product's bytes, a chunk at a time; its memory counts as used until the last is taken.
fn bytes_of(
    product: Vec<i32>,
    reserved: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(
        (product, 0, reserved),
        |(product, start, reserved)| async move {
            let end = product.len().min(start + CHUNK_ENTRIES);
            let chunk = &product[start..end];
            if chunk.is_empty() {
                return None;
            }
            // Written so that it compiles to a copy where int32 is little-endian already.
            let mut bytes = vec![0; 4 * chunk.len()];
            for (to, entry) in bytes.chunks_exact_mut(4).zip(chunk) {
                to.copy_from_slice(&entry.to_le_bytes());
            }
            Some((Ok(Bytes::from(bytes)), (product, end, reserved)))
        },
    )
}
