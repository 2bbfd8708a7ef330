//! What GRANDPA's voter makes of the votes of a round.
//!
//! `finality_grandpa::round::Round` takes votes from its own voter alone, so its rules are written here after it, on its graph
//! of votes: where the ghost of the prevotes is, what is final, and whether the round can end.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::AddAssign,
};

use finality_grandpa::{Chain, Error, vote_graph::VoteGraph, voter_set::VoterSet};
use sp_core::H256;

use super::{Blocks, Precommit, TAKEN, target_of};

/// A block and its height.
pub(super) type Target = (H256, u32);

/// Blocks whose heights and parents are remembered: five weeks of 12 s blocks that are not final, in some 20 MB. What is beyond
/// is asked for each time.
const REMEMBERED: usize = 1 << 18;

/// Answers about pairs of blocks that are remembered while votes are counted: there are as many as there are pairs of blocks that
/// were voted for, and those are few unless somebody makes them many.
const ANSWERS: usize = 1 << 16;

/// Heights and parents of blocks above those on which rounds began. Where finality has stalled for thousands of blocks, each vote
/// lies so far above the last final one, and what is asked of the database once has to do for all of them.
#[derive(Debug, Default)]
pub(super) struct Seen(RefCell<HashMap<H256, (u32, H256)>>);

impl Seen {
    /// Forgets what is below a height.
    pub(super) fn forget_below(&mut self, height: u32) {
        self.0.get_mut().retain(|_, (number, _)| *number >= height);
    }
}

/// Blocks, as GRANDPA asks for them.
pub(super) struct Tree<'a, B: ?Sized> {
    blocks: &'a B,
    seen: &'a Seen,
    /// Whether the first of two is below the second.
    answers: RefCell<HashMap<(H256, H256), bool>>,
}

impl<'a, B: Blocks + ?Sized> Tree<'a, B> {
    pub(super) fn new(blocks: &'a B, seen: &'a Seen) -> Self {
        Self {
            blocks,
            seen,
            answers: RefCell::default(),
        }
    }

    /// A block's height and parent, if it is known.
    pub(super) fn block(&self, hash: H256) -> Option<(u32, H256)> {
        let mut seen = self.seen.0.borrow_mut();
        if let Some(known) = seen.get(&hash) {
            return Some(*known);
        }
        let known = self.blocks.block(hash)?;
        if seen.len() < REMEMBERED {
            seen.insert(hash, known);
        }
        Some(known)
    }

    /// Whether a block is final.
    pub(super) fn is_final(&self, hash: H256) -> bool {
        self.blocks.is_final(hash)
    }

    /// Goes from `block` down to the child of `base`, and tells of each block's parent on the way; whether there is such a way.
    fn descend(&self, base: H256, block: H256, mut tell: impl FnMut(H256)) -> bool {
        let Some((floor, _)) = self.block(base) else {
            return false;
        };
        let mut at = block;
        while let Some((_, parent)) = self.block(at).filter(|(number, _)| *number > floor) {
            if parent == base {
                return true;
            }
            tell(parent);
            at = parent;
        }
        false
    }
}

impl<B: Blocks + ?Sized> Chain<H256, u32> for Tree<'_, B> {
    fn ancestry(&self, base: H256, block: H256) -> Result<Vec<H256>, Error> {
        let mut path = Vec::new();
        match self.descend(base, block, |parent| path.push(parent)) {
            true => Ok(path),
            false => Err(Error::NotDescendent),
        }
    }

    fn is_equal_or_descendent_of(&self, base: H256, block: H256) -> bool {
        if base == block {
            return true;
        }
        let pair = (base, block);
        if let Some(answer) = self.answers.borrow().get(&pair) {
            return *answer;
        }
        let answer = self.descend(base, block, |_| {});
        let mut answers = self.answers.borrow_mut();
        if answers.len() < ANSWERS {
            answers.insert(pair, answer);
        }
        answer
    }
}

/// Weight on or above a block, of those who voted once.
#[derive(Clone, Copy, Debug, Default)]
struct Weight {
    prevotes: u64,
    precommits: u64,
}

impl AddAssign<&Weight> for Weight {
    fn add_assign(&mut self, more: &Weight) {
        self.prevotes += more.prevotes;
        self.precommits += more.precommits;
    }
}

/// Votes of one kind, of each voter in the order in which they came: the voter takes two of each.
#[derive(Clone)]
pub(super) struct Votes<Id>(pub(super) BTreeMap<Id, Vec<Target>>);

impl<Id: Clone + Ord> Votes<Id> {
    pub(super) fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Of these precommits.
    pub(super) fn of<'a, S: 'a>(precommits: impl IntoIterator<Item = &'a Precommit<Id, S>>) -> Self
    where
        Id: 'a,
    {
        let mut votes = Self::new();
        for vote in precommits {
            votes.add(&vote.id, target_of(vote));
        }
        votes
    }

    /// Adds one; not a third of the same voter, nor the same again.
    pub(super) fn add(&mut self, voter: &Id, target: Target) {
        let known = self.0.entry(voter.clone()).or_default();
        if known.len() < TAKEN && !known.contains(&target) {
            known.push(target);
        }
    }

    pub(super) fn weight(&self, voters: &VoterSet<Id>) -> u64 {
        self.0.keys().map(|voter| weight(voters, voter)).sum()
    }

    fn of_equivocators(&self, voters: &VoterSet<Id>) -> u64 {
        let twice = self.0.iter().filter(|(_, votes)| votes.len() > 1);
        twice.map(|(voter, _)| weight(voters, voter)).sum()
    }
}

pub(super) fn weight<Id: Ord>(voters: &VoterSet<Id>, voter: &Id) -> u64 {
    voters.get(voter).map_or(0, |info| info.weight().get())
}

/// Where a round stands.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Tally {
    /// The highest block with a supermajority of prevotes.
    pub(super) ghost: Option<Target>,
    /// The highest block on the ghost's chain with a supermajority of precommits.
    pub(super) finalised: Option<Target>,
    /// The highest block on the ghost's chain that can still become final in this round: the next one has to build on it.
    pub(super) estimate: Option<Target>,
    /// Whether nothing higher can become final in this round.
    pub(super) is_complete: bool,
}

impl Tally {
    /// Of these votes, of a round that began on `base`. Votes that are not above that count for nothing.
    pub(super) fn of<Id: Clone + Ord + std::fmt::Debug, B: Blocks + ?Sized>(
        voters: &VoterSet<Id>,
        base: Target,
        prevotes: &Votes<Id>,
        precommits: &Votes<Id>,
        tree: &Tree<'_, B>,
    ) -> Self {
        let mut graph = VoteGraph::new(base.0, base.1, Weight::default());
        let one = |weight| Weight {
            prevotes: weight,
            precommits: 0,
        };
        let other = |weight| Weight {
            prevotes: 0,
            precommits: weight,
        };
        insert(&mut graph, voters, prevotes, one, tree);
        insert(&mut graph, voters, precommits, other, tree);

        let threshold = voters.threshold().get();
        if prevotes.weight(voters) < threshold {
            return Self::default();
        }
        // Whoever voted twice counts for every block.
        let twice = prevotes.of_equivocators(voters);
        let ghost = graph.find_ghost(None, |node: &Weight| node.prevotes + twice >= threshold);
        let mut tally = Self {
            ghost,
            ..Self::default()
        };
        let voted = precommits.weight(voters);
        let Some((hash, number)) = ghost.filter(|_| voted >= threshold) else {
            return tally;
        };
        let twice = precommits.of_equivocators(voters);
        let is_final = |node: &Weight| node.precommits + twice >= threshold;
        tally.finalised = graph.find_ancestor(hash, number, is_final);
        // As many as are tolerated, and are not known, may vote once more.
        let more = (voters.total_weight().get() - threshold).saturating_sub(twice);
        let left = voters.total_weight().get() - voted;
        let can_be_final = |node: &Weight| {
            let there = node.precommits + twice;
            there + left + more.min(voted.saturating_sub(there)) >= threshold
        };
        tally.estimate = graph.find_ancestor(hash, number, can_be_final);
        tally.is_complete = tally.estimate.is_some_and(|estimate| {
            estimate.0 != hash
                || graph
                    .find_ghost(Some(estimate), can_be_final)
                    .is_none_or(|highest| highest == estimate)
        });
        tally
    }
}

fn insert<Id: Clone + Ord, B: Blocks + ?Sized>(
    graph: &mut VoteGraph<H256, u32, Weight>,
    voters: &VoterSet<Id>,
    votes: &Votes<Id>,
    as_weight: impl Fn(u64) -> Weight,
    tree: &Tree<'_, B>,
) {
    for (voter, targets) in &votes.0 {
        let Some((hash, number)) = targets.first() else {
            continue;
        };
        let counts = if targets.len() == 1 {
            weight(voters, voter)
        } else {
            0
        };
        // One that is not above the base is ignored, as by the voter.
        let _ = graph.insert(*hash, *number, as_weight(counts), tree);
    }
}

/// Whether `GrandpaJustification::from_commit` takes the commit that the voter makes of these for a block: the lowest of its
/// votes has to be below all others.
pub(super) fn can_be_justified<Id: Clone + Ord, B: Blocks + ?Sized>(
    target: Target,
    precommits: &Votes<Id>,
    tree: &Tree<'_, B>,
) -> bool {
    are_on_one(&in_commit(target, precommits, tree), tree)
}

/// The blocks of the votes that the voter puts into its commit: single ones on or above the target, and both of whoever voted
/// twice.
pub(super) fn in_commit<Id: Clone + Ord, B: Blocks + ?Sized>(
    target: Target,
    precommits: &Votes<Id>,
    tree: &Tree<'_, B>,
) -> BTreeSet<Target> {
    let counts = |votes: &&Vec<Target>| match votes.as_slice() {
        [(hash, _)] => tree.is_equal_or_descendent_of(target.0, *hash),
        _ => true,
    };
    let votes = precommits.0.values().filter(counts);
    votes.flatten().copied().collect()
}

/// Whether the lowest of these is below all others.
pub(super) fn are_on_one<B: Blocks + ?Sized>(
    blocks: &BTreeSet<Target>,
    tree: &Tree<'_, B>,
) -> bool {
    let lowest = blocks.iter().min_by_key(|(_, number)| *number);
    lowest.is_none_or(|(lowest, _)| {
        let is_above = |(block, _): &Target| tree.is_equal_or_descendent_of(*lowest, *block);
        blocks.iter().all(is_above)
    })
}
