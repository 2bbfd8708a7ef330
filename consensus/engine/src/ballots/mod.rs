//! Which precommits a voter can take without being ended by them.
//!
//! The SDK's voter makes a justification of the precommits of a round, and wants the lowest of them below all others
//! (`GrandpaJustification::from_commit`). Votes on two branches with none where these part do not allow that, nor do both votes
//! of a voter that votes twice: then the voter ends, and the node with it, before the block is final, and again at each start,
//! for it has the votes on disk. Honest precommits of one round lie on one branch. So a single validator that votes for others,
//! which are ordinary on a chain of work, could stop finality for good: the change of authorities that would take its place
//! from it has to become final first.
//!
//! So precommits wait here until the voter can take them: until more than a third of the weight stands on or above their block,
//! and an honest validator with it, or until no block below theirs can be made final any more that nobody voted for. What lies
//! beside a block with more than a third goes no further, nor do second votes that do: to the voter they did not arrive, and
//! such it bears of a third.
//!
//! [`Ballots`] decides; [`Guard`] stands between the network and the voter. Only the simulation does so yet: no node has it.

mod gossip;
mod guard;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use finality_grandpa::{Message, SignedMessage, SignedPrecommit};
use sp_core::H256;

/// A vote, as it is signed.
pub(crate) type Vote<Id, S> = SignedMessage<H256, u32, S, Id>;
/// A precommit, as commits have them.
pub(crate) type Precommit<Id, S> = SignedPrecommit<H256, u32, S, Id>;

/// Rounds before the present one, and after it, whose precommits are looked at. The SDK takes votes of the next one and the
/// last, and commits of all.
const KEPT: u64 = 16;

/// Precommits of one voter in one round that may wait: whoever tells each node another thing should be heard alike by all of
/// them in what fits.
const HELD: usize = 4;
/// Precommits of one voter that the SDK's voter takes.
const TAKEN: usize = 2;

/// Blocks above the last final one up to which branches are looked at.
const REACH: usize = 1_024;

/// Blocks as a node knows them.
pub(crate) trait Blocks {
    /// The last final one, and its height.
    fn finalised(&self) -> (H256, u32);
    /// A block's height and parent, if it is known.
    fn block(&self, hash: H256) -> Option<(u32, H256)>;
    /// Whether a block is final.
    fn is_final(&self, hash: H256) -> bool;
}

/// The precommit in a vote, if it is one.
pub(crate) fn precommit_of<Id: Clone, S: Clone>(vote: &Vote<Id, S>) -> Option<Precommit<Id, S>> {
    match &vote.message {
        Message::Precommit(precommit) => Some(Precommit {
            precommit: precommit.clone(),
            signature: vote.signature.clone(),
            id: vote.id.clone(),
        }),
        Message::PrimaryPropose(_) | Message::Prevote(_) => None,
    }
}

/// What is known of precommits, of one set of authorities.
///
/// Bounded by its members, of whom each has at most `HELD` + `TAKEN` precommits in each of 2 · `KEPT` rounds.
pub(crate) struct Ballots<Id, S> {
    weights: BTreeMap<Id, u64>,
    /// The round that is voted in.
    round: u64,
    /// The first that was. The voter may have votes of earlier ones on disk, which are not known here.
    since: Option<u64>,
    rounds: BTreeMap<u64, Round<Id, S>>,
}

/// The precommits of a round.
struct Round<Id, S> {
    /// Of each voter.
    seen: BTreeMap<Id, Vec<Slot<Id, S>>>,
}

struct Slot<Id, S> {
    vote: Precommit<Id, S>,
    /// Whether the voter has it.
    has_passed: bool,
}

/// What became of a precommit that came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Came<P> {
    /// Those that the voter can take now, this one or others that waited.
    pub(crate) pass: Vec<P>,
    /// The voter's first, if this is its second.
    pub(crate) second_to: Option<P>,
}

impl<Id: Clone + Ord, S: Clone + PartialEq> Ballots<Id, S> {
    /// For these voters and their weights.
    pub(crate) fn new(weights: BTreeMap<Id, u64>) -> Self {
        Self {
            weights,
            round: 0,
            since: None,
            rounds: BTreeMap::new(),
        }
    }

    /// The voter is in this round now.
    pub(crate) fn enter(&mut self, round: u64) {
        self.since.get_or_insert(round);
        self.round = self.round.max(round);
        self.rounds = self.rounds.split_off(&self.round.saturating_sub(KEPT));
    }

    /// Whether precommits of a round are looked at here; those of others the voter has no votes beside.
    pub(crate) fn is_near(&self, round: u64) -> bool {
        self.since.is_some_and(|since| round >= since) && self.round.abs_diff(round) <= KEPT
    }

    fn whole(&self) -> u64 {
        self.weights.values().sum()
    }

    /// The most that can be dishonest: GRANDPA's threshold is the whole less this.
    fn third(&self) -> u64 {
        self.whole().saturating_sub(1) / 3
    }

    /// A vote of this node's own, or one that the voter has already.
    pub(crate) fn passed(&mut self, round: u64, vote: &Precommit<Id, S>) {
        if let Some(slot) = self.slot(round, vote) {
            slot.has_passed = true;
        }
    }

    /// The place of a vote; none where it is of a round too far away.
    fn slot(&mut self, round: u64, vote: &Precommit<Id, S>) -> Option<&mut Slot<Id, S>> {
        if !self.is_near(round) || !self.weights.contains_key(&vote.id) {
            return None;
        }
        let new = || Round {
            seen: BTreeMap::new(),
        };
        let seen = &mut self.rounds.entry(round).or_insert_with(new).seen;
        let slots = seen.entry(vote.id.clone()).or_default();
        let known = slots
            .iter()
            .position(|slot| slot.vote.precommit == vote.precommit);
        let at = match known {
            Some(at) => at,
            None => {
                let mut held = (0..slots.len()).filter(|at| !slots[*at].has_passed);
                if let Some(oldest) = held.next().filter(|_| held.count() + 1 >= HELD) {
                    slots.remove(oldest);
                }
                slots.push(Slot {
                    vote: vote.clone(),
                    has_passed: false,
                });
                slots.len() - 1
            }
        };
        slots.get_mut(at)
    }

    /// A precommit came, whose signature was checked.
    pub(crate) fn came(
        &mut self,
        round: u64,
        vote: &Precommit<Id, S>,
        blocks: &(impl Blocks + ?Sized),
    ) -> Came<Precommit<Id, S>> {
        let is_known = |ballots: &Self| ballots.count(round, &vote.id);
        let before = is_known(self);
        let _ = self.slot(round, vote);
        let second_to = match (before, is_known(self)) {
            (1, 2) => self.first(round, &vote.id),
            _ => None,
        };
        let pass = self.released(round, blocks);
        Came { pass, second_to }
    }

    fn count(&self, round: u64, voter: &Id) -> usize {
        let round = self.rounds.get(&round);
        let slots = round.and_then(|round| round.seen.get(voter));
        slots.map_or(0, Vec::len)
    }

    fn first(&self, round: u64, voter: &Id) -> Option<Precommit<Id, S>> {
        let slots = self.rounds.get(&round)?.seen.get(voter)?;
        slots.first().map(|slot| slot.vote.clone())
    }

    /// Whether the voter has this.
    pub(crate) fn has_passed(&self, round: u64, vote: &Precommit<Id, S>) -> bool {
        let slots = self
            .rounds
            .get(&round)
            .and_then(|round| round.seen.get(&vote.id));
        slots
            .into_iter()
            .flatten()
            .any(|slot| slot.has_passed && slot.vote.precommit == vote.precommit)
    }

    /// Rounds in which something waits.
    pub(crate) fn waiting(&self) -> Vec<u64> {
        let mut rounds: Vec<_> = self.held().into_iter().map(|(round, _)| round).collect();
        rounds.dedup();
        rounds
    }

    /// What waits, with its round.
    pub(crate) fn held(&self) -> Vec<(u64, Precommit<Id, S>)> {
        let of_round = |(number, round): (&u64, &Round<Id, S>)| {
            let slots = round.seen.values().flatten();
            let held = slots.filter(|slot| !slot.has_passed);
            held.map(|slot| (*number, slot.vote.clone()))
                .collect::<Vec<_>>()
        };
        self.rounds.iter().flat_map(of_round).collect()
    }

    /// Those of a round that can pass now; they count as passed.
    pub(crate) fn released(
        &mut self,
        round: u64,
        blocks: &(impl Blocks + ?Sized),
    ) -> Vec<Precommit<Id, S>> {
        let (whole, third) = (self.whole(), self.third());
        let Some(votes) = self.rounds.get_mut(&round) else {
            return Vec::new();
        };
        let mut released = Vec::new();
        // What passes may let others pass: a block that somebody voted for no longer stands in their way.
        loop {
            let view = View::of(&votes.seen, &self.weights, blocks);
            let next = votes.seen.iter().find_map(|(voter, slots)| {
                let at = (0..slots.len()).find(|at| view.can_take(slots, *at, whole, third))?;
                Some((voter.clone(), at))
            });
            let Some((voter, at)) = next else {
                return released;
            };
            if let Some(slot) = votes
                .seen
                .get_mut(&voter)
                .and_then(|slots| slots.get_mut(at))
            {
                slot.has_passed = true;
                released.push(slot.vote.clone());
            }
        }
    }
}

/// The tree of blocks that a round's precommits stand on, above the last final one.
struct View {
    /// Blocks that were voted for and are final: they stand in nobody's way.
    last: BTreeSet<H256>,
    /// Of each block that was voted for: the blocks from above the last final one up to it. None for one that is not known, or
    /// too far away.
    paths: BTreeMap<H256, Vec<H256>>,
    /// Weight on or above each block of these.
    support: HashMap<H256, u64>,
    /// Blocks for which a vote has passed.
    exact: BTreeSet<H256>,
    /// The highest block with more than a third, and its height.
    proven: Option<(u32, H256)>,
    /// Weight of those who have not voted.
    out: u64,
}

impl View {
    fn of<Id: Clone + Ord, S>(
        seen: &BTreeMap<Id, Vec<Slot<Id, S>>>,
        weights: &BTreeMap<Id, u64>,
        blocks: &(impl Blocks + ?Sized),
    ) -> Self {
        let (_, finalised) = blocks.finalised();
        let mut view = View {
            last: BTreeSet::new(),
            paths: BTreeMap::new(),
            support: HashMap::new(),
            exact: BTreeSet::new(),
            proven: None,
            out: 0,
        };
        for (voter, weight) in weights {
            let slots = seen.get(voter).map(Vec::as_slice).unwrap_or_default();
            if slots.is_empty() {
                view.out += weight;
            }
            let mut stands_on = BTreeSet::new();
            for slot in slots {
                let target = slot.vote.precommit.target_hash;
                if slot.has_passed {
                    view.exact.insert(target);
                }
                if blocks.is_final(target) {
                    view.last.insert(target);
                } else if !view.paths.contains_key(&target)
                    && let Some(path) = path(target, blocks)
                {
                    view.paths.insert(target, path);
                }
                stands_on.extend(view.paths.get(&target).into_iter().flatten().copied());
            }
            for block in stands_on {
                *view.support.entry(block).or_default() += weight;
            }
        }
        let third = weights.values().sum::<u64>().saturating_sub(1) / 3;
        for path in view.paths.values() {
            for (block, height) in path.iter().zip(finalised + 1..) {
                if view.support.get(block) > Some(&third)
                    && view.proven.is_none_or(|(known, _)| known < height)
                {
                    view.proven = Some((height, *block));
                }
            }
        }
        view
    }

    /// Whether a block is the highest proven one, or below it, or final.
    fn is_below_proven(&self, block: H256) -> bool {
        if self.last.contains(&block) {
            return true;
        }
        let Some((_, proven)) = self.proven else {
            return false;
        };
        // Any path that leads to the proven block will do.
        let path = self.paths.values().find(|path| path.contains(&proven));
        path.is_some_and(|path| {
            let up_to = path.iter().position(|it| *it == proven).unwrap_or_default();
            path.iter().take(up_to + 1).any(|it| *it == block)
        })
    }

    /// Whether the voter can take the vote at this place among those of one voter.
    fn can_take<Id, S>(&self, slots: &[Slot<Id, S>], at: usize, whole: u64, third: u64) -> bool {
        let Some(slot) = slots.get(at).filter(|slot| !slot.has_passed) else {
            return false;
        };
        let target = slot.vote.precommit.target_hash;
        let taken = || slots.iter().filter(|other| other.has_passed);
        if taken().next().is_some() {
            // The voter puts both into the commit.
            let fits = |vote: &Slot<Id, S>| self.is_below_proven(vote.vote.precommit.target_hash);
            return taken().count() < TAKEN && taken().all(fits) && fits(slot);
        }
        if self.is_below_proven(target) {
            return true;
        }
        let Some(path) = self.paths.get(&target) else {
            return false;
        };
        let from = match self.proven {
            None => 0,
            Some((_, proven)) => match path.iter().position(|block| *block == proven) {
                Some(at) => at,
                // It lies beside.
                None => return false,
            },
        };
        let can_be_final = |block: &H256| {
            self.support.get(block).copied().unwrap_or(0) + self.out >= whole - third
        };
        path[from..path.len() - 1]
            .iter()
            .all(|block| self.exact.contains(block) || !can_be_final(block))
    }
}

/// The blocks from above the last final one up to this; none for one that is not known, not on top of that, or too far.
fn path(target: H256, blocks: &(impl Blocks + ?Sized)) -> Option<Vec<H256>> {
    let (last, height) = blocks.finalised();
    let (mut path, mut at) = (Vec::new(), target);
    while at != last {
        let (number, parent) = blocks.block(at)?;
        if number <= height || path.len() == REACH {
            return None;
        }
        path.push(at);
        at = parent;
    }
    path.reverse();
    (!path.is_empty()).then_some(path)
}
