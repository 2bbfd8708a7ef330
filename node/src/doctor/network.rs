//! The network: ports, the node that runs (if one does), and peers.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    time::Duration,
};

use futures::future::join_all;
use jsonrpsee::{
    core::client::ClientT,
    http_client::{HttpClient, HttpClientBuilder},
    rpc_params,
};
use labora_consensus::system_clock;
use labora_consensus_api::{MAX_FUTURE_MS, author_and_time, split_seal};
use labora_runtime::opaque::Header;
use sc_cli::DefaultConfigurationValues;
use sc_network::{config::MultiaddrWithPeerId, multiaddr::Protocol};
use serde::Deserialize;
use tokio::{net::TcpStream, time::timeout};

use super::{
    Finding, Subject,
    database::Database,
    genesis::{Genesis, Stranger},
};
use crate::{
    cli::values::GemmListen,
    mining::DEFAULT_GEMM_LISTEN,
    rpc::types::Info,
    settings::{DEFAULT_P2P_PORT, tcp_address},
};

/// Longest wait for an answer from this machine or from a peer's.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest answer of a node that is read.
const MAX_ANSWER: u32 = 1 << 20;
/// Addresses of peers that are tried.
const MAX_BOOTNODES: usize = 32;
/// Blocks that a chain may be late before it is worth a word.
const MANY_BLOCKS: u64 = 20;
/// Blocks that finality may be behind before it is worth a word; as the alert has it.
const MANY_NOT_FINAL: u32 = 30;

/// Looks at ports, then at the node of this chain that answers on one of them, or else at the nodes it would begin with.
/// Gives that node, too.
pub(super) async fn look(
    subject: &Subject<'_>,
    database: &Database,
    genesis: Option<&Genesis>,
) -> (Vec<Finding>, Option<Running>) {
    let (node, wrong) = match own_node(subject, database, genesis).await {
        Ok(node) => (node, None),
        Err(wrong) => (None, Some(wrong)),
    };
    let is_running = node.is_some() || database.is_in_use();
    let is_silent = node.is_none() && wrong.is_none() && database.is_in_use();
    let mut out = ports(subject, is_running, wrong);
    if is_silent {
        out.push(silent(rpc_address(subject)));
    }
    match &node {
        Some(node) => {
            out.push(peers(&node.health));
            out.push(progress(node));
            out.push(finality(node));
            let checkpoint = subject.command.proofs.checkpoint;
            out.extend(checkpoint.and_then(|it| above(it.number, node)));
        }
        None => out.push(bootnodes(subject).await),
    }
    (out, node)
}

/// A node has the database, and could not be asked anything.
pub(super) fn silent(address: SocketAddr) -> Finding {
    Finding::warning(
        "node",
        format!("one has the database, and none answers on {address}"),
        "if it has just been started look again in a minute; else give its --rpc-port, or see its log",
    )
}

/// The node that answers; an error if it is not known to be one of this chain.
async fn own_node(
    subject: &Subject<'_>,
    database: &Database,
    genesis: Option<&Genesis>,
) -> Result<Option<Running>, Finding> {
    let address = rpc_address(subject);
    let Some(node) = Running::ask(address).await else {
        return Ok(None);
    };
    let ours = database.genesis().or_else(|| genesis.map(|it| it.hash));
    let Some(ours) = ours else {
        return Err(Finding::bad(
            "port of RPC",
            format!(
                "{address} is answered by a node, and whether it is of this chain is not known"
            ),
            "see that --chain is this node's, and what is said of the chain spec",
        ));
    };
    if node.info.genesis == ours {
        return Ok(Some(node));
    }
    let stranger = Stranger {
        address,
        theirs: node.info.genesis,
        ours,
    };
    Err(stranger.finding(rpc_need(subject), database))
}

pub(super) fn rpc_address(subject: &Subject<'_>) -> SocketAddr {
    let port = subject.command.run.rpc_params.rpc_port;
    loopback(port.unwrap_or_else(<()>::rpc_listen_port))
}

fn rpc_need(subject: &Subject<'_>) -> Need {
    match subject.command.run.rpc_params.rpc_port {
        Some(_) => Need::Asked,
        None => Need::Default,
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A node that answers.
pub(super) struct Running {
    pub health: NodeHealth,
    pub info: Info,
    pub best: Header,
    pub finalised: u32,
    /// This clock's time when it told of its best block.
    pub answered_ms: u64,
}

/// Answer of `system_health`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NodeHealth {
    pub peers: usize,
    pub is_syncing: bool,
    pub should_have_peers: bool,
}

impl Running {
    async fn ask(address: SocketAddr) -> Option<Self> {
        Self::questions(&client(address)?).await.ok()
    }

    async fn questions(client: &HttpClient) -> Result<Self, jsonrpsee::core::ClientError> {
        let finalised: sp_core::H256 = client
            .request("chain_getFinalizedHead", rpc_params![])
            .await?;
        let finalised: Header = client
            .request("chain_getHeader", rpc_params![finalised])
            .await?;
        Ok(Running {
            finalised: finalised.number,
            health: client.request("system_health", rpc_params![]).await?,
            info: client.request("pouw_info", rpc_params![]).await?,
            best: client.request("chain_getHeader", rpc_params![]).await?,
            // After the question above: fields are filled in as they are written.
            answered_ms: system_clock()(),
        })
    }
}

/// Asks who answers there.
pub(super) fn client(address: SocketAddr) -> Option<HttpClient> {
    HttpClientBuilder::default()
        .request_timeout(PATIENCE)
        .max_response_size(MAX_ANSWER)
        .build(format!("http://{address}"))
        .ok()
}

/// Each port; `wrong` is what is known of RPC's already.
fn ports(subject: &Subject<'_>, is_running: bool, wrong: Option<Finding>) -> Vec<Finding> {
    let run = &subject.command.run;
    let network = &run.network_params;
    let mut out = Vec::new();
    let p2p = match network.listen_addr.iter().find_map(tcp_address) {
        Some(address) => address,
        None => SocketAddr::from((
            if subject.is_local() {
                Ipv4Addr::LOCALHOST
            } else {
                Ipv4Addr::UNSPECIFIED
            },
            network.port.unwrap_or(DEFAULT_P2P_PORT),
        )),
    };
    let must = Need::Asked;
    out.push(port("port of peers", p2p, "--port", must, is_running));
    out.push(wrong.unwrap_or_else(|| {
        let (address, need) = (rpc_address(subject), rpc_need(subject));
        port("port of RPC", address, "--rpc-port", need, is_running)
    }));
    let prometheus = &run.prometheus_params;
    if !prometheus.no_prometheus {
        let address = loopback(
            prometheus
                .prometheus_port
                .unwrap_or_else(<()>::prometheus_listen_port),
        );
        let flag = "--prometheus-port";
        out.push(port("port of metrics", address, flag, must, is_running));
    }
    let products = match subject.command.gemm.gemm_listen {
        Some(GemmListen::None) => None,
        Some(GemmListen::At(address)) => Some((address, Need::Asked)),
        None => Some((DEFAULT_GEMM_LISTEN, Need::Default)),
    };
    if let Some((address, need)) = products {
        let flag = "--gemm-listen";
        out.push(port("port of products", address, flag, need, is_running));
    }
    out
}

/// Whether a node can do without a port.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Need {
    /// It ends, or goes without what the port is for.
    Asked,
    /// It takes another, or leaves it.
    Default,
}

pub(super) fn port(
    what: &'static str,
    address: SocketAddr,
    flag: &str,
    need: Need,
    is_running: bool,
) -> Finding {
    if address.port() == 0 {
        return Finding::good(what, "any free one");
    }
    match TcpListener::bind(address) {
        Ok(_) => Finding::good(what, format!("{address} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => match (is_running, need) {
            (true, _) => Finding::good(what, format!("{address} is in use, and a node runs")),
            (false, Need::Default) => Finding::warning(
                what,
                format!("{address} is in use by another program"),
                format!("the node takes another or leaves it; {flag} names one that is free"),
            ),
            (false, Need::Asked) => Finding::bad(
                what,
                format!("{address} is in use by another program"),
                format!("end that program, or give another {flag}"),
            ),
        },
        Err(error) => Finding::bad(
            what,
            format!("{address} cannot be had: {error}"),
            format!("give another {flag}"),
        ),
    }
}

pub(super) fn peers(health: &NodeHealth) -> Finding {
    let found = match (health.peers, health.is_syncing) {
        (peers, true) => format!("{peers}, and the node syncs"),
        (peers, false) => peers.to_string(),
    };
    if health.peers > 0 || !health.should_have_peers {
        return Finding::good("peers", found);
    }
    Finding::bad(
        "peers",
        "none",
        "give --bootnodes and the address of a node of this chain, and let its port through the firewall; without peers nothing is mined",
    )
}

/// How old the newest block was, by this clock, when the node told of it.
pub(super) fn progress(node: &Running) -> Finding {
    let what = "newest block";
    let now_ms = node.answered_ms;
    let number = node.best.number;
    let stated =
        split_seal(node.best.clone()).and_then(|(unsealed, _)| author_and_time(&unsealed.digest));
    let stated_ms = match stated {
        Ok(pre) => pre.timestamp_ms,
        Err(_) if number == 0 => return Finding::good(what, "genesis: none is mined yet"),
        Err(error) => {
            return Finding::bad(
                what,
                format!("block {number} is not one of this chain's: {error}"),
                "see that node and doctor are of one version",
            );
        }
    };
    if stated_ms > now_ms {
        let ahead = stated_ms - now_ms;
        let found = format!("block {number}, {:.1} s in the future", ahead as f64 / 1e3);
        let remedy = "this clock is slow, or its author's is fast: see clock above";
        return match ahead {
            0..=1_000 => Finding::good(what, found),
            // Others take it, and this node did.
            _ if ahead <= MAX_FUTURE_MS => Finding::warning(what, found, remedy),
            _ => Finding::bad(what, found, remedy),
        };
    }
    let age_ms = now_ms - stated_ms;
    let found = format!("block {number}, {:.0} s old", age_ms as f64 / 1e3);
    if age_ms > MANY_BLOCKS.saturating_mul(node.info.target_block_time_ms)
        && !node.health.is_syncing
    {
        return Finding::warning(
            what,
            found,
            "blocks should come faster: see whether anybody mines (peers and devices), and whether this clock is right",
        );
    }
    Finding::good(what, found)
}

/// How far finality is behind the newest block.
pub(super) fn finality(node: &Running) -> Finding {
    let what = "finality";
    let behind = node.best.number.saturating_sub(node.finalised);
    let found = format!("block {}, {behind} behind", node.finalised);
    if behind <= MANY_NOT_FINAL || node.health.is_syncing {
        return Finding::good(what, found);
    }
    Finding::warning(
        what,
        found,
        "see with grandpa_roundState whose votes are missing, and docs/runbook.md; on this node alone, see its peers",
    )
}

/// A checkpoint that a node which has all that its peers have has not come to: below it blocks are taken without proof of work.
pub(super) fn above(checkpoint: u32, node: &Running) -> Option<Finding> {
    let best = node.best.number;
    let has_all = node.health.peers > 0 && !node.health.is_syncing;
    (best < checkpoint && has_all).then(|| {
        Finding::bad(
            "checkpoint",
            format!("block {checkpoint} is {} above the newest one", checkpoint - best),
            "no proof of work is asked for below it: see that --checkpoint has the right number, and start the node anew",
        )
    })
}

/// Whether any node to begin with answers.
async fn bootnodes(subject: &Subject<'_>) -> Finding {
    let what = "nodes to begin with";
    let given = &subject.command.run.network_params.bootnodes;
    let all: Vec<_> = given.iter().chain(subject.spec.boot_nodes()).collect();
    if all.is_empty() {
        return if subject.is_local() {
            Finding::good(what, "none, as on a chain of this machine's own")
        } else {
            Finding::warning(
                what,
                "none are named",
                "give --bootnodes and the address of a node of this chain",
            )
        };
    }
    let tried = all.iter().take(MAX_BOOTNODES);
    let answers = join_all(tried.map(|node| answers(node))).await;
    let reached = answers.iter().filter(|reached| **reached).count();
    let found = format!("{reached} of {} take connections", answers.len());
    if reached > 0 {
        return Finding::good(what, found);
    }
    Finding::bad(
        what,
        found,
        "see whether this machine is on the network and may connect outwards, or give other --bootnodes",
    )
}

/// Whether a connection can be made. Who answers is found out by the node.
async fn answers(node: &MultiaddrWithPeerId) -> bool {
    let mut parts = node.multiaddr.iter();
    let host = match parts.next() {
        Some(Protocol::Ip4(ip)) => IpAddr::from(ip).to_string(),
        Some(Protocol::Ip6(ip)) => IpAddr::from(ip).to_string(),
        Some(Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name)) => {
            name.into_owned()
        }
        _ => return false,
    };
    let Some(Protocol::Tcp(port)) = parts.next() else {
        return false;
    };
    matches!(
        timeout(PATIENCE, TcpStream::connect((host, port))).await,
        Ok(Ok(_))
    )
}
