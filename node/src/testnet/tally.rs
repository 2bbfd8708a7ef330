//! What a network does, counted: blocks and their authors, those that left the best chain, how far finality is behind. Pure:
//! the caller brings the events and the time.
//!
//! *Seen* is every block that any member has imported. *Orphans* are those up to the best block's height that are not on the
//! best chain. One that comes back is one no longer: only blocks well below the final one are counted for good.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use labora_consensus_api::{author_and_time, split_seal};
use labora_runtime::opaque::Header;
use sp_core::{H256, crypto::AccountId32};

/// Heights below the final one at which blocks are still told apart: a late sibling of a final block is heard of within a
/// few blocks or never.
const KEPT_BELOW_FINAL: u32 = 64;

/// Heights below the best one at which they are, if nothing becomes final.
const KEPT_BELOW_BEST: u32 = 8_192;

/// Blocks that are remembered: twice the heights that may be kept.
const MAX_BLOCKS: usize = 2 * KEPT_BELOW_BEST as usize;

/// Lags above this count as this.
const MAX_LAG: u32 = 10_000;

struct Block {
    number: u32,
    parent: H256,
    author: Option<AccountId32>,
}

/// How often something was, for good.
#[derive(Default)]
struct Settled {
    orphans: u64,
    by_author: BTreeMap<Option<AccountId32>, u64>,
}

/// The counts of a network.
pub(super) struct Tally {
    /// Height that was final when counting began.
    floor: u32,
    /// Height up to which all is settled.
    settled_to: u32,
    settled: Settled,
    blocks: HashMap<H256, Block>,
    /// The best chain above `settled_to`.
    chain: BTreeMap<u32, H256>,
    best: (u32, H256),
    finalised: u32,
    first_final: Option<Duration>,
    /// How often finality was so far behind at a new best block.
    lags: BTreeMap<u32, u64>,
}

/// The counts at a moment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figures {
    /// Blocks of the best chain since counting began.
    pub blocks: u64,
    /// Those of them that are final.
    pub finalised: u32,
    /// Blocks that left the best chain.
    pub orphans: u64,
    /// Best minus finalised at each new best block.
    pub median_lag: Option<u32>,
    /// The same, at its highest.
    pub highest_lag: Option<u32>,
    /// Until the first block was final.
    pub first_final: Option<Duration>,
    /// Blocks of the best chain by author.
    pub by_author: BTreeMap<Option<AccountId32>, u64>,
}

impl Figures {
    /// Share of all blocks seen that left the best chain.
    pub(super) fn orphan_rate(&self) -> f64 {
        let seen = self.blocks.saturating_add(self.orphans);
        if seen == 0 {
            return 0.0;
        }
        self.orphans as f64 / seen as f64
    }
}

impl Tally {
    /// Begins to count above a height that is final.
    pub(super) fn new(floor: u32) -> Self {
        Tally {
            floor,
            settled_to: floor,
            settled: Settled::default(),
            blocks: HashMap::new(),
            chain: BTreeMap::new(),
            best: (floor, H256::zero()),
            finalised: floor,
            first_final: None,
            lags: BTreeMap::new(),
        }
    }

    /// A member has imported a block.
    pub(super) fn seen(&mut self, header: &Header) {
        if header.number <= self.settled_to || self.blocks.len() >= MAX_BLOCKS {
            return;
        }
        self.blocks.entry(header.hash()).or_insert_with(|| Block {
            number: header.number,
            parent: header.parent_hash,
            author: author(header),
        });
    }

    /// A block is the best one now, where `finalised` is final.
    pub(super) fn best(&mut self, header: &Header, finalised: u32) {
        let hash = header.hash();
        if header.number <= self.settled_to || self.best.1 == hash {
            return;
        }
        self.seen(header);
        self.best = (header.number, hash);
        let lag = header.number.saturating_sub(finalised).min(MAX_LAG);
        *self.lags.entry(lag).or_default() += 1;
        self.follow();
        self.settle();
    }

    /// A height is final, so long after the start.
    pub(super) fn finalised(&mut self, number: u32, after: Duration) {
        self.finalised = self.finalised.max(number);
        if self.finalised > self.floor {
            self.first_final.get_or_insert(after);
        }
        self.settle();
    }

    /// Makes the best chain that of the best block.
    fn follow(&mut self) {
        let (number, mut hash) = self.best;
        self.chain.split_off(&number.saturating_add(1));
        while let Some(block) = self.blocks.get(&hash) {
            if self.chain.insert(block.number, hash) == Some(hash) {
                break;
            }
            hash = block.parent;
        }
    }

    /// Counts for good what can change no more, and forgets it.
    fn settle(&mut self) {
        let best = self.best.0;
        let to = self.finalised.min(best).saturating_sub(KEPT_BELOW_FINAL);
        let to = to.max(best.saturating_sub(KEPT_BELOW_BEST));
        if to <= self.settled_to {
            return;
        }
        let (chain, settled) = (&self.chain, &mut self.settled);
        self.blocks.retain(|hash, block| {
            let stays = block.number > to;
            if !stays {
                count(chain, hash, block, settled);
            }
            stays
        });
        self.chain = self.chain.split_off(&to.saturating_add(1));
        self.settled_to = to;
    }

    /// Blocks that became final since counting began.
    pub(super) fn finalised_blocks(&self) -> u32 {
        self.finalised - self.floor
    }

    /// How long after the start the first of them was.
    pub(super) fn first_final(&self) -> Option<Duration> {
        self.first_final
    }

    /// Blocks that are remembered one by one.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.blocks.len()
    }

    /// The counts now.
    pub(super) fn figures(&self) -> Figures {
        let mut now = Settled {
            orphans: self.settled.orphans,
            by_author: self.settled.by_author.clone(),
        };
        for (hash, block) in &self.blocks {
            if block.number <= self.best.0 {
                count(&self.chain, hash, block, &mut now);
            }
        }
        Figures {
            blocks: now.by_author.values().sum(),
            finalised: self.finalised_blocks(),
            orphans: now.orphans,
            median_lag: self.median_lag(),
            highest_lag: self.lags.keys().next_back().copied(),
            first_final: self.first_final,
            by_author: now.by_author,
        }
    }

    /// The lower median: half of the lags are at most this.
    fn median_lag(&self) -> Option<u32> {
        let all: u64 = self.lags.values().sum();
        let mut below = 0;
        self.lags.iter().find_map(|(lag, count)| {
            below += count;
            (below >= all.div_ceil(2)).then_some(*lag)
        })
    }
}

fn count(chain: &BTreeMap<u32, H256>, hash: &H256, block: &Block, into: &mut Settled) {
    if chain.get(&block.number) == Some(hash) {
        *into.by_author.entry(block.author.clone()).or_default() += 1;
    } else {
        into.orphans += 1;
    }
}

fn author(header: &Header) -> Option<AccountId32> {
    let (unsealed, _) = split_seal(header.clone()).ok()?;
    Some(author_and_time(&unsealed.digest).ok()?.author)
}
