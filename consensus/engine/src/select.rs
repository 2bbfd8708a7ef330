//! The best chain, as GRANDPA's voter asks for it: the one of most work.

use std::{marker::PhantomData, sync::Arc};

use sc_client_api::{AuxStore, Backend, utils::is_descendent_of};
use sp_blockchain::{Backend as _, HeaderBackend, HeaderMetadata};
use sp_consensus::{Error as ConsensusError, SelectChain};
use sp_core::{H256, U256};
use sp_runtime::traits::{Block as BlockT, Header, NumberFor};

use crate::store::{recorded_work, work_key};

/// The block tree, as far as the choice needs it: the client's backend is one, and so is a table in a test.
pub trait BlockTree<B: BlockT<Hash = H256>>: Send + Sync {
    /// Where the headers are.
    type Headers: HeaderBackend<B> + HeaderMetadata<B, Error = sp_blockchain::Error>;

    /// The headers, and which of them are best and final.
    fn headers(&self) -> &Self::Headers;

    /// Blocks without children, on no branch that finality cut off.
    fn leaves(&self) -> sp_blockchain::Result<Vec<H256>>;

    /// A record of auxiliary storage.
    fn record(&self, key: &[u8]) -> sp_blockchain::Result<Option<Vec<u8>>>;
}

impl<B: BlockT<Hash = H256>, BE: Backend<B>> BlockTree<B> for BE {
    type Headers = BE::Blockchain;

    fn headers(&self) -> &Self::Headers {
        self.blockchain()
    }

    fn leaves(&self) -> sp_blockchain::Result<Vec<H256>> {
        self.blockchain().leaves()
    }

    fn record(&self, key: &[u8]) -> sp_blockchain::Result<Option<Vec<u8>>> {
        AuxStore::get_aux(self, key)
    }
}

/// Chooses by accumulated work. Import has already marked the best block, so that is what is read here; only where a vote
/// needs a branch that is not the best one are the leaves compared.
pub struct MostWork<B, T> {
    tree: Arc<T>,
    _block: PhantomData<B>,
}

impl<B, T> Clone for MostWork<B, T> {
    fn clone(&self) -> Self {
        Self::new(self.tree.clone())
    }
}

impl<B, T> MostWork<B, T> {
    /// Chooses among the blocks of `tree`.
    pub fn new(tree: Arc<T>) -> Self {
        Self {
            tree,
            _block: PhantomData,
        }
    }
}

impl<B: BlockT<Hash = H256>, T: BlockTree<B>> MostWork<B, T> {
    fn header(&self, block: H256) -> Result<B::Header, ConsensusError> {
        self.tree
            .headers()
            .header(block)
            .map_err(lookup)?
            .ok_or_else(|| ConsensusError::ChainLookup(format!("block {block:?} is not known")))
    }

    /// The leaf of most work among those that descend from `base`; `base` itself if it is one.
    ///
    /// A round of votes often stands on a block that has left the best chain meanwhile. An error here would have the voter
    /// fall back to `base`, so that the round makes no progress on its own branch.
    fn heaviest_above(&self, base: H256) -> Result<H256, ConsensusError> {
        let chain = self.tree.headers();
        let best = chain.info().best_hash;
        let descends = is_descendent_of(chain, None);
        let mut heaviest = None;
        for leaf in self.tree.leaves().map_err(lookup)? {
            if leaf != base && !descends(&base, &leaf).map_err(lookup)? {
                continue;
            }
            // Of equals the best one stays, as at import.
            let rank = (self.work(leaf)?, leaf == best);
            if heaviest.is_none_or(|(known, _)| known < rank) {
                heaviest = Some((rank, leaf));
            }
        }
        Ok(heaviest.map_or(base, |(_, leaf)| leaf))
    }

    /// Work up to `block`; nothing for the few blocks without a record, which have no branch beside them.
    fn work(&self, block: H256) -> Result<U256, ConsensusError> {
        match self.tree.record(&work_key(block)).map_err(lookup)? {
            Some(bytes) => Ok(recorded_work(block, &bytes)?),
            None => Ok(U256::zero()),
        }
    }

    /// The ancestor of `block` at `number`, or `block` where it is not above.
    fn at_most(&self, block: H256, number: NumberFor<B>) -> Result<H256, ConsensusError> {
        let mut hash = block;
        let mut header = self.header(block)?;
        while *header.number() > number {
            hash = *header.parent_hash();
            header = self.header(hash)?;
        }
        Ok(hash)
    }
}

fn lookup(error: sp_blockchain::Error) -> ConsensusError {
    ConsensusError::ChainLookup(error.to_string())
}

#[async_trait::async_trait]
impl<B: BlockT<Hash = H256>, T: BlockTree<B> + 'static> SelectChain<B> for MostWork<B, T> {
    async fn leaves(&self) -> Result<Vec<H256>, ConsensusError> {
        self.tree.leaves().map_err(lookup)
    }

    async fn best_chain(&self) -> Result<B::Header, ConsensusError> {
        self.header(self.tree.headers().info().best_hash)
    }

    async fn finality_target(
        &self,
        base: H256,
        max_number: Option<NumberFor<B>>,
    ) -> Result<H256, ConsensusError> {
        let number = *self.header(base)?.number();
        let chain = self.tree.headers();
        // The index by number follows the best chain.
        let on_best_chain = chain.hash(number).map_err(lookup)? == Some(base);
        let target = if on_best_chain {
            chain.info().best_hash
        } else {
            self.heaviest_above(base)?
        };
        match max_number {
            Some(max) if max < number => Err(ConsensusError::ChainLookup(format!(
                "no block at most {max} lies on top of block {number}"
            ))),
            Some(max) => self.at_most(target, max),
            None => Ok(target),
        }
    }
}
