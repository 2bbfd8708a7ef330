//! A block tree in memory that does what the SDK's client does with blocks: leaves, the best chain, finality that may
//! move the best block to another branch, stale branches whose state is gone, notices of imports and of finality.
//!
//! It is a node's disk: what was written stays when the node crashes.

use std::collections::HashMap;

use parking_lot::Mutex;
use sc_client_api::{
    BlockImportNotification, FinalityNotification, FinalizeSummary, StaleBlock,
    utils::is_descendent_of,
};
use sc_utils::mpsc::{TracingUnboundedSender, tracing_unbounded};
use sp_blockchain::{CachedHeaderMetadata, Error, HeaderBackend, Result, tree_route};
use sp_consensus::BlockOrigin;
use sp_core::H256;

use super::{
    super::miner::{Block, Header},
    blocks::genesis,
};
use crate::ballots::Blocks;

/// What happened to a chain, in order, for the checker.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// A block was stored while another was the best one.
    Stored {
        block: H256,
        best_before: H256,
        is_best: bool,
    },
    /// This block, and all before it, became final while another was the best one.
    Final { block: H256, best_before: H256 },
}

pub(super) struct Stored {
    pub(super) header: Header,
    pub(super) metadata: CachedHeaderMetadata<Block>,
    /// Finality cut the branch off, so its state is gone.
    pub(super) stale: bool,
}

pub(super) struct State {
    pub(super) blocks: HashMap<H256, Stored>,
    pub(super) records: HashMap<Vec<u8>, Vec<u8>>,
    /// The best chain by number.
    pub(super) canonical: Vec<H256>,
    pub(super) leaves: Vec<H256>,
    pub(super) finalised: (H256, u32),
}

/// The tree.
pub(super) struct SimChain {
    pub(super) genesis: H256,
    pub(super) state: Mutex<State>,
    changes: Mutex<Vec<Change>>,
    pub(super) imports: Mutex<Vec<TracingUnboundedSender<BlockImportNotification<Block>>>>,
    pub(super) finality: Mutex<Vec<TracingUnboundedSender<FinalityNotification<Block>>>>,
}

impl SimChain {
    pub(super) fn new() -> Self {
        let header = genesis();
        let hash = header.hash();
        let stored = Stored {
            metadata: (&header).into(),
            header,
            stale: false,
        };
        let state = State {
            blocks: [(hash, stored)].into(),
            records: HashMap::new(),
            canonical: vec![hash],
            leaves: vec![hash],
            finalised: (hash, 0),
        };
        Self {
            genesis: hash,
            state: Mutex::new(state),
            changes: Mutex::default(),
            imports: Mutex::default(),
            finality: Mutex::default(),
        }
    }

    pub(super) fn best(&self) -> Header {
        let state = self.state.lock();
        state.blocks[&state.best()].header.clone()
    }

    pub(super) fn finalised(&self) -> (H256, u32) {
        self.state.lock().finalised
    }

    pub(super) fn has(&self, block: H256) -> bool {
        self.state.lock().blocks.contains_key(&block)
    }

    pub(super) fn number_of(&self, block: H256) -> Option<u32> {
        let state = self.state.lock();
        Some(state.blocks.get(&block)?.header.number)
    }

    pub(super) fn is_stale(&self, block: H256) -> bool {
        self.state.lock().blocks[&block].stale
    }

    /// Every block in no order.
    pub(super) fn blocks(&self) -> Vec<H256> {
        self.state.lock().blocks.keys().copied().collect()
    }

    /// Headers from the one after number `above` up to `block`, at most `most` of them.
    pub(super) fn branch(&self, block: H256, above: u32, most: usize) -> Vec<Header> {
        let state = self.state.lock();
        let mut headers = Vec::new();
        let mut next = state.blocks.get(&block);
        while let Some(stored) = next.filter(|stored| stored.header.number > above) {
            headers.push(stored.header.clone());
            next = state.blocks.get(&stored.header.parent_hash);
        }
        headers.reverse();
        headers.truncate(most);
        headers
    }

    pub(super) fn take_changes(&self) -> Vec<Change> {
        std::mem::take(&mut *self.changes.lock())
    }

    /// The node is gone, and all who listened with it.
    pub(super) fn crash(&self) {
        self.imports.lock().clear();
        self.finality.lock().clear();
    }

    /// What the client checks before it executes a block.
    pub(super) fn can_import(&self, header: &Header, hash: H256) -> Result<Import> {
        let state = self.state.lock();
        if state.blocks.contains_key(&hash) {
            return Ok(Import::Known);
        }
        match state.blocks.get(&header.parent_hash) {
            None => Ok(Import::NoParent),
            Some(parent) if parent.stale => Ok(Import::NoState),
            Some(_) if header.number <= state.finalised.1 => Err(Error::NotInFinalizedChain),
            Some(_) => Ok(Import::Fits),
        }
    }

    /// Writes a block that [`can_import`](Self::can_import), with its records, at once.
    pub(super) fn store(
        &self,
        header: Header,
        records: Vec<(Vec<u8>, Option<Vec<u8>>)>,
        is_best: bool,
        origin: BlockOrigin,
    ) -> Result<()> {
        let hash = header.hash();
        let mut state = self.state.lock();
        if is_best && !state.descends(header.parent_hash, state.finalised.0) {
            return Err(Error::NotInFinalizedChain);
        }
        let parent = header.parent_hash;
        let stored = Stored {
            metadata: (&header).into(),
            header: header.clone(),
            stale: false,
        };
        state.blocks.insert(hash, stored);
        state.leaves.retain(|leaf| *leaf != parent);
        state.leaves.push(hash);
        state.write(records);
        let best_before = state.best();
        if is_best {
            state.set_best(hash);
        }
        drop(state);
        self.changes.lock().push(Change::Stored {
            block: hash,
            best_before,
            is_best,
        });
        let (unpin, _) = tracing_unbounded("unpin", usize::MAX);
        let notice = BlockImportNotification::new(hash, origin, header, is_best, None, unpin);
        self.imports
            .lock()
            .retain(|listener| listener.unbounded_send(notice.clone()).is_ok());
        Ok(())
    }

    /// As the client does: refuses to revert what is final; a block off the best chain becomes the best one itself.
    pub(super) fn finalise(&self, block: H256) -> Result<()> {
        let (last, _) = self.finalised();
        if block == last {
            return Ok(());
        }
        let route = tree_route(self, last, block)?;
        if !route.retracted().is_empty() {
            return Err(Error::NotInFinalizedChain);
        }
        let finalized: Vec<H256> = route.enacted().iter().map(|enacted| enacted.hash).collect();
        let mut state = self.state.lock();
        let best_before = state.best();
        if !state.descends(best_before, block) {
            state.set_best(block);
        }
        let header = state.blocks[&block].header.clone();
        state.finalised = (block, header.number);
        let stale_blocks = state.cut_off();
        drop(state);
        self.changes
            .lock()
            .push(Change::Final { block, best_before });
        let summary = FinalizeSummary {
            header,
            finalized,
            stale_blocks,
        };
        let (unpin, _) = tracing_unbounded("unpin", usize::MAX);
        let notice = FinalityNotification::from_summary(summary, unpin);
        self.finality
            .lock()
            .retain(|listener| listener.unbounded_send(notice.clone()).is_ok());
        Ok(())
    }
}

/// Whether a block can be imported.
pub(super) enum Import {
    Fits,
    Known,
    NoParent,
    NoState,
}

impl State {
    pub(super) fn best(&self) -> H256 {
        *self.canonical.last().expect("genesis is always there")
    }

    /// Whether `ancestor` is `block` or lies below it.
    fn descends(&self, block: H256, ancestor: H256) -> bool {
        let number = self.blocks[&ancestor].header.number;
        let mut at = block;
        loop {
            let header = &self.blocks[&at].header;
            if header.number <= number {
                return at == ancestor;
            }
            at = header.parent_hash;
        }
    }

    fn set_best(&mut self, block: H256) {
        let (mut at, mut branch) = (block, Vec::new());
        let fork = loop {
            let header = &self.blocks[&at].header;
            if self.canonical.get(header.number as usize) == Some(&at) {
                break header.number as usize;
            }
            branch.push(at);
            at = header.parent_hash;
        };
        self.canonical.truncate(fork + 1);
        self.canonical.extend(branch.into_iter().rev());
    }

    /// Marks what finality left behind, leaves and branches, and tells which blocks that is.
    fn cut_off(&mut self) -> Vec<StaleBlock<Block>> {
        let (last, _) = self.finalised;
        let (kept, gone): (Vec<H256>, Vec<H256>) =
            (self.leaves.iter().copied()).partition(|leaf| self.descends(*leaf, last));
        self.leaves = kept;
        let mut stale = Vec::new();
        for head in gone {
            let mut at = head;
            loop {
                let block = self.blocks.get_mut(&at).expect("branches are whole");
                if block.stale || self.canonical.get(block.header.number as usize) == Some(&at) {
                    break;
                }
                block.stale = true;
                stale.push(StaleBlock {
                    hash: at,
                    is_head: at == head,
                });
                at = block.header.parent_hash;
            }
        }
        stale
    }

    fn write(&mut self, records: Vec<(Vec<u8>, Option<Vec<u8>>)>) {
        for (key, value) in records {
            match value {
                Some(value) => self.records.insert(key, value),
                None => self.records.remove(&key),
            };
        }
    }
}

impl Blocks for SimChain {
    fn finalised(&self) -> (H256, u32) {
        SimChain::finalised(self)
    }

    fn block(&self, hash: H256) -> Option<(u32, H256)> {
        let header = self.header(hash).ok().flatten()?;
        Some((header.number, header.parent_hash))
    }

    fn is_final(&self, hash: H256) -> bool {
        let (last, height) = SimChain::finalised(self);
        let Some(number) = self.number_of(hash).filter(|number| *number <= height) else {
            return false;
        };
        hash == last
            || (number < height && is_descendent_of(self, None)(&hash, &last).unwrap_or(false))
    }
}
