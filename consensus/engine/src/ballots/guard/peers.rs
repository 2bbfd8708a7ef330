//! Which peers have which precommits that wait here.

use std::collections::{BTreeMap, BTreeSet};

use sc_network_types::PeerId;
use sp_consensus_grandpa::AuthorityId;
use sp_core::H256;

use super::super::HELD;

/// Names a vote: round, voter, block.
pub(super) type Name = (u64, AuthorityId, H256);

/// Votes of one voter in one round that one peer may bring: an honest one has two at most that its own voter has.
const OF_ONE_PEER: usize = 2;

/// Commits of one height that one peer may bring: each node makes one, of its own votes.
const OF_ONE_HEIGHT: u32 = 4;

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

    /// Whether a vote would be taken from a peer.
    pub(super) fn takes(&self, peer: PeerId, name: &Name) -> bool {
        if self.copies.contains_key(name) {
            return true;
        }
        let (round, voter, _) = name;
        let all = (*round, voter.clone(), H256::zero())
            ..=(*round, voter.clone(), H256::repeat_byte(u8::MAX));
        let (of_all, of_peer) = self.copies.range(all).fold((0, 0), |(all, own), (_, it)| {
            (all + 1, own + usize::from(it.first == peer))
        });
        // Of each voter apart, so that one with many votes takes the place of none that has one.
        of_peer < OF_ONE_PEER && of_all < HELD
    }

    /// A peer brings a vote of a round that is looked at; whether it is taken.
    pub(super) fn brings(&mut self, peer: PeerId, name: &Name) -> bool {
        if let Some(copies) = self.copies.get_mut(name) {
            copies.with.insert(peer);
            return true;
        }
        if !self.takes(peer, name) {
            return false;
        }
        let copies = Copies {
            first: peer,
            with: BTreeSet::from([peer]),
        };
        self.copies.insert(name.clone(), copies);
        true
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

    /// Those who would take a vote and do not have it; they have it now. The SDK takes votes of the round in which a peer is,
    /// and of those beside it, and blames senders of others.
    pub(super) fn lack(&mut self, set: u64, name: &Name) -> Vec<PeerId> {
        let Some(copies) = self.copies.get_mut(name) else {
            return Vec::new();
        };
        let takes = |stand: &Option<Stand>| {
            stand.is_some_and(|stand| stand.set == set && stand.round.abs_diff(name.0) <= 1)
        };
        let all = self.stand.iter().filter(|(_, stand)| takes(stand));
        let lack = all.filter(|(peer, _)| copies.with.insert(**peer));
        lack.map(|(peer, _)| *peer).collect()
    }
}
