//! Bounds what a single connection may hold up: how many there are, how long one may take to ask, how slowly it may take
//! its answer, and how long it may do nothing.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    extract::{ConnectInfo, Request, connect_info::Connected},
    middleware::Next,
    response::Response,
    serve::{IncomingStream, Listener},
};
use parking_lot::Mutex;
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

/// A new connection has sent the whole head of a request by then: whoever says nothing holds a place that others wait for.
const FIRST_REQUEST: Duration = Duration::from_secs(10);

/// As [`FIRST_REQUEST`], for the next request of a connection after an answer: a user who thinks for a while.
const NEXT_REQUEST: Duration = Duration::from_secs(120);

/// How far a connection is with asking. Clones are the same connection's.
#[derive(Clone)]
pub(super) struct Asking(Arc<Mutex<Requests>>);

struct Requests {
    in_hand: usize,
    next_by: Instant,
}

impl Asking {
    fn new(first: Duration) -> Self {
        Self(Arc::new(Mutex::new(Requests {
            in_hand: 0,
            next_by: Instant::now() + first,
        })))
    }

    /// When the peer must have asked, if it is its turn.
    fn due(&self) -> Option<Instant> {
        let requests = self.0.lock();
        (requests.in_hand == 0).then_some(requests.next_by)
    }

    /// An answer is on its way, so the next request may take its time.
    fn answering(&self) {
        self.0.lock().next_by = Instant::now() + NEXT_REQUEST;
    }

    fn begin(&self) -> InHand {
        self.0.lock().in_hand += 1;
        InHand(self.clone())
    }
}

impl<L: Listener> Connected<IncomingStream<'_, Guarded<L>>> for Asking {
    fn connect_info(stream: IncomingStream<'_, Guarded<L>>) -> Self {
        stream.io().asking.clone()
    }
}

/// A request that is being answered.
struct InHand(Asking);

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.answering();
        // Counted up where this was made.
        self.0.0.lock().in_hand -= 1;
    }
}

/// Notes on its connection that a request has come, until there is an answer.
pub(super) async fn note(
    ConnectInfo(asking): ConnectInfo<Asking>,
    request: Request,
    next: Next,
) -> Response {
    let _in_hand = asking.begin();
    next.run(request).await
}

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
        (Connection::new(io, permit, FIRST_REQUEST), address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection with a place among [`MAX_CONNECTIONS`] and three clocks.
pub(super) struct Connection<T> {
    io: T,
    asking: Asking,
    quiet: Pin<Box<Sleep>>,
    idle: Pin<Box<Sleep>>,
    stall: Pin<Box<Sleep>>,
    /// Bytes written since the stall clock was set; `None` while the peer takes all there is.
    progress: Option<usize>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl<T> Connection<T> {
    fn new(io: T, permit: Option<OwnedSemaphorePermit>, first_request: Duration) -> Self {
        Self {
            io,
            asking: Asking::new(first_request),
            quiet: Box::pin(sleep(first_request)),
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
        self.asking.answering();
        self.progress = self
            .progress
            .map(|before| before + bytes)
            .filter(|sum| *sum < MIN_PROGRESS_BYTES);
    }

    /// Called when the peer says nothing more at the moment.
    fn poll_gone_quiet(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(due) = self.asking.due() {
            if self.quiet.deadline() != due {
                self.quiet.as_mut().reset(due);
            }
            if self.quiet.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
        }
        self.idle.as_mut().poll(context)
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
                ready!(self.poll_gone_quiet(context));
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    /// Longest wait; only a failing test gets there.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn who_never_asks_is_cut_off_also_when_it_trickles() {
        for said in [&b""[..], b"GET /v1/st"] {
            let (mut peer, io) = duplex(64);
            let mut connection = Connection::new(io, None, SOON);
            peer.write_all(said).await.expect("room");
            let mut head = Vec::new();
            let read = tokio::time::timeout(PATIENCE, connection.read_to_end(&mut head)).await;
            let error = read.expect("in time").expect_err("cut off");
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert_eq!(head, said);
        }
    }

    #[tokio::test]
    async fn who_waits_for_an_answer_is_not_cut_off() {
        let (mut peer, io) = duplex(64);
        let mut connection = Connection::new(io, None, SOON);
        let in_hand = connection.asking.begin();
        let mut byte = [0];
        // Long after the first request was due.
        let read = tokio::time::timeout(10 * SOON, connection.read_exact(&mut byte)).await;
        assert!(read.is_err(), "{read:?}");
        drop(in_hand);
        peer.write_all(b"x").await.expect("room");
        connection.read_exact(&mut byte).await.expect("still open");
    }
}
