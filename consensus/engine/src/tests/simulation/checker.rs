//! The rules, held against what every honest node did, after each event. What is true is taken from the blocks that
//! were really mined, never from what nodes have written.

use std::{collections::BTreeMap, sync::Arc};

use sp_core::{H256, U256};

use super::{
    blocks::genesis,
    chain::{Change, SimChain},
    context::Context,
    node::{Life, Node},
};
use crate::{Chain, accumulated_work, store::encoded_proof};

/// The checker.
pub(super) struct Checker {
    context: Arc<Context>,
    /// The one final chain, by number.
    finals: BTreeMap<u32, H256>,
    /// How far each node has it.
    last_final: Vec<(u32, H256)>,
}

impl Checker {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self {
            last_final: vec![(0, genesis().hash()); context.plan.nodes()],
            context,
            finals: BTreeMap::new(),
        }
    }

    pub(super) fn look(&mut self, at: usize, node: &Node) {
        for change in node.chain.take_changes() {
            self.context.show(|| format!("node {at}: {change:?}"));
            match change {
                Change::Stored {
                    block,
                    best_before,
                    is_best,
                } => self.stored(at, node, block, best_before, is_best),
                Change::Final { block, best_before } => {
                    self.finalised(at, &node.chain, block, best_before);
                }
            }
        }
        if let Some(life) = &node.life {
            self.bounds(at, life);
        }
    }

    fn broke(&self, at: usize, what: String) {
        self.context.broke(format!("node {at}: {what}"));
    }

    /// Work up to a block as it is, or nothing for one that nobody mined.
    fn work(&self, block: H256) -> Option<U256> {
        self.context.truth.lock().work(block)
    }

    /// No block without work, none without its proof, and the best chain is the one of most work.
    fn stored(&self, at: usize, node: &Node, block: H256, best_before: H256, is_best: bool) {
        let chain = &node.chain;
        let number = chain.number_of(block).expect("stored");
        let trusted = node.life.as_ref().and_then(|life| life.engine.trusted());
        let vouched = trusted.is_some_and(|target| number <= target.number);
        let Some(work) = self.work(block) else {
            if vouched {
                self.context
                    .count(|stats| stats.forgeries_imported_below_a_trusted_target += 1);
            } else {
                self.broke(
                    at,
                    format!("block {number}, {block:?}, was imported, and nobody mined it"),
                );
            }
            return;
        };
        let recorded = accumulated_work(&**chain, block);
        if recorded.as_ref().ok() != Some(&work) {
            self.broke(
                at,
                format!("block {number} has work {work}, recorded is {recorded:?}"),
            );
        }
        let Some(before) = self.work(best_before) else {
            // It was led astray below a trusted target, and the target will lead it back.
            self.context
                .count(|stats| stats.blocks_stored_beside_a_forged_best_one += 1);
            return;
        };
        let is_target = trusted.is_some_and(|target| target.hash == block);
        if is_best && work <= before && !is_target {
            self.broke(
                at,
                format!("work fell from {before} to {work} at block {number}"),
            );
        }
        if is_target && !is_best {
            self.broke(
                at,
                format!("block {number} is proved final, and not the best one"),
            );
        }
        if !is_best && work > before && best_before == self.last_final[at].1 {
            // Finality moved the best block there while this one was being written; the next one makes up for it.
            self.context
                .count(|stats| stats.best_blocks_missed_because_finality_moved += 1);
        } else if !is_best && work > before {
            self.broke(
                at,
                format!("block {number} has work {work}, the best one {before}"),
            );
        }
        if is_best && chain.number_of(best_before) >= Some(number) {
            self.context.count(|stats| stats.reorganisations += 1);
        }
        self.proof(at, chain, block, vouched);
    }

    /// Who has a block that may still be asked for has its proof.
    fn proof(&self, at: usize, chain: &SimChain, block: H256, vouched: bool) {
        let number = chain.number_of(block).expect("stored");
        let stored = encoded_proof(chain, block).unwrap();
        let is_right = |proof: &Vec<u8>| {
            let truth = self.context.truth.lock();
            truth
                .get(block)
                .is_some_and(|genuine| genuine.proof == *proof)
        };
        match stored {
            Some(proof) if is_right(&proof) => {}
            Some(_) => self.broke(
                at,
                format!("the stored proof of block {number} is not its own"),
            ),
            None if vouched => {
                self.context
                    .count(|stats| stats.imports_that_finality_vouched_for += 1);
            }
            None if number <= chain.finalised().1 || chain.is_stale(block) => {}
            None => self.broke(at, format!("block {number} is stored without its proof")),
        }
    }

    /// There is one final chain, and the best block is on it.
    fn finalised(&mut self, at: usize, chain: &SimChain, block: H256, best_before: H256) {
        let (before, _) = self.last_final[at];
        let newly = chain.branch(block, before, usize::MAX);
        for header in &newly {
            let hash = header.hash();
            let known = *self.finals.entry(header.number).or_insert(hash);
            if known != hash {
                let number = header.number;
                self.broke(
                    at,
                    format!("block {number} is final as {hash:?}, elsewhere as {known:?}"),
                );
            }
            if self.work(hash).is_none() {
                self.broke(
                    at,
                    format!("block {} is final, and nobody mined it", header.number),
                );
            }
        }
        let last = newly.last().map_or(0, |header| header.number);
        if newly.last().map(|header| header.hash()) != Some(block) || last <= before {
            self.broke(
                at,
                format!("finality went from {before} to {last}, {block:?}"),
            );
        }
        if !on_one_chain(chain, block, chain.tips().best) {
            self.broke(
                at,
                format!("the best block is not on top of the final one, {block:?}"),
            );
        }
        let off_best = !on_one_chain(chain, block, best_before);
        self.last_final[at] = (last, block);
        self.context.count(|stats| {
            stats.finalisations += 1;
            stats.blocks_finalised += newly.len() as u64;
            stats.finalised_off_the_best_chain += u64::from(off_best);
        });
    }

    /// What is kept in memory for others stays within its bounds.
    fn bounds(&self, at: usize, life: &Life) {
        let plan = &self.context.plan;
        let (verified, unchecked, refused) = life.engine.proofs.sizes();
        let held = [
            (
                "bytes of verified proofs",
                verified,
                plan.limits.proof_bytes,
            ),
            (
                "bytes of unchecked proofs",
                unchecked,
                plan.limits.proof_bytes,
            ),
            ("refused proofs", refused, plan.limits.refused as usize),
            (
                "difficulties",
                life.engine.difficulties(),
                plan.limits.difficulties as usize,
            ),
            (
                "blocks looked ahead at",
                life.lookahead.len(),
                plan.lookahead as usize,
            ),
            (
                "verifications at a time",
                life.engine.gate.taken(plan.at_a_time),
                plan.at_a_time,
            ),
        ];
        for (what, held, most) in held {
            if held > most {
                self.broke(at, format!("{held} {what} are held, of at most {most}"));
            }
        }
    }

    /// What must hold of a node's disk when nothing goes on any more.
    pub(super) fn at_the_end(&self, at: usize, node: &Node) {
        let keep = self.context.plan.keep;
        let (_, finalised) = node.chain.finalised();
        for block in node.chain.blocks() {
            if encoded_proof(&*node.chain, block).unwrap().is_none() {
                continue;
            }
            let number = node.chain.number_of(block).expect("it is there");
            if node.chain.is_stale(block) {
                if node.lives == 1 {
                    self.broke(at, format!("the proof of stale block {number} is kept"));
                } else {
                    self.context
                        .count(|stats| stats.stale_proofs_left_by_crashes += 1);
                }
            } else if number + keep < finalised {
                self.broke(
                    at,
                    format!("the proof of block {number} is kept, {finalised} is final"),
                );
            }
        }
    }
}

/// Whether `block` is `head` or lies below it.
fn on_one_chain(chain: &SimChain, block: H256, head: H256) -> bool {
    let number = chain.number_of(block).expect("it is there");
    let above = number.saturating_sub(1);
    let branch = chain.branch(head, above, usize::MAX);
    number == 0 || branch.first().is_some_and(|header| header.hash() == block)
}
