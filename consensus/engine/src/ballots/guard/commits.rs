//! Messages with many votes: commits, and help for a voter that lags.

use std::collections::{BTreeMap, BTreeSet};

use finality_grandpa::{Message, SignedPrevote, voter_set::VoterSet};
use parity_scale_codec::Encode;
use sc_network_types::PeerId;
use sp_consensus_grandpa::AuthorityId;
use sp_core::H256;

use super::{
    super::{Fate, TAKEN, gossip::Gossip, targets_of},
    FinalCommit,
    memory::{Memory, Proof, SignedPrecommit},
    votes::name_of,
};

/// Messages that may wait for blocks, of each peer two.
const EARLY: usize = 32;

/// Blocks that must be known before a message can be judged.
fn blocks_of(message: &Gossip) -> BTreeSet<(H256, u32)> {
    match message {
        Gossip::Commit { commit, .. } => {
            let voted = commit.precommits.iter();
            let voted = voted.map(|vote| (vote.target_hash, vote.target_number));
            voted
                .chain([(commit.target_hash, commit.target_number)])
                .collect()
        }
        Gossip::CatchUp { catch_up, .. } => targets_of(catch_up).collect(),
        Gossip::Vote { .. } | Gossip::Neighbour(_) => BTreeSet::new(),
    }
}

/// What a message with many votes is worth before any signature is looked at.
#[derive(Debug, Eq, PartialEq)]
enum Make {
    /// It may prove something.
    Well,
    /// Its voters' weight is less than a proof needs, or more than there is: the SDK blames who sends it.
    Amiss,
    /// More than two votes of a kind of one voter, which are worth nothing and take long to check; or not a signature for each.
    Long,
}

fn make_of(message: &Gossip, voters: &VoterSet<AuthorityId>) -> Make {
    match message {
        Gossip::Commit { commit, .. } => {
            if commit.precommits.len() != commit.auth_data.len() {
                return Make::Long;
            }
            made_of(commit.auth_data.iter().map(|(_, id)| id), voters)
        }
        Gossip::CatchUp { catch_up, .. } => {
            let prevotes = catch_up.prevotes.iter().map(|vote| &vote.id);
            let precommits = catch_up.precommits.iter().map(|vote| &vote.id);
            match made_of(prevotes, voters) {
                Make::Well => made_of(precommits, voters),
                other => other,
            }
        }
        Gossip::Vote { .. } | Gossip::Neighbour(_) => Make::Well,
    }
}

/// As the SDK's `check_compact_commit` has it: at least the threshold, and at most that weight and what may vote twice.
fn made_of<'a>(
    ids: impl Iterator<Item = &'a AuthorityId> + Clone,
    voters: &VoterSet<AuthorityId>,
) -> Make {
    if !are_few(ids.clone()) {
        return Make::Long;
    }
    let (all, least) = (voters.total_weight().get(), voters.threshold().get());
    let most = all.saturating_add(all.saturating_sub(least));
    let mut weight = 0u64;
    for id in ids {
        let Some(voter) = voters.get(id) else {
            return Make::Amiss;
        };
        weight = weight.saturating_add(voter.weight().get());
    }
    match (least..=most).contains(&weight) {
        true => Make::Well,
        false => Make::Amiss,
    }
}

fn are_few<'a>(mut voters: impl Iterator<Item = &'a AuthorityId>) -> bool {
    let mut of_each: BTreeMap<&AuthorityId, usize> = BTreeMap::new();
    voters.all(|voter| {
        let count = of_each.entry(voter).or_default();
        *count += 1;
        *count <= TAKEN
    })
}

impl Memory {
    /// A message with many votes; its sender is blamed if one of them is not signed.
    pub(super) fn taken_up(&mut self, peer: PeerId, mut message: Gossip, bytes: Vec<u8>) {
        let Some((_, ballots)) = &self.voting else {
            return;
        };
        match make_of(&message, ballots.voters()) {
            Make::Well => {}
            Make::Amiss => return self.ready.push_back((peer, bytes)),
            Make::Long => return,
        }
        match &mut message {
            Gossip::Commit { round, commit, .. } => self.signatures.settle_commit(*round, commit),
            Gossip::CatchUp { catch_up, .. } => self.signatures.settle_catch_up(catch_up),
            Gossip::Vote { .. } | Gossip::Neighbour(_) => {}
        }
        // With one vote signed in two ways it was more than it is.
        if make_of(&message, ballots.voters()) != Make::Well {
            return;
        }
        if let Gossip::Commit { commit, .. } = &message
            && !self.peers.brings_commit(peer, commit.target_number)
        {
            return;
        }
        let is_signed = match &message {
            Gossip::Commit { round, set, commit } => {
                let commit: finality_grandpa::Commit<_, _, _, _> = commit.clone().into();
                self.note_all(peer, *round, *set, &commit.precommits)
            }
            Gossip::CatchUp { set, catch_up } => {
                let round = catch_up.round_number;
                let is_signed = |signed: &SignedPrevote<_, _, _, _>| {
                    let message = Message::Prevote(signed.prevote.clone());
                    self.is_signed(round, *set, &message, &signed.id, &signed.signature)
                };
                catch_up.prevotes.iter().all(is_signed)
                    && self.note_all(peer, round, *set, &catch_up.precommits)
            }
            _ => false,
        };
        match is_signed {
            true => self.take_or_keep(peer, message),
            false => self.around.blame(peer),
        }
    }

    /// Hands a message over with the votes that the voter can take, or keeps it until its blocks are known.
    pub(super) fn take_or_keep(&mut self, sender: PeerId, message: Gossip) {
        // The SDK takes nothing of who is gone, and help of the one alone that was asked for it.
        let peer = match (self.peers.present(sender), &message) {
            (Some(peer), Gossip::CatchUp { .. }) if peer != sender => return,
            (Some(peer), _) => peer,
            (None, _) => return,
        };
        let mut unknown = BTreeSet::new();
        for (block, number) in blocks_of(&message) {
            match self.around.block(block) {
                None => _ = unknown.insert((block, number)),
                Some((height, _)) if height == number => {}
                // Signed or not, there is no such block.
                Some(_) => return,
            }
        }
        if !unknown.is_empty() {
            for (block, number) in unknown.into_iter().filter(|_| self.looks == 0) {
                self.want(peer, block, number);
            }
            // Of each peer the first, whose blocks come first, and the last: what it says again takes no place of others.
            let of_peer = (0..self.early.len()).filter(|at| self.early[*at].0 == peer);
            if let Some(second) = of_peer.skip(1).last() {
                self.early.remove(second);
            }
            if self.early.len() == EARLY {
                self.early.pop_front();
            }
            return self.early.push_back((peer, message));
        }
        let Some((_, ballots)) = &mut self.voting else {
            return;
        };
        match message {
            Gossip::Commit { round, set, commit } => {
                let fate = ballots.commit(round, commit.into(), &*self.around);
                match &fate {
                    Fate::Takes(commit) => self.pass(round, set, commit.precommits.clone()),
                    Fate::Proves(commit) => self.proves(peer, round, set, commit),
                    Fate::Passes(_) | Fate::Dropped => {}
                }
                if let Fate::Takes(commit) | Fate::Passes(commit) = fate {
                    let commit = commit.into();
                    let message = Gossip::Commit { round, set, commit };
                    self.ready.push_back((peer, message.encode()));
                }
            }
            Gossip::CatchUp { set, catch_up } => {
                if let Some(catch_up) = ballots.catch_up(catch_up, &*self.around) {
                    self.signatures.note_catch_up(&catch_up);
                    let message = Gossip::CatchUp { set, catch_up };
                    self.ready.push_back((peer, message.encode()));
                }
            }
            _ => {}
        }
    }

    /// A commit that the voter cannot take goes to the chain, and to peers.
    fn proves(&mut self, peer: PeerId, round: u64, set: u64, commit: &FinalCommit) {
        let number = commit.target_number;
        let (_, last) = self.around.finalised();
        if number <= last {
            return;
        }
        self.around.import(peer, round, commit.clone());
        if self
            .proof
            .as_ref()
            .is_none_or(|known| known.number < number)
        {
            let commit = commit.clone().into();
            self.proof = Some(Proof {
                set,
                number,
                message: Gossip::Commit { round, set, commit }.encode(),
                with: BTreeSet::from([peer]),
            });
            self.tell_of_proof();
        }
    }

    /// Notes the precommits of a message; whether all of them were signed. If not, the SDK blames whoever sent it.
    fn note_all(
        &mut self,
        peer: PeerId,
        round: u64,
        set: u64,
        precommits: &[SignedPrecommit],
    ) -> bool {
        let Some((_, ballots)) = &self.voting else {
            return false;
        };
        let is_signed = |vote: &SignedPrecommit| {
            let message = Message::Precommit(vote.precommit.clone());
            self.is_signed(round, set, &message, &vote.id, &vote.signature)
        };
        if !precommits.iter().all(is_signed) {
            return false;
        }
        // Of other rounds nothing is kept.
        if !ballots.is_near(round) {
            return true;
        }
        for vote in precommits {
            // What finds no room is worth as much in this message.
            if self.brings(peer, &name_of(round, vote)).is_some() {
                let message = Message::Precommit(vote.precommit.clone());
                (self.signatures).note(round, &vote.id, &message, &vote.signature);
                self.note(round, set, vote);
            }
        }
        self.release(round);
        true
    }
}
