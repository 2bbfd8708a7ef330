//! The matrices that a node keeps, and their exchange with other nodes: what is opened before the network, and what is started on it.

use std::sync::Arc;

use labora_artifacts::{
    Limits, Store,
    exchange::{ArtifactRequestHandler, Exchange, NetworkPeers, Tally, announce, protocol_name},
};
use labora_runtime::opaque::Block;
use sc_network::{
    NetworkWorker, ProtocolName, config::FullNetworkConfiguration, service::traits::NetworkService,
};
use sc_network_sync::SyncingService;
use sc_service::SpawnTaskHandle;

use crate::{http::ListenError, mining::GemmOptions, service::Hash};

/// Artifacts that are kept at most: their list takes some 100 MB.
const MAX_ARTIFACTS: usize = 1 << 20;

/// Group of the tasks, as the SDK's metrics name it.
const GROUP: Option<&str> = Some("networking");

/// What is served at `/v1/artifacts`.
#[derive(Clone, Debug)]
pub struct Artifacts {
    /// What is kept.
    pub store: Store,
    /// Other nodes that keep some; `None` where there is no network.
    pub exchange: Option<Exchange>,
}

impl Artifacts {
    /// A store that no peers belong to.
    pub fn alone(store: Store) -> Self {
        Self {
            store,
            exchange: None,
        }
    }
}

/// Opens the store, if one is asked for.
///
/// # Errors
///
/// If its folder cannot be used.
pub fn open(gemm: Option<&GemmOptions>) -> Result<Option<Store>, ListenError> {
    let asked = gemm.and_then(|gemm| gemm.artifacts.as_ref());
    let opened = asked.map(|(path, bytes)| {
        let limits = Limits {
            bytes: *bytes,
            artifacts: MAX_ARTIFACTS,
        };
        Store::open(path, limits)
    });
    Ok(opened.transpose()?)
}

/// A store that peers are served from, as soon as there is a network.
pub struct Served {
    store: Store,
    tally: Tally,
    protocol: ProtocolName,
}

impl Served {
    /// Adds the protocol to a network that is not built yet, and starts to answer.
    pub fn new(
        store: Store,
        network: &mut FullNetworkConfiguration<Block, Hash, NetworkWorker<Block, Hash>>,
        (genesis, fork_id): (Hash, Option<&str>),
        spawner: &SpawnTaskHandle,
    ) -> Self {
        let tally = Tally::default();
        let (requests, protocol) = ArtifactRequestHandler::new::<Block, NetworkWorker<Block, Hash>>(
            store.clone(),
            tally.clone(),
            genesis,
            fork_id,
        );
        network.add_request_response_protocol(protocol);
        spawner.spawn("artifacts-requests", GROUP, requests.run());
        Self {
            store,
            tally,
            protocol: protocol_name(genesis, fork_id),
        }
    }

    /// Counts what is exchanged.
    pub fn tally(&self) -> Tally {
        self.tally.clone()
    }

    /// Announces what is kept, and makes what peers have available.
    pub fn start(
        self,
        network: Arc<dyn NetworkService>,
        sync: Arc<SyncingService<Block>>,
        spawner: &SpawnTaskHandle,
    ) -> Artifacts {
        let announcing = announce(self.store.clone(), network.clone());
        spawner.spawn("artifacts-announce", GROUP, announcing);
        let peers = Arc::new(NetworkPeers::new(self.protocol, network, sync));
        let exchange = Exchange::new(self.store.clone(), peers, self.tally);
        Artifacts {
            store: self.store,
            exchange: Some(exchange),
        }
    }
}
