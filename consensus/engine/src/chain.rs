//! What the engine needs to know of the chain, as one small trait: the client is one, and so is a table in a test.

use labora_consensus_api::PouwApi;
use sc_client_api::AuxStore;
use sp_api::ProvideRuntimeApi;
use sp_blockchain::{HeaderBackend, Result};
use sp_core::{H256, U256};
use sp_runtime::{
    SaturatedConversion,
    traits::{Block as BlockT, Header},
};

/// Where the chain stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tips {
    /// Best block: most work, on top of the finalised one.
    pub best: H256,
    /// The last finalised block.
    pub finalised_hash: H256,
    /// Number of the last finalised block.
    pub finalised: u32,
    /// The first block.
    pub genesis: H256,
}

/// The chain as the engine sees it.
pub trait Chain<B: BlockT<Hash = H256>>: Send + Sync {
    /// Best, finalised and first block.
    fn tips(&self) -> Tips;

    /// The sealed header of an imported block.
    fn sealed_header(&self, block: H256) -> Result<Option<B::Header>>;

    /// The block of this number on the best chain, where it is here.
    fn hash_at(&self, number: u32) -> Result<Option<H256>>;

    /// A record of auxiliary storage.
    fn record(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Difficulty of the children of `block`, from its state; fails where that state is gone.
    fn difficulty_at(&self, block: H256) -> Result<U256>;

    /// Sum of the difficulties up to `block`, from its state; fails where that state is gone.
    fn work_at(&self, block: H256) -> Result<U256>;
}

impl<B, C> Chain<B> for C
where
    B: BlockT<Hash = H256>,
    C: HeaderBackend<B> + AuxStore + ProvideRuntimeApi<B> + Send + Sync,
    C::Api: PouwApi<B>,
{
    fn tips(&self) -> Tips {
        let info = self.info();
        Tips {
            best: info.best_hash,
            finalised_hash: info.finalized_hash,
            finalised: info.finalized_number.saturated_into(),
            genesis: info.genesis_hash,
        }
    }

    fn sealed_header(&self, block: H256) -> Result<Option<B::Header>> {
        self.header(block)
    }

    fn hash_at(&self, number: u32) -> Result<Option<H256>> {
        self.hash(number.into())
    }

    fn record(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.get_aux(key)
    }

    fn difficulty_at(&self, block: H256) -> Result<U256> {
        Ok(self.runtime_api().difficulty(block)?)
    }

    fn work_at(&self, block: H256) -> Result<U256> {
        Ok(self.runtime_api().accumulated_work(block)?)
    }
}

/// A header's number. Numbers are `u32` on this chain, so the conversion is exact.
pub(crate) fn number_of<H: Header>(header: &H) -> u32 {
    (*header.number()).saturated_into()
}
