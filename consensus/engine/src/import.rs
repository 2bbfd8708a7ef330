//! Import: a block above the finalised one enters the chain with the evidence of its work, and the chain of most work
//! is the best one.
//!
//! Reading the best block's work, deciding, and importing are one step under one lock, the engine's. Work and proof are
//! written by the block's own import operation, so they are stored with the block or not at all.

use std::sync::Arc;

use labora_pouw::Difficulty;
use sc_consensus::{
    BlockCheckParams, BlockImport, BlockImportParams, ForkChoiceStrategy, ImportResult, StateAction,
};
use sc_consensus_grandpa::{find_forced_change, find_scheduled_change};
use sp_consensus::{BlockOrigin, Error as ConsensusError};
use sp_core::{H256, U256};
use sp_runtime::traits::{Block as BlockT, Header};

use crate::{
    chain::number_of,
    engine::{Engine, Verified},
    error::EngineError,
    forced::ForcedChange,
    store::{WorkRecord, accumulated_work, proof_key, record, vouched_key, work_key},
    trust::TrustedTarget,
};

/// Under this name the verifier hands its findings to the import.
pub(crate) const EVIDENCE_KEY: &[u8] = b"pouw:evidence";

/// What the verifier found.
pub(crate) enum Evidence {
    /// The proof was verified.
    Work(Verified),
    /// The block lies at or below the finalised one: finality vouches for it.
    Final,
    /// Finality was proved of this block, or of one above it on the chain that it is said to belong to.
    Vouched {
        /// The block.
        block: H256,
        /// The one that finality was proved of. If it is the block itself, its branch is the best one whatever its work.
        by: TrustedTarget,
    },
    /// The block that finality was proved of, with its whole state.
    State(H256),
    /// The block cannot be judged, through no fault of its sender. Import gives this error back: a verifier's own error
    /// would ban the peer.
    Undecided(EngineError),
}

/// Imports blocks with proved work into `inner`: the client, or GRANDPA's block import above it.
pub struct PouwBlockImport<B: BlockT<Hash = H256>, I> {
    inner: I,
    engine: Arc<Engine<B>>,
    by_force: Option<ByForce<B>>,
}

/// History around forced changes of authorities. Between the last block that the old ones signed and the one with which the
/// new ones took over, changes were announced that nobody signed. GRANDPA's import takes none such below the final block.
struct ByForce<B: BlockT> {
    changes: Arc<[ForcedChange]>,
    beneath: Beneath<B>,
}

/// What stands beneath GRANDPA's import: the client.
type Beneath<B> = Arc<dyn BlockImport<B, Error = ConsensusError> + Send + Sync>;

impl<B: BlockT> Clone for ByForce<B> {
    fn clone(&self) -> Self {
        Self {
            changes: self.changes.clone(),
            beneath: self.beneath.clone(),
        }
    }
}

impl<B: BlockT<Hash = H256>> ByForce<B> {
    /// Whether a block, if it is of the history, announces a change that nobody had to sign.
    fn is_unsigned(&self, block: &BlockImportParams<B>) -> bool {
        let number = number_of(&block.header);
        let mut changes = self.changes.iter();
        block.justifications.is_none()
            && changes.any(|change| change.number < number && number <= change.effective)
            && (find_scheduled_change::<B>(&block.header).is_some()
                || find_forced_change::<B>(&block.header).is_some())
    }
}

impl<B: BlockT<Hash = H256>, I: Clone> Clone for PouwBlockImport<B, I> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            engine: self.engine.clone(),
            by_force: self.by_force.clone(),
        }
    }
}

impl<B: BlockT<Hash = H256>, I> PouwBlockImport<B, I> {
    /// Wraps `inner`. Whatever imports for the same engine takes turns.
    pub fn new(inner: I, engine: Arc<Engine<B>>) -> Self {
        Self {
            inner,
            engine,
            by_force: None,
        }
    }

    /// The same for a chain with these forced changes of authorities. `beneath` is the import under GRANDPA's, which is `inner`:
    /// to it goes the history in which authorities were announced that nobody signed.
    pub fn with_forced_changes(
        mut self,
        changes: impl Into<Arc<[ForcedChange]>>,
        beneath: Beneath<B>,
    ) -> Self {
        let changes = changes.into();
        self.by_force = Some(ByForce { changes, beneath });
        self
    }

    /// Adds to `block` what has to be stored with it, and says whether it becomes the best block.
    fn admit(&self, block: &mut BlockImportParams<B>, hash: H256) -> Result<bool, EngineError> {
        match block.remove_intermediate::<Evidence>(EVIDENCE_KEY) {
            Err(_) => Err(EngineError::Unverified(hash)),
            Ok(Evidence::Undecided(error)) => Err(error),
            Ok(Evidence::Final) => {
                // History below the finalised block: it cannot become best, and nothing can fork from it, so its work
                // is never asked for.
                if number_of(&block.header) > self.engine.chain().tips().finalised {
                    return Err(EngineError::Unverified(hash));
                }
                Ok(false)
            }
            Ok(Evidence::State(state_of)) => {
                if state_of != hash || !block.with_state() {
                    return Err(EngineError::UntrustedState(hash));
                }
                Ok(true)
            }
            Ok(Evidence::Vouched { block: vouched, by }) => {
                if vouched != hash {
                    return Err(EngineError::Unverified(hash));
                }
                let difficulty = self.engine.difficulty_after(*block.header.parent_hash())?;
                let is_best = self.weigh(block, hash, difficulty)?;
                block.auxiliary.push((vouched_key(hash), Some(record(&by))));
                Ok(is_best || by.hash == hash)
            }
            Ok(Evidence::Work(verified)) => {
                if verified.block() != hash {
                    return Err(EngineError::ProofOfAnother {
                        got: verified.block(),
                        expected: hash,
                    });
                }
                // Finality may have been proved since the block's own proof was verified.
                let is_target = match self.engine.trusted() {
                    Some(target) => target.is(number_of(&block.header), hash)?,
                    None => false,
                };
                let is_best = self.weigh(block, hash, verified.difficulty())?;
                block
                    .auxiliary
                    .push((proof_key(hash), Some(record(&**verified.proof()))));
                Ok(is_best || is_target)
            }
        }
    }

    /// Adds the record of the block's work; whether the chain up to it has more than the best one.
    fn weigh(
        &self,
        block: &mut BlockImportParams<B>,
        hash: H256,
        difficulty: Difficulty,
    ) -> Result<bool, EngineError> {
        if block.with_state() || matches!(block.state_action, StateAction::Skip) {
            return Err(EngineError::NotExecuted(hash));
        }
        let chain = self.engine.chain();
        let work = difficulty.add_to(accumulated_work(chain, *block.header.parent_hash())?)?;
        let best = accumulated_work(chain, chain.tips().best)?;
        let difficulty = difficulty.get();
        block.auxiliary.push((
            work_key(hash),
            Some(record(&WorkRecord { difficulty, work })),
        ));
        Ok(is_better(work, best))
    }
}

/// Strictly more work wins; of equals the block seen first stays.
pub(crate) fn is_better(work: U256, best: U256) -> bool {
    work > best
}

#[async_trait::async_trait]
impl<B, I> BlockImport<B> for PouwBlockImport<B, I>
where
    B: BlockT<Hash = H256>,
    I: BlockImport<B> + Send + Sync,
    I::Error: Into<ConsensusError>,
{
    type Error = ConsensusError;

    async fn check_block(&self, block: BlockCheckParams<B>) -> Result<ImportResult, Self::Error> {
        self.inner.check_block(block).await.map_err(Into::into)
    }

    async fn import_block(
        &self,
        mut block: BlockImportParams<B>,
    ) -> Result<ImportResult, Self::Error> {
        let _turn = self.engine.turn.lock().await;
        let hash = block.post_hash();
        // The SDK hands the few headers of a warp proof straight to import; it has checked them against finality.
        let is_new_best = block.origin != BlockOrigin::WarpSync && self.admit(&mut block, hash)?;
        block.fork_choice = Some(ForkChoiceStrategy::Custom(is_new_best));
        let is_history = || number_of(&block.header) <= self.engine.chain().tips().finalised;
        let by_force = self.by_force.as_ref();
        let result = match by_force.filter(|by_force| by_force.is_unsigned(&block) && is_history())
        {
            Some(by_force) => by_force.beneath.import_block(block).await?,
            None => self.inner.import_block(block).await.map_err(Into::into)?,
        };
        if matches!(
            result,
            ImportResult::Imported(_) | ImportResult::AlreadyInChain
        ) {
            self.engine.proofs.forget(hash);
        }
        Ok(result)
    }
}
