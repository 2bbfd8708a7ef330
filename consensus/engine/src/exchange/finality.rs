//! Asking peers what is final, when a block's proof cannot be had.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use futures_timer::Delay;
use parity_scale_codec::Encode;
use sc_network::{IfDisconnected, ProtocolName, ReputationChange};
use sc_network_sync::strategy::warp::{
    EncodedProof, VerificationResult, Verifier, WarpProofRequest, WarpSyncProvider,
};
use sc_network_types::PeerId;
use sp_core::H256;
use sp_runtime::traits::Block as BlockT;

use super::{
    client::{ASK_ANOTHER, ASK_TIMEOUT, first_few, in_time},
    network::Bound,
    noted::Noted,
    on_chain,
};
use crate::{
    engine::Engine,
    trust::TrustedTarget,
    warp::{WRONG_PROOF, proves_beginning, proves_nothing, verify_as_far},
};

/// Parts of one proof: 8 MiB each, so some 100,000 changes of authorities in all.
const MAX_PARTS: usize = 64;

/// No further part is asked for after so long; what is proved by then is a beginning.
const PARTS_TIMEOUT: Duration = Duration::from_secs(45);

/// Peers that gave a wrong proof are not asked again for so long, and so not blamed again. After a forced change of
/// authorities, which no proof shows, everybody honest gives wrong ones: that must not add up to a ban.
const NOT_ASKED: Duration = Duration::from_secs(60);

/// A proof that GRANDPA's own sets of authorities do not bear out.
const WRONG: ReputationChange = ReputationChange::new(-(1 << 28), "Wrong proof of finality");

/// What peers say about finality.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Finality {
    /// Proved: this block and all before it.
    Proved(TrustedTarget),
    /// The same, and a peer that knows of more cannot prove it from there, as after a forced change of authorities, or did not
    /// answer to its end.
    ProvedInPart(TrustedTarget),
    /// A peer answered, and knows of nothing that is final above what this node has.
    NothingNewer,
    /// Nobody could be asked, or nobody answered.
    Unknown,
}

impl Finality {
    fn tells_more_than(self, other: Self) -> bool {
        let rank = |said| match said {
            Self::Unknown => None,
            Self::NothingNewer => Some(0),
            Self::Proved(target) | Self::ProvedInPart(target) => Some(target.number),
        };
        rank(self) > rank(other)
    }
}

/// Who can say what is final.
#[async_trait::async_trait]
pub trait FinalitySource: Send + Sync {
    /// Asks peers for a proof that finality has reached number `reach`, `sender` first. Where `sender` does not answer and
    /// nobody else proves that, nothing is known: it may have a proof.
    async fn newest(&self, reach: u32, sender: Option<PeerId>) -> Finality;
}

/// A chain without finality: nobody can say.
pub struct NoFinality;

#[async_trait::async_trait]
impl FinalitySource for NoFinality {
    async fn newest(&self, _: u32, _: Option<PeerId>) -> Finality {
        Finality::Unknown
    }
}

/// The SDK's protocol for warp proofs, on its chain.
const PROTOCOL: &str = "sync/warp";

/// The network as a source of finality, once it is bound to it.
pub struct NetworkFinality<B: BlockT<Hash = H256>> {
    protocol: ProtocolName,
    provider: Arc<dyn WarpSyncProvider<B>>,
    engine: Arc<Engine<B>>,
    bound: OnceLock<Bound<B>>,
    /// Who gave a wrong proof.
    wrong: Noted,
}

impl<B: BlockT<Hash = H256>> NetworkFinality<B> {
    /// A source whose proofs `provider` checks, from what is final on the engine's chain.
    pub fn new(
        genesis: H256,
        fork_id: Option<&str>,
        provider: Arc<dyn WarpSyncProvider<B>>,
        engine: Arc<Engine<B>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            protocol: on_chain(genesis, fork_id, PROTOCOL),
            provider,
            engine,
            bound: OnceLock::new(),
            wrong: Noted::lasting(NOT_ASKED),
        })
    }

    /// Binds the source to the network; a second call changes nothing.
    pub fn bind(&self, bound: Bound<B>) {
        let _ = self.bound.set(bound);
    }

    /// The last final block, and a verifier of proofs that begin there: it knows the authorities of this moment alone, and
    /// finality goes on meanwhile.
    pub(crate) fn begin(&self) -> (H256, Box<dyn Verifier<B>>) {
        let last = || self.engine.chain().tips().finalised_hash;
        loop {
            let from = last();
            let verifier = self.provider.create_verifier();
            if last() == from {
                return (from, verifier);
            }
        }
    }

    async fn ask(&self, bound: &Bound<B>, peer: PeerId) -> Option<Finality> {
        let (mut begin, mut verifier) = self.begin();
        let (mut proved, begun) = (None, Instant::now());
        for _ in 0..MAX_PARTS {
            if begun.elapsed() > PARTS_TIMEOUT {
                break;
            }
            let Some(proof) = self.part(bound, peer, begin).await else {
                break;
            };
            if proves_nothing(&proof) || proves_beginning::<B>(&proof, begin) {
                return Some(proved.map_or(Finality::NothingNewer, Finality::Proved));
            }
            match verify_as_far(&proof, begin, &mut *verifier) {
                Ok(VerificationResult::Complete(header, _)) => {
                    return Some(Finality::Proved(TrustedTarget::of::<B>(&header)));
                }
                Ok(VerificationResult::Partial(fragments)) => {
                    let (header, _) = fragments.last()?;
                    proved = Some(TrustedTarget::of::<B>(header));
                    begin = verifier.next_proof_context();
                }
                Err((error, as_far)) => {
                    if self.wrong.note(peer, self.engine.now_ms()) {
                        tracing::warn!(%peer, %error, "{WRONG_PROOF}");
                        bound.network.report_peer(peer, WRONG);
                    }
                    proved = as_far.or(proved);
                    break;
                }
            }
        }
        proved.map(Finality::ProvedInPart)
    }

    /// A part of a peer's proof, from this block on.
    async fn part(&self, bound: &Bound<B>, peer: PeerId, begin: H256) -> Option<EncodedProof> {
        let answer = bound.network.request(
            peer,
            self.protocol.clone(),
            WarpProofRequest::<B> { begin }.encode(),
            None,
            IfDisconnected::ImmediateError,
        );
        // By a clock that does not end with the node's runtime, which the import queue outlives.
        match in_time(answer, Delay::new(ASK_TIMEOUT)).await? {
            Ok((bytes, _)) => Some(EncodedProof(bytes)),
            Err(error) => {
                tracing::debug!(%peer, %error, "Peer did not say what is final");
                None
            }
        }
    }
}

#[async_trait::async_trait]
impl<B: BlockT<Hash = H256>> FinalitySource for NetworkFinality<B> {
    async fn newest(&self, reach: u32, sender: Option<PeerId>) -> Finality {
        let Some(bound) = self.bound.get() else {
            return Finality::Unknown;
        };
        let (peers, now) = (bound.peers(u32::MAX).await, self.engine.now_ms());
        let is_asked = |peer: &PeerId| !self.wrong.holds(*peer, now);
        let peers = peers.into_iter().filter(is_asked).collect();
        let peers = first_few(peers, sender.filter(is_asked));
        let ask = |peer| self.ask(bound, peer);
        first_proved(peers, reach, sender, ask, || {
            Delay::new(ASK_ANOTHER).boxed()
        })
        .await
    }
}

/// What the first peer proves that proves finality up to `reach`, else the most that any of them knows; `ask` gives `None`
/// for one that did not answer. Where that was `sender`, or it knows of more than it can prove, others cannot say that there
/// is no more. After each `pause` without an answer another is asked beside those that say nothing.
pub(crate) async fn first_proved<F: Future<Output = Option<Finality>>>(
    peers: Vec<PeerId>,
    reach: u32,
    sender: Option<PeerId>,
    ask: impl Fn(PeerId) -> F,
    pause: impl Fn() -> BoxFuture<'static, ()>,
) -> Finality {
    let (mut said, mut awaited, mut sender_may_know) = (Finality::Unknown, sender, false);
    let (ask, mut left, mut answers) = (&ask, peers.into_iter(), FuturesUnordered::new());
    loop {
        let next = left.next();
        let all_are_asked = next.is_none();
        answers.extend(next.map(|peer| async move { (peer, ask(peer).await) }));
        let Some(answered) = in_time(answers.next(), pause()).await else {
            // Whoever else says nothing is not waited for.
            match all_are_asked && awaited.is_none() && said != Finality::Unknown {
                true => break,
                false => continue,
            }
        };
        let Some((peer, answer)) = answered else {
            break;
        };
        awaited = awaited.filter(|sender| *sender != peer);
        if matches!(
            answer,
            None | Some(Finality::Unknown | Finality::ProvedInPart(_))
        ) {
            sender_may_know |= Some(peer) == sender;
        }
        match answer {
            Some(Finality::Proved(target) | Finality::ProvedInPart(target))
                if target.number >= reach =>
            {
                return Finality::Proved(target);
            }
            Some(answer) if answer.tells_more_than(said) => said = answer,
            _ => {}
        }
    }
    match said {
        Finality::Proved(target) if sender_may_know => Finality::ProvedInPart(target),
        Finality::NothingNewer if sender_may_know => Finality::Unknown,
        said => said,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures::future::pending;

    use super::*;

    fn target(number: u32) -> TrustedTarget {
        let hash = H256::from_low_u64_be(number.into());
        TrustedTarget { number, hash }
    }

    fn up_to(number: u32) -> Option<Finality> {
        Some(Finality::Proved(target(number)))
    }

    fn in_part(number: u32) -> Option<Finality> {
        Some(Finality::ProvedInPart(target(number)))
    }

    async fn said(answers: &[Option<Finality>]) -> Finality {
        let peers: Vec<PeerId> = answers.iter().map(|_| PeerId::random()).collect();
        let answer = |asked| answers[peers.iter().position(|peer| *peer == asked).unwrap()];
        let sender = peers.first().copied();
        first_proved(
            peers.clone(),
            5,
            sender,
            |peer| std::future::ready(answer(peer)),
            || pending().boxed(),
        )
        .await
    }

    #[tokio::test]
    async fn a_proof_that_does_not_reach_far_enough_does_not_end_the_search() {
        let proof = up_to(6).unwrap();
        assert_eq!(said(&[up_to(2), up_to(6), up_to(9)]).await, proof);
        let lower = up_to(4).unwrap();
        assert_eq!(
            said(&[up_to(2), up_to(4), Some(Finality::NothingNewer)]).await,
            lower
        );
    }

    #[tokio::test]
    async fn of_a_sender_that_does_not_answer_others_cannot_say_that_it_has_no_proof() {
        let nothing = Finality::NothingNewer;
        assert_eq!(said(&[None, Some(nothing)]).await, Finality::Unknown);
        assert_eq!(said(&[None, up_to(4)]).await, in_part(4).unwrap());
        assert_eq!(said(&[None, up_to(5)]).await, up_to(5).unwrap());
        assert_eq!(said(&[Some(nothing), None]).await, nothing);
        // Nor of one that knows of more than it can prove.
        assert_eq!(
            said(&[in_part(2), Some(nothing)]).await,
            in_part(2).unwrap()
        );
        assert_eq!(said(&[in_part(2), up_to(4)]).await, in_part(4).unwrap());
        assert_eq!(said(&[in_part(5)]).await, up_to(5).unwrap());
        assert_eq!(
            said(&[Some(nothing), in_part(2)]).await,
            in_part(2).unwrap()
        );
        assert_eq!(said(&[up_to(4), in_part(2)]).await, up_to(4).unwrap());
    }

    /// What is said where peers without an answer here never give one.
    async fn said_beside_silence(sender: Option<usize>, answers: &[Option<Finality>]) -> Finality {
        let peers: Vec<PeerId> = answers.iter().map(|_| PeerId::random()).collect();
        let answer = |asked| answers[peers.iter().position(|peer| *peer == asked).unwrap()];
        let sender = sender.map(|at| peers[at]);
        let ask = |peer| async move {
            match answer(peer) {
                None => pending().await,
                said => said,
            }
        };
        // Some times pass, and then no more.
        let passed = Cell::new(0);
        let pause = || match passed.replace(passed.get() + 1) {
            0..8 => async {}.boxed(),
            _ => pending().boxed(),
        };
        first_proved(peers.clone(), 5, sender, ask, pause).await
    }

    #[test]
    fn wrong_proofs_however_often_do_not_add_up_to_a_ban() {
        // The network hangs up at 71 % of `i32::MIN`, and forgives a two-hundredth each second.
        let kept = 1.0 - (-NOT_ASKED.as_secs_f64() / 200.0).exp();
        assert!(f64::from(WRONG.value) / kept > 0.71 * f64::from(i32::MIN));
    }

    #[tokio::test]
    async fn who_says_nothing_keeps_others_from_nothing() {
        let nothing = Some(Finality::NothingNewer);
        let proof = up_to(6).unwrap();
        assert_eq!(
            said_beside_silence(None, &[None, None, up_to(6)]).await,
            proof
        );
        assert_eq!(said_beside_silence(Some(0), &[None, up_to(6)]).await, proof);
        assert_eq!(
            said_beside_silence(None, &[None, nothing, None]).await,
            Finality::NothingNewer
        );
        // The sender of the block may have a proof.
        let waits = said_beside_silence(Some(0), &[None, nothing]).now_or_never();
        assert_eq!(waits, None);
    }
}
