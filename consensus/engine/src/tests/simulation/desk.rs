//! A node's questions to its peers: for blocks, for proofs, and for what is final.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::channel::oneshot;
use parity_scale_codec::Encode;
use parking_lot::Mutex;
use sc_network::{OutboundFailure, RequestFailure};
use sc_network_types::PeerId;
use sp_blockchain::HeaderBackend;
use sp_core::H256;

use super::{
    super::miner::Header,
    chain::SimChain,
    context::Context,
    messages::{Answer, Message},
    record::Record,
};
use crate::{
    Finality, FinalitySource, ProofSource, TrustedTarget,
    exchange::{
        ASK_ANOTHER, ASK_TIMEOUT, AskError, Offence, decode_answer, decode_request, encode_answer,
        first_few, first_proved, in_time,
    },
    store::encoded_proof,
};

/// Blocks in one answer: more than any schedule has.
const MAX_BLOCKS: usize = 128;

/// The desk; lost when the node crashes.
pub(super) struct Desk {
    pub(super) me: usize,
    pub(super) context: Arc<Context>,
    pub(super) chain: Arc<SimChain>,
    asked: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
}

impl Desk {
    pub(super) fn new(me: usize, context: Arc<Context>, chain: Arc<SimChain>) -> Arc<Self> {
        let asked = Mutex::default();
        Arc::new(Self {
            me,
            context,
            chain,
            asked,
        })
    }

    /// What `peer` answers in time.
    async fn question(&self, peer: usize, ask: impl FnOnce(u64) -> Message) -> Option<Answer> {
        let id = self.context.new_question();
        let (answer, answered) = oneshot::channel();
        self.asked.lock().insert(id, answer);
        self.context.send(self.me, peer, ask(id));
        let limit = self.context.timeline.sleep(millis(ASK_TIMEOUT));
        let answer = in_time(answered, limit).await;
        self.asked.lock().remove(&id);
        answer?.ok()
    }

    pub(super) fn answered(&self, id: u64, answer: Answer) {
        if let Some(asked) = self.asked.lock().remove(&id) {
            let _ = asked.send(answer);
        }
    }

    /// The blocks of a peer's branch above the one that is final here.
    pub(super) async fn blocks(&self, peer: usize, block: H256) -> Vec<Header> {
        let above = self.chain.finalised().1;
        let ask = |id| Message::AskBlocks { id, block, above };
        match self.question(peer, ask).await {
            Some(Answer::Blocks(headers)) => headers,
            _ => Vec::new(),
        }
    }

    /// Answers a peer's question from what is on disk.
    pub(super) fn answer(&self, peer: usize, question: &Message, record: &Mutex<Record>) {
        let (id, answer) = match question {
            Message::AskBlocks { id, block, above } => {
                let headers = self.chain.branch(*block, *above, MAX_BLOCKS);
                (*id, Answer::Blocks(headers))
            }
            Message::AskProofs { id, request } => (*id, self.proofs(request)),
            Message::AskFinality { id, from, number } => {
                let is_final = *number <= self.chain.finalised().1
                    && self
                        .chain
                        .hash(*number)
                        .is_ok_and(|hash| hash == Some(*from));
                let answer = match is_final {
                    true => Answer::Final(record.lock().justification.clone()),
                    // The SDK's server refuses to begin at a block that it has not finalised.
                    false => Answer::Failed,
                };
                (*id, answer)
            }
            _ => return,
        };
        self.context
            .send(self.me, peer, Message::Answer { id, answer });
    }

    /// As the protocol's handler answers a request.
    fn proofs(&self, request: &[u8]) -> Answer {
        let Ok(blocks) = decode_request(request) else {
            self.context
                .broke("a request for proofs does not decode".into());
            return Answer::Failed;
        };
        let proofs = blocks
            .iter()
            .map(|block| encoded_proof(&*self.chain, *block).unwrap());
        Answer::Proofs(encode_answer(proofs))
    }

    async fn final_at(&self, peer: PeerId, from: H256) -> Option<Finality> {
        let peer = self.context.peer(peer);
        let number = self.chain.number_of(from)?;
        let ask = |id| Message::AskFinality { id, from, number };
        let Some(Answer::Final(proof)) = self.question(peer, ask).await else {
            return None;
        };
        let newer = proof.filter(|proof| proof.target().1 > number);
        let Some(proof) = newer else {
            return Some(Finality::NothingNewer);
        };
        if !proof.holds(&self.context.voters()) {
            self.context
                .blame(self.me, peer, "a wrong proof of finality");
            return None;
        }
        let (hash, number) = proof.target();
        Some(Finality::Proved(TrustedTarget { number, hash }))
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

#[async_trait::async_trait]
impl ProofSource for Desk {
    async fn peers(&self, _: u32) -> Vec<PeerId> {
        let peers = self.context.peers_of(self.me);
        peers
            .into_iter()
            .map(|peer| self.context.ids[peer])
            .collect()
    }

    async fn ask(
        &self,
        peer: PeerId,
        blocks: &[H256],
    ) -> Result<Vec<Option<labora_pouw::Proof>>, AskError> {
        self.context.count(|stats| stats.proofs_asked_of_peers += 1);
        let request = blocks.encode();
        let peer = self.context.peer(peer);
        let ask = |id| Message::AskProofs { id, request };
        match self.question(peer, ask).await {
            Some(Answer::Proofs(bytes)) => Ok(decode_answer(&bytes, blocks.len())?),
            Some(_) => Err(AskError::NoNetwork),
            None => Err(RequestFailure::Network(OutboundFailure::Timeout).into()),
        }
    }

    fn report(&self, peer: PeerId, offence: Offence) {
        let peer = self.context.peer(peer);
        match offence {
            Offence::Silence => self.context.silent(self.me, peer),
            Offence::NoEvidence => self.context.without_evidence(self.me, peer),
            offence => self.context.blame(self.me, peer, &format!("{offence:?}")),
        }
    }
}

#[async_trait::async_trait]
impl FinalitySource for Desk {
    async fn newest(&self, reach: u32, sender: Option<PeerId>) -> Finality {
        let from = self.chain.finalised().0;
        let peers = first_few(self.peers(u32::MAX).await, sender);
        let ask = |peer| self.final_at(peer, from);
        let pause = || self.context.timeline.sleep(millis(ASK_ANOTHER));
        first_proved(peers, reach, sender, ask, pause).await
    }
}
