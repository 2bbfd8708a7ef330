//! Announcements: a peer tells of a block by its header and its proof, and nothing is downloaded before the proof holds.
//!
//! | what is known | what is asked | answer |
//! | --- | --- | --- |
//! | the block, or its proof | nothing | success, at no cost |
//! | these bytes, refused before | nothing | failure, at no cost |
//! | the parent | everything: digest, number, time, proof at the exact difficulty | success, the proof is kept |
//! | the parent, but no proof came | the same, after asking peers for the proof | as above, or failure without hanging up |
//! | not the parent | a proof that is worth at least a sixteenth of a block here | success, the proof is kept unchecked |
//!
//! A failure hangs up on the peer only where nobody honest could have sent this.

use std::{error::Error, future::Future, pin::Pin, sync::Arc};

use labora_pouw::{Difficulty, Proof, VerifyError};
use parity_scale_codec::DecodeAll;
use sp_consensus::block_validation::{BlockAnnounceValidator, Validation};
use sp_core::{H256, U256};
use sp_runtime::traits::{Block as BlockT, Header};
use tokio::sync::Semaphore;

use crate::{
    chain::number_of,
    engine::{Engine, Verified},
    error::{Conduct, EngineError, Fault},
    exchange::{Hints, ProofSource, fetch_proof},
    header::SealedHeader,
    import::is_better,
    store::accumulated_work,
};

/// A block whose parent is unknown must be worth at least the best block's difficulty over this: low enough for a node
/// that lags behind a falling hash rate by four half-lives, high enough that spam costs a sixteenth of mining.
const FLOOR_DIVISOR: u64 = 16;

/// Announcements without proof that are asked about at a time; each takes up to a few requests and little else.
const MAX_ASKED_AT_A_TIME: usize = 4;

type Outcome = Result<Validation, Box<dyn Error + Send>>;

/// Validates announcements.
pub struct PouwAnnounceValidator<B: BlockT<Hash = H256>> {
    judge: Arc<Judge<B>>,
}

struct Judge<B: BlockT<Hash = H256>> {
    engine: Arc<Engine<B>>,
    source: Arc<dyn ProofSource>,
    asking: Semaphore,
}

impl<B: BlockT<Hash = H256>> PouwAnnounceValidator<B> {
    /// A validator that asks `source` about blocks that were announced without their proof.
    pub fn new(engine: Arc<Engine<B>>, source: Arc<dyn ProofSource>) -> Self {
        let asking = Semaphore::new(MAX_ASKED_AT_A_TIME);
        Self {
            judge: Arc::new(Judge {
                engine,
                source,
                asking,
            }),
        }
    }
}

impl<B: BlockT<Hash = H256>> BlockAnnounceValidator<B> for PouwAnnounceValidator<B> {
    fn validate(
        &mut self,
        header: &B::Header,
        data: &[u8],
    ) -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
        if data.len() > Proof::MAX_ENCODED_LEN {
            return Box::pin(async { Ok(Validation::Failure { disconnect: true }) });
        }
        let (judge, header, data) = (self.judge.clone(), header.clone(), data.to_vec());
        Box::pin(async move { judge.validate(&header, &data).await })
    }
}

impl<B: BlockT<Hash = H256>> Judge<B> {
    async fn validate(&self, header: &B::Header, data: &[u8]) -> Outcome {
        let hash = header.hash();
        match self.judge(header, hash, data).await {
            Ok(is_new_best) => Ok(Validation::Success { is_new_best }),
            Err(error) => {
                if matches!(error, EngineError::Proof(_)) {
                    self.engine.proofs.refuse(hash, data);
                }
                tracing::debug!(block = ?hash, number = number_of(header), %error, "Announcement refused");
                verdict(error)
            }
        }
    }

    async fn judge(
        &self,
        header: &B::Header,
        hash: H256,
        data: &[u8],
    ) -> Result<bool, EngineError> {
        let chain = self.engine.chain();
        if self.engine.proofs.holds(hash) || chain.sealed_header(hash)?.is_some() {
            return Ok(false);
        }
        let sealed = SealedHeader::open(header)?;
        sealed.is_due(self.engine.now_ms())?;
        match (chain.sealed_header(sealed.parent)?, data.is_empty()) {
            (Some(parent), _) => {
                sealed.follows(&parent)?;
                let verified = match data.is_empty() {
                    true => self.ask(&sealed).await,
                    false => self.check(&sealed, data).await,
                }?;
                self.keep(&sealed, verified)
            }
            // Neither the work nor the place of the block can be judged. It will be announced again, or found by sync.
            (None, true) => Err(EngineError::UnknownParent(sealed.parent)),
            (None, false) => self.check_floor(&sealed, data).await,
        }
    }

    fn decode(&self, block: H256, data: &[u8]) -> Result<Arc<Proof>, EngineError> {
        if self.engine.proofs.was_refused(block, data) {
            return Err(EngineError::RefusedBefore(block));
        }
        let malformed = EngineError::ProofEncoding {
            got: data.len(),
            max: Proof::MAX_ENCODED_LEN,
        };
        Proof::decode_all(&mut &data[..])
            .map(Arc::new)
            .map_err(|_| malformed)
    }

    async fn check(
        &self,
        sealed: &SealedHeader<B::Header>,
        data: &[u8],
    ) -> Result<Verified, EngineError> {
        self.engine
            .check(sealed, self.decode(sealed.hash, data)?)
            .await
    }

    async fn ask(&self, sealed: &SealedHeader<B::Header>) -> Result<Verified, EngineError> {
        let missing = EngineError::ProofMissing {
            block: sealed.hash,
            asked: 0,
            sender: Conduct::Blameless,
        };
        let _turn = self.asking.try_acquire().map_err(|_| missing)?;
        fetch_proof(&*self.source, &self.engine, sealed, Hints::default()).await
    }

    fn keep(
        &self,
        sealed: &SealedHeader<B::Header>,
        verified: Verified,
    ) -> Result<bool, EngineError> {
        let chain = self.engine.chain();
        let work = verified
            .difficulty()
            .add_to(accumulated_work(chain, sealed.parent)?)?;
        let best = accumulated_work(chain, chain.tips().best)?;
        self.engine.proofs.keep_verified(verified);
        Ok(is_better(work, best))
    }

    async fn check_floor(
        &self,
        sealed: &SealedHeader<B::Header>,
        data: &[u8],
    ) -> Result<bool, EngineError> {
        let proof = self.decode(sealed.hash, data)?;
        let here = self
            .engine
            .difficulty_after(self.engine.chain().tips().best)?
            .get();
        let floor = Difficulty::new((here / FLOOR_DIVISOR).max(U256::one()))
            .map_err(|_| EngineError::ZeroDifficulty(sealed.parent))?;
        match self.engine.check_orphan(sealed, proof.clone(), floor).await {
            Ok(()) => {
                self.engine.proofs.keep_unchecked(sealed.hash, proof, None);
                Ok(false)
            }
            // An honest chain may be that much easier than ours; what it is, sync will tell.
            Err(EngineError::Proof(VerifyError::Difficulty(_))) => {
                Err(EngineError::UnknownParent(sealed.parent))
            }
            Err(error) => Err(error),
        }
    }
}

/// What the peer gets for an announcement that was not accepted.
fn verdict(error: EngineError) -> Outcome {
    match error {
        // A clock may be wrong, a peer may have dropped its proof, a node may be behind: a small penalty, no hanging up.
        EngineError::TooLate { .. }
        | EngineError::ProofMissing { .. }
        | EngineError::UnknownParent(_) => Ok(Validation::Failure { disconnect: false }),
        error if error.fault() == Fault::Sender => Ok(Validation::Failure { disconnect: true }),
        // Nothing is known of the announcement; the peer is not touched.
        error => Err(Box::new(error)),
    }
}
