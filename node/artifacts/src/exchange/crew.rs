//! The peers of one fetch: who is to be asked, who has the artifact, and who is done with.

use std::collections::{HashMap, VecDeque};

use sc_network_types::PeerId;

/// Peers that are asked for one artifact, at most: all that are connected by default (40), and more. Beyond them it is as if they did
/// not have it.
const MAX_PEERS: usize = 96;

/// Peers that are asked at a time whether they have it.
const ASKED_AT_ONCE: usize = 8;

/// With so many that have it nobody else is asked; with fewer the DHT is.
const ENOUGH: usize = 4;

/// Parts that one peer is asked for at a time: the next is on its way while one is taken.
const PARTS_OF_PEER: usize = 2;

/// How often in a row a peer may refuse before it is done with; after each time it is left alone for a second.
const MAX_REFUSALS: u32 = 30;

/// Whom a fetch knows.
#[derive(Default)]
pub(super) struct Crew {
    candidates: VecDeque<PeerId>,
    members: HashMap<PeerId, Member>,
    /// Whether anybody ever had it.
    had_any: bool,
}

struct Member {
    standing: Standing,
    /// Parts that it was asked for and has not given.
    in_hand: usize,
    /// How often it refused since it gave something.
    refusals: u32,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Standing {
    /// Was asked whether it has it.
    Asked,
    /// Has it.
    Has,
    /// Has it or not, refused, and is left alone for a while.
    Rests { has: bool },
    /// Does not have it, or gives none.
    Out,
}

impl Crew {
    /// These may have it.
    pub(super) fn add(&mut self, peers: Vec<PeerId>) {
        for peer in peers {
            let is_known = self.members.contains_key(&peer) || self.candidates.contains(&peer);
            if !is_known && self.members.len() + self.candidates.len() < MAX_PEERS {
                self.candidates.push_back(peer);
            }
        }
    }

    /// Whom to ask now whether it has it.
    pub(super) fn next_candidate(&mut self) -> Option<PeerId> {
        if self.count(|it| it == Standing::Asked) >= ASKED_AT_ONCE || self.holders() >= ENOUGH {
            return None;
        }
        let peer = self.candidates.pop_front()?;
        let member = self.members.entry(peer).or_insert(Member {
            standing: Standing::Asked,
            in_hand: 0,
            refusals: 0,
        });
        member.standing = Standing::Asked;
        Some(peer)
    }

    /// Whether everybody was asked, and few have it.
    pub(super) fn is_thin(&self) -> bool {
        let is_asking = self.count(|it| it == Standing::Asked) > 0;
        self.candidates.is_empty() && !is_asking && self.holders() < ENOUGH
    }

    /// Whom to ask for a part: the one that has the fewest in hand. It has one more now.
    pub(super) fn for_part(&mut self) -> Option<PeerId> {
        let free = self.members.iter_mut().filter(|(_, member)| {
            member.standing == Standing::Has && member.in_hand < PARTS_OF_PEER
        });
        let (peer, member) = free.min_by_key(|(_, member)| member.in_hand)?;
        member.in_hand += 1;
        Some(*peer)
    }

    /// A part that a peer was asked for came, or will not.
    pub(super) fn end_part(&mut self, peer: PeerId) {
        if let Some(member) = self.members.get_mut(&peer) {
            member.in_hand = member.in_hand.saturating_sub(1);
        }
    }

    /// It has it, as it said or showed.
    pub(super) fn has(&mut self, peer: PeerId) {
        self.had_any = true;
        if let Some(member) = self.members.get_mut(&peer) {
            member.refusals = 0;
            // Who was done with stays so, whatever it gives yet.
            if member.standing == Standing::Asked {
                member.standing = Standing::Has;
            }
        }
    }

    /// It is asked no more.
    pub(super) fn out(&mut self, peer: PeerId) {
        if let Some(member) = self.members.get_mut(&peer) {
            member.standing = Standing::Out;
        }
    }

    /// It refused. Whether to leave it alone for a while and call [`Crew::rested`] then; else it rests already, or is done with.
    pub(super) fn refused(&mut self, peer: PeerId) -> bool {
        let Some(member) = self.members.get_mut(&peer) else {
            return false;
        };
        let has = match member.standing {
            Standing::Asked => false,
            Standing::Has => true,
            Standing::Rests { .. } | Standing::Out => return false,
        };
        member.refusals += 1;
        let may_rest = member.refusals <= MAX_REFUSALS;
        member.standing = match may_rest {
            true => Standing::Rests { has },
            false => Standing::Out,
        };
        may_rest
    }

    /// It may be asked again.
    pub(super) fn rested(&mut self, peer: PeerId) {
        let Some(member) = self.members.get_mut(&peer) else {
            return;
        };
        match member.standing {
            Standing::Rests { has: true } => member.standing = Standing::Has,
            Standing::Rests { has: false } => self.candidates.push_back(peer),
            _ => {}
        }
    }

    /// Whether anybody ever had it.
    pub(super) fn had_any(&self) -> bool {
        self.had_any
    }

    /// How many were asked.
    pub(super) fn asked(&self) -> usize {
        self.members.len()
    }

    fn holders(&self) -> usize {
        self.count(|it| matches!(it, Standing::Has | Standing::Rests { has: true }))
    }

    fn count(&self, is: impl Fn(Standing) -> bool) -> usize {
        let members = self.members.values();
        members.filter(|member| is(member.standing)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_asked_at_a_time_until_enough_have_it() {
        let mut crew = Crew::default();
        let peers: Vec<PeerId> = (0..200).map(|_| PeerId::random()).collect();
        crew.add(peers.clone());
        crew.add(peers);
        let mut asked = Vec::new();
        while let Some(peer) = crew.next_candidate() {
            asked.push(peer);
        }
        assert_eq!(asked.len(), ASKED_AT_ONCE);
        crew.out(asked[0]);
        assert!(crew.next_candidate().is_some());
        for peer in &asked[1..=ENOUGH] {
            crew.has(*peer);
        }
        assert!(crew.next_candidate().is_none());
        crew.out(asked[1]);
        assert!(crew.next_candidate().is_some(), "one that had it is gone");
        while let Some(peer) = crew.next_candidate() {
            crew.out(peer);
        }
        assert_eq!(crew.asked() + crew.candidates.len(), MAX_PEERS);
    }

    #[test]
    fn parts_go_to_whom_has_the_fewest_and_not_to_whom_rests_or_is_out() {
        let mut crew = Crew::default();
        let peers = [PeerId::random(), PeerId::random()];
        crew.add(peers.to_vec());
        for _ in peers {
            let peer = crew.next_candidate().expect("it was not asked");
            crew.has(peer);
        }
        let mut given: Vec<PeerId> = std::iter::from_fn(|| crew.for_part()).collect();
        assert_ne!(given[0], given[1]);
        assert_eq!(given.len(), peers.len() * PARTS_OF_PEER);
        given.drain(..).for_each(|peer| crew.end_part(peer));

        assert!(crew.refused(peers[0]));
        assert!(!crew.refused(peers[0]), "it rests already");
        crew.out(peers[1]);
        assert!(crew.for_part().is_none());
        crew.rested(peers[0]);
        assert_eq!(crew.for_part(), Some(peers[0]));
        crew.has(peers[1]);
        crew.end_part(peers[0]);
        assert_eq!(crew.for_part(), Some(peers[0]), "who is out stays out");
    }

    #[test]
    fn who_refuses_all_the_time_is_done_with() {
        let mut crew = Crew::default();
        let peer = PeerId::random();
        crew.add(vec![peer]);
        let mut refusals = 0;
        while crew.next_candidate() == Some(peer) && crew.refused(peer) {
            refusals += 1;
            crew.rested(peer);
        }
        assert_eq!(refusals, MAX_REFUSALS);
        assert!(crew.next_candidate().is_none() && !crew.had_any());
        assert_eq!(crew.asked(), 1);
    }
}
