//! The import queue's verifier: finds the proof of each block that sync brings, checks it, and hands it to import.
//!
//! A proof is looked for among those heard with announcements, then in the store (a block imported again), then at
//! peers, the block's sender first. The timestamp inherent is not checked here: the header's time is, and the runtime
//! asserts that both are equal.

use std::{sync::Arc, time::Duration};

use labora_consensus_api::seal_item;
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
    store::encoded_proof,
};

/// Pause before giving up on a block that cannot be judged: sync asks for it again at once, and this keeps it from
/// spinning.
const RETRY: Duration = Duration::from_secs(1);

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
            self.engine.check_checkpoint(sealed)?;
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
                    Err(missing) if self.is_cut_off(sealed)? => Err(with_good_reason(missing)),
                    decided => decided,
                };
                self.note_silence(sender, &decided);
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
            return Ok((Finality::NothingNewer, None));
        }
        let said = self.sources.finality.newest(sealed.number, sender).await;
        let Finality::Proved(target) = said else {
            return Ok((said, None));
        };
        self.engine.trust_between_imports(target).await;
        Ok((said, self.vouched(sealed)?))
    }

    /// Whether peers prove a block final that has a full batch behind it. Such a block is history more often than not, and
    /// one proof of finality spares the node the proofs of work of all of it, should a peer still have them.
    async fn final_first(
        &self,
        sealed: &SealedHeader<B::Header>,
        hints: &Hints,
    ) -> Result<Option<Evidence>, EngineError> {
        if hints.next.len() + 1 < MAX_HASHES || self.engine.proofs.holds(sealed.hash) {
            return Ok(None);
        }
        // The sender is asked in its turn only: it may be one that says nothing.
        let (_, vouched) = self.ask_if_final(sealed, None).await?;
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
        let is_silent = says_nothing(&missing);
        let sender = sender.filter(|_| !is_silent);
        match self.ask_if_final(sealed, sender).await? {
            (_, Some(vouched)) => Ok(vouched),
            // Whoever sent the block may have dropped the proof with good reason, and then says so.
            (Finality::Unknown, None) if !is_silent => Err(with_good_reason(missing)),
            (_, None) => Err(missing),
        }
    }

    /// Whoever sends blocks and says nothing about their proofs keeps others waiting.
    fn note_silence(&self, sender: Option<PeerId>, decided: &Result<Evidence, EngineError>) {
        let is_silent = decided.as_ref().err().is_some_and(says_nothing);
        if let Some(sender) = sender.filter(|_| is_silent) {
            self.sources.proofs.report(sender, Offence::Silence);
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
        if let Some(proof) = self.engine.proofs.take_unchecked(sealed.hash) {
            match self.engine.check(sealed, proof).await {
                // Whoever sent this proof need not be whoever sent the block: look further.
                Err(EngineError::Proof(error)) => {
                    tracing::debug!(block = ?sealed.hash, %error, "A proof heard earlier is wrong");
                }
                decided => return decided,
            }
        }
        if let Some(bytes) = encoded_proof(self.engine.chain(), sealed.hash)? {
            let damaged = EngineError::Record {
                what: "proof",
                block: sealed.hash,
            };
            let proof = labora_pouw::Proof::decode_all(&mut &bytes[..]).map_err(|_| damaged)?;
            return self.engine.check(sealed, Arc::new(proof)).await;
        }
        fetch_proof(&*self.sources.proofs, &self.engine, sealed, hints).await
    }
}

/// Whether a proof is missing whose block's sender says nothing.
fn says_nothing(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::ProofMissing {
            sender: Conduct::Silent,
            ..
        }
    )
}

/// A missing proof that is not held against whoever sent the block.
fn with_good_reason(error: EngineError) -> EngineError {
    match error {
        EngineError::ProofMissing { block, asked, .. } => EngineError::ProofMissing {
            block,
            asked,
            sender: Conduct::Blameless,
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
