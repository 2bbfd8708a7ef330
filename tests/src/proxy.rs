//! A link between two nodes that a test can cut, mend and slow down.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use crate::Outcome;

/// Bytes carried at once.
const PIECE: usize = 64 * 1024;

/// How a link behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Carries bytes as they come.
    Up,
    /// Carries them this much later.
    Slow(Duration),
    /// Carries nothing, and closes what was open.
    Cut,
}

/// Listens on loopback, and carries what comes there to another address while the link is up.
pub struct Proxy {
    address: SocketAddr,
    link: watch::Sender<Link>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A link to `target`.
    pub async fn to(target: SocketAddr) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (link, state) = watch::channel(Link::Up);
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if *state.borrow() == Link::Cut {
                    continue;
                }
                tokio::spawn(carry(near, target, state.clone()));
            }
        });
        Ok(Self {
            address,
            link,
            task,
        })
    }

    /// A link to the node at a multiaddress of the form `/ip4/…/tcp/PORT/p2p/ID`, and the address by which it leads there.
    pub async fn to_node(node: &str) -> Outcome<(Self, String)> {
        let parts: Vec<&str> = node.split('/').collect();
        let [_, "ip4", host, "tcp", port, "p2p", id] = parts[..] else {
            return Err(format!("not an address of a node: {node}").into());
        };
        let proxy = Self::to(format!("{host}:{port}").parse()?).await?;
        let address = format!("/ip4/127.0.0.1/tcp/{}/p2p/{id}", proxy.address.port());
        Ok((proxy, address))
    }

    /// Changes the link.
    pub fn set(&self, link: Link) {
        self.link.send_replace(link);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.link.send_replace(Link::Cut);
        self.task.abort();
    }
}

/// Carries one connection until either end closes it or the link is cut.
async fn carry(near: TcpStream, target: SocketAddr, state: watch::Receiver<Link>) {
    let Ok(far) = TcpStream::connect(target).await else {
        return;
    };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    let mut cut = state.clone();
    tokio::select! {
        () = one_way(near_in, far_out, state.clone()) => {}
        () = one_way(far_in, near_out, state) => {}
        _ = cut.wait_for(|link| *link == Link::Cut) => {}
    }
}

async fn one_way(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    state: watch::Receiver<Link>,
) {
    // Reading goes on while earlier pieces wait, as on a long line; a few thousand pieces are on the way at most.
    let (queue, mut queued) =
        tokio::sync::mpsc::channel::<(tokio::time::Instant, Arc<[u8]>)>(4_096);
    let reader = async move {
        let mut piece = vec![0; PIECE];
        while let Ok(count @ 1..) = from.read(&mut piece).await {
            let delay = match *state.borrow() {
                Link::Slow(delay) => delay,
                Link::Up | Link::Cut => Duration::ZERO,
            };
            let due = tokio::time::Instant::now() + delay;
            if queue.send((due, piece[..count].into())).await.is_err() {
                return;
            }
        }
    };
    let writer = async move {
        while let Some((due, piece)) = queued.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reader, writer);
}
