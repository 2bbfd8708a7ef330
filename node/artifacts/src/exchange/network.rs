//! The SDK's network as [`Peers`].

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use parity_scale_codec::Encode;
use sc_network::{
    DhtEvent, Event, IfDisconnected, OutboundFailure, ProtocolName, RequestFailure,
    service::traits::NetworkService,
};
use sc_network_sync::SyncingService;
use sc_network_types::PeerId;
use sp_runtime::traits::Block as BlockT;
use tokio::{sync::Semaphore, time::timeout};

use super::{
    announce::record_key,
    peers::{AskError, Offence, Peers},
    wire::{Part, Request},
};
use crate::Root;

/// Searches of the DHT at a time: each asks some dozens of peers, and listens to all that the network tells meanwhile.
const SEARCHES: usize = 4;

/// How long a search may take. libp2p itself goes on for up to five minutes.
const SEARCH_TIME: Duration = Duration::from_secs(20);

/// Peers of one search that are asked.
const MAX_FOUND: usize = 20;

/// Addresses of one peer that are tried.
const MAX_ADDRESSES: usize = 8;

/// The SDK's network.
pub struct NetworkPeers<B: BlockT> {
    protocol: ProtocolName,
    network: Arc<dyn NetworkService>,
    sync: Arc<SyncingService<B>>,
    searches: Semaphore,
}

impl<B: BlockT> NetworkPeers<B> {
    /// Peers of a network that has the protocol of this name.
    pub fn new(
        protocol: ProtocolName,
        network: Arc<dyn NetworkService>,
        sync: Arc<SyncingService<B>>,
    ) -> Self {
        Self {
            protocol,
            network,
            sync,
            searches: Semaphore::new(SEARCHES),
        }
    }

    async fn request(&self, peer: PeerId, request: &Request) -> Result<Vec<u8>, RequestFailure> {
        let answer = self.network.request(
            peer,
            self.protocol.clone(),
            request.encode(),
            None,
            IfDisconnected::TryConnect,
        );
        Ok(answer.await?.0)
    }

    /// Begins a search, and hands what the DHT tells to `see` until that says that it is over, or time is.
    async fn search(&self, begin: impl FnOnce(), mut see: impl FnMut(DhtEvent) -> Seen) {
        let Ok(_permit) = self.searches.acquire().await else {
            return;
        };
        // Before the search begins, so that nothing is missed.
        let mut events = self.network.event_stream("artifacts");
        begin();
        let seen = async {
            while let Some(event) = events.next().await {
                if let Event::Dht(event) = event
                    && see(event) == Seen::All
                {
                    return;
                }
            }
        };
        // Whatever was found by then is what there is.
        let _ = timeout(SEARCH_TIME, seen).await;
    }

    /// Finds addresses of a peer that is known by its name alone.
    async fn locate(&self, peer: PeerId) {
        let begin = || self.network.find_closest_peers(peer);
        let see = |event| match event {
            DhtEvent::ClosestPeersFound(target, found) if target == peer => {
                let found = found.into_iter().filter(|(found, _)| *found == peer);
                for address in found.flat_map(|(_, all)| all).take(MAX_ADDRESSES) {
                    self.network.add_known_address(peer, address);
                }
                Seen::All
            }
            DhtEvent::ClosestPeersNotFound(target) if target == peer => Seen::All,
            _ => Seen::NotAll,
        };
        self.search(begin, see).await;
    }
}

/// Whether a search is over.
#[derive(Eq, PartialEq)]
enum Seen {
    All,
    NotAll,
}

#[async_trait::async_trait]
impl<B: BlockT> Peers for NetworkPeers<B> {
    async fn connected(&self) -> Vec<PeerId> {
        let Ok(peers) = self.sync.peers_info().await else {
            return Vec::new();
        };
        let mut peers: Vec<PeerId> = peers.into_iter().map(|(peer, _)| peer).collect();
        // By chance, so that not everybody asks the same ones.
        let chance = RandomState::new();
        peers.sort_by_cached_key(|peer| chance.hash_one(peer.to_bytes()));
        peers
    }

    async fn providers(&self, root: Root) -> Vec<PeerId> {
        let (key, this) = (record_key(&root), self.network.local_peer_id());
        let mut found: Vec<PeerId> = Vec::new();
        let begin = || self.network.get_providers(key.clone());
        let see = |event| match event {
            DhtEvent::ProvidersFound(of, peers) if of == key => {
                for peer in peers {
                    if peer != this && found.len() < MAX_FOUND && !found.contains(&peer) {
                        found.push(peer);
                    }
                }
                Seen::NotAll
            }
            DhtEvent::NoMoreProviders(of) | DhtEvent::ProvidersNotFound(of) if of == key => {
                Seen::All
            }
            _ => Seen::NotAll,
        };
        self.search(begin, see).await;
        found
    }

    async fn ask(&self, peer: PeerId, request: Request) -> Result<Option<Part>, AskError> {
        let answer = match self.request(peer, &request).await {
            Err(
                RequestFailure::NotConnected
                | RequestFailure::Network(OutboundFailure::DialFailure),
            ) => {
                self.locate(peer).await;
                self.request(peer, &request).await
            }
            answer => answer,
        };
        Ok(request.answer_of_bytes(&answer?)?)
    }

    fn report(&self, peer: PeerId, offence: Offence) {
        self.network.report_peer(peer, offence.cost());
    }
}
