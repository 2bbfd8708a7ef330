//! The least that imports this chain's blocks, in the places where `labora` has its verifier and its import.

use labora_runtime::opaque::Block;
use sc_consensus::{
    BlockCheckParams, BlockImport, BlockImportParams, ForkChoiceStrategy, ImportResult, Verifier,
};
use sp_consensus::{BlockOrigin, Error as ConsensusError};
use sp_runtime::traits::Header as _;

/// Takes the seal, which the runtime does not know, off a header, and does not look at it.
pub struct SealOff;

#[async_trait::async_trait]
impl Verifier<Block> for SealOff {
    async fn verify(
        &self,
        mut block: BlockImportParams<Block>,
    ) -> Result<BlockImportParams<Block>, String> {
        let hash = block.header.hash();
        let seal = block.header.digest_mut().pop().ok_or("no seal")?;
        block.post_digests.push(seal);
        block.post_hash = Some(hash);
        block.fork_choice = Some(ForkChoiceStrategy::LongestChain);
        Ok(block)
    }
}

/// GRANDPA's import, with a choice for the headers of a warp proof: the SDK hands these to import without a verifier
/// before. BABE's import, for one, does the same.
#[derive(Clone)]
pub struct WarpHeaders<I>(pub I);

#[async_trait::async_trait]
impl<I> BlockImport<Block> for WarpHeaders<I>
where
    I: BlockImport<Block, Error = ConsensusError> + Send + Sync,
{
    type Error = ConsensusError;

    async fn check_block(
        &self,
        block: BlockCheckParams<Block>,
    ) -> Result<ImportResult, Self::Error> {
        self.0.check_block(block).await
    }

    async fn import_block(
        &self,
        mut block: BlockImportParams<Block>,
    ) -> Result<ImportResult, Self::Error> {
        if block.origin == BlockOrigin::WarpSync {
            block.fork_choice = Some(ForkChoiceStrategy::Custom(false));
        }
        self.0.import_block(block).await
    }
}
