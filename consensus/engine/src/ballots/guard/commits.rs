//! Messages with many votes: commits, and help for a voter that lags.

use std::collections::{BTreeMap, BTreeSet};

use finality_grandpa::{Message, SignedPrevote};
use parity_scale_codec::Encode;
use sc_network_types::PeerId;
use sp_consensus_grandpa::AuthorityId;
use sp_core::H256;

use super::{
    super::{Fate, TAKEN, gossip::Gossip, targets_of},
    FinalCommit,
    memory::{Memory, Proof, SignedPrecommit, name_of},
};

/// Messages that may wait for blocks: whoever makes up blocks pushes out its own first.
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

/// Whether a message has at most two votes of a kind of each voter, and a signature for each: more are worth nothing, and take long
/// to check.
fn has_few_votes(message: &Gossip) -> bool {
    match message {
        Gossip::Commit { commit, .. } => {
            commit.precommits.len() == commit.auth_data.len()
                && are_few(commit.auth_data.iter().map(|(_, id)| id))
        }
        Gossip::CatchUp { catch_up, .. } => {
            are_few(catch_up.prevotes.iter().map(|vote| &vote.id))
                && are_few(catch_up.precommits.iter().map(|vote| &vote.id))
        }
        Gossip::Vote { .. } | Gossip::Neighbour(_) => true,
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
    /// A message with many votes: it goes on as it is if one of them is not signed, for the SDK to blame its sender.
    pub(super) fn taken_up(&mut self, peer: PeerId, message: Gossip, bytes: Vec<u8>) {
        if self.voting.is_none() || !has_few_votes(&message) {
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
            false => self.ready.push_back((peer, bytes)),
        }
    }

    /// Hands a message over with the votes that the voter can take, or keeps it until its blocks are known.
    pub(super) fn take_or_keep(&mut self, peer: PeerId, message: Gossip) {
        let is_unknown = |(block, _): &(H256, u32)| self.around.block(*block).is_none();
        let unknown: BTreeSet<_> = blocks_of(&message).into_iter().filter(is_unknown).collect();
        if !unknown.is_empty() {
            for (block, number) in unknown.into_iter().filter(|_| self.looks == 0) {
                self.want(peer, block, number);
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
                    Fate::Passes(_) | Fate::Wrong(_) | Fate::Dropped => {}
                }
                if let Fate::Takes(commit) | Fate::Passes(commit) | Fate::Wrong(commit) = fate {
                    let commit = commit.into();
                    let message = Gossip::Commit { round, set, commit };
                    self.ready.push_back((peer, message.encode()));
                }
            }
            Gossip::CatchUp { set, catch_up } => {
                if let Some(catch_up) = ballots.catch_up(catch_up, &*self.around) {
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
        let is_signed = |vote: &SignedPrecommit| {
            let message = Message::Precommit(vote.precommit.clone());
            self.is_signed(round, set, &message, &vote.id, &vote.signature)
        };
        if !precommits.iter().all(is_signed) {
            return false;
        }
        for vote in precommits {
            let _ = self.peers.brings(peer, &name_of(round, vote));
            self.note(round, set, vote);
        }
        self.release(round);
        true
    }
}
