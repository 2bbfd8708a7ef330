//! Bodies, between a connection and a thread that may block: in pieces, of which few wait.

use std::{
    io::{self, Read, Write},
    time::Duration,
};

use axum::body::{Body, BodyDataStream, Bytes};
use futures::{StreamExt, stream};
use labora_artifacts::StoreError;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, timeout_at},
};

use super::{super::products::discard, refusal::ArtifactRefusal};

/// Pieces of a body that wait between the connection and the disk; with hyper's pieces, some hundred KiB.
const WAITING: usize = 8;

/// Bytes of a piece that goes out.
const PIECE: usize = 256 * 1024;

/// Time for a body of any length to come; for each [`SLOWEST_BYTES_PER_S`] bytes of it there is one second more.
const BODY_TIME: Duration = Duration::from_secs(30);
const SLOWEST_BYTES_PER_S: u64 = 1 << 18;

/// A body as a thread reads it that may block.
pub(super) struct Incoming {
    pieces: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.piece.len());
        buffer[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}

/// Hands a body on, piece by piece, as fast as it is taken.
async fn feed(
    mut body: BodyDataStream,
    bytes: u64,
    to: mpsc::Sender<Bytes>,
) -> Result<(), ArtifactRefusal> {
    let deadline = Instant::now() + BODY_TIME + Duration::from_secs(bytes / SLOWEST_BYTES_PER_S);
    loop {
        let next = timeout_at(deadline, body.next()).await;
        let Some(piece) = next.map_err(|_| ArtifactRefusal::Slow)? else {
            return Ok(());
        };
        let piece = piece.map_err(|_| ArtifactRefusal::Broken)?;
        if to.send(piece).await.is_err() {
            // Whoever reads it has had enough, and says why.
            tokio::spawn(discard(body));
            return Ok(());
        }
    }
}

/// Gives a body to `take`, on a thread that may block.
pub(super) async fn taken<T: Send + 'static>(
    body: Body,
    bytes: u64,
    take: impl FnOnce(Incoming) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, ArtifactRefusal> {
    let (to, pieces) = mpsc::channel(WAITING);
    let incoming = Incoming {
        pieces,
        piece: Bytes::new(),
    };
    let taking = tokio::task::spawn_blocking(move || take(incoming));
    let fed = feed(body.into_data_stream(), bytes, to).await;
    let taken = taking
        .await
        .map_err(|error| ArtifactRefusal::Thread(error.to_string()))?;
    // That it ended early is the consequence of how it came.
    fed?;
    Ok(taken?)
}

/// What a thread writes that may block, as a body.
pub(super) struct Outgoing {
    to: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
}

impl Write for Outgoing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        let sent = self.to.blocking_send(Ok(Bytes::from(piece)));
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// A body that `write` writes, on a thread that may block.
pub(super) fn written(
    permit: OwnedSemaphorePermit,
    write: impl FnOnce(&mut Outgoing) -> Result<(), StoreError> + Send + 'static,
) -> Body {
    let (to, pieces) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let mut outgoing = Outgoing {
            to,
            piece: Vec::with_capacity(PIECE),
        };
        let done = write(&mut outgoing).and_then(|()| Ok(outgoing.flush()?));
        if let Err(error) = done {
            // The connection is cut, so that nobody takes it for whole; it may be gone already.
            let _ = outgoing.to.blocking_send(Err(io::Error::other(error)));
        }
    });
    Body::from_stream(stream::unfold(pieces, |mut pieces| async move {
        let piece = pieces.recv().await?;
        Some((piece, pieces))
    }))
}
