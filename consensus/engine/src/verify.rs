//! The import queue's verifier: finds the proof of each block that sync brings, checks it, and hands it to import.
//!
//! A proof is looked for among those heard with announcements, then in the store (a block imported again), then at
//! peers, the block's sender first. The timestamp inherent is not checked here: the header's time is, and the runtime
//! asserts that both are equal.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use labora_consensus_api::seal_item;
use labora_pouw::Proof;
use parity_scale_codec::DecodeAll;
use sc_consensus::{BlockImportParams, Verifier};
use sc_network_types::PeerId;
use sp_core::H256;
use sp_runtime::traits::{Block as BlockT, Header};

use crate::{
    Sources,
    chain::number_of,
    engine::{Engine, Verified},
    error::{Conduct, EngineError, Fault},
    exchange::{Finality, Hints, Lookahead, MAX_HASHES, Offence, fetch_proof},
    header::SealedHeader,
    import::{EVIDENCE_KEY, Evidence},
    proof_cache::Unchecked,
    store::encoded_proof,
};

/// Pause before giving up on a block that cannot be judged: sync asks for it again at once, and this keeps it from
/// spinning.
const RETRY: Duration = Duration::from_secs(1);

/// Peers that could not prove a full batch final are not asked about the next one for so long.
const ASK_AGAIN_MS: u64 = 10_000;

/// Which blocks need a proof of work.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum VerifyBlocks {
    /// Those that finality is not proved of.
    #[default]
    Unfinalised,
    /// All, for those who want to audit a chain from its genesis; peers that keep all proofs are needed.
    All,
}

/// Verifies blocks before import.
pub struct PouwVerifier<B: BlockT<Hash = H256>> {
    engine: Arc<Engine<B>>,
    sources: Sources,
    lookahead: Arc<Lookahead>,
    retry: Duration,
    /// From when on peers are asked again whether a full batch is final.
    ask_first_ms: AtomicU64,
}

impl<B: BlockT<Hash = H256>> PouwVerifier<B> {
    /// A verifier that asks `sources` for proofs nobody announced, and whether a block is final where nobody has one;
    /// `lookahead` knows who sent a block and what follows it.
    pub fn new(engine: Arc<Engine<B>>, sources: Sources, lookahead: Arc<Lookahead>) -> Self {
        Self {
            engine,
            sources,
            lookahead,
            retry: RETRY,
            ask_first_ms: AtomicU64::new(0),
        }
    }

    /// The same without the pause before giving up.
    #[cfg(test)]
    pub(crate) fn impatient(mut self) -> Self {
        self.retry = Duration::ZERO;
        self
    }

    async fn evidence(&self, sealed: &SealedHeader<B::Header>) -> Result<Evidence, EngineError> {
        if sealed.number <= self.engine.chain().tips().finalised {
            self.engine.check_history(sealed)?;
            return Ok(Evidence::Final);
        }
        self.engine.check_header(sealed)?;
        if let Some(vouched) = self.vouched(sealed)? {
            return Ok(vouched);
        }
        // They are told once only.
        let hints = self.lookahead.hints(sealed.hash);
        let sender = hints.sender;
        if let Some(vouched) = self.final_first(sealed, &hints).await? {
            return Ok(vouched);
        }
        match self.proved(sealed, hints).await {
            Err(missing @ EngineError::ProofMissing { .. }) => {
                let decided = match self.final_or(sealed, sender, missing).await {
                    Err(missing) if self.is_cut_off(sealed)? => {
                        Err(taken_as(Conduct::Blameless, missing))
                    }
                    decided => decided,
                };
                self.note_conduct(sender, &decided);
                decided
            }
            proved => proved.map(Evidence::Work),
        }
    }

    /// A whole state may come for the one block that finality was proved of.
    fn state_of_target(&self, sealed: &SealedHeader<B::Header>) -> Result<Evidence, EngineError> {
        match self.engine.trusts_state_of(sealed.hash) {
            true => Ok(Evidence::State(sealed.hash)),
            false => Err(EngineError::UntrustedState(sealed.hash)),
        }
    }

    /// Whether finality is already proved of this block.
    fn vouched(&self, sealed: &SealedHeader<B::Header>) -> Result<Option<Evidence>, EngineError> {
        let target = match self.engine.trusted() {
            Some(target) if self.sources.verify == VerifyBlocks::Unfinalised => target,
            _ => return Ok(None),
        };
        if sealed.number > target.number {
            return Ok(None);
        }
        target.is(sealed.number, sealed.hash)?;
        Ok(Some(Evidence::Vouched {
            block: sealed.hash,
            by: target,
        }))
    }

    /// What peers say of finality, and the evidence of it where they prove the block final. Who verifies all asks nobody.
    async fn ask_if_final(
        &self,
        sealed: &SealedHeader<B::Header>,
        sender: Option<PeerId>,
    ) -> Result<(Finality, Option<Evidence>), EngineError> {
        if self.sources.verify == VerifyBlocks::All {
            return Ok((Finality::Unknown, None));
        }
        let said = self.sources.finality.newest(sealed.number, sender).await;
        let (Finality::Proved(target) | Finality::ProvedInPart(target)) = said else {
            return Ok((said, None));
        };
        self.engine.trust_between_imports(target).await;
        match self.vouched(sealed) {
            // It came before that was known here, and perhaps to its sender.
            Err(EngineError::NotTheFinalOne { .. }) => Ok((Finality::Unknown, None)),
            vouched => Ok((said, vouched?)),
        }
    }

    /// Whether peers prove a block final that has a full batch behind it. Such a block is history more often than not, and
    /// one proof of finality spares the node the proofs of work of all of it, should a peer still have them.
    async fn final_first(
        &self,
        sealed: &SealedHeader<B::Header>,
        hints: &Hints,
    ) -> Result<Option<Evidence>, EngineError> {
        let now = self.engine.now_ms();
        if hints.next.len() + 1 < MAX_HASHES
            || self.engine.proofs.holds(sealed.hash)
            || now < self.ask_first_ms.load(Ordering::Relaxed)
        {
            return Ok(None);
        }
        // The sender is asked in its turn only: it may be one that says nothing.
        let (_, vouched) = self.ask_if_final(sealed, None).await?;
        if vouched.is_none() {
            // While finality stalls each batch would wait for whoever says nothing.
            self.ask_first_ms
                .store(now + ASK_AGAIN_MS, Ordering::Relaxed);
        }
        Ok(vouched)
    }

    /// Nobody has the proof: the block may be final, and its proof dropped. If it is not, `missing` stands.
    async fn final_or(
        &self,
        sealed: &SealedHeader<B::Header>,
        sender: Option<PeerId>,
        missing: EngineError,
    ) -> Result<Evidence, EngineError> {
        // Whoever says nothing is not waited for a second time.
        let is_silent = conduct(&missing) == Some(Conduct::Silent);
        let sender = sender.filter(|_| !is_silent);
        match self.ask_if_final(sealed, sender).await? {
            (_, Some(vouched)) => Ok(vouched),
            // Most peers of whoever verifies all have dropped old proofs with good reason.
            _ if self.sources.verify == VerifyBlocks::All && !is_silent => {
                Err(taken_as(Conduct::Blameless, missing))
            }
            // Whoever sent the block may have dropped the proof with good reason, and then mostly can say so.
            (Finality::Unknown | Finality::ProvedInPart(_), None)
                if conduct(&missing) == Some(Conduct::Failed) =>
            {
                Err(taken_as(Conduct::Unclear, missing))
            }
            (_, None) => Err(missing),
        }
    }

    /// Whoever sends blocks and has no evidence of them, or says nothing, keeps others waiting.
    fn note_conduct(&self, sender: Option<PeerId>, decided: &Result<Evidence, EngineError>) {
        let offence = match decided.as_ref().err().and_then(conduct) {
            Some(Conduct::Silent) => Offence::Silence,
            Some(Conduct::Unclear) => Offence::NoEvidence,
            // What failed for certain is told to sync, which hangs up.
            Some(Conduct::Failed | Conduct::Blameless) | None => return,
        };
        if let Some(sender) = sender {
            self.sources.proofs.report(sender, offence);
        }
    }

    /// Whether finality here went to another branch than the block's, as it may while its proof is asked for. Peers drop
    /// the proofs of such a branch at once.
    fn is_cut_off(&self, sealed: &SealedHeader<B::Header>) -> Result<bool, EngineError> {
        let chain = self.engine.chain();
        let tips = chain.tips();
        let mut at = sealed.parent;
        while let Some(header) = chain.sealed_header(at)? {
            if number_of(&header) <= tips.finalised {
                return Ok(at != tips.finalised_hash);
            }
            at = *header.parent_hash();
        }
        Err(EngineError::UnknownParent(at))
    }

    async fn proved(
        &self,
        sealed: &SealedHeader<B::Header>,
        hints: Hints,
    ) -> Result<Verified, EngineError> {
        if let Some(verified) = self.engine.proofs.verified(sealed.hash) {
            return Ok(verified);
        }
        if let Some(Unchecked { proof, giver }) = self.engine.proofs.take_unchecked(sealed.hash) {
            match self.engine.check(sealed, proof).await {
                // Whoever sent this proof need not be whoever sent the block: look further.
                Err(EngineError::Proof(error)) => {
                    tracing::debug!(block = ?sealed.hash, %error, "A proof heard earlier is wrong");
                    if let Some(giver) = giver {
                        self.sources.proofs.report(giver, Offence::WrongProof);
                    }
                }
                decided => return decided,
            }
        }
        if let Some(verified) = self.stored(sealed).await? {
            return Ok(verified);
        }
        fetch_proof(&*self.sources.proofs, &self.engine, sealed, hints).await
    }

    /// The proof that this node has kept of a block that it imports again. If that is damaged, peers are asked.
    async fn stored(
        &self,
        sealed: &SealedHeader<B::Header>,
    ) -> Result<Option<Verified>, EngineError> {
        let Some(bytes) = encoded_proof(self.engine.chain(), sealed.hash)? else {
            return Ok(None);
        };
        let damaged = EngineError::Record {
            what: "proof",
            block: sealed.hash,
        };
        let checked = match Proof::decode_all(&mut &bytes[..]) {
            Ok(proof) => self.engine.check(sealed, Arc::new(proof)).await,
            Err(_) => Err(damaged),
        };
        match checked {
            Ok(verified) => Ok(Some(verified)),
            Err(error @ (EngineError::Record { .. } | EngineError::Proof(_))) => {
                tracing::warn!(block = ?sealed.hash, %error, "A proof in the database does not hold");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// How the sender of a block took the question for its proof, which is missing.
fn conduct(error: &EngineError) -> Option<Conduct> {
    match error {
        EngineError::ProofMissing { sender, .. } => Some(*sender),
        _ => None,
    }
}

/// The same missing proof, with another judgement of whoever sent the block.
fn taken_as(sender: Conduct, error: EngineError) -> EngineError {
    match error {
        EngineError::ProofMissing { block, asked, .. } => EngineError::ProofMissing {
            block,
            asked,
            sender,
        },
        other => other,
    }
}

#[async_trait::async_trait]
impl<B: BlockT<Hash = H256>> Verifier<B> for PouwVerifier<B> {
    async fn verify(
        &self,
        mut block: BlockImportParams<B>,
    ) -> Result<BlockImportParams<B>, String> {
        let sealed = SealedHeader::open(&block.header).map_err(|error| error.to_string())?;
        if let Some(expected) = block.post_hash.filter(|claimed| *claimed != sealed.hash) {
            return Err(EngineError::WrongHash {
                got: sealed.hash,
                expected,
            }
            .to_string());
        }
        let found = if block.with_state() {
            self.state_of_target(&sealed)
        } else {
            self.evidence(&sealed).await
        };
        let evidence = match found {
            Ok(evidence) => evidence,
            Err(error) if error.fault() == Fault::Sender => return Err(error.to_string()),
            Err(error) => {
                self.engine.sleep(self.retry).await;
                Evidence::Undecided(error)
            }
        };
        block.header = sealed.unsealed;
        block.post_digests.push(seal_item(&sealed.seal));
        block.post_hash = Some(sealed.hash);
        block.insert_intermediate(EVIDENCE_KEY, evidence);
        debug_assert_eq!(block.post_header().hash(), sealed.hash);
        Ok(block)
    }
}
