//! The block tree as the engine, `MostWork`, the voting rules, the proof store and GRANDPA's voter see it: through the
//! SDK's own traits where there are such.

use labora_pouw::Difficulty;
use sc_client_api::{
    AuxStore, BlockchainEvents, FinalityNotifications, ImportNotifications, StorageEventStream,
    StorageKey,
};
use sc_utils::mpsc::tracing_unbounded;
use sp_blockchain::{
    BlockStatus, CachedHeaderMetadata, Error, HeaderBackend, HeaderMetadata, Info, Result,
};
use sp_core::{H256, U256};

use super::{
    super::miner::{Block, Header},
    blocks::difficulty_after,
    chain::SimChain,
};
use crate::{BlockTree, Chain, Tips};

impl Chain<Block> for SimChain {
    fn tips(&self) -> Tips {
        let state = self.state.lock();
        Tips {
            best: state.best(),
            finalised_hash: state.finalised.0,
            finalised: state.finalised.1,
            genesis: self.genesis,
        }
    }

    fn sealed_header(&self, block: H256) -> Result<Option<Header>> {
        self.header(block)
    }

    fn hash_at(&self, number: u32) -> Result<Option<H256>> {
        self.hash(number)
    }

    fn record(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.get_aux(key)
    }

    fn difficulty_at(&self, block: H256) -> Result<U256> {
        let state = self.state.lock();
        match state.blocks.get(&block) {
            Some(stored) if !stored.stale => Ok(Difficulty::get(difficulty_after(block))),
            _ => Err(Error::UnknownBlock(format!("no state of {block:?}"))),
        }
    }

    fn work_at(&self, block: H256) -> Result<U256> {
        // No state is ever downloaded here, so every block has its record.
        Err(Error::UnknownBlock(format!("no state of {block:?}")))
    }
}

impl HeaderBackend<Block> for SimChain {
    fn header(&self, hash: H256) -> Result<Option<Header>> {
        let state = self.state.lock();
        Ok(state.blocks.get(&hash).map(|stored| stored.header.clone()))
    }

    fn info(&self) -> Info<Block> {
        let state = self.state.lock();
        Info {
            best_hash: state.best(),
            best_number: state.canonical.len() as u32 - 1,
            genesis_hash: self.genesis,
            finalized_hash: state.finalised.0,
            finalized_number: state.finalised.1,
            finalized_state: Some(state.finalised),
            number_leaves: state.leaves.len(),
            block_gap: None,
        }
    }

    fn status(&self, hash: H256) -> Result<BlockStatus> {
        Ok(match self.has(hash) {
            true => BlockStatus::InChain,
            false => BlockStatus::Unknown,
        })
    }

    fn number(&self, hash: H256) -> Result<Option<u32>> {
        Ok(self.number_of(hash))
    }

    fn hash(&self, number: u32) -> Result<Option<H256>> {
        Ok(self.state.lock().canonical.get(number as usize).copied())
    }
}

impl HeaderMetadata<Block> for SimChain {
    type Error = Error;

    fn header_metadata(&self, hash: H256) -> Result<CachedHeaderMetadata<Block>> {
        let state = self.state.lock();
        let stored = state.blocks.get(&hash);
        stored
            .map(|stored| stored.metadata.clone())
            .ok_or_else(|| Error::UnknownBlock(format!("{hash:?}")))
    }

    fn insert_header_metadata(&self, _: H256, _: CachedHeaderMetadata<Block>) {}

    fn remove_header_metadata(&self, _: H256) {}
}

impl AuxStore for SimChain {
    fn insert_aux<
        'a,
        'b: 'a,
        'c: 'a,
        I: IntoIterator<Item = &'a (&'c [u8], &'c [u8])>,
        D: IntoIterator<Item = &'a &'b [u8]>,
    >(
        &self,
        insert: I,
        delete: D,
    ) -> Result<()> {
        let mut state = self.state.lock();
        for (key, value) in insert {
            state.records.insert(key.to_vec(), value.to_vec());
        }
        for key in delete {
            state.records.remove(*key);
        }
        Ok(())
    }

    fn get_aux(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.state.lock().records.get(key).cloned())
    }
}

impl BlockTree<Block> for SimChain {
    type Headers = Self;

    fn headers(&self) -> &Self {
        self
    }

    fn leaves(&self) -> Result<Vec<H256>> {
        let state = self.state.lock();
        let mut leaves = state.leaves.clone();
        leaves.sort_by_key(|leaf| std::cmp::Reverse(state.blocks[leaf].header.number));
        Ok(leaves)
    }

    fn record(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.get_aux(key)
    }
}

impl BlockchainEvents<Block> for SimChain {
    fn import_notification_stream(&self) -> ImportNotifications<Block> {
        let (listener, stream) = tracing_unbounded("imports", usize::MAX);
        self.imports.lock().push(listener);
        stream
    }

    fn every_import_notification_stream(&self) -> ImportNotifications<Block> {
        self.import_notification_stream()
    }

    fn finality_notification_stream(&self) -> FinalityNotifications<Block> {
        let (listener, stream) = tracing_unbounded("finality", usize::MAX);
        self.finality.lock().push(listener);
        stream
    }

    fn storage_changes_notification_stream(
        &self,
        _: Option<&[StorageKey]>,
        _: Option<&[(StorageKey, Option<Vec<StorageKey>>)]>,
    ) -> Result<StorageEventStream<H256>> {
        unimplemented!("nobody here listens to storage")
    }
}
