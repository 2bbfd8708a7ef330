//! Asking peers for proofs.

use std::{sync::Arc, time::Duration};

use futures::{
    StreamExt,
    future::{Either, select},
    stream::FuturesUnordered,
};
use labora_pouw::Proof;
use sc_network::{OutboundFailure, ReputationChange, request_responses::RequestFailure};
use sc_network_types::PeerId;
use sp_core::H256;
use sp_runtime::traits::Block as BlockT;

use super::{MAX_HASHES, WireError};
use crate::{
    engine::{Engine, Verified},
    error::{Conduct, EngineError},
    header::SealedHeader,
    stats::Answered,
};

/// Peers asked for one block before giving up; sync tries the block again later.
const MAX_PEERS_ASKED: usize = 4;

/// How long one peer may take: a full answer of 4 MiB at 2.3 Mbit/s.
pub(crate) const ASK_TIMEOUT: Duration = Duration::from_secs(15);

/// A peer that has not answered by then is still waited for, but another is asked beside it: one peer that says nothing must
/// not hold up a block whose proof others have.
pub(crate) const ASK_ANOTHER: Duration = Duration::from_secs(2);

/// What a peer did wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Offence {
    /// Its answer does not decode.
    MalformedAnswer,
    /// It gave a proof that does not prove the block.
    WrongProof,
    /// It sent a block and said nothing when it was asked for the proof, which nobody else had either.
    Silence,
    /// It sent a block, has no proof of it, and nobody could say whether it is final.
    NoEvidence,
}

impl Offence {
    pub(super) fn cost(self) -> ReputationChange {
        match self {
            Self::MalformedAnswer => {
                ReputationChange::new(-(1 << 28), "Malformed answer to a request for proofs")
            }
            // A proof is kept only where it was verified, so nobody honest holds a wrong one.
            Self::WrongProof => ReputationChange::new_fatal("Wrong proof of work"),
            // A bad line is no crime, but such a block keeps others waiting. The network hangs up at 71 % of `i32::MIN` and
            // forgives a two-hundredth each second: twice within three minutes is too much.
            Self::Silence => ReputationChange::new(-(1 << 30), "No proof of a block that it sent"),
            // Less, since the answer about finality may have been lost by others: six times within a minute are too much.
            Self::NoEvidence => ReputationChange::new(
                -(1 << 28),
                "Neither proof nor finality of a block that it sent",
            ),
        }
    }
}

/// Why a peer did not answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The answer does not decode.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The answer is longer than any may be, and was not read.
    #[error("the answer is no answer: {0}")]
    Unreadable(String),
    /// The request failed on the way.
    #[error(transparent)]
    Network(RequestFailure),
    /// The network is not up yet.
    #[error("the network is not up yet")]
    NoNetwork,
}

impl From<RequestFailure> for AskError {
    fn from(failure: RequestFailure) -> Self {
        match failure {
            // How the network says that a peer broke the framing or the bound; a line that breaks is of another kind.
            RequestFailure::Network(OutboundFailure::Io(error))
                if error.kind() == std::io::ErrorKind::InvalidInput =>
            {
                Self::Unreadable(error.to_string())
            }
            failure => Self::Network(failure),
        }
    }
}

/// Peers that can be asked for proofs.
#[async_trait::async_trait]
pub trait ProofSource: Send + Sync {
    /// Peers that should know block `number`, in the order in which to ask.
    async fn peers(&self, number: u32) -> Vec<PeerId>;

    /// Asks one peer for proofs of at most [`MAX_HASHES`] blocks; the answer is in the same order and may be shorter.
    async fn ask(&self, peer: PeerId, blocks: &[H256]) -> Result<Vec<Option<Proof>>, AskError>;

    /// Notes what a peer did wrong.
    fn report(&self, peer: PeerId, offence: Offence);
}

/// What is known of a block before its proof is asked for.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    /// The peer that sent the block.
    pub sender: Option<PeerId>,
    /// Blocks that will be needed next, to be asked for in the same request.
    pub next: Vec<H256>,
}

/// Gets and verifies the proof of a block: the sender is asked first, then others, the next one once the last has answered
/// without it or let two seconds pass.
pub async fn fetch_proof<B: BlockT<Hash = H256>>(
    source: &dyn ProofSource,
    engine: &Engine<B>,
    sealed: &SealedHeader<B::Header>,
    hints: Hints,
) -> Result<Verified, EngineError> {
    let mut blocks = vec![sealed.hash];
    blocks.extend(
        hints
            .next
            .into_iter()
            .filter(|next| !engine.proofs.holds(*next)),
    );
    blocks.truncate(MAX_HASHES);
    let blocks = &blocks[..];
    let (mut asked, mut said) = (Vec::new(), Said::by(hints.sender));
    let mut answers = FuturesUnordered::new();
    loop {
        // Peers may have come since the last one was asked.
        let peers = first_few(source.peers(sealed.number).await, hints.sender);
        let next = peers.into_iter().find(|peer| !asked.contains(peer));
        if let Some(peer) = next.filter(|_| asked.len() < MAX_PEERS_ASKED) {
            asked.push(peer);
            let is_slow = engine.slow.holds(peer, engine.now_ms());
            let batch = if is_slow { &blocks[..1] } else { blocks };
            let limit = engine.sleep(ASK_TIMEOUT);
            answers.push(async move {
                let answer = said_in_time(source.ask(peer, batch), limit).await;
                (peer, batch.len(), answer)
            });
        }
        let (peer, answer) = match in_time(answers.next(), engine.sleep(ASK_ANOTHER)).await {
            Some(Some((peer, _, Some(answer)))) => (peer, answer),
            Some(Some((peer, batch, None))) => {
                tracing::debug!(%peer, block = ?sealed.hash, batch, "Peer said nothing in time");
                engine.tally.answered(Answered::Not);
                // So much may be more than its line carries in that time: next time it is asked for less.
                match batch > 1 {
                    true => drop(engine.slow.note(peer, engine.now_ms())),
                    false => said.nothing(peer),
                }
                continue;
            }
            // There is time to ask another.
            None => continue,
            // Nobody is left.
            Some(None) => break,
        };
        match judge(source, engine, sealed, peer, answer).await? {
            Judgement::Proved(verified, more) => {
                engine.tally.answered(Answered::Given);
                for (block, proof) in blocks.iter().skip(1).zip(more) {
                    if let Some(proof) = proof {
                        let proof = Arc::new(proof);
                        engine.proofs.keep_unchecked(*block, proof, Some(peer));
                    }
                }
                return Ok(verified);
            }
            Judgement::NotProved(how) => {
                engine.tally.answered(how);
                said.no_proof(peer, how);
            }
        }
    }
    engine.tally.missed();
    Err(EngineError::ProofMissing {
        block: sealed.hash,
        asked: asked.len(),
        sender: said.verdict(),
    })
}

/// What came of asking for a proof that nobody gave.
struct Said {
    sender: Option<PeerId>,
    by_sender: Conduct,
    somebody_answered: bool,
}

impl Said {
    fn by(sender: Option<PeerId>) -> Self {
        Self {
            sender,
            by_sender: Conduct::Blameless,
            somebody_answered: false,
        }
    }

    /// A peer let the time pass that one proof may take.
    fn nothing(&mut self, peer: PeerId) {
        if Some(peer) == self.sender {
            self.by_sender = Conduct::Silent;
        }
    }

    /// A peer answered without a proof, or the line broke.
    fn no_proof(&mut self, peer: PeerId, how: Answered) {
        if how == Answered::Not {
            return;
        }
        self.somebody_answered = true;
        if Some(peer) == self.sender {
            self.by_sender = Conduct::Failed;
        }
    }

    fn verdict(self) -> Conduct {
        match self.by_sender {
            Conduct::Silent if !self.somebody_answered => Conduct::Blameless,
            said => said,
        }
    }
}

/// What `answer` resolves to before `limit` does, unless that is that the network waited as long.
async fn said_in_time<T>(
    answer: impl Future<Output = Result<T, AskError>> + Unpin,
    limit: impl Future<Output = ()> + Unpin,
) -> Option<Result<T, AskError>> {
    match in_time(answer, limit).await? {
        Err(AskError::Network(RequestFailure::Network(OutboundFailure::Timeout))) => None,
        answer => Some(answer),
    }
}

/// What an answer is worth.
enum Judgement {
    /// The block's proof, and those of the blocks that were asked for with it.
    Proved(Verified, Vec<Option<Proof>>),
    /// Nothing.
    NotProved(Answered),
}

async fn judge<B: BlockT<Hash = H256>>(
    source: &dyn ProofSource,
    engine: &Engine<B>,
    sealed: &SealedHeader<B::Header>,
    peer: PeerId,
    answer: Result<Vec<Option<Proof>>, AskError>,
) -> Result<Judgement, EngineError> {
    let mut proofs = match answer {
        Ok(proofs) => proofs.into_iter(),
        Err(error @ (AskError::Wire(_) | AskError::Unreadable(_))) => {
            tracing::debug!(%peer, %error, "Peer gave a malformed answer");
            source.report(peer, Offence::MalformedAnswer);
            return Ok(Judgement::NotProved(Answered::Malformed));
        }
        Err(error) => {
            tracing::debug!(%peer, block = ?sealed.hash, %error, "Peer did not answer");
            return Ok(Judgement::NotProved(Answered::Not));
        }
    };
    let Some(proof) = proofs.next().flatten() else {
        return Ok(Judgement::NotProved(Answered::Without));
    };
    match engine.check(sealed, Arc::new(proof)).await {
        Ok(verified) => Ok(Judgement::Proved(verified, proofs.collect())),
        Err(EngineError::Proof(error)) => {
            tracing::debug!(%peer, block = ?sealed.hash, %error, "Peer gave a wrong proof");
            source.report(peer, Offence::WrongProof);
            Ok(Judgement::NotProved(Answered::Wrong))
        }
        Err(error) => Err(error),
    }
}

/// Whom to ask: the sender, then the others, and not too many.
pub(crate) fn first_few(mut peers: Vec<PeerId>, sender: Option<PeerId>) -> Vec<PeerId> {
    peers.retain(|peer| Some(*peer) != sender);
    peers.splice(0..0, sender);
    peers.truncate(MAX_PEERS_ASKED);
    peers
}

/// What `answer` resolves to before `limit` does.
pub(crate) async fn in_time<T>(
    answer: impl Future<Output = T> + Unpin,
    limit: impl Future<Output = ()> + Unpin,
) -> Option<T> {
    match select(answer, limit).await {
        Either::Left((answer, _)) => Some(answer),
        Either::Right(_) => None,
    }
}
