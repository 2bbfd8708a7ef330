//! What stands below the engine's import, as the SDK's client does: it writes to the disk, if the block fits.

use std::sync::Arc;

use sc_consensus::{
    BlockCheckParams, BlockImport, BlockImportParams, ForkChoiceStrategy, ImportResult, ImportedAux,
};
use sp_consensus::Error as ConsensusError;

use super::{
    super::miner::Block,
    chain::{Import, SimChain},
    context::Context,
    plan::Mutant,
};
use crate::store::{proof_key, vouched_key};

/// The client.
#[derive(Clone)]
pub(super) struct SimClient {
    pub(super) context: Arc<Context>,
    pub(super) chain: Arc<SimChain>,
}

#[async_trait::async_trait]
impl BlockImport<Block> for SimClient {
    type Error = ConsensusError;

    async fn check_block(
        &self,
        block: BlockCheckParams<Block>,
    ) -> Result<ImportResult, Self::Error> {
        if self.chain.has(block.hash) {
            return Ok(ImportResult::AlreadyInChain);
        }
        Ok(match self.chain.number_of(block.parent_hash) {
            None => ImportResult::UnknownParent,
            Some(_) if self.chain.is_stale(block.parent_hash) => ImportResult::MissingState,
            Some(_) => ImportResult::imported(false),
        })
    }

    async fn import_block(
        &self,
        mut block: BlockImportParams<Block>,
    ) -> Result<ImportResult, Self::Error> {
        // Execution and the disk take their time, in which others run.
        let pause = self.context.draw(self.context.plan.write_ms);
        self.context.timeline.sleep(pause).await;
        assert!(block.intermediates.is_empty());
        let (hash, header) = (block.post_hash(), block.post_header());
        assert_eq!(hash, header.hash());
        let failed = |error: sp_blockchain::Error| ConsensusError::ClientImport(error.to_string());
        match self.chain.can_import(&header, hash).map_err(failed)? {
            Import::Fits => {}
            Import::Known => return Ok(ImportResult::AlreadyInChain),
            Import::NoParent => return Ok(ImportResult::UnknownParent),
            Import::NoState => return Ok(ImportResult::MissingState),
        }
        let Some(ForkChoiceStrategy::Custom(mut is_new_best)) = block.fork_choice else {
            panic!("the engine decides which chain is best");
        };
        match self.context.plan.mutant {
            Mutant::LongestChain => is_new_best = header.number > self.chain.best().number,
            Mutant::WithheldProofs => block.auxiliary.retain(|(key, _)| *key != proof_key(hash)),
            Mutant::ForgottenVouchers => {
                block.auxiliary.retain(|(key, _)| *key != vouched_key(hash));
            }
            _ => {}
        }
        self.chain
            .store(header, block.auxiliary, is_new_best, block.origin)
            .map_err(failed)?;
        self.context.count(|stats| stats.imports += 1);
        Ok(ImportResult::Imported(ImportedAux {
            is_new_best,
            ..Default::default()
        }))
    }
}
