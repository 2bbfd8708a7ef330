//! What the guard knows of votes, and what becomes of each message.

use std::{
    cell::RefCell,
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use finality_grandpa::{Equivocation, Message, voter_set::VoterSet};
use parity_scale_codec::{Decode, Encode};
use sc_network_types::PeerId;
use schnellru::{ByLength, LruMap};
use sp_consensus_grandpa::{
    AuthorityId, AuthoritySignature, Equivocation as Offence, EquivocationProof,
    check_message_signature,
};
use sp_core::H256;

use super::{
    super::{
        Ballots, KEPT, Precommit, Vote,
        gossip::{Gossip, Neighbour},
        precommit_of,
    },
    Surroundings,
    peers::{Name, Peers, Stand},
    signatures::Signatures,
};

pub(super) type SignedPrecommit = Precommit<AuthorityId, AuthoritySignature>;
type SignedVote = Vote<AuthorityId, AuthoritySignature>;
type Notification = (PeerId, Vec<u8>);

/// The first bytes of messages that are looked at.
const VOTE: u8 = 0;
const COMMIT: u8 = 1;
const NEIGHBOUR: u8 = 2;
const CATCH_UP_REQUEST: u8 = 3;
const CATCH_UP: u8 = 4;

/// Signatures that are known to be right, so that nobody can have them checked again and again: a few rounds of a hundred
/// validators; 200 bytes each.
const CHECKED: u32 = 8_192;

/// Answers to one question for help that are looked at. The voter takes one, and has to be given one that it can take.
const ANSWERS: u32 = 2;

/// A question for help with a round that the voter missed.
struct Asked {
    peer: PeerId,
    set: u64,
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
    stand: Option<(u64, u64)>,
    /// The set that votes, and its votes. None before the voter told where it stands, and while it is in another set than the
    /// chain.
    pub(super) voting: Option<(u64, Ballots<AuthorityId, AuthoritySignature>)>,
    pub(super) peers: Peers,
    pub(super) looks: u32,
    /// Commits and help for voters that lag, whose signatures were checked, for blocks that are not known.
    pub(super) early: VecDeque<(PeerId, Gossip)>,
    /// The signatures that stand for votes.
    pub(super) signatures: Signatures,
    /// Votes whose signatures are right.
    checked: RefCell<LruMap<Vec<u8>, ()>>,
    /// The last question for help of this node's voter.
    asked: Option<Asked>,
    /// The height of the last final block by a commit, as this node's voter tells peers: it takes none up to there.
    pub(super) told: u32,
    /// The last commit that the voter could not take.
    pub(super) proof: Option<Proof>,
    /// What goes on to the voter.
    pub(super) ready: VecDeque<Notification>,
    /// What goes on to peers.
    out: Vec<Notification>,
}

pub(super) fn name_of(round: u64, vote: &SignedPrecommit) -> Name {
    (round, vote.id.clone(), vote.precommit.target_hash)
}

fn message_of(round: u64, set: u64, vote: &SignedPrecommit) -> Vec<u8> {
    let vote = SignedVote {
        message: Message::Precommit(vote.precommit.clone()),
        signature: vote.signature.clone(),
        id: vote.id.clone(),
    };
    Gossip::Vote { round, set, vote }.encode()
}

impl Memory {
    pub(super) fn new(around: Arc<dyn Surroundings>) -> Self {
        Self {
            around,
            stand: None,
            voting: None,
            peers: Peers::default(),
            looks: 1,
            early: VecDeque::new(),
            signatures: Signatures::default(),
            checked: RefCell::new(LruMap::new(ByLength::new(CHECKED))),
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
                self.asked = asked.map(|(_round, set)| Asked {
                    peer: *peer,
                    set,
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
        if let Some((_, ballots)) = &mut self.voting {
            ballots.enter(round, &*self.around);
            self.peers.forget_before(round.saturating_sub(1));
            self.signatures.forget_before(round.saturating_sub(KEPT));
            self.release_all();
        }
    }

    /// Begins with a set anew, if the voter is in another than before, and the chain is in it too.
    fn look_at_set(&mut self) {
        let Some((set, round)) = self.stand else {
            return;
        };
        if self.voting.as_ref().is_some_and(|(of, _)| *of == set) {
            return;
        }
        self.voting = None;
        self.peers.forget();
        self.signatures.forget();
        self.early.clear();
        self.proof = None;
        let (current, members) = self.around.authorities();
        if current == set
            && let Some(voters) = VoterSet::new(members.iter().cloned())
        {
            let own = self.around.own(&members);
            let mut ballots = Ballots::new(voters, own, round, &*self.around);
            if let Some((_, last)) = (self.around.last_ended())
                .filter(|(of, last)| *of == set && last.round + 1 == round)
            {
                ballots.restored(last.round, last.base, &last.votes);
                for vote in &last.votes {
                    (self.signatures).note(last.round, &vote.id, &vote.message, &vote.signature);
                }
                let (round, votes) = (last.round, last.votes.len());
                tracing::info!(round, votes, "Voting goes on after the round on disk");
            }
            self.voting = Some((set, ballots));
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
                    self.tell_of_what_waits();
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
                    return self.prevoted(peer, round, set, &vote, target, bytes);
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
            Some(message @ Gossip::CatchUp { set, .. }) if is_current(set) => {
                match (self.asked.as_mut()).filter(|asked| asked.peer == peer && asked.set == set) {
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
        self.release_all();
        self.tell_of_what_waits();
        self.around.waiting(self.held());
        let Some((_, ballots)) = self.voting.as_ref().filter(|_| self.looks == 0) else {
            return;
        };
        for (round, vote) in ballots.held() {
            let (block, number) = (vote.precommit.target_hash, vote.precommit.target_number);
            let sender = self.peers.first(&name_of(round, vote));
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

    /// Peers get what waits here, and what they lack of it.
    fn tell_of_what_waits(&mut self) {
        let Some((set, ballots)) = &self.voting else {
            return;
        };
        for (round, vote) in ballots.held() {
            // Whoever is given a vote may ask for its block.
            if self.around.block(vote.precommit.target_hash).is_none() {
                continue;
            }
            for peer in self.peers.lack(*set, &name_of(round, vote)) {
                self.out.push((peer, message_of(round, *set, vote)));
            }
        }
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

    /// Hands over a prevote, unless the voter cannot take it.
    fn prevoted(
        &mut self,
        peer: PeerId,
        round: u64,
        set: u64,
        vote: &SignedVote,
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
        if (self.signatures).is_other(round, &vote.id, &vote.message, &vote.signature) {
            return;
        }
        if !self.is_signed(round, set, &vote.message, &vote.id, &vote.signature) {
            return self.around.blame(peer);
        }
        // Nor what is beyond those that are known of a voter: the SDK would keep it all.
        if let Some((_, ballots)) = &mut self.voting
            && (!ballots.prevoted(round, &vote.id, target, &*self.around)
                || !ballots.has_prevoted(round, &vote.id, target))
        {
            return;
        }
        (self.signatures).note(round, &vote.id, &vote.message, &vote.signature);
        // The voter should have it before what may pass with it.
        self.ready.push_back((peer, bytes));
        self.release(round);
    }

    /// Notes a precommit, and lets go what can; whether the message itself goes on as it is. What can be told without checking a
    /// signature is told first: anybody can say again what somebody has signed, as often as the line carries it.
    fn precommitted(&mut self, peer: PeerId, round: u64, set: u64, vote: &SignedPrecommit) -> bool {
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
        let (has_passed, is_known) = (ballots.has_passed(round, vote), ballots.knows(round, vote));
        if !has_passed && !self.peers.takes(peer, &name) {
            return false;
        }
        let message = Message::Precommit(vote.precommit.clone());
        if (self.signatures).is_other(round, &vote.id, &message, &vote.signature) {
            return false;
        }
        if !self.is_signed(round, set, &message, &vote.id, &vote.signature) {
            self.around.blame(peer);
            return false;
        }
        (self.signatures).note(round, &vote.id, &message, &vote.signature);
        if has_passed {
            return true;
        }
        if self.peers.brings(peer, &name) && !is_known {
            self.note(round, set, vote);
            self.release(round);
            self.tell_of_what_waits();
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

    fn release_all(&mut self) {
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
                self.ready.push_back((peer, message_of(round, set, &vote)));
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
        if !self.voting.as_ref().is_some_and(is_member) {
            return false;
        }
        let vote = (set, round, message, id, signature).encode();
        if self.checked.borrow_mut().get(&vote).is_some() {
            return true;
        }
        let is_valid = check_message_signature(message, id, signature, round, set).is_valid();
        if is_valid {
            self.checked.borrow_mut().insert(vote, ());
        }
        is_valid
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
