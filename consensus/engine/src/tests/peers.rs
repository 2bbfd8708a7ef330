//! Peers that are lists: what they hold and say, what they were asked, what they are blamed for.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use labora_pouw::Proof;
use parking_lot::Mutex;
use sc_network::{OutboundFailure, RequestFailure};
use sc_network_types::PeerId;
use sp_core::H256;

use super::miner::Mined;
use crate::{
    Finality, FinalitySource, ProofSource,
    exchange::{AskError, Offence},
};

/// What a peer answers.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// These proofs, and `None` for every other block.
    Proofs(HashMap<H256, Proof>),
    /// Nothing: the line broke.
    Broken,
    /// Nothing, and the request stays open.
    Never,
    /// Nothing, until the network waits no longer.
    TimedOut,
    /// Bytes that do not decode.
    Malformed,
}

/// Peers and what they did.
#[derive(Default)]
pub(super) struct MockPeers {
    peers: Vec<(PeerId, Answer)>,
    /// What they say about finality, once that is set; nothing is final before.
    pub(super) finality: Mutex<Option<Finality>>,
    pub(super) asked_finality: AtomicU64,
    /// Whom to ask about finality first.
    pub(super) finality_of: Mutex<Vec<Option<PeerId>>>,
    pub(super) asked: Mutex<Vec<(PeerId, Vec<H256>)>>,
    pub(super) reported: Mutex<Vec<(PeerId, Offence)>>,
}

impl MockPeers {
    pub(super) fn none() -> Arc<Self> {
        Arc::default()
    }

    pub(super) fn of(peers: Vec<(PeerId, Answer)>) -> Arc<Self> {
        Arc::new(Self {
            peers,
            ..Default::default()
        })
    }

    pub(super) fn holding(blocks: &[&Mined]) -> Answer {
        Answer::Proofs(
            blocks
                .iter()
                .map(|block| (block.hash(), block.proof.clone()))
                .collect(),
        )
    }

    pub(super) fn asked_peers(&self) -> Vec<PeerId> {
        self.asked.lock().iter().map(|(peer, _)| *peer).collect()
    }
}

#[async_trait::async_trait]
impl ProofSource for MockPeers {
    async fn peers(&self, _: u32) -> Vec<PeerId> {
        self.peers.iter().map(|(peer, _)| *peer).collect()
    }

    async fn ask(&self, peer: PeerId, blocks: &[H256]) -> Result<Vec<Option<Proof>>, AskError> {
        self.asked.lock().push((peer, blocks.to_vec()));
        match self
            .peers
            .iter()
            .find(|(known, _)| *known == peer)
            .map(|(_, answer)| answer)
        {
            Some(Answer::Proofs(proofs)) => Ok(blocks
                .iter()
                .map(|block| proofs.get(block).cloned())
                .collect()),
            Some(Answer::Malformed) => Err(crate::exchange::WireError::Answer {
                got: 3,
                asked: blocks.len(),
            }
            .into()),
            Some(Answer::Never) => futures::future::pending().await,
            Some(Answer::TimedOut) => Err(RequestFailure::Network(OutboundFailure::Timeout).into()),
            Some(Answer::Broken) | None => Err(AskError::NoNetwork),
        }
    }

    fn report(&self, peer: PeerId, offence: Offence) {
        self.reported.lock().push((peer, offence));
    }
}

#[async_trait::async_trait]
impl FinalitySource for MockPeers {
    async fn newest(&self, _: u32, sender: Option<PeerId>) -> Finality {
        self.finality_of.lock().push(sender);
        self.asked_finality.fetch_add(1, Ordering::Relaxed);
        self.finality.lock().unwrap_or(Finality::NothingNewer)
    }
}
