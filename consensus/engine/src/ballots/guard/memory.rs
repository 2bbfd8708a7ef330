//! What the guard knows of votes, and what becomes of each message.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use finality_grandpa::{Message, voter_set::VoterSet};
use parity_scale_codec::Decode;
use sc_network_types::PeerId;
use sp_consensus_grandpa::{AuthorityId, AuthoritySignature};
use sp_core::H256;

use super::{
    super::{
        Ballots, KEPT, Precommit, Vote,
        gossip::{Gossip, Neighbour},
        precommit_of,
    },
    EndedRound, Surroundings,
    peers::{Name, Peers, Stand},
    signatures::{Cast, Signatures},
    votes::name_of,
};

pub(super) type SignedPrecommit = Precommit<AuthorityId, AuthoritySignature>;
pub(super) type SignedVote = Vote<AuthorityId, AuthoritySignature>;
pub(super) type Notification = (PeerId, Vec<u8>);

/// The first bytes of messages that are looked at.
const VOTE: u8 = 0;
const COMMIT: u8 = 1;
const NEIGHBOUR: u8 = 2;
const CATCH_UP_REQUEST: u8 = 3;
const CATCH_UP: u8 = 4;

/// Answers to one question for help that are looked at. The voter takes one, and has to be given one that it can take.
const ANSWERS: u32 = 2;

/// A question for help with a round that the voter missed.
struct Asked {
    peer: PeerId,
    set: u64,
    round: u64,
    /// Answers so far.
    answers: u32,
}

/// Blocks that are waited for are asked for once in so many looks: sync finds most by itself.
pub(super) const LOOKS_UNTIL_ASKED: u32 = 8;

/// Blocks above the best one up to which a block is asked for by name. Sync takes the peer's word for the height of a block that is
/// named to it, and a node that is told of more than five holds itself to be behind and does not mine.
const WITHIN: u32 = 5;

/// A commit that proves a block final, which the voter neither takes nor passes on.
pub(super) struct Proof {
    pub(super) set: u64,
    pub(super) number: u32,
    pub(super) message: Vec<u8>,
    /// Peers that have it.
    pub(super) with: BTreeSet<PeerId>,
}

/// What the guard remembers.
pub(super) struct Memory {
    pub(super) around: Arc<dyn Surroundings>,
    /// The set and the round in which the voter said to be.
    pub(super) stand: Option<(u64, u64)>,
    /// The set that votes, and its votes. None before the voter told where it stands, and while it is in another set than the
    /// chain.
    pub(super) voting: Option<(u64, Ballots<AuthorityId, AuthoritySignature>)>,
    /// This node's own validator, and the round of this set in which its voter began: it may have votes there of an earlier run.
    own: Option<(AuthorityId, u64)>,
    /// Whether another process votes with its key: then this one keeps its votes to itself.
    is_mute: bool,
    pub(super) peers: Peers,
    pub(super) looks: u32,
    /// Commits and help for voters that lag, whose signatures were checked, for blocks that are not known.
    pub(super) early: VecDeque<(PeerId, Gossip)>,
    /// Prevotes, whose signatures were checked, for blocks that are not known, or of a round that the voter has not begun.
    pub(super) prevotes: BTreeMap<Name, SignedVote>,
    /// The signatures that stand for votes.
    pub(super) signatures: Signatures,
    /// The last question for help of this node's voter.
    asked: Option<Asked>,
    /// The height of the last final block by a commit, as this node's voter tells peers: it takes none up to there.
    pub(super) told: u32,
    /// The last commit that the voter could not take.
    pub(super) proof: Option<Proof>,
    /// What goes on to the voter.
    pub(super) ready: VecDeque<Notification>,
    /// What goes on to peers.
    pub(super) out: Vec<Notification>,
}

impl Memory {
    pub(super) fn new(around: Arc<dyn Surroundings>) -> Self {
        Self {
            around,
            stand: None,
            voting: None,
            own: None,
            is_mute: false,
            peers: Peers::default(),
            looks: 1,
            early: VecDeque::new(),
            prevotes: BTreeMap::new(),
            signatures: Signatures::default(),
            asked: None,
            told: 0,
            proof: None,
            ready: VecDeque::new(),
            out: Vec::new(),
        }
    }

    /// What goes on to the voter next.
    pub(super) fn next(&mut self) -> Option<Notification> {
        self.ready.pop_front()
    }

    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// What goes on to peers.
    pub(super) fn take_out(&mut self) -> Vec<Notification> {
        std::mem::take(&mut self.out)
    }

    pub(super) fn opened(&mut self, peer: PeerId) {
        self.peers.opened(peer);
    }

    pub(super) fn closed(&mut self, peer: &PeerId) {
        self.peers.closed(peer);
        if let Some(proof) = &mut self.proof {
            proof.with.remove(peer);
        }
    }

    /// The voter tells a peer something; whether it goes on to it.
    pub(super) fn sent(&mut self, peer: &PeerId, bytes: &[u8]) -> bool {
        // Of these alone there is something to learn, and a commit takes long to read.
        match bytes.first() {
            Some(&(VOTE | NEIGHBOUR)) => {}
            Some(&CATCH_UP_REQUEST) => {
                let asked = <(u64, u64)>::decode(&mut &bytes[1..]).ok();
                self.asked = asked.map(|(round, set)| Asked {
                    peer: *peer,
                    set,
                    round,
                    answers: 0,
                });
                return true;
            }
            _ => return true,
        }
        match Gossip::read(bytes) {
            Some(Gossip::Neighbour(Neighbour::V1 {
                round,
                set,
                finalised,
            })) => {
                self.told = finalised;
                self.stands(set, round);
                true
            }
            // Its own, or one that went through here.
            Some(Gossip::Vote { round, set, vote }) => {
                let is_own = self.own.as_ref().is_some_and(|(own, _)| *own == vote.id);
                if is_own && self.is_mute {
                    return false;
                }
                let Some((_, ballots)) = self.voting.as_mut().filter(|(of, _)| *of == set) else {
                    return true;
                };
                if ballots.is_near(round) {
                    (self.signatures).note(round, &vote.id, &vote.message, &vote.signature);
                }
                match (&vote.message, precommit_of(&vote)) {
                    (Message::Prevote(prevote), _) => {
                        let target = (prevote.target_hash, prevote.target_number);
                        ballots.note_prevote(round, &vote.id, target);
                        let name = (round, vote.id, Cast::prevote(target.0, target.1));
                        return self.peers.is_sent(peer, &name);
                    }
                    (_, Some(vote)) => {
                        if ballots.passed(round, &vote) {
                            self.release(round);
                        }
                        return self.peers.is_sent(peer, &name_of(round, &vote));
                    }
                    _ => {}
                }
                true
            }
            _ => true,
        }
    }

    /// The voter is in this set and round.
    fn stands(&mut self, set: u64, round: u64) {
        if self.stand == Some((set, round)) {
            return;
        }
        self.stand = Some((set, round));
        self.look_at_set();
        // What the voter has of the round that it has left, its own votes too: on what is final with them it has begun this one.
        if let Some(left) = self.ended_before(set, round) {
            self.restore(&left);
        }
        if let Some((_, ballots)) = &mut self.voting {
            ballots.enter(round, &*self.around);
            self.peers.forget_before(round.saturating_sub(1));
            self.signatures.forget_before(round.saturating_sub(KEPT));
            self.prevotes.retain(|(of, ..), _| *of + 1 >= round);
            self.look_at_prevotes();
            self.release_all();
        }
    }

    /// A vote with a right signature came that is news: of this node's own key it is another process's, unless it is of the round
    /// in which the voter began.
    pub(super) fn look_whose(&mut self, round: u64, voter: &AuthorityId) {
        let own = self.own.as_ref().filter(|(own, _)| own == voter);
        if own.is_some_and(|(_, began)| round > *began) && !self.is_mute {
            self.is_mute = true;
            self.around.another_votes();
        }
    }

    /// The voter has these votes.
    fn restore(&mut self, ended: &EndedRound) {
        if let Some((_, ballots)) = &mut self.voting {
            ballots.restored(ended.round, ended.base, &ended.votes);
            for vote in &ended.votes {
                (self.signatures).note(ended.round, &vote.id, &vote.message, &vote.signature);
            }
        }
    }

    /// The round before this one, as the voter has it on disk.
    fn ended_before(&self, set: u64, round: u64) -> Option<EndedRound> {
        let last = self.around.last_ended();
        let last = last.filter(|(of, last)| *of == set && last.round.checked_add(1) == Some(round));
        last.map(|(_, last)| last)
    }

    /// Begins with a set anew, if the voter is in another than before, and the chain is in it too.
    pub(super) fn look_at_set(&mut self) {
        let Some((set, round)) = self.stand else {
            return;
        };
        if self.voting.as_ref().is_some_and(|(of, _)| *of == set) {
            return;
        }
        self.voting = None;
        self.peers.forget();
        self.signatures.forget();
        self.prevotes.clear();
        self.early.clear();
        self.proof = None;
        let (current, members) = self.around.authorities();
        if current == set
            && let Some(voters) = VoterSet::new(members.iter().cloned())
        {
            let own = self.around.own(&members);
            self.own = own.clone().map(|own| (own, round));
            let ballots = Ballots::new(voters, own, round, &*self.around);
            self.voting = Some((set, ballots));
            if let Some(last) = self.ended_before(set, round) {
                self.restore(&last);
                let (round, votes) = (last.round, last.votes.len());
                tracing::info!(round, votes, "Voting goes on after the round on disk");
            }
        }
    }

    /// A peer says something.
    pub(super) fn came(&mut self, peer: PeerId, bytes: Vec<u8>) {
        let message = match bytes.first() {
            Some(&(VOTE | COMMIT | NEIGHBOUR | CATCH_UP)) => Gossip::read(&bytes),
            _ => None,
        };
        let is_current = |set| self.voting.as_ref().is_some_and(|(of, _)| *of == set);
        let goes_on = match message {
            Some(Gossip::Neighbour(Neighbour::V1 {
                round,
                set,
                finalised,
            })) => {
                let stand = Stand {
                    set,
                    round,
                    finalised,
                };
                let (is_round_news, is_height_news) = self.peers.stands(&peer, stand);
                if is_round_news {
                    self.tell_of_what_waits(Some(peer));
                }
                if is_height_news {
                    self.tell_of_proof();
                }
                true
            }
            Some(Gossip::Vote { round, set, vote }) => match (&vote.message, precommit_of(&vote)) {
                (_, Some(vote)) => self.precommitted(peer, round, set, &vote),
                (Message::Prevote(prevote), _) if is_current(set) => {
                    let target = (prevote.target_hash, prevote.target_number);
                    return self.prevoted(peer, round, set, vote, target, bytes);
                }
                _ => true,
            },
            Some(Gossip::Commit { set, commit, .. })
                if is_current(set) && self.told > 0 && commit.target_number <= self.told =>
            {
                // The SDK refuses it, however well signed.
                true
            }
            Some(message @ Gossip::Commit { set, .. }) if is_current(set) => {
                return self.taken_up(peer, message, bytes);
            }
            Some(Gossip::CatchUp { set, catch_up }) if is_current(set) => {
                let round = catch_up.round_number;
                let is_answer = |asked: &&mut Asked| {
                    asked.peer == peer && asked.set == set && asked.round <= round
                };
                let message = Gossip::CatchUp { set, catch_up };
                match self.asked.as_mut().filter(is_answer) {
                    // Nobody was asked for it: the SDK refuses it unread.
                    None => true,
                    Some(asked) if asked.answers < ANSWERS => {
                        asked.answers += 1;
                        return self.taken_up(peer, message, bytes);
                    }
                    Some(_) => false,
                }
            }
            _ => true,
        };
        if goes_on {
            self.ready.push_back((peer, bytes));
        }
    }

    /// Something may have changed: what waits is looked at again.
    pub(super) fn look_again(&mut self) {
        self.looks = (self.looks + 1) % LOOKS_UNTIL_ASKED;
        self.look_at_set();
        for (peer, message) in std::mem::take(&mut self.early) {
            self.take_or_keep(peer, message);
        }
        self.look_at_prevotes();
        self.release_all();
        self.tell_of_what_waits(None);
        self.around.waiting(self.held());
        let Some((_, ballots)) = self.voting.as_ref().filter(|_| self.looks == 0) else {
            return;
        };
        let precommits = ballots.held().map(|(round, vote)| name_of(round, vote));
        for name in precommits.chain(self.prevotes.keys().cloned()) {
            let (block, number) = name.2.target();
            let sender = self.peers.first(&name);
            if let Some(peer) = sender.filter(|_| self.around.block(block).is_none()) {
                self.want(peer, block, number);
            }
        }
    }

    /// Asks for a block, unless it is so high that sync comes to it by itself, if there is such a block.
    pub(super) fn want(&self, peer: PeerId, block: H256, number: u32) {
        if number <= self.around.best_number().saturating_add(WITHIN) {
            self.around.want(peer, block, number);
        }
    }

    /// How many precommits wait.
    pub(super) fn held(&self) -> usize {
        let voting = self.voting.as_ref();
        voting.map_or(0, |(_, ballots)| ballots.held().count())
    }

    /// Peers for whom it is news get the last commit that the voter could not take.
    pub(super) fn tell_of_proof(&mut self) {
        let Some(proof) = &mut self.proof else {
            return;
        };
        for peer in self.peers.behind(proof.set, proof.number) {
            if proof.with.insert(*peer) {
                self.out.push((*peer, proof.message.clone()));
            }
        }
    }
}
