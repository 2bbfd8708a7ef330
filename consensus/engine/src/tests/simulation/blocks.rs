//! Mined blocks. Each schedule takes the same ones as far as it can: the n-th child of a parent is the same block
//! everywhere, so that it is mined once for thousands of schedules.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use labora_pouw::Difficulty;
use parity_scale_codec::Encode;
use parking_lot::Mutex;
use sp_core::{H256, U256};
use sp_runtime::{Digest, traits::Header as _};

use super::super::miner::{Header, Mined, mine, unsealed};
use crate::header::time_of;

/// The clock when a schedule begins; blocks are stamped from here on, a millisecond after their parents.
pub(super) const START_MS: u64 = 1_800_000_000_000;

/// How far ahead of its parent a block is stamped by whoever wants to see it refused for a while.
const AHEAD_MS: u64 = 25_000;

/// Blocks kept for other schedules, some 8 KB each.
const MAX_KEPT: usize = 8192;

pub(super) fn genesis() -> Header {
    Header::new(
        0,
        H256::zero(),
        H256::zero(),
        H256::zero(),
        Digest::default(),
    )
}

/// Difficulty of the children of a block, which its hash decides, so that more blocks are not always more work. Below
/// 65,536, what one test product is worth, every product wins.
pub(super) fn difficulty_after(parent: H256) -> Difficulty {
    let macs = [10_000u64, 20_000, 30_000, 60_000][usize::from(parent[0] & 3)];
    Difficulty::new(macs.into()).unwrap()
}

/// When a block is stamped.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Stamp {
    Due,
    Ahead,
}

/// A block, its work and its proof.
#[derive(Debug)]
pub(super) struct Genuine {
    pub(super) block: Mined,
    /// The proof in SCALE bytes.
    pub(super) proof: Vec<u8>,
    /// Work up to and with this block.
    pub(super) work: U256,
}

impl Genuine {
    pub(super) fn number(&self) -> u32 {
        self.block.header.number
    }
}

type Key = (H256, u32, Stamp);

static KEPT: LazyLock<Mutex<HashMap<Key, Arc<Mined>>>> = LazyLock::new(Mutex::default);

fn child(parent: &Header, nth: u32, stamp: Stamp) -> Mined {
    let key = (parent.hash(), nth, stamp);
    if let Some(kept) = KEPT.lock().get(&key) {
        return (**kept).clone();
    }
    let after = match stamp {
        Stamp::Due => 1,
        Stamp::Ahead => AHEAD_MS,
    };
    let time_ms = time_of(parent).unwrap().max(START_MS) + after;
    let difficulty = difficulty_after(parent.hash()).get().as_u64();
    let mined = mine(unsealed(parent, time_ms, nth.into()), difficulty);
    let mut kept = KEPT.lock();
    if kept.len() < MAX_KEPT {
        kept.insert(key, Arc::new(mined.clone()));
    }
    mined
}

/// Every block that was really mined in one schedule: what is true, whatever nodes believe.
pub(super) struct Truth {
    genuine: HashMap<H256, Arc<Genuine>>,
    /// The same in the order of mining.
    pub(super) mined: Vec<Arc<Genuine>>,
    children: HashMap<H256, u32>,
}

impl Truth {
    pub(super) fn new() -> Self {
        Self {
            genuine: HashMap::new(),
            mined: Vec::new(),
            children: HashMap::new(),
        }
    }

    pub(super) fn get(&self, block: H256) -> Option<&Arc<Genuine>> {
        self.genuine.get(&block)
    }

    /// Work up to a block; nothing up to genesis, and `None` for what nobody mined.
    pub(super) fn work(&self, block: H256) -> Option<U256> {
        match self.genuine.get(&block) {
            Some(genuine) => Some(genuine.work),
            None => (block == genesis().hash()).then(U256::zero),
        }
    }

    /// Mines one more child of `parent`, which must be genuine.
    pub(super) fn mine(&mut self, parent: &Header, stamp: Stamp) -> Arc<Genuine> {
        let hash = parent.hash();
        let before = self.work(hash).expect("mined on what was mined");
        let nth = self.children.entry(hash).or_default();
        *nth += 1;
        let block = child(parent, *nth, stamp);
        let genuine = Arc::new(Genuine {
            proof: block.proof.encode(),
            work: before + difficulty_after(hash).get(),
            block,
        });
        self.genuine.insert(genuine.block.hash(), genuine.clone());
        self.mined.push(genuine.clone());
        genuine
    }
}
