//! Asks one member how it is, over JSON-RPC as anybody could, and tells the supervisor.

use std::time::Duration;

use jsonrpsee::{
    core::{
        ClientError,
        client::{ClientT, Subscription, SubscriptionClientT},
    },
    rpc_params,
    ws_client::{WsClient, WsClientBuilder},
};
use labora_runtime::opaque::Header;
use schnellru::{ByLength, LruMap};
use serde::Deserialize;
use sp_core::H256;
use tokio::{sync::mpsc, time::MissedTickBehavior};

use crate::rpc::types::Stats;

/// Longest wait for an answer: a node under load on a busy machine still gives one within seconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts to connect.
const RETRY: Duration = Duration::from_millis(250);
/// Between two questions about peers and rates.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Longest answer that is read; one of 32 devices takes some 20 KB.
const MAX_ANSWER: u32 = 1 << 20;
/// Headers that may wait to be read.
const MAX_WAITING: usize = 1_024;
/// Blocks of which it is known that they were told of.
const MAX_KNOWN: u32 = 4_096;
/// Ancestors of a new best block that are asked for, where a node told of none of them: it was catching up.
const MAX_ANCESTORS: usize = 1_024;

/// What was seen of a member.
#[derive(Debug)]
pub(super) enum Seen {
    /// It answers; what is final for it.
    Up(Header),
    /// It does not answer, or no longer.
    Down,
    /// A block that it has imported.
    Block(Header),
    /// Its new best block, after those of its ancestors that were not told of yet.
    Best(Header),
    /// A block is final.
    Final(Header),
    /// Peers that it has.
    Peers(usize),
    /// Multiply-accumulates per second.
    Rate(f64),
}

/// What was seen of whom.
#[derive(Debug)]
pub(super) struct Event {
    /// Its place among the members.
    pub member: usize,
    /// What.
    pub seen: Seen,
}

/// Answer of `system_health`, as far as it is needed.
#[derive(Deserialize)]
struct Health {
    peers: usize,
}

/// Watches a member's node for as long as anybody listens.
pub(super) async fn watch(member: usize, port: u16, events: mpsc::Sender<Event>) {
    let mut watcher = Watcher {
        member,
        events,
        known: LruMap::new(ByLength::new(MAX_KNOWN)),
    };
    loop {
        if let Err(End::Unheard) = watcher.session(port).await {
            return;
        }
        if watcher.tell(Seen::Down).await.is_err() {
            return;
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Why a connection's watch ends.
enum End {
    /// The node.
    Lost,
    /// Nobody listens any more.
    Unheard,
}

impl From<ClientError> for End {
    fn from(_: ClientError) -> Self {
        End::Lost
    }
}

struct Watcher {
    member: usize,
    events: mpsc::Sender<Event>,
    /// Blocks that were told of.
    known: LruMap<H256, ()>,
}

type Heads = Subscription<Header>;

impl Watcher {
    async fn tell(&self, seen: Seen) -> Result<(), End> {
        let member = self.member;
        let sent = self.events.send(Event { member, seen }).await;
        sent.map_err(|_| End::Unheard)
    }

    /// One connection, to its end.
    async fn session(&mut self, port: u16) -> Result<(), End> {
        let client = WsClientBuilder::default()
            .request_timeout(PATIENCE)
            .connection_timeout(PATIENCE)
            .max_response_size(MAX_ANSWER)
            .max_buffer_capacity_per_subscription(MAX_WAITING)
            .build(format!("ws://127.0.0.1:{port}"))
            .await?;
        let mut blocks = heads(&client, "All").await?;
        let mut bests = heads(&client, "New").await?;
        let mut finals = heads(&client, "Finalized").await?;
        let hash: H256 = client
            .request("chain_getFinalizedHead", rpc_params![])
            .await?;
        let last: Header = client.request("chain_getHeader", rpc_params![hash]).await?;
        self.known.insert(hash, ());
        self.tell(Seen::Up(last)).await?;
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // What is final first: the lag of a new best block is behind what is final by then.
            tokio::select! {
                biased;
                header = finals.next() => self.tell(Seen::Final(next(header)?)).await?,
                header = blocks.next() => {
                    let header = next(header)?;
                    self.known.insert(header.hash(), ());
                    self.tell(Seen::Block(header)).await?;
                }
                header = bests.next() => self.best(&client, next(header)?).await?,
                _ = looks.tick() => self.look(&client).await?,
            }
        }
    }

    async fn look(&self, client: &WsClient) -> Result<(), End> {
        let health: Health = client.request("system_health", rpc_params![]).await?;
        self.tell(Seen::Peers(health.peers)).await?;
        let stats: Stats = client.request("pouw_stats", rpc_params![]).await?;
        let rates = &stats.macs_per_s_10s;
        self.tell(Seen::Rate(rates.useful + rates.filler)).await
    }

    /// Tells of a best block, and before it of its ancestors that nobody was told of: a node that catches up tells of its
    /// last block only.
    async fn best(&mut self, client: &WsClient, best: Header) -> Result<(), End> {
        let mut missing = Vec::new();
        let mut parent = best.parent_hash;
        while self.known.peek(&parent).is_none() && missing.len() < MAX_ANCESTORS {
            let header: Option<Header> = client
                .request("chain_getHeader", rpc_params![parent])
                .await?;
            let Some(header) = header.filter(|header| header.number > 0) else {
                break;
            };
            self.known.insert(parent, ());
            parent = header.parent_hash;
            missing.push(header);
        }
        for header in missing.into_iter().rev() {
            self.tell(Seen::Block(header)).await?;
        }
        self.known.insert(best.hash(), ());
        self.tell(Seen::Best(best)).await
    }
}

async fn heads(client: &WsClient, which: &str) -> Result<Heads, End> {
    let begin = format!("chain_subscribe{which}Heads");
    let end = format!("chain_unsubscribe{which}Heads");
    Ok(client.subscribe(&begin, rpc_params![], &end).await?)
}

/// The next header; none, or one that does not decode, is the end.
fn next(header: Option<Result<Header, impl Sized>>) -> Result<Header, End> {
    header.and_then(Result::ok).ok_or(End::Lost)
}
