//! A peer that speaks the node's protocols and keeps none of their promises.
//!
//! It runs on the SDK's own network layer, which speaks libp2p and its handshakes exactly as the node expects: what is
//! refused is refused for what it says, not for how. It has a key of its own, connects to one node, announces what the
//! test tells it to, answers requests for blocks and for proofs, and keeps to no limit of size.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use labora_tests::{Outcome, wait_for};
use parity_scale_codec::Encode;
use sc_network::{
    IfDisconnected, MessageSink, NetworkBackend, NetworkWorker, NotificationService,
    RequestFailure,
    config::{
        FullNetworkConfiguration, IncomingRequest, MultiaddrWithPeerId, NetworkConfiguration,
        NodeKeyConfig, NonReservedPeerMode, NotificationHandshake, OutgoingResponse, Params,
        ProtocolId, Role, Roles, Secret, SetConfig, ed25519::SecretKey,
    },
    service::traits::{NetworkService, NotificationEvent, ValidationResult},
};
use sc_network_types::PeerId;
use sp_core::H256;
use sp_runtime::{OpaqueExtrinsic, generic};
use tokio::{sync::watch, task::JoinSet};

use super::chain::{Chain, Header};

type Block = generic::Block<Header, OpaqueExtrinsic>;
type Network = NetworkWorker<Block, H256>;
type Requests = async_channel::Receiver<IncomingRequest>;

/// The secret key that a peer is known by.
pub type Key = [u8; 32];

/// Until a node has let a peer in that it has nothing against.
const WELCOME_LIMIT: Duration = Duration::from_secs(30);

/// Bytes of a message or an answer that this peer is ready to send: far above what any node takes.
const MAX_BYTES: u64 = 64 << 20;

/// Requests of the node that wait here.
const MAX_WAITING: usize = 64;

/// The protocol by which proofs are asked for, on its chain.
const PROOFS: &str = "pouw/proofs/1";

/// How a protocol is called that is spoken on one chain alone.
fn on_chain(genesis: H256, protocol: &str) -> String {
    format!("/{genesis:x}/{protocol}")
}

/// How it answers requests for proofs.
#[derive(Clone, Debug)]
pub enum Manners {
    /// With the proofs that it has, as everyone should.
    Honest,
    /// That it has none.
    Denial,
    /// Not at all: the request stays open.
    Silence,
    /// With these bytes.
    Bytes(Vec<u8>),
}

/// What has come from the node so far.
#[derive(Clone, Default)]
pub struct Seen {
    /// How announcements are sent, while the node has let this peer in.
    pub door: Option<Arc<dyn MessageSink>>,
    /// How often the node has let it in.
    pub welcomes: usize,
    /// Requests for blocks.
    pub blocks: usize,
    /// Requests for proofs.
    pub proofs: usize,
}

struct State {
    chain: Chain,
    manners: Manners,
    /// Requests that are left without an answer; dropping one would be a refusal.
    unanswered: Vec<IncomingRequest>,
}

/// The peer. Dropping it ends its connections.
pub struct Peer {
    /// Its name.
    pub id: PeerId,
    node: PeerId,
    network: Arc<dyn NetworkService>,
    proofs_protocol: String,
    state: Arc<Mutex<State>>,
    seen: watch::Receiver<Seen>,
    _tasks: JoinSet<()>,
}

impl Peer {
    /// A peer with this key that goes to `node` (`/ip4/…/p2p/ID`), and says there that the last block of `chain` is its
    /// best.
    pub fn start(key: Key, node: &str, chain: Chain, manners: Manners) -> Outcome<Self> {
        Ok(Self::connected(key, &[node.parse()?], chain, manners, |_| ())?.0)
    }

    /// The same for several nodes, to which it says that it is a validator; and the notifications of GRANDPA.
    pub fn validator(
        key: Key,
        nodes: &[String],
        chain: Chain,
    ) -> Outcome<(Self, Box<dyn NotificationService>)> {
        let nodes: Result<Vec<_>, _> = nodes.iter().map(|node| node.parse()).collect();
        let (nodes, genesis) = (nodes?, chain.genesis());
        let speak = |config: &mut Configuration| votes(&nodes, genesis, config);
        Self::connected(key, &nodes, chain, Manners::Honest, speak)
    }

    /// Speaks what every peer does, and what is added to the configuration.
    fn connected<T>(
        key: Key,
        targets: &[MultiaddrWithPeerId],
        chain: Chain,
        manners: Manners,
        more: impl FnOnce(&mut Configuration) -> T,
    ) -> Outcome<(Self, T)> {
        let node = targets.first().ok_or("a peer of nobody")?.peer_id;
        let genesis = chain.genesis();
        let proofs_protocol = on_chain(genesis, PROOFS);
        let (mut network_config, blocks, proofs) = protocols(key, targets, genesis);
        let (announcements, service) = announcements(targets, &chain, &network_config);
        let more = more(&mut network_config);
        let mut tasks = JoinSet::new();
        tasks.spawn(network_config.take_peer_store().run());
        let network = Network::new(Params {
            role: Role::Full,
            executor: Box::new(|task| drop(tokio::spawn(task))),
            network_config,
            protocol_id: ProtocolId::from("rogue"),
            genesis_hash: genesis,
            fork_id: None,
            metrics_registry: None,
            block_announce_config: announcements,
            ipfs_config: None,
            notification_metrics:
                <Network as NetworkBackend<Block, H256>>::register_notification_metrics(None),
        })?;
        let handle = NetworkBackend::<Block, H256>::network_service(&network);
        let id = handle.local_peer_id();
        let state = Arc::new(Mutex::new(State {
            chain,
            manners,
            unanswered: Vec::new(),
        }));
        let (notes, seen) = watch::channel(Seen::default());
        tasks.spawn(NetworkBackend::<Block, H256>::run(network));
        tasks.spawn(listen(service, notes.clone()));
        tasks.spawn(tell_blocks(blocks, state.clone(), notes.clone()));
        tasks.spawn(tell_proofs(proofs, state.clone(), notes));
        let peer = Self {
            id,
            node,
            network: handle,
            proofs_protocol,
            state,
            seen,
            _tasks: tasks,
        };
        Ok((peer, more))
    }

    /// The same, once the node has let it in.
    pub async fn welcome(key: Key, node: &str, chain: Chain, manners: Manners) -> Outcome<Self> {
        let peer = Self::start(key, node, chain, manners)?;
        peer.until("the node to let the peer in", WELCOME_LIMIT, |seen| {
            seen.door.is_some()
        })
        .await?;
        Ok(peer)
    }

    /// Gives it more blocks to tell of.
    pub fn learn(&self, chain: Chain) {
        locked(&self.state).chain = chain;
    }

    /// Waits until the node has hung up.
    pub async fn until_hung_up_on(&self, limit: Duration) -> Outcome {
        self.until("the node to hang up", limit, |seen| seen.door.is_none())
            .await
    }

    /// What has come so far.
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits for something to have come.
    pub async fn until(
        &self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&Seen) -> bool,
    ) -> Outcome {
        wait_for(what, limit, || {
            let met = wanted(&self.seen.borrow());
            async move { Ok(met.then_some(())) }
        })
        .await
    }

    /// Announces a block as this peer's best, with these bytes as its proof, as soon as the node takes more; whether it
    /// could, which it cannot where the node has hung up.
    pub async fn announce(&self, header: &Header, data: Vec<u8>) -> bool {
        let Some(door) = self.seen().door else {
            return false;
        };
        door.send_async_notification(announcement(header, data))
            .await
            .is_ok()
    }

    /// Asks the node for proofs, in these bytes.
    pub async fn ask_for_proofs(&self, request: Vec<u8>) -> Result<Vec<u8>, RequestFailure> {
        let protocol = self.proofs_protocol.clone().into();
        let asked = self.network.request(
            self.node,
            protocol,
            request,
            None,
            IfDisconnected::ImmediateError,
        );
        Ok(asked.await?.0)
    }
}

/// An announcement of a best block, as the SDK encodes it.
fn announcement(header: &Header, data: Vec<u8>) -> Vec<u8> {
    const BEST: u8 = 1;
    (header, BEST, data).encode()
}

fn only(targets: &[MultiaddrWithPeerId]) -> SetConfig {
    SetConfig {
        in_peers: 0,
        out_peers: 0,
        reserved_nodes: targets.to_vec(),
        non_reserved_mode: NonReservedPeerMode::Deny,
    }
}

type Configuration = FullNetworkConfiguration<Block, H256, Network>;

/// The network's configuration, and where requests for blocks and for proofs arrive.
fn protocols(
    key: Key,
    targets: &[MultiaddrWithPeerId],
    genesis: H256,
) -> (Configuration, Requests, Requests) {
    let mut plain = NetworkConfiguration::new_local();
    let key = SecretKey::try_from_bytes(key).expect("any 32 bytes are a key");
    plain.node_key = NodeKeyConfig::Ed25519(Secret::Input(key));
    plain.default_peers_set = only(targets);
    plain.enable_dht_random_walk = false;
    let mut config = Configuration::new(&plain, None);
    let [blocks, proofs] = ["sync/2", PROOFS].map(|name| {
        let (sender, requests) = async_channel::bounded(MAX_WAITING);
        config.add_request_response_protocol(
            <Network as NetworkBackend<Block, H256>>::request_response_config(
                on_chain(genesis, name).into(),
                Vec::new(),
                MAX_BYTES,
                MAX_BYTES,
                WELCOME_LIMIT,
                Some(sender),
            ),
        );
        requests
    });
    (config, blocks, proofs)
}

type Announcements = <Network as NetworkBackend<Block, H256>>::NotificationProtocolConfig;

/// The protocol of announcements, whose handshake claims the chain's last block.
fn announcements(
    targets: &[MultiaddrWithPeerId],
    chain: &Chain,
    config: &Configuration,
) -> (Announcements, Box<dyn NotificationService>) {
    let best = chain.best();
    let genesis = chain.genesis();
    let handshake = (Roles::FULL, best.header.number, best.hash(), genesis);
    <Network as NetworkBackend<Block, H256>>::notification_config(
        on_chain(genesis, "block-announces/1").into(),
        Vec::new(),
        MAX_BYTES,
        Some(NotificationHandshake::new(handshake)),
        only(targets),
        <Network as NetworkBackend<Block, H256>>::register_notification_metrics(None),
        config.peer_store_handle(),
    )
}

/// The protocol of votes.
fn votes(
    targets: &[MultiaddrWithPeerId],
    genesis: H256,
    config: &mut Configuration,
) -> Box<dyn NotificationService> {
    let (votes, service) = <Network as NetworkBackend<Block, H256>>::notification_config(
        on_chain(genesis, "grandpa/1").into(),
        Vec::new(),
        MAX_BYTES,
        Some(NotificationHandshake::new(Roles::AUTHORITY)),
        only(targets),
        <Network as NetworkBackend<Block, H256>>::register_notification_metrics(None),
        config.peer_store_handle(),
    );
    config.add_notification_protocol(votes);
    service
}

async fn listen(mut service: Box<dyn NotificationService>, notes: watch::Sender<Seen>) {
    while let Some(event) = service.next_event().await {
        match event {
            NotificationEvent::ValidateInboundSubstream { result_tx, .. } => {
                let _ = result_tx.send(ValidationResult::Accept);
            }
            NotificationEvent::NotificationStreamOpened { peer, .. } => {
                let door = service.message_sink(&peer).map(Arc::from);
                notes.send_modify(|seen| {
                    seen.door = door;
                    seen.welcomes += 1;
                });
            }
            NotificationEvent::NotificationStreamClosed { .. } => {
                notes.send_modify(|seen| seen.door = None);
            }
            // What the node announces is of no interest.
            NotificationEvent::NotificationReceived { .. } => {}
        }
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(request: IncomingRequest, bytes: Vec<u8>) {
    // The node may have given up by now.
    let _ = request.pending_response.send(OutgoingResponse {
        result: Ok(bytes),
        reputation_changes: Vec::new(),
        sent_feedback: None,
    });
}

async fn tell_blocks(requests: Requests, state: Arc<Mutex<State>>, notes: watch::Sender<Seen>) {
    while let Ok(request) = requests.recv().await {
        let bytes = locked(&state).chain.answer_blocks(&request.payload);
        answer(request, bytes);
        notes.send_modify(|seen| seen.blocks += 1);
    }
}

async fn tell_proofs(requests: Requests, state: Arc<Mutex<State>>, notes: watch::Sender<Seen>) {
    while let Ok(request) = requests.recv().await {
        let mut state = locked(&state);
        match state.manners.clone() {
            Manners::Honest => {
                let bytes = state.chain.answer_proofs(&request.payload);
                answer(request, bytes);
            }
            Manners::Denial => {
                let bytes = Chain::default().answer_proofs(&request.payload);
                answer(request, bytes);
            }
            Manners::Silence => state.unanswered.push(request),
            Manners::Bytes(bytes) => answer(request, bytes),
        }
        notes.send_modify(|seen| seen.proofs += 1);
    }
}
