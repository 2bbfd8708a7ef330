//! Bounds what a single connection may hold up: how many there are, how slowly one may take its answer, and how long it
//! may do nothing.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep},
};

/// Most connections to one listener at a time; the next waits to be accepted. Twice the products that may wait.
const MAX_CONNECTIONS: usize = 128;

/// A peer that has an answer to take must take [`MIN_PROGRESS_BYTES`] of it, or all, in this time.
const WRITE_STALL: Duration = Duration::from_secs(30);
const MIN_PROGRESS_BYTES: usize = 64 * 1024;

/// A connection on which nothing moves for this long is closed: no product takes so long.
const IDLE: Duration = Duration::from_secs(600);

/// A listener whose connections are [`Connection`]s.
pub(super) struct Guarded<L> {
    listener: L,
    free: Arc<Semaphore>,
}

impl<L: Listener> Guarded<L> {
    pub fn new(listener: L) -> Self {
        Self {
            listener,
            free: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        }
    }
}

impl<L: Listener> Listener for Guarded<L> {
    type Io = Connection<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // Fails only when closed, which this semaphore never is.
        let permit = Arc::clone(&self.free).acquire_owned().await.ok();
        let (io, address) = self.listener.accept().await;
        (Connection::new(io, permit), address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection with a place among [`MAX_CONNECTIONS`] and two clocks.
pub(super) struct Connection<T> {
    io: T,
    idle: Pin<Box<Sleep>>,
    stall: Pin<Box<Sleep>>,
    /// Bytes written since the stall clock was set; `None` while the peer takes all there is.
    progress: Option<usize>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl<T> Connection<T> {
    fn new(io: T, permit: Option<OwnedSemaphorePermit>) -> Self {
        Self {
            io,
            idle: Box::pin(sleep(IDLE)),
            stall: Box::pin(sleep(WRITE_STALL)),
            progress: None,
            _permit: permit,
        }
    }

    fn moved(&mut self) {
        self.idle.as_mut().reset(Instant::now() + IDLE);
    }

    fn wrote(&mut self, bytes: usize) {
        self.moved();
        self.progress = self
            .progress
            .map(|before| before + bytes)
            .filter(|sum| *sum < MIN_PROGRESS_BYTES);
    }

    /// Called when the peer takes nothing more at the moment.
    fn poll_stalled(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.progress.is_none() {
            self.progress = Some(0);
            self.stall.as_mut().reset(Instant::now() + WRITE_STALL);
        }
        ready!(self.stall.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Connection<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.io).poll_read(context, buffer) {
            Poll::Ready(result) => {
                self.moved();
                Poll::Ready(result)
            }
            Poll::Pending => {
                ready!(self.idle.as_mut().poll(context));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Connection<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.io).poll_write(context, bytes) {
            Poll::Ready(result) => {
                self.wrote(*result.as_ref().unwrap_or(&0));
                Poll::Ready(result)
            }
            Poll::Pending => self.poll_stalled(context),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.io).poll_write_vectored(context, slices) {
            Poll::Ready(result) => {
                self.wrote(*result.as_ref().unwrap_or(&0));
                Poll::Ready(result)
            }
            Poll::Pending => self.poll_stalled(context),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // All that was to be written is with the system now: the peer owes nothing.
        self.progress = None;
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
