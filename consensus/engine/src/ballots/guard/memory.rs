//! What the guard knows of votes, and what becomes of each message.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use finality_grandpa::{Equivocation, Message};
use parity_scale_codec::Encode;
use sc_network_types::PeerId;
use sp_consensus_grandpa::{
    AuthorityId, AuthoritySignature, Equivocation as Offence, EquivocationProof,
    check_message_signature,
};
use sp_core::H256;

use super::{
    super::{
        Ballots, Precommit, Vote,
        gossip::{CatchUp, Commit, Gossip, Neighbour},
        precommit_of,
    },
    Surroundings,
};

type SignedPrecommit = Precommit<AuthorityId, AuthoritySignature>;
type SignedVote = Vote<AuthorityId, AuthoritySignature>;

/// The first bytes of messages that are looked at.
const VOTE: u8 = 0;
const COMMIT: u8 = 1;
const NEIGHBOUR: u8 = 2;
const CATCH_UP: u8 = 4;

/// Votes that are known to wait, with who sent them; more are not taken.
const SENDERS: usize = 4_096;

/// Names a vote: round, voter, block.
type Name = (u64, AuthorityId, H256);

/// What the guard's copies share.
pub(super) struct Memory {
    around: Arc<dyn Surroundings>,
    /// The set that votes, once the voter has told where it stands.
    set: Option<u64>,
    /// Its members, with their weights.
    members: BTreeMap<AuthorityId, u64>,
    ballots: Ballots<AuthorityId, AuthoritySignature>,
    /// Who sent what waits.
    senders: BTreeMap<Name, PeerId>,
    /// What goes on to the voter.
    ready: VecDeque<(PeerId, Vec<u8>)>,
}

impl Memory {
    pub(super) fn new(around: Arc<dyn Surroundings>) -> Self {
        Self {
            around,
            set: None,
            members: BTreeMap::new(),
            ballots: Ballots::new(BTreeMap::new()),
            senders: BTreeMap::new(),
            ready: VecDeque::new(),
        }
    }

    /// What goes on to the voter next; and whether something waits.
    pub(super) fn next(&mut self) -> (Option<(PeerId, Vec<u8>)>, bool) {
        (self.ready.pop_front(), !self.ballots.waiting().is_empty())
    }

    /// The voter tells its peers something.
    pub(super) fn sent(&mut self, bytes: &[u8]) {
        // Of these alone there is something to learn, and a commit takes long to read.
        if !matches!(bytes.first(), Some(&(VOTE | NEIGHBOUR))) {
            return;
        }
        match Gossip::read(bytes) {
            Some(Gossip::Neighbour(Neighbour::V1 { round, set, .. })) => self.enter(set, round),
            // Its own, or one that went through here.
            Some(Gossip::Vote { round, set, vote }) if Some(set) == self.set => {
                if let Some(vote) = precommit_of(&vote) {
                    self.ballots.passed(round, &vote);
                }
            }
            _ => {}
        }
    }

    fn enter(&mut self, set: u64, round: u64) {
        if self.set != Some(set) {
            let (current, members) = self.around.authorities();
            // Where the voter is a moment ahead or behind, it tells again with its next round.
            self.set = (current == set).then_some(set);
            self.members = members.into_iter().collect();
            self.ballots = Ballots::new(self.members.clone());
            self.senders.clear();
        }
        self.ballots.enter(round);
    }

    /// A peer says something.
    pub(super) fn came(&mut self, peer: PeerId, bytes: Vec<u8>) {
        let message = match bytes.first() {
            Some(&(VOTE | COMMIT | CATCH_UP)) => Gossip::read(&bytes),
            _ => None,
        };
        let goes_on = match message {
            Some(Gossip::Vote { round, set, vote }) => match precommit_of(&vote) {
                Some(vote) => self.precommitted(peer, round, set, &vote),
                None => true,
            },
            Some(Gossip::Commit { round, set, commit }) if Some(set) == self.set => {
                return self.commit(peer, round, set, commit, bytes);
            }
            Some(Gossip::CatchUp { set, catch_up }) if Some(set) == self.set => {
                return self.catch_up(peer, set, catch_up, bytes);
            }
            _ => true,
        };
        if goes_on {
            self.ready.push_back((peer, bytes));
        }
    }

    /// Something may have changed: what waits is looked at again.
    pub(super) fn look_again(&mut self) {
        let Some(set) = self.set else { return };
        for round in self.ballots.waiting() {
            let released = self.ballots.released(round, &*self.around);
            self.release(round, set, released);
        }
        let held = self.ballots.held();
        let name = |(round, vote): &(u64, SignedPrecommit)| {
            (*round, vote.id.clone(), vote.precommit.target_hash)
        };
        let names: BTreeSet<Name> = held.iter().map(name).collect();
        self.senders.retain(|name, _| names.contains(name));
        for (round, vote) in held {
            let (block, number) = (vote.precommit.target_hash, vote.precommit.target_number);
            let sender = self.senders.get(&(round, vote.id, block));
            if let Some(peer) = sender.filter(|_| self.around.block(block).is_none()) {
                self.around.want(*peer, block, number);
            }
        }
    }

    /// Notes a precommit, and lets go what can; whether the message itself goes on as it is.
    fn precommitted(&mut self, peer: PeerId, round: u64, set: u64, vote: &SignedPrecommit) -> bool {
        if Some(set) != self.set {
            // The SDK drops a vote of another set, unless it has entered that one a moment ago: then it would be a vote that
            // nobody knows here.
            return false;
        }
        if !self.is_signed(round, set, vote) {
            // The SDK blames whoever sends this.
            return true;
        }
        if self.ballots.has_passed(round, vote) {
            return true;
        }
        if self.senders.len() < SENDERS {
            let name = (round, vote.id.clone(), vote.precommit.target_hash);
            self.senders.insert(name, peer);
            self.note(round, set, vote);
        }
        false
    }

    fn note(&mut self, round: u64, set: u64, vote: &SignedPrecommit) {
        let came = self.ballots.came(round, vote, &*self.around);
        if let Some(first) = came.second_to {
            self.tell(set, round, first, vote.clone());
        }
        self.release(round, set, came.pass);
    }

    /// Lets votes go on to the voter.
    fn release(&mut self, round: u64, set: u64, votes: Vec<SignedPrecommit>) {
        for vote in votes {
            let name = (round, vote.id.clone(), vote.precommit.target_hash);
            // One that came within a commit goes on within it.
            let Some(peer) = self.senders.remove(&name) else {
                continue;
            };
            let vote = SignedVote {
                message: Message::Precommit(vote.precommit),
                signature: vote.signature,
                id: vote.id,
            };
            let message = Gossip::Vote { round, set, vote };
            self.ready.push_back((peer, message.encode()));
        }
    }

    /// A commit goes on with the votes that the voter can take, if they are enough: it takes them all up.
    fn commit(&mut self, peer: PeerId, round: u64, set: u64, commit: Commit, bytes: Vec<u8>) {
        let finality_grandpa::Commit {
            target_hash,
            target_number,
            mut precommits,
        } = commit.into();
        let count = precommits.len();
        if !self.strip(round, set, &mut precommits) || precommits.len() == count {
            return self.ready.push_back((peer, bytes));
        }
        if !self.is_enough(&precommits) {
            return;
        }
        let commit = finality_grandpa::Commit {
            target_hash,
            target_number,
            precommits,
        }
        .into();
        let less = Gossip::Commit { round, set, commit };
        self.ready.push_back((peer, less.encode()));
    }

    /// The same of what helps a voter that lags.
    fn catch_up(&mut self, peer: PeerId, set: u64, mut catch_up: CatchUp, bytes: Vec<u8>) {
        let (round, count) = (catch_up.round_number, catch_up.precommits.len());
        let is_right = self.strip(round, set, &mut catch_up.precommits);
        if !is_right || catch_up.precommits.len() == count {
            return self.ready.push_back((peer, bytes));
        }
        if self.is_enough(&catch_up.precommits) {
            let less = Gossip::CatchUp { set, catch_up };
            self.ready.push_back((peer, less.encode()));
        }
    }

    /// Takes out what the voter cannot take; whether all of them were signed. If not, the SDK blames whoever sent them.
    fn strip(&mut self, round: u64, set: u64, precommits: &mut Vec<SignedPrecommit>) -> bool {
        if !self.ballots.is_near(round) {
            return true;
        }
        if !precommits
            .iter()
            .all(|vote| self.is_signed(round, set, vote))
        {
            return false;
        }
        for vote in precommits.iter() {
            self.note(round, set, vote);
        }
        precommits.retain(|vote| self.ballots.has_passed(round, vote));
        true
    }

    /// Whether a member of the set signed this.
    fn is_signed(&self, round: u64, set: u64, vote: &SignedPrecommit) -> bool {
        let message = Message::Precommit(vote.precommit.clone());
        self.members.contains_key(&vote.id)
            && check_message_signature(&message, &vote.id, &vote.signature, round, set).is_valid()
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

    /// Whether these have more than two thirds of the weight, by the rule of `finality_grandpa::VoterSet`.
    fn is_enough(&self, votes: &[SignedPrecommit]) -> bool {
        let voters: BTreeSet<_> = votes.iter().map(|vote| &vote.id).collect();
        let weight = |id: &AuthorityId| u128::from(self.members.get(id).copied().unwrap_or(0));
        let whole: u128 = self.members.keys().map(weight).sum();
        let there: u128 = voters.into_iter().map(weight).sum();
        there >= whole - whole.saturating_sub(1) / 3
    }
}
