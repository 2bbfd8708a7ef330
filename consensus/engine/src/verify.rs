//! The import queue's verifier: finds the proof of each block that sync brings, checks it, and hands it to import.
//!
//! A proof is looked for among those heard with announcements, then in the store (a block imported again), then at
//! peers, the block's sender first. The timestamp inherent is not checked here: the header's time is, and the runtime
//! asserts that both are equal.

use std::{sync::Arc, time::Duration};

use futures_timer::Delay;
use labora_consensus_api::seal_item;
use parity_scale_codec::DecodeAll;
use sc_consensus::{BlockImportParams, Verifier};
use sp_core::H256;
use sp_runtime::traits::{Block as BlockT, Header};

use crate::{
    engine::{Engine, Verified},
    error::{EngineError, Fault},
    exchange::{Lookahead, ProofSource, fetch_proof},
    header::SealedHeader,
    import::{EVIDENCE_KEY, Evidence},
    store::encoded_proof,
};

/// Pause before giving up on a block that cannot be judged: sync asks for it again at once, and this keeps it from
/// spinning.
const RETRY: Duration = Duration::from_secs(1);

/// Verifies blocks before import.
pub struct PouwVerifier<B: BlockT<Hash = H256>> {
    engine: Arc<Engine<B>>,
    source: Arc<dyn ProofSource>,
    lookahead: Arc<Lookahead>,
    retry: Duration,
}

impl<B: BlockT<Hash = H256>> PouwVerifier<B> {
    /// A verifier that asks `source` for proofs nobody announced; `lookahead` knows who sent a block and what follows it.
    pub fn new(
        engine: Arc<Engine<B>>,
        source: Arc<dyn ProofSource>,
        lookahead: Arc<Lookahead>,
    ) -> Self {
        Self {
            engine,
            source,
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
            return Ok(Evidence::Final);
        }
        self.engine.check_header(sealed)?;
        self.proved(sealed).await.map(Evidence::Work)
    }

    async fn proved(&self, sealed: &SealedHeader<B::Header>) -> Result<Verified, EngineError> {
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
        fetch_proof(
            &*self.source,
            &self.engine,
            sealed,
            self.lookahead.hints(sealed.hash),
        )
        .await
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
        let evidence = match self.evidence(&sealed).await {
            Ok(evidence) => evidence,
            Err(error) if error.fault() == Fault::Sender => return Err(error.to_string()),
            Err(error) => {
                // Not tokio's clock: the import queue is a blocking task, which outlives that clock when the node ends,
                // and asking it then is a panic.
                Delay::new(self.retry).await;
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
