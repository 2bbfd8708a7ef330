//! Which of the known precommits of a round the voter gets.
//!
//! Nothing before the round can end with what is known: the voter makes nothing final earlier, and what it has it keeps, so that
//! an early vote of someone who votes twice would stand in the way of a later one with which other nodes ended the round. Then
//! a set with which it ends, and of whose commit a justification can be made. Some node has one: with the votes of all honest
//! validators, which lie on one chain; or with those with which another node has ended it, which are heard here too.

use std::collections::{BTreeMap, BTreeSet};

use finality_grandpa::{Chain, voter_set::VoterSet};

use super::{
    Blocks,
    tally::{Tally, Target, Tree, Votes, can_be_justified, in_commit, weight},
};

/// Branches that are tried, those of most weight first.
const BRANCHES: usize = 4;

/// A round, but for its precommits.
pub(super) struct Scene<'a, Id: Ord + Eq, B: ?Sized> {
    pub(super) voters: &'a VoterSet<Id>,
    pub(super) base: Target,
    pub(super) prevotes: Votes<Id>,
    /// The node's own validator, if its precommit is to come.
    pub(super) to_vote: Option<Id>,
    pub(super) tree: Tree<'a, B>,
}

/// A precommit.
#[derive(Clone, Debug)]
pub(super) struct Known<Id> {
    pub(super) voter: Id,
    pub(super) target: Target,
    /// Whether the voter has it.
    pub(super) has_passed: bool,
}

/// Which vote is taken of somebody with several that is not known to the voter.
#[derive(Clone, Copy)]
enum Of {
    /// The highest on the branch.
    Highest,
    /// The one that leaves the branch lowest, or is lowest on it: with it least can still become final.
    Lowest,
    /// Two.
    Both,
}

impl<Id: Clone + Ord + std::fmt::Debug, B: Blocks + ?Sized> Scene<'_, Id, B> {
    /// Places, among all that is known, of what the voter gets now.
    pub(super) fn choose(&self, known: &[Known<Id>]) -> Vec<usize> {
        let voters: BTreeSet<&Id> = known.iter().map(|vote| &vote.voter).collect();
        let there: u64 = voters.iter().map(|voter| weight(self.voters, voter)).sum();
        if there < self.voters.threshold().get() || known.iter().all(|vote| vote.has_passed) {
            return Vec::new();
        }
        let passed: BTreeSet<usize> = (0..known.len())
            .filter(|at| known[*at].has_passed)
            .collect();
        let before = self.tally(known, &passed);
        if before.is_complete {
            return self.more(known, &passed, &before);
        }
        // The more is known the less can still become final: what does not end with all of it ends with no part of it.
        let all = (0..known.len()).collect();
        if !self.tally(known, &all).is_complete {
            return Vec::new();
        }
        let branches = self.branches(known);
        for is_final_enough in [false, true] {
            for of in [Of::Highest, Of::Lowest, Of::Both] {
                for tip in &branches {
                    let set = self.first(known, &passed, *tip, of);
                    let set = self.settled(known, &passed, set, *tip, is_final_enough);
                    if let Some(set) = set.filter(|set| self.tally(known, set).is_complete) {
                        return set.difference(&passed).copied().collect();
                    }
                }
            }
        }
        Vec::new()
    }

    /// What can be added to a round that can end.
    fn more(&self, known: &[Known<Id>], passed: &BTreeSet<usize>, before: &Tally) -> Vec<usize> {
        for tip in self.branches(known) {
            let set = self.first(known, passed, tip, Of::Highest);
            if let Some(set) = self.settled(known, passed, set, tip, false)
                && set.len() > passed.len()
            {
                return set.difference(passed).copied().collect();
            }
        }
        // Second votes where they help: by them a block that is final already, by a commit of others, is so in this round too,
        // or others cannot become so any more. The next round waits for either.
        for tip in self.branches(known) {
            let set = self.first(known, passed, tip, Of::Both);
            let Some(set) = self.settled(known, passed, set, tip, true) else {
                continue;
            };
            let after = self.tally(known, &set);
            if height(after.finalised) > height(before.finalised)
                || height(after.estimate) < height(before.estimate)
            {
                return set.difference(passed).copied().collect();
            }
        }
        Vec::new()
    }

    fn votes(&self, known: &[Known<Id>], set: &BTreeSet<usize>) -> Votes<Id> {
        let mut votes = Votes::new();
        for vote in set.iter().filter_map(|at| known.get(*at)) {
            votes.add(&vote.voter, vote.target);
        }
        votes
    }

    pub(super) fn count(&self, votes: &Votes<Id>) -> Tally {
        Tally::of(self.voters, self.base, &self.prevotes, votes, &self.tree)
    }

    fn tally(&self, known: &[Known<Id>], set: &BTreeSet<usize>) -> Tally {
        self.count(&self.votes(known, set))
    }

    fn is_on(&self, tip: Target, block: Target) -> bool {
        self.tree.is_equal_or_descendent_of(block.0, tip.0)
            || self.tree.is_equal_or_descendent_of(tip.0, block.0)
    }

    /// Blocks that were voted for, with none above them that was, by the weight on their branches.
    fn branches(&self, known: &[Known<Id>]) -> Vec<Target> {
        let targets: BTreeSet<Target> = known.iter().map(|vote| vote.target).collect();
        let is_below_another = |block: &Target| {
            targets.iter().any(|other| {
                other.0 != block.0 && self.tree.is_equal_or_descendent_of(block.0, other.0)
            })
        };
        let tips = targets.iter().filter(|block| !is_below_another(block));
        let weigh = |tip: &Target| {
            let on = known.iter().filter(|vote| self.is_on(*tip, vote.target));
            let voters: BTreeSet<&Id> = on.map(|vote| &vote.voter).collect();
            let there = voters.into_iter().map(|voter| weight(self.voters, voter));
            there.sum::<u64>()
        };
        let mut tips: Vec<(u64, Target)> = tips.map(|tip| (weigh(tip), *tip)).collect();
        tips.sort_by(|one, other| other.cmp(one));
        tips.truncate(BRANCHES);
        tips.into_iter().map(|(_, tip)| tip).collect()
    }

    /// Height at which a block's branch leaves that of `tip`.
    fn leaves_at(&self, tip: Target, block: Target) -> u32 {
        let (mut at, mut number) = block;
        while number > self.base.1 && !self.is_on(tip, (at, number)) {
            let Some((_, parent)) = self.tree.block(at) else {
                break;
            };
            (at, number) = (parent, number - 1);
        }
        number
    }

    /// What has passed, and of all others their vote, or votes.
    fn first(
        &self,
        known: &[Known<Id>],
        passed: &BTreeSet<usize>,
        tip: Target,
        of: Of,
    ) -> BTreeSet<usize> {
        let mut of_each: BTreeMap<&Id, Vec<usize>> = BTreeMap::new();
        for (at, vote) in known.iter().enumerate() {
            of_each.entry(&vote.voter).or_default().push(at);
        }
        let mut set = passed.clone();
        for votes in of_each.into_values() {
            let (there, mut rest): (Vec<usize>, Vec<usize>) =
                votes.into_iter().partition(|at| passed.contains(at));
            let target = |at: &usize| known[*at].target;
            rest.sort_by_key(|at| {
                let block = target(at);
                // The highest on the branch first, then those that leave it, lowest first.
                match self.is_on(tip, block) {
                    true => (false, u32::MAX - block.1),
                    false => (true, self.leaves_at(tip, block)),
                }
            });
            let highest = rest.first().copied();
            let beside = rest.iter().find(|at| !self.is_on(tip, target(at))).copied();
            match (there.len(), of) {
                (0, Of::Highest) => set.extend(highest),
                (0, Of::Lowest) => set.extend(beside.or(rest.last().copied())),
                (0, Of::Both) => set.extend(rest.iter().take(2)),
                (1, Of::Both) => set.extend(highest),
                _ => {}
            }
        }
        set
    }

    /// Less those beside the branch that would be in a commit that cannot be justified; none if what has passed is.
    fn settled(
        &self,
        known: &[Known<Id>],
        passed: &BTreeSet<usize>,
        mut set: BTreeSet<usize>,
        tip: Target,
        is_final_enough: bool,
    ) -> Option<BTreeSet<usize>> {
        loop {
            let votes = self.votes(known, &set);
            let Some(wrong) = self.wrong(&votes, is_final_enough) else {
                return Some(set);
            };
            let before = set.len();
            set.retain(|at| {
                let target = known[*at].target;
                passed.contains(at) || !wrong.contains(&target) || self.is_on(tip, target)
            });
            if set.len() == before {
                return None;
            }
        }
    }

    /// The blocks of a commit that cannot be justified, if the voter would make one of these votes, now or once it has
    /// voted itself.
    fn wrong(&self, votes: &Votes<Id>, is_final_enough: bool) -> Option<BTreeSet<Target>> {
        let of = |votes: &Votes<Id>, tally: Tally| {
            let block = tally.finalised?;
            let is_right = can_be_justified(block, votes, &self.tree)
                || (is_final_enough && self.tree.is_final(block.0));
            (!is_right).then(|| in_commit(block, votes, &self.tree))
        };
        let tally = self.count(votes);
        let ghost = tally.ghost;
        of(votes, tally).or_else(|| {
            let (me, ghost) = (self.to_vote.as_ref()?, ghost?);
            let mut with = votes.clone();
            with.add(me, ghost);
            let tally = self.count(&with);
            of(&with, tally)
        })
    }

    /// Whether the voter is not ended by these.
    pub(super) fn is_right(&self, known: &[Known<Id>]) -> bool {
        let all = (0..known.len()).collect();
        self.wrong(&self.votes(known, &all), true).is_none()
    }

    /// Whether a block is known, and on the round's base.
    pub(super) fn is_known(&self, (block, number): Target) -> bool {
        self.tree
            .block(block)
            .is_some_and(|(known, _)| known == number)
            && self.tree.is_equal_or_descendent_of(self.base.0, block)
    }
}

fn height(block: Option<Target>) -> Option<u32> {
    block.map(|(_, number)| number)
}
