//! The network, as far as questions to peers need it.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, OnceLock},
    time::Duration,
};

use labora_pouw::Proof;
use parity_scale_codec::Encode;
use sc_network::{IfDisconnected, ProtocolName, service::traits::NetworkService};
use sc_network_sync::SyncingService;
use sc_network_types::PeerId;
use sp_core::H256;
use sp_runtime::{SaturatedConversion, traits::Block as BlockT};

use super::{
    client::{AskError, Offence, ProofSource},
    decode_answer,
    noted::Noted,
};
use crate::machine::{Clock, system_clock};

/// The network, as far as questions to peers need it.
#[derive(Clone)]
pub struct Bound<B: BlockT> {
    /// Carries requests.
    pub network: Arc<dyn NetworkService>,
    /// Knows the peers, and how far they are.
    pub sync: Arc<SyncingService<B>>,
}

impl<B: BlockT<Hash = H256>> Bound<B> {
    /// Peers in the order in which to ask them about block `number`.
    pub(super) async fn peers(&self, number: u32) -> Vec<PeerId> {
        let Ok(mut peers) = self.sync.peers_info().await else {
            return Vec::new();
        };
        // A peer's number is that of its last announcement, so those behind stay in the list. Beyond that the order is one
        // of chance: whoever claims to be far ahead is not asked before the others.
        let chance = RandomState::new();
        peers.sort_by_cached_key(|(peer, info)| {
            let best: u32 = info.best_number.saturated_into();
            (best < number, chance.hash_one(peer.to_bytes()))
        });
        peers.into_iter().map(|(peer, _)| peer).collect()
    }
}

/// Peers that had a proof are asked before others for so long.
const GAVE: Duration = Duration::from_secs(600);

/// The network as a source of proofs. The import queue is made before the network, so this is bound to it later.
pub struct NetworkProofs<B: BlockT<Hash = H256>> {
    protocol: ProtocolName,
    bound: OnceLock<Bound<B>>,
    /// Whoever had a proof when it was asked last. Of old blocks few peers have any, and which ones is not known otherwise.
    gave: Noted,
    clock: Clock,
}

impl<B: BlockT<Hash = H256>> NetworkProofs<B> {
    /// A source for the protocol of this name; it knows no peers until it is bound.
    pub fn new(protocol: ProtocolName) -> Arc<Self> {
        Arc::new(Self {
            protocol,
            bound: OnceLock::new(),
            gave: Noted::lasting(GAVE),
            clock: system_clock(),
        })
    }

    /// Binds the source to the network; a second call changes nothing.
    pub fn bind(&self, bound: Bound<B>) {
        let _ = self.bound.set(bound);
    }

    async fn request(&self, peer: PeerId, blocks: &[H256]) -> Result<Vec<Option<Proof>>, AskError> {
        let bound = self.bound.get().ok_or(AskError::NoNetwork)?;
        let (answer, _) = bound
            .network
            .request(
                peer,
                self.protocol.clone(),
                blocks.encode(),
                None,
                IfDisconnected::ImmediateError,
            )
            .await?;
        Ok(decode_answer(&answer, blocks.len())?)
    }
}

#[async_trait::async_trait]
impl<B: BlockT<Hash = H256>> ProofSource for NetworkProofs<B> {
    async fn peers(&self, number: u32) -> Vec<PeerId> {
        let Some(bound) = self.bound.get() else {
            return Vec::new();
        };
        let (mut peers, now) = (bound.peers(number).await, (self.clock)());
        peers.sort_by_key(|peer| !self.gave.holds(*peer, now));
        peers
    }

    async fn ask(&self, peer: PeerId, blocks: &[H256]) -> Result<Vec<Option<Proof>>, AskError> {
        let answer = self.request(peer, blocks).await;
        match answer
            .as_ref()
            .is_ok_and(|proofs| proofs.iter().any(Option::is_some))
        {
            true => drop(self.gave.note(peer, (self.clock)())),
            false => self.gave.forget(peer),
        }
        answer
    }

    fn report(&self, peer: PeerId, offence: Offence) {
        if let Some(bound) = self.bound.get() {
            bound.network.report_peer(peer, offence.cost());
        }
    }
}
