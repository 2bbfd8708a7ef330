//! Which precommits GRANDPA's voter can take without being ended by them.
//!
//! The SDK's voter makes a justification of each of its commits, and wants the lowest vote in it below all others
//! (`GrandpaJustification::from_commit`). Votes on two branches with none where these part do not allow that, nor do both votes
//! of whoever votes twice: then the voter ends, and the node with it, before the block is final, and again at each start, for it
//! has the votes on disk. Honest precommits of one round lie on one chain. So a single validator that votes for others, which
//! are ordinary on a chain of work, could stop finality for good: the change of authorities that would take its place from it
//! has to become final first.
//!
//! So precommits wait here until the round can end with them, and the voter gets a set of them with which it ends well: see
//! [`choice`]. Meanwhile they go on to peers, which may be further. Commits that the voter cannot take in are proofs of finality
//! still, and are imported as such.
//!
//! [`Ballots`] decides; [`Guard`] stands between the network and the voter.

mod choice;
mod commits;
mod gossip;
mod guard;
mod tally;

pub use guard::{ENDED_ROUNDS, EndedRound, FinalCommit, Guard, Surroundings, last_ended};

use std::{collections::BTreeMap, fmt::Debug};

use finality_grandpa::{Message, SignedMessage, SignedPrecommit, voter_set::VoterSet};
use sp_core::H256;

pub(crate) use commits::{Fate, targets_of};

use choice::{Known, Scene};
use tally::{Seen, Target, Tree, Votes};

/// A vote, as it is signed.
pub(crate) type Vote<Id, S> = SignedMessage<H256, u32, S, Id>;
/// A precommit, as commits have them.
pub(crate) type Precommit<Id, S> = SignedPrecommit<H256, u32, S, Id>;

/// Rounds before the present one, and after it, whose votes are looked at. The SDK takes votes of the next one and the last, and
/// commits of all.
const KEPT: u64 = 3;

/// Votes of one voter in one round that are known at a time: whoever tells each node another thing should be heard alike by all
/// of them in what fits.
const HELD: usize = 32;

/// Votes of one voter, of a kind and in a round, that the voter takes: it ignores more, so that which two it has must be known.
const TAKEN: usize = 2;

/// Blocks as a node knows them.
pub trait Blocks {
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

fn target_of<Id, S>(vote: &Precommit<Id, S>) -> Target {
    (vote.precommit.target_hash, vote.precommit.target_number)
}

/// What is known of the votes of one set of authorities.
///
/// Bounded by its members, of whom each has at most `HELD` precommits, and `TAKEN` prevotes, in each of 2 · `KEPT` + 1 rounds, and by the blocks that
/// [`Seen`] remembers.
#[derive(Debug)]
pub(crate) struct Ballots<Id: Ord + Eq, S> {
    voters: VoterSet<Id>,
    /// The node's own validator.
    me: Option<Id>,
    /// The round that is voted in.
    round: u64,
    /// The first whose votes are known; the voter may have votes of earlier ones, too.
    since: u64,
    /// The block on which the voter lets the next round begin.
    base: Target,
    rounds: BTreeMap<u64, Round<Id, S>>,
    /// Blocks that were looked at.
    seen: Seen,
}

/// What becomes of a prevote.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fit {
    /// The voter gets it, and it counts from now on.
    Takes,
    /// The voter has it.
    Has,
    /// Until its block is known, or the voter is in its round.
    Waits,
    /// The voter would ignore it, or be ended by what it has beside it.
    Never,
}

/// The votes of a round.
#[derive(Debug)]
struct Round<Id, S> {
    /// On or above the block on which the voter has begun: what is on it the voter does not ignore.
    base: Target,
    /// Those that the voter has, of each of the others at most `TAKEN`, in the order in which they came: the guard must not count
    /// what the voter does not.
    prevotes: BTreeMap<Id, Vec<Target>>,
    precommits: Vec<Slot<Id, S>>,
    /// What there was to choose from when it was last done: with the same there is nothing to choose anew.
    chosen_of: Option<(usize, usize, u32)>,
}

#[derive(Clone, Debug)]
struct Slot<Id, S> {
    vote: Precommit<Id, S>,
    /// Whether the voter has it.
    has_passed: bool,
}

impl<Id: Clone + Debug + Ord, S: Clone + PartialEq> Ballots<Id, S> {
    /// Of these voters, for a voter that starts in `round`, where `me` is the node's own validator.
    pub(crate) fn new(
        voters: VoterSet<Id>,
        me: Option<Id>,
        round: u64,
        blocks: &(impl Blocks + ?Sized),
    ) -> Self {
        Self {
            me: me.filter(|me| voters.contains(me)),
            voters,
            round,
            since: round,
            base: blocks.finalised(),
            rounds: BTreeMap::new(),
            seen: Seen::default(),
        }
    }

    /// The voter goes on after this round, which it has on disk, and in which it still takes votes. Its own votes are among these,
    /// which nobody may have been told.
    pub(crate) fn restored(&mut self, round: u64, base: Target, votes: &[Vote<Id, S>]) {
        self.since = self.since.min(round);
        if let Some(round) = self.round_mut(round) {
            round.base = base;
        }
        for vote in votes {
            if let Message::Prevote(prevote) = &vote.message {
                let target = (prevote.target_hash, prevote.target_number);
                self.note_prevote(round, &vote.id, target);
            } else if let Some(vote) = precommit_of(vote) {
                let _ = self.passed(round, &vote);
            }
        }
    }

    /// Those who vote.
    pub(crate) fn voters(&self) -> &VoterSet<Id> {
        &self.voters
    }

    /// The voter is in this round now.
    pub(crate) fn enter(&mut self, round: u64, blocks: &(impl Blocks + ?Sized)) {
        if round <= self.round {
            return;
        }
        for ended in self.rounds.range(..round).map(|(_, ended)| ended) {
            let scene = self.scene(ended, None, blocks);
            let passed = ended.precommits.iter().filter(|slot| slot.has_passed);
            let tally = scene.count(&Votes::of(passed.map(|slot| &slot.vote)));
            self.base = (tally.finalised.filter(|it| it.1 > self.base.1)).unwrap_or(self.base);
        }
        self.round = round;
        self.rounds = self.rounds.split_off(&round.saturating_sub(KEPT));
        let bases = self.rounds.values().map(|round| round.base.1);
        let lowest = bases.min().unwrap_or(self.base.1).min(self.base.1);
        self.seen.forget_below(lowest);
        if let Some(next) = self.rounds.get_mut(&round) {
            next.base = self.base;
            next.chosen_of = None;
        }
    }

    /// Whether votes of a round are looked at here; those of others the voter has no votes beside.
    pub(crate) fn is_near(&self, round: u64) -> bool {
        round >= self.since && self.round.abs_diff(round) <= KEPT
    }

    fn round_mut(&mut self, round: u64) -> Option<&mut Round<Id, S>> {
        let base = self.base;
        let new = || Round {
            base,
            prevotes: BTreeMap::new(),
            precommits: Vec::new(),
            chosen_of: None,
        };
        self.is_near(round)
            .then(|| self.rounds.entry(round).or_insert_with(new))
    }

    /// A prevote of this node's own, or one that the voter has already.
    pub(crate) fn note_prevote(&mut self, round: u64, voter: &Id, target: Target) {
        if !self.voters.contains(voter) {
            return;
        }
        let Some(round) = self.round_mut(round) else {
            return;
        };
        let known = round.prevotes.entry(voter.clone()).or_default();
        if !known.contains(&target) && known.len() < TAKEN {
            known.push(target);
            round.chosen_of = None;
        }
    }

    /// A prevote came, whose signature was checked. The voter gets those alone that it counts as they are counted here, so none
    /// before its base is known, and none of a block that is not on it: with one vote of somebody that one of the two ignores they
    /// would differ about where the ghost is.
    pub(crate) fn prevoted(
        &mut self,
        number: u64,
        voter: &Id,
        target: Target,
        blocks: &(impl Blocks + ?Sized),
    ) -> Fit {
        if !self.voters.contains(voter) || !self.is_near(number) {
            return Fit::Never;
        }
        if self.has_prevoted(number, voter, target) {
            return Fit::Has;
        }
        let block = Tree::new(blocks, &self.seen).block(target.0);
        if number > self.round || block.is_none() {
            return Fit::Waits;
        }
        let of_voter = |round: &Round<Id, S>| round.prevotes.get(voter).map_or(0, Vec::len);
        let Some(round) = self.round_mut(number).filter(|it| of_voter(it) < TAKEN) else {
            return Fit::Never;
        };
        let chosen_of = round.chosen_of.take();
        round
            .prevotes
            .entry(voter.clone())
            .or_default()
            .push(target);
        let Some(round) = self.rounds.get(&number) else {
            return Fit::Never;
        };
        let scene = self.scene(round, Some(number), blocks);
        let (_, mut passed) = known(&scene, &round.precommits);
        passed.retain(|vote| vote.has_passed);
        // After the round could end it may move the ghost, and with it what the votes that the voter has make final.
        if scene.is_known(target) && scene.is_right(&passed) {
            return Fit::Takes;
        }
        if let Some(round) = self.rounds.get_mut(&number) {
            round.chosen_of = chosen_of;
            if let Some(known) = round.prevotes.get_mut(voter) {
                known.retain(|known| *known != target);
            }
        }
        Fit::Never
    }

    /// A precommit of this node's own, or one that the voter has already; whether that is news.
    pub(crate) fn passed(&mut self, round: u64, vote: &Precommit<Id, S>) -> bool {
        let slot = self.slot(round, vote);
        let is_news = slot.is_some_and(|slot| !std::mem::replace(&mut slot.has_passed, true));
        if let Some(votes) = self.rounds.get_mut(&round).filter(|_| is_news) {
            votes.chosen_of = None;
        }
        is_news
    }

    /// The place of a vote; none where it is of a round too far away, or of nobody.
    fn slot(&mut self, round: u64, vote: &Precommit<Id, S>) -> Option<&mut Slot<Id, S>> {
        if !self.voters.contains(&vote.id) {
            return None;
        }
        let round = self.round_mut(round)?;
        let slots = &mut round.precommits;
        if let Some(at) = slots.iter().position(|slot| slot.is(vote)) {
            return slots.get_mut(at);
        }
        let of_voter = || (0..slots.len()).filter(|at| slots[*at].vote.id == vote.id);
        let oldest = of_voter().find(|at| !slots[*at].has_passed);
        if of_voter().count() >= HELD
            && let Some(oldest) = oldest
        {
            slots.remove(oldest);
        }
        round.chosen_of = None;
        slots.push(Slot {
            vote: vote.clone(),
            has_passed: false,
        });
        slots.last_mut()
    }

    /// A precommit came, whose signature was checked; the voter's first, if this is its second.
    pub(crate) fn came(&mut self, round: u64, vote: &Precommit<Id, S>) -> Option<Precommit<Id, S>> {
        let of_voter = |ballots: &Self| {
            let slots = ballots.rounds.get(&round).into_iter();
            let slots = slots.flat_map(|round| &round.precommits);
            let votes = slots.filter(|slot| slot.vote.id == vote.id);
            votes.map(|slot| slot.vote.clone()).collect::<Vec<_>>()
        };
        let before = of_voter(self);
        let _ = self.slot(round, vote);
        match (before.as_slice(), of_voter(self).len()) {
            ([first], 2) => Some(first.clone()),
            _ => None,
        }
    }

    /// Whether the voter has this prevote.
    pub(crate) fn has_prevoted(&self, round: u64, voter: &Id, target: Target) -> bool {
        let known = self.rounds.get(&round);
        let known = known.and_then(|round| round.prevotes.get(voter));
        known.is_some_and(|known| known.contains(&target))
    }

    /// Whether the voter has a precommit of this voter for this block.
    pub(crate) fn has_precommitted(&self, round: u64, voter: &Id, target: Target) -> bool {
        let slots = self.rounds.get(&round).into_iter();
        let mut slots = slots.flat_map(|round| &round.precommits);
        slots.any(|slot| {
            slot.has_passed && slot.vote.id == *voter && target_of(&slot.vote) == target
        })
    }

    /// Whether the voter has this.
    pub(crate) fn has_passed(&self, round: u64, vote: &Precommit<Id, S>) -> bool {
        let slots = self.rounds.get(&round).into_iter();
        let mut passed = slots
            .flat_map(|round| &round.precommits)
            .filter(|slot| slot.has_passed);
        passed.any(|slot| slot.is(vote))
    }

    /// A vote that waits waits no longer.
    pub(crate) fn forget(&mut self, number: u64, voter: &Id, target: Target) {
        if let Some(round) = self.rounds.get_mut(&number) {
            let is_it =
                |slot: &Slot<Id, S>| slot.vote.id == *voter && target_of(&slot.vote) == target;
            round
                .precommits
                .retain(|slot| slot.has_passed || !is_it(slot));
        }
    }

    /// Whether this vote came before.
    pub(crate) fn knows(&self, round: u64, vote: &Precommit<Id, S>) -> bool {
        let known = self.rounds.get(&round);
        known.is_some_and(|known| known.precommits.iter().any(|slot| slot.is(vote)))
    }

    /// Rounds in which something waits.
    pub(crate) fn waiting(&self) -> Vec<u64> {
        let waits = |round: &Round<Id, S>| round.precommits.iter().any(|slot| !slot.has_passed);
        let rounds = self.rounds.iter().filter(|(_, round)| waits(round));
        rounds.map(|(number, _)| *number).collect()
    }

    /// What waits, with its round.
    pub(crate) fn held(&self) -> impl Iterator<Item = (u64, &Precommit<Id, S>)> {
        self.rounds.iter().flat_map(|(number, round)| {
            let held = round.precommits.iter().filter(|slot| !slot.has_passed);
            held.map(|slot| (*number, &slot.vote))
        })
    }

    /// A round, to choose from its precommits; `number` is given where the node itself may vote in it.
    fn scene<'a, B: Blocks + ?Sized>(
        &'a self,
        round: &Round<Id, S>,
        number: Option<u64>,
        blocks: &'a B,
    ) -> Scene<'a, Id, B> {
        let has_voted = |me: &Id| round.precommits.iter().any(|slot| slot.vote.id == *me);
        let me = self.me.as_ref().filter(|me| !has_voted(me));
        let mut scene = Scene {
            voters: &self.voters,
            base: round.base,
            prevotes: Votes::new(),
            to_vote: me.filter(|_| number >= Some(self.round)).cloned(),
            tree: Tree::new(blocks, &self.seen),
        };
        for (voter, targets) in &round.prevotes {
            for target in targets {
                if scene.is_known(*target) {
                    scene.prevotes.add(voter, *target);
                }
            }
        }
        scene
    }

    /// Those of a round that can pass now; they count as passed.
    pub(crate) fn released(
        &mut self,
        round: u64,
        blocks: &(impl Blocks + ?Sized),
    ) -> Vec<Precommit<Id, S>> {
        // In a later round the voter has not begun.
        if round > self.round {
            return Vec::new();
        }
        let Some(votes) = self.rounds.get(&round) else {
            return Vec::new();
        };
        let scene = self.scene(votes, Some(round), blocks);
        let (places, known) = known(&scene, &votes.precommits);
        let prevotes = scene.prevotes.0.values().map(Vec::len).sum();
        let of = Some((prevotes, known.len(), blocks.finalised().1));
        if votes.chosen_of == of {
            return Vec::new();
        }
        let chosen = scene.choose(&known);
        let mut released = Vec::new();
        let Some(votes) = self.rounds.get_mut(&round) else {
            return released;
        };
        for at in chosen {
            if let Some(slot) = places.get(at).and_then(|at| votes.precommits.get_mut(*at)) {
                slot.has_passed = true;
                released.push(slot.vote.clone());
            }
        }
        // What was chosen changes what can be chosen next.
        votes.chosen_of = of.filter(|_| released.is_empty());
        released
    }
}

impl<Id: PartialEq, S> Slot<Id, S> {
    fn is(&self, vote: &Precommit<Id, S>) -> bool {
        self.vote.id == vote.id && self.vote.precommit == vote.precommit
    }
}

/// What of these can be chosen, and where in them it is.
fn known<Id: Clone + Debug + Ord, S, B: Blocks + ?Sized>(
    scene: &Scene<'_, Id, B>,
    slots: &[Slot<Id, S>],
) -> (Vec<usize>, Vec<Known<Id>>) {
    let known = slots.iter().enumerate().filter_map(|(at, slot)| {
        let known = Known {
            voter: slot.vote.id.clone(),
            target: target_of(&slot.vote),
            has_passed: slot.has_passed,
        };
        scene.is_known(known.target).then_some((at, known))
    });
    known.unzip()
}
