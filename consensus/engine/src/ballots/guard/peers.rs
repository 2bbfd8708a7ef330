//! Which peers have which votes that came here.

use std::collections::{BTreeMap, BTreeSet};

use sc_network_types::PeerId;
use sp_consensus_grandpa::AuthorityId;

use super::{
    super::{HELD, TAKEN},
    signatures::Cast,
};

/// Names a vote: round, voter, what it votes.
pub(super) type Name = (u64, AuthorityId, Cast);

/// Votes of one voter, of a kind and in one round, that one peer may bring: an honest one passes on two at most that its own voter
/// has, and two that wait for that.
const OF_ONE_PEER: usize = 2 * TAKEN;

/// Commits of one height that one peer may bring: each node makes one, of its own votes.
const OF_ONE_HEIGHT: u32 = 4;

/// Where a vote finds room.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Room {
    /// It is there.
    Known,
    /// There is some.
    Free,
    /// This one goes.
    Instead(Name),
}

/// Who has a vote.
#[derive(Debug)]
struct Copies {
    /// Who brought it.
    first: PeerId,
    /// All who have it.
    with: BTreeSet<PeerId>,
}

/// Where a peer's voter stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Stand {
    pub(super) set: u64,
    pub(super) round: u64,
    /// Height of its last final block.
    pub(super) finalised: u32,
}

/// Peers, the rounds in which they are, and what they have. Bounded by the peers that the network lets in, and by `HELD` votes of
/// each voter in each round that is looked at.
#[derive(Debug, Default)]
pub(super) struct Peers {
    /// Where each stands that told.
    stand: BTreeMap<PeerId, Option<Stand>>,
    copies: BTreeMap<Name, Copies>,
    /// The height of the last commit of each that is connected, and how many of that height it brought.
    commits: BTreeMap<PeerId, (u32, u32)>,
}

impl Peers {
    pub(super) fn opened(&mut self, peer: PeerId) {
        self.stand.insert(peer, None);
    }

    pub(super) fn closed(&mut self, peer: &PeerId) {
        self.stand.remove(peer);
        self.commits.remove(peer);
        for copies in self.copies.values_mut() {
            copies.with.remove(peer);
        }
    }

    /// A peer tells where it stands; whether its round is news, and the height of its last final block.
    pub(super) fn stands(&mut self, peer: &PeerId, at: Stand) -> (bool, bool) {
        let Some(stand) = self.stand.get_mut(peer) else {
            return (false, false);
        };
        let before = stand.replace(at);
        let is_news = |of: fn(Stand) -> (u64, u64)| before.map(of) != Some(of(at));
        (
            is_news(|stand| (stand.set, stand.round)),
            is_news(|stand| (stand.set, stand.finalised.into())),
        )
    }

    /// A peer brings a commit for a block of this height; whether it is looked at. Those of one peer rise, but for a few of one
    /// height; and there are more of them, all well signed, than are remembered.
    pub(super) fn brings_commit(&mut self, peer: PeerId, height: u32) -> bool {
        let (last, of_it) = self.commits.entry(peer).or_insert((height, 0));
        if *last != height {
            if height < *last {
                return false;
            }
            (*last, *of_it) = (height, 0);
        }
        *of_it += 1;
        *of_it <= OF_ONE_HEIGHT
    }

    /// Those for whom a block of this height that is final would be news.
    pub(super) fn behind(&self, set: u64, number: u32) -> impl Iterator<Item = &PeerId> {
        let is_behind = move |stand: &Stand| stand.set == set && stand.finalised < number;
        let all = self.stand.iter();
        all.filter(move |(_, stand)| stand.as_ref().is_some_and(is_behind))
            .map(|(peer, _)| peer)
    }

    /// Forgets votes of earlier rounds.
    pub(super) fn forget_before(&mut self, round: u64) {
        self.copies.retain(|(of, ..), _| *of >= round);
    }

    /// Forgets all votes.
    pub(super) fn forget(&mut self) {
        self.copies.clear();
    }

    /// Votes of the same voter, kind and round.
    fn beside<'a>(&'a self, name: &Name) -> impl Iterator<Item = (&'a Name, &'a Copies)> + use<'a> {
        let (round, voter, cast) = name;
        let (least, most) = cast.bounds();
        let all = (*round, voter.clone(), least)..=(*round, voter.clone(), most);
        self.copies.range(all)
    }

    /// Whether a vote would be taken from a peer, and which one would go for it. `is_bound` tells those that cannot go.
    ///
    /// Of each voter apart, so that one with many votes takes the place of none that has one. And of those one of the peer that
    /// brought most, and that nobody else has: whoever signs votes without end, and has them brought by many, keeps out none that
    /// an honest peer's voter has.
    pub(super) fn takes(
        &self,
        peer: PeerId,
        name: &Name,
        is_bound: impl Fn(&Name) -> bool,
    ) -> Option<Room> {
        if self.copies.contains_key(name) {
            return Some(Room::Known);
        }
        let mut of_each: BTreeMap<PeerId, usize> = BTreeMap::new();
        for (_, copies) in self.beside(name) {
            *of_each.entry(copies.first).or_default() += 1;
        }
        let of_peer = of_each.get(&peer).copied().unwrap_or_default();
        if of_peer >= OF_ONE_PEER {
            return None;
        }
        if of_each.values().sum::<usize>() < HELD {
            return Some(Room::Free);
        }
        let of = |copies: &Copies| of_each.get(&copies.first).copied().unwrap_or_default();
        let can_go = |(name, copies): &(&Name, &Copies)| {
            copies.with.len() <= 1 && of(copies) > of_peer && !is_bound(name)
        };
        let goes = self
            .beside(name)
            .filter(can_go)
            .max_by_key(|(_, copies)| of(copies));
        goes.map(|(name, _)| Room::Instead(name.clone()))
    }

    /// A peer brings a vote, for which there is room.
    pub(super) fn brings(&mut self, peer: PeerId, name: &Name, room: &Room) {
        if let Room::Instead(other) = room {
            self.copies.remove(other);
        }
        let copies = self.copies.entry(name.clone());
        let copies = copies.or_insert_with(|| Copies {
            first: peer,
            with: BTreeSet::new(),
        });
        copies.with.insert(peer);
    }

    /// How many votes are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.copies.len()
    }

    /// Who brought a vote.
    pub(super) fn first(&self, name: &Name) -> Option<PeerId> {
        self.copies.get(name).map(|copies| copies.first)
    }

    /// In whose name a vote goes on: of somebody who is connected, for the SDK throws away what comes of others, and takes no
    /// copy of it any more. None while nobody is.
    pub(super) fn bearer(&self, name: &Name) -> Option<PeerId> {
        let copies = self.copies.get(name);
        let first = copies.map(|copies| copies.first);
        let with = copies
            .into_iter()
            .flat_map(|copies| copies.with.iter().copied());
        let mut all = first
            .into_iter()
            .chain(with)
            .chain(self.stand.keys().copied());
        all.find(|peer| self.stand.contains_key(peer))
    }

    /// This peer, or another one that is connected.
    pub(super) fn present(&self, peer: PeerId) -> Option<PeerId> {
        match self.stand.contains_key(&peer) {
            true => Some(peer),
            false => self.stand.keys().next().copied(),
        }
    }

    /// Whether nobody is connected.
    pub(super) fn are_none(&self) -> bool {
        self.stand.is_empty()
    }

    /// The vote is sent to a peer; whether it did not have it. One that came from nobody is always sent.
    pub(super) fn is_sent(&mut self, peer: &PeerId, name: &Name) -> bool {
        match self.copies.get_mut(name) {
            Some(copies) => copies.with.insert(*peer),
            None => true,
        }
    }

    /// Those who would take a vote and do not have it, of all or of one; they have it now. The SDK takes votes of the round in which
    /// a peer is, and of those beside it, and blames senders of others.
    pub(super) fn lack(&mut self, set: u64, name: &Name, only: Option<PeerId>) -> Vec<PeerId> {
        let Some(copies) = self.copies.get_mut(name) else {
            return Vec::new();
        };
        let takes = |stand: &Option<Stand>| {
            stand.is_some_and(|stand| stand.set == set && stand.round.abs_diff(name.0) <= 1)
        };
        let all = self
            .stand
            .iter()
            .filter(|(peer, stand)| only.is_none_or(|only| only == **peer) && takes(stand));
        let lack = all.filter(|(peer, _)| copies.with.insert(**peer));
        lack.map(|(peer, _)| *peer).collect()
    }
}
