//! Single votes: which are looked at, which wait, and which the voter gets.

use std::collections::BTreeMap;

use finality_grandpa::{Equivocation, Message};
use parity_scale_codec::Encode;
use sc_network_types::PeerId;
use sp_consensus_grandpa::{
    AuthorityId, AuthoritySignature, Equivocation as Offence, EquivocationProof,
};
use sp_core::H256;

use super::{
    super::{Ballots, Fit, TAKEN, gossip::Gossip},
    memory::{Memory, Notification, SignedPrecommit, SignedVote},
    peers::{Name, Room},
    signatures::Cast,
};

pub(super) fn name_of(round: u64, vote: &SignedPrecommit) -> Name {
    let target = &vote.precommit;
    let cast = Cast::precommit(target.target_hash, target.target_number);
    (round, vote.id.clone(), cast)
}

fn vote_of(vote: &SignedPrecommit) -> SignedVote {
    SignedVote {
        message: Message::Precommit(vote.precommit.clone()),
        signature: vote.signature.clone(),
        id: vote.id.clone(),
    }
}

/// What becomes of a vote that a peer brings.
enum Admitted {
    /// Nothing: there is no room for it, it is no right one, or another signature stands for it.
    Not,
    /// The voter has it.
    Has,
    /// It was brought before.
    Again,
    /// It is news.
    New,
}

impl Memory {
    /// Hands over a prevote, keeps it until the voter can take it, or drops it.
    pub(super) fn prevoted(
        &mut self,
        peer: PeerId,
        round: u64,
        set: u64,
        vote: SignedVote,
        target: (H256, u32),
        bytes: Vec<u8>,
    ) {
        let Some((_, ballots)) = &self.voting else {
            return;
        };
        // The SDK refuses what is of a round too far away before it looks at signatures. So must we.
        if !ballots.is_near(round) {
            return self.ready.push_back((peer, bytes));
        }
        let name = (round, vote.id.clone(), Cast::prevote(target.0, target.1));
        let has = ballots.has_prevoted(round, &vote.id, target);
        match self.admitted(peer, set, &name, (&vote.message, &vote.signature), has) {
            Admitted::Has => self.ready.push_back((peer, bytes)),
            Admitted::New => {
                self.fit(name, vote, Some((peer, bytes)));
                self.tell_of_what_waits(None);
            }
            // It waits, or was looked at before.
            Admitted::Again | Admitted::Not => {}
        }
    }

    /// Looks at a vote of a round that is looked at; `has` is whether the voter has it. What can be told without checking a signature
    /// is told first: anybody can say again what somebody has signed, as often as the line carries it.
    fn admitted(
        &mut self,
        peer: PeerId,
        set: u64,
        name: &Name,
        (message, signature): (&Message<H256, u32>, &AuthoritySignature),
        has: bool,
    ) -> Admitted {
        let (round, id, _) = name;
        if !has && self.room(peer, name).is_none() {
            return Admitted::Not;
        }
        if (self.signatures).is_other(*round, id, message, signature) {
            return Admitted::Not;
        }
        if !self.is_signed(*round, set, message, id, signature) {
            self.around.blame(peer);
            return Admitted::Not;
        }
        if has {
            return Admitted::Has;
        }
        self.look_whose(*round, id);
        let Some(room) = self.brings(peer, name) else {
            return Admitted::Not;
        };
        (self.signatures).note(*round, id, message, signature);
        match room {
            Room::Known => Admitted::Again,
            Room::Free | Room::Instead(_) => Admitted::New,
        }
    }

    /// Whether a vote that a peer brings is looked at.
    fn room(&self, peer: PeerId, name: &Name) -> Option<Room> {
        let (_, ballots) = self.voting.as_ref()?;
        let is_bound = |(round, voter, cast): &Name| match cast.is_prevote {
            true => ballots.has_prevoted(*round, voter, cast.target()),
            false => ballots.has_precommitted(*round, voter, cast.target()),
        };
        self.peers.takes(peer, name, is_bound)
    }

    /// A peer brings a vote; where it found room. Another one may go for it.
    pub(super) fn brings(&mut self, peer: PeerId, name: &Name) -> Option<Room> {
        let room = self.room(peer, name)?;
        if let Room::Instead(other) = &room
            && let Some((_, ballots)) = &mut self.voting
        {
            self.prevotes.remove(other);
            self.signatures.forget_vote(other);
            ballots.forget(other.0, &other.1, other.2.target());
        }
        self.peers.brings(peer, name, &room);
        Some(room)
    }

    /// Notes a precommit, and lets go what can; whether the message itself goes on as it is.
    pub(super) fn precommitted(
        &mut self,
        peer: PeerId,
        round: u64,
        set: u64,
        vote: &SignedPrecommit,
    ) -> bool {
        self.look_at_set();
        let Some((_, ballots)) = self.voting.as_ref().filter(|(of, _)| *of == set) else {
            // The SDK drops a vote of another set, unless it has entered that one a moment ago: then it would be a vote that
            // nobody knows here.
            return false;
        };
        if !ballots.is_near(round) {
            // The SDK refuses it, and blames whoever sends it, but for the rounds beside the voter's: of those it would have
            // votes that nobody knows here.
            return (self.stand).is_none_or(|(_, stand)| stand.abs_diff(round) > 1);
        }
        let name = name_of(round, vote);
        let (has, is_known) = (ballots.has_passed(round, vote), ballots.knows(round, vote));
        let message = Message::Precommit(vote.precommit.clone());
        match self.admitted(peer, set, &name, (&message, &vote.signature), has) {
            Admitted::Has => return true,
            Admitted::New | Admitted::Again if !is_known => {
                self.note(round, set, vote);
                self.release(round);
                self.tell_of_what_waits(None);
            }
            Admitted::New | Admitted::Again | Admitted::Not => {}
        }
        false
    }

    pub(super) fn note(&mut self, round: u64, set: u64, vote: &SignedPrecommit) {
        let Some((_, ballots)) = &mut self.voting else {
            return;
        };
        if let Some(first) = ballots.came(round, vote) {
            self.tell(set, round, first, vote.clone());
        }
    }

    pub(super) fn release_all(&mut self) {
        let waiting = self.voting.as_ref().map(|(_, ballots)| ballots.waiting());
        for round in waiting.into_iter().flatten() {
            self.release(round);
        }
    }

    pub(super) fn release(&mut self, round: u64) {
        let Some((set, ballots)) = &mut self.voting else {
            return;
        };
        // Then they wait: the SDK takes nothing of nobody.
        if self.peers.are_none() {
            return;
        }
        let (set, votes) = (*set, ballots.released(round, &*self.around));
        self.pass(round, set, votes);
    }

    /// Lets votes go on to the voter.
    pub(super) fn pass(&mut self, round: u64, set: u64, votes: Vec<SignedPrecommit>) {
        for vote in votes {
            // Somebody is connected, or none were released.
            if let Some(peer) = self.peers.bearer(&name_of(round, &vote)) {
                let vote = vote_of(&vote);
                (self.signatures).note(round, &vote.id, &vote.message, &vote.signature);
                self.ready
                    .push_back((peer, Gossip::Vote { round, set, vote }.encode()));
            }
        }
    }

    /// Prevotes that wait go on as soon as the voter can take them.
    pub(super) fn look_at_prevotes(&mut self) {
        // Then they wait: the SDK takes nothing of nobody.
        if self.peers.are_none() {
            return;
        }
        for (name, vote) in std::mem::take(&mut self.prevotes) {
            self.fit(name, vote, None);
        }
    }

    /// A prevote goes on to the voter, as it came or in the name of who is connected; or waits.
    fn fit(&mut self, name: Name, vote: SignedVote, came: Option<Notification>) {
        let Some((set, ballots)) = &mut self.voting else {
            return;
        };
        let ((round, id, cast), set) = (&name, *set);
        let round = *round;
        match ballots.prevoted(round, id, cast.target(), &*self.around) {
            Fit::Takes => {
                let again = || {
                    let peer = self.peers.bearer(&name)?;
                    Some((peer, Gossip::Vote { round, set, vote }.encode()))
                };
                // The voter should have it before what may pass with it.
                self.ready.extend(came.or_else(again));
                self.release(round);
            }
            Fit::Waits => _ = self.prevotes.insert(name, vote),
            Fit::Has | Fit::Never => {}
        }
    }

    /// Peers, or this one, get what they lack of what waits here: of each voter, kind and round the first two.
    pub(super) fn tell_of_what_waits(&mut self, only: Option<PeerId>) {
        let Some((set, ballots)) = &self.voting else {
            return;
        };
        let precommits = ballots.held();
        let precommits = precommits.map(|(round, vote)| (name_of(round, vote), vote_of(vote)));
        let prevotes = self.prevotes.iter();
        let prevotes = prevotes.map(|(name, vote)| (name.clone(), vote.clone()));
        let mut of_each: BTreeMap<(u64, AuthorityId, bool), usize> = BTreeMap::new();
        for (name, vote) in precommits.chain(prevotes) {
            let (round, voter, cast) = &name;
            // Whoever is given a vote may ask for its block.
            if self.around.block(cast.target().0).is_none() {
                continue;
            }
            let told = of_each
                .entry((*round, voter.clone(), cast.is_prevote))
                .or_default();
            *told += 1;
            if *told > TAKEN {
                continue;
            }
            let peers = self.peers.lack(*set, &name, only);
            if !peers.is_empty() {
                let (round, set) = (*round, *set);
                let message = Gossip::Vote { round, set, vote }.encode();
                self.out
                    .extend(peers.into_iter().map(|peer| (peer, message.clone())));
            }
        }
    }

    /// Whether a member of the set signed this.
    pub(super) fn is_signed(
        &self,
        round: u64,
        set: u64,
        message: &Message<H256, u32>,
        id: &AuthorityId,
        signature: &AuthoritySignature,
    ) -> bool {
        let is_member = |(_, ballots): &(u64, Ballots<_, _>)| ballots.voters().contains(id);
        self.voting.as_ref().is_some_and(is_member)
            && (self.signatures).is_right(round, set, message, id, signature)
    }

    /// Reports a double vote.
    fn tell(&self, set: u64, round: u64, first: SignedPrecommit, second: SignedPrecommit) {
        let voter = second.id;
        tracing::warn!(%voter, round, set, "A validator precommitted to two blocks in one round");
        let offence = Offence::Precommit(Equivocation {
            round_number: round,
            identity: voter,
            first: (first.precommit, first.signature),
            second: (second.precommit, second.signature),
        });
        self.around.report(EquivocationProof::new(set, offence));
    }
}
