//! Messages with many votes: commits, and help for a voter that lags.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use finality_grandpa::{CatchUp, Chain, Commit};
use sp_core::H256;

use super::{
    Ballots, Blocks, Precommit, Round, Slot, TAKEN, known,
    tally::{Tally, Target, Tree, Votes, are_on_one},
    target_of,
};

/// What becomes of a commit.
#[derive(Clone, Debug)]
pub(crate) enum Fate<C> {
    /// The voter can take it: all of it, or so much of it as is still enough. Its votes too, which the voter may not take from
    /// the commit itself.
    Takes(C),
    /// The voter can take it, and no votes of it.
    Passes(C),
    /// It proves a block final, but the voter cannot take its votes beside those that it has.
    Proves(C),
    /// It proves nothing.
    Dropped,
}

impl<Id: Clone + Debug + Ord, S: Clone + PartialEq> Ballots<Id, S> {
    /// A commit came, whose signatures were checked, whose votes were noted, and all of whose blocks are known.
    pub(crate) fn commit(
        &mut self,
        round: u64,
        commit: Commit<H256, u32, S, Id>,
        blocks: &(impl Blocks + ?Sized),
    ) -> Fate<Commit<H256, u32, S, Id>> {
        let commit = match self.justified(commit, blocks) {
            Fate::Proves(commit) => commit,
            other => return other,
        };
        let Some(votes) = self.rounds.get(&round).filter(|_| self.is_near(round)) else {
            // In a round long past that still counts votes nobody here knows what they would come beside.
            return match round < self.round {
                true => Fate::Proves(commit),
                false => Fate::Passes(commit),
            };
        };
        let is_in = |slot: &&Slot<Id, S>| slot.has_passed || commit.precommits.contains(&slot.vote);
        let with: Vec<_> = votes.precommits.iter().filter(is_in).cloned().collect();
        let scene = self.scene(votes, Some(round), blocks);
        let (_, all) = known(&scene, &with);
        let of = |voter: &Id| with.iter().filter(|slot| slot.vote.id == *voter).count();
        let are_too_many = |slot: &Slot<Id, S>| of(&slot.vote.id) > TAKEN;
        if all.len() < with.len() || with.iter().any(are_too_many) || !scene.is_right(&all) {
            return Fate::Proves(commit);
        }
        // Of the round in which the voter is, or of a later one, it takes the block alone.
        if round < self.round {
            for vote in &commit.precommits {
                let _ = self.passed(round, vote);
            }
            return Fate::Takes(commit);
        }
        Fate::Passes(commit)
    }

    /// The commit itself, or with fewer votes, and for a block that can be justified with them.
    fn justified(
        &self,
        mut commit: Commit<H256, u32, S, Id>,
        blocks: &(impl Blocks + ?Sized),
    ) -> Fate<Commit<H256, u32, S, Id>> {
        let tree = Tree::new(blocks, &self.seen);
        let all: BTreeSet<Target> = commit.precommits.iter().map(target_of).collect();
        let mut targets: Vec<Target> = all.iter().copied().collect();
        targets.sort_by_key(|(_, number)| *number);
        if are_on_one(&all, &tree) {
            let lowest = targets.first();
            let highest = lowest.and_then(|it| self.highest(*it, &commit.precommits, &tree));
            // Nobody signs what a commit is said to be for. The voter, given another block, would believe it, tell it to peers as
            // final, and refuse what is true.
            let Some(highest) = highest else {
                return Fate::Dropped;
            };
            (commit.target_hash, commit.target_number) = highest;
            return Fate::Proves(commit);
        }
        // The votes on or above one of the blocks that were voted for, the highest for which these are enough.
        for root in targets.into_iter().rev() {
            let is_above = |vote: &&Precommit<Id, S>| {
                tree.is_equal_or_descendent_of(root.0, vote.precommit.target_hash)
            };
            let above: Vec<_> = (commit.precommits.iter().filter(is_above).cloned()).collect();
            if let Some(highest) = self.highest(root, &above, &tree) {
                (commit.target_hash, commit.target_number) = highest;
                commit.precommits = above;
                return Fate::Proves(commit);
            }
        }
        Fate::Dropped
    }

    /// The highest block that has enough of these votes, which are on or above `root`.
    fn highest<B: Blocks + ?Sized>(
        &self,
        root: Target,
        votes: &[Precommit<Id, S>],
        tree: &Tree<'_, B>,
    ) -> Option<Target> {
        let both = Votes::of(votes);
        // With each as a prevote too, the ghost is that block.
        Tally::of(&self.voters, root, &both, &both, tree).ghost
    }

    /// What helps a voter that lags came, whose signatures were checked: with the precommits that it can take, if these are
    /// enough.
    pub(crate) fn catch_up(
        &mut self,
        mut catch_up: CatchUp<H256, u32, S, Id>,
        blocks: &(impl Blocks + ?Sized),
    ) -> Option<CatchUp<H256, u32, S, Id>> {
        let number = catch_up.round_number;
        if number <= self.round {
            // The voter is there.
            return Some(catch_up);
        }
        let before = self.rounds.remove(&number);
        let mut round = round_of(&catch_up, before.as_ref());
        let scene = self.scene(&round, None, blocks);
        let (places, known) = known(&scene, &round.precommits);
        for at in scene.choose(&known) {
            if let Some(slot) = places.get(at).and_then(|at| round.precommits.get_mut(*at)) {
                slot.has_passed = true;
            }
        }
        catch_up.precommits.retain(|vote| {
            let mut slots = round.precommits.iter().filter(|slot| slot.has_passed);
            slots.any(|slot| slot.is(vote))
        });
        if !scene.count(&Votes::of(&catch_up.precommits)).is_complete {
            // As if it had not come.
            self.rounds.extend(before.map(|before| (number, before)));
            return None;
        }
        round.precommits.retain(|slot| slot.has_passed);
        self.rounds.insert(number, round);
        // What was heard besides waits on, as it did before.
        let (prevotes, precommits) = before
            .map(|before| (before.prevotes, before.precommits))
            .unwrap_or_default();
        for (voter, targets) in prevotes {
            for target in targets {
                self.note_prevote(number, &voter, target);
            }
        }
        for slot in precommits {
            match slot.has_passed {
                true => drop(self.passed(number, &slot.vote)),
                false => drop(self.came(number, &slot.vote)),
            }
        }
        Some(catch_up)
    }
}

/// Blocks that must be known before what helps a voter that lags can be judged.
pub(crate) fn targets_of<Id, S>(
    catch_up: &CatchUp<H256, u32, S, Id>,
) -> impl Iterator<Item = Target> {
    let first = catch_up.prevotes.iter().map(|signed| &signed.prevote);
    let second = catch_up.precommits.iter().map(|signed| &signed.precommit);
    let first = first.map(|vote| (vote.target_hash, vote.target_number));
    let second = second.map(|vote| (vote.target_hash, vote.target_number));
    let base = (catch_up.base_hash, catch_up.base_number);
    first.chain(second).chain([base])
}

/// The round as the message has it, with what the voter may have taken of another peer just now.
fn round_of<Id: Clone + Ord, S: Clone>(
    catch_up: &CatchUp<H256, u32, S, Id>,
    before: Option<&Round<Id, S>>,
) -> Round<Id, S> {
    let passed = before.into_iter().flat_map(|before| &before.precommits);
    let mut round = Round {
        base: (catch_up.base_hash, catch_up.base_number),
        prevotes: BTreeMap::new(),
        precommits: passed.filter(|slot| slot.has_passed).cloned().collect(),
        chosen_of: None,
    };
    for signed in &catch_up.prevotes {
        let target = (signed.prevote.target_hash, signed.prevote.target_number);
        let known: &mut Vec<Target> = round.prevotes.entry(signed.id.clone()).or_default();
        if known.len() < TAKEN {
            known.push(target);
        }
    }
    for vote in &catch_up.precommits {
        if !round.precommits.iter().any(|slot| slot.is(vote)) {
            let (vote, has_passed) = (vote.clone(), false);
            round.precommits.push(Slot { vote, has_passed });
        }
    }
    round
}
