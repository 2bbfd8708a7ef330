//! Answering peers that ask for proofs.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt;
use sc_network::{
    NetworkBackend, ReputationChange, config::IncomingRequest, request_responses::OutgoingResponse,
};
use sc_network_types::PeerId;
use schnellru::{ByLength, LruMap};
use sp_core::H256;
use sp_runtime::traits::Block as BlockT;

use super::{
    MAX_ANSWER_BYTES, MAX_REQUEST_BYTES, client::ASK_TIMEOUT, decode_request, encode_answer,
    protocol_name, unsent::Unsent,
};
use crate::{chain::Chain, store::encoded_proof};

/// Requests that wait to be answered; one takes a few milliseconds, so a full queue is half a second of work. The
/// network refuses more.
const MAX_WAITING: usize = 64;

/// Peers whose allowance is remembered: 48 bytes each.
const MAX_PEERS: u32 = 1024;

/// Bytes a second that one peer may take in the long run: 64 proofs at k = 4,096, five times what a node imports.
const BYTES_PER_SECOND: u64 = 8 * 1024 * 1024;

/// Bytes that a peer may take at once: four full answers.
const BURST_BYTES: u64 = 4 * MAX_ANSWER_BYTES as u64;

/// What a request costs beside its answer, in bytes, whatever it is: 128 a second, twice what a node that imports a thousand
/// blocks a second asks for.
const REQUEST_COST: u64 = 64 * 1024;

const MALFORMED: ReputationChange =
    ReputationChange::new(-(1 << 16), "Malformed request for proofs");

/// Whoever asks for more than it may takes the place of others in the queue. A few a second too many are forgiven as they come;
/// some hundred are a ban in the end, and a thousand one within half a minute.
const TOO_MANY: ReputationChange =
    ReputationChange::new(-(1 << 16), "Too many requests for proofs");

/// Serves the proofs in this node's store. Run it as a task of its own.
pub struct ProofRequestHandler<B: BlockT<Hash = H256>> {
    chain: Arc<dyn Chain<B>>,
    requests: async_channel::Receiver<IncomingRequest>,
    allowances: LruMap<PeerId, Allowance>,
    unsent: Unsent,
}

impl<B: BlockT<Hash = H256>> ProofRequestHandler<B> {
    /// The handler, and the protocol's configuration for the network.
    pub fn new<N: NetworkBackend<B, H256>>(
        chain: Arc<dyn Chain<B>>,
        fork_id: Option<&str>,
    ) -> (Self, N::RequestResponseProtocolConfig) {
        let (sender, requests) = async_channel::bounded(MAX_WAITING);
        let config = N::request_response_config(
            protocol_name(chain.tips().genesis, fork_id),
            Vec::new(),
            MAX_REQUEST_BYTES as u64,
            MAX_ANSWER_BYTES as u64,
            ASK_TIMEOUT,
            Some(sender),
        );
        (Self::over(chain, requests), config)
    }

    pub(crate) fn over(
        chain: Arc<dyn Chain<B>>,
        requests: async_channel::Receiver<IncomingRequest>,
    ) -> Self {
        Self {
            chain,
            requests,
            allowances: LruMap::new(ByLength::new(MAX_PEERS)),
            unsent: Unsent::default(),
        }
    }

    /// Answers until the network goes.
    pub async fn run(mut self) {
        while let Some(request) = self.requests.next().await {
            let IncomingRequest {
                peer,
                payload,
                pending_response,
            } = request;
            let response = self.answer(peer, &payload, Instant::now());
            let _ = pending_response.send(response);
        }
    }

    /// The answer, or else what the peer did wrong; the network then tells it that its request was refused.
    fn answer(&mut self, peer: PeerId, payload: &[u8], now: Instant) -> OutgoingResponse {
        match self.told(peer, payload, now) {
            Ok(answer) => OutgoingResponse {
                sent_feedback: Some(self.unsent.note(peer, answer.len())),
                result: Ok(answer),
                reputation_changes: Vec::new(),
            },
            Err(offence) => OutgoingResponse {
                sent_feedback: None,
                result: Err(()),
                reputation_changes: offence.into_iter().collect(),
            },
        }
    }

    /// The answer, or why there is none: what the peer did wrong, or nothing of that kind.
    fn told(
        &mut self,
        peer: PeerId,
        payload: &[u8],
        now: Instant,
    ) -> Result<Vec<u8>, Option<ReputationChange>> {
        let allowance = self
            .allowances
            .get_or_insert(peer, || Allowance::full(now))
            // Only a list of no peers at all would take none in.
            .ok_or(Some(TOO_MANY))?;
        if !allowance.covers(REQUEST_COST, now) {
            tracing::debug!(%peer, "Peer asks for more proofs than it may");
            return Err(Some(TOO_MANY));
        }
        allowance.take(REQUEST_COST);
        let hashes = decode_request(payload).map_err(|error| {
            tracing::debug!(%peer, %error, "Malformed request for proofs");
            Some(MALFORMED)
        })?;
        if !self.unsent.has_room(peer) {
            // Others may have taken the room, and a line that is slow is no offence: it is asked elsewhere, or again.
            tracing::debug!(%peer, "Too many answers with proofs are not sent yet");
            return Err(None);
        }
        let chain = &*self.chain;
        let answer = encode_answer(hashes.iter().map(|hash| {
            encoded_proof(chain, *hash).unwrap_or_else(|error| {
                tracing::warn!(block = ?hash, %error, "Stored proof cannot be read");
                None
            })
        }));
        allowance.take(answer.len() as u64);
        Ok(answer)
    }
}

/// A bucket of bytes that fills with time. It may go below zero by one answer, since what an answer costs is known only
/// once it is made.
struct Allowance {
    bytes: i64,
    at: Instant,
}

impl Allowance {
    fn full(now: Instant) -> Self {
        Self {
            bytes: BURST_BYTES as i64,
            at: now,
        }
    }

    /// Fills the bucket up to `now`, and says whether it holds `bytes`.
    fn covers(&mut self, bytes: u64, now: Instant) -> bool {
        // More than a minute fills any bucket, and keeps the product far from overflow.
        let passed = now
            .saturating_duration_since(self.at)
            .min(Duration::from_secs(60));
        let filled = (BYTES_PER_SECOND as u128 * passed.as_micros() / 1_000_000) as i64;
        self.bytes = (self.bytes + filled).min(BURST_BYTES as i64);
        self.at = now;
        self.bytes >= bytes as i64
    }

    fn take(&mut self, bytes: u64) {
        self.bytes -= bytes as i64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_took_its_burst_waits_for_the_bucket_to_fill() {
        let start = Instant::now();
        let mut allowance = Allowance::full(start);
        for _ in 0..4 {
            assert!(allowance.covers(REQUEST_COST, start));
            allowance.take(MAX_ANSWER_BYTES as u64);
        }
        assert!(!allowance.covers(REQUEST_COST, start));
        assert!(allowance.covers(REQUEST_COST, start + Duration::from_millis(10)));
        let later = start + Duration::from_secs(3600);
        assert!(allowance.covers(BURST_BYTES, later));
        assert!(!allowance.covers(BURST_BYTES + 1, later));
    }
}
