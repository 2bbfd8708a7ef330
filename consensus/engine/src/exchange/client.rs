//! Asking peers for proofs.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::{
    StreamExt,
    future::{Either, select},
    stream::FuturesUnordered,
};
use labora_pouw::Proof;
use parity_scale_codec::Encode;
use sc_network::{
    IfDisconnected, OutboundFailure, ProtocolName, ReputationChange,
    request_responses::RequestFailure, service::traits::NetworkService,
};
use sc_network_sync::SyncingService;
use sc_network_types::PeerId;
use sp_core::H256;
use sp_runtime::{SaturatedConversion, traits::Block as BlockT};

use super::{MAX_HASHES, WireError, decode_answer};
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
}

impl Offence {
    fn cost(self) -> ReputationChange {
        match self {
            Self::MalformedAnswer => {
                ReputationChange::new(-(1 << 28), "Malformed answer to a request for proofs")
            }
            // A proof is kept only where it was verified, so nobody honest holds a wrong one.
            Self::WrongProof => ReputationChange::new_fatal("Wrong proof of work"),
            // A bad line is no crime, but such a block keeps others waiting. The network hangs up at 71 % of `i32::MIN` and
            // forgives a two-hundredth each second: twice within three minutes is too much.
            Self::Silence => ReputationChange::new(-(1 << 30), "No proof of a block that it sent"),
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
            let limit = engine.sleep(ASK_TIMEOUT);
            answers
                .push(async move { (peer, said_in_time(source.ask(peer, blocks), limit).await) });
        }
        let (peer, answer) = match in_time(answers.next(), engine.sleep(ASK_ANOTHER)).await {
            Some(Some((peer, Some(answer)))) => (peer, answer),
            Some(Some((peer, None))) => {
                tracing::debug!(%peer, block = ?sealed.hash, "Peer said nothing in time");
                engine.tally.answered(Answered::Not);
                said.nothing(peer);
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
                        engine.proofs.keep_unchecked(*block, Arc::new(proof));
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

    /// A peer let the time pass.
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

/// The network as a source of proofs. The import queue is made before the network, so this is bound to it later.
pub struct NetworkProofs<B: BlockT<Hash = H256>> {
    protocol: ProtocolName,
    bound: OnceLock<Bound<B>>,
}

impl<B: BlockT<Hash = H256>> NetworkProofs<B> {
    /// A source for the protocol of this name; it knows no peers until it is bound.
    pub fn new(protocol: ProtocolName) -> Arc<Self> {
        Arc::new(Self {
            protocol,
            bound: OnceLock::new(),
        })
    }

    /// Binds the source to the network; a second call changes nothing.
    pub fn bind(&self, bound: Bound<B>) {
        let _ = self.bound.set(bound);
    }
}

#[async_trait::async_trait]
impl<B: BlockT<Hash = H256>> ProofSource for NetworkProofs<B> {
    async fn peers(&self, number: u32) -> Vec<PeerId> {
        match self.bound.get() {
            Some(bound) => bound.peers(number).await,
            None => Vec::new(),
        }
    }

    async fn ask(&self, peer: PeerId, blocks: &[H256]) -> Result<Vec<Option<Proof>>, AskError> {
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

    fn report(&self, peer: PeerId, offence: Offence) {
        if let Some(bound) = self.bound.get() {
            bound.network.report_peer(peer, offence.cost());
        }
    }
}
