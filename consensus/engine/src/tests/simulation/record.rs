//! Votes, what proves that they made a block final, and what a voter keeps on disk of them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use finality_grandpa::{
    Chain as Ancestors, HistoricalVotes, Message, Precommit, Prevote, PrimaryPropose,
    SignedMessage, SignedPrecommit, SignedPrevote, validate_commit, voter_set::VoterSet,
};
use sp_core::H256;

use super::chain::SimChain;

/// A voter's name, which is its signature too: nobody here signs for another.
pub(super) type Id = u32;
pub(super) type Vote = SignedMessage<H256, u32, Id, Id>;
pub(super) type Commit = finality_grandpa::Commit<H256, u32, Id, Id>;
pub(super) type CatchUp = finality_grandpa::CatchUp<H256, u32, Id, Id>;
pub(super) type Votes = HistoricalVotes<H256, u32, Id, Id>;

#[derive(Debug, thiserror::Error)]
pub(super) enum VoterError {
    #[error("{0}")]
    Grandpa(#[from] finality_grandpa::Error),
    #[error("its own commit holds for nobody else: two votes of one voter lie on two branches")]
    NoJustification,
    #[error("{0}")]
    Chain(#[from] sp_blockchain::Error),
}

/// What proves a block final to somebody who knows none of its descendants.
pub(super) struct Justification {
    commit: Commit,
    /// Parents of the blocks between the lowest and the highest precommit.
    parents: HashMap<H256, H256>,
}

impl Justification {
    pub(super) fn new(commit: Commit, chain: &SimChain) -> Self {
        let mut parents = HashMap::new();
        // Whoever votes twice may have voted for a block below the target, too.
        let voted = commit.precommits.iter();
        let lowest = voted.map(|signed| signed.precommit.target_number).min();
        let above = lowest.unwrap_or_default().saturating_sub(1);
        for signed in &commit.precommits {
            let branch = chain.branch(signed.precommit.target_hash, above, usize::MAX);
            parents.extend(
                branch
                    .iter()
                    .map(|header| (header.hash(), header.parent_hash)),
            );
        }
        Self { commit, parents }
    }

    pub(super) fn target(&self) -> (H256, u32) {
        (self.commit.target_hash, self.commit.target_number)
    }

    pub(super) fn holds(&self, voters: &VoterSet<Id>) -> bool {
        validate_commit(&self.commit, voters, self).is_ok_and(|result| result.is_valid())
    }

    /// The same for another block, which makes it wrong.
    pub(super) fn forged(&self, target: H256) -> Self {
        let mut commit = self.commit.clone();
        commit.target_hash = target;
        Self {
            commit,
            parents: self.parents.clone(),
        }
    }
}

impl Ancestors<H256, u32> for Justification {
    fn ancestry(&self, base: H256, block: H256) -> Result<Vec<H256>, finality_grandpa::Error> {
        let (mut at, mut path) = (block, Vec::new());
        while let Some(parent) = self.parents.get(&at) {
            if *parent == base {
                return Ok(path);
            }
            path.push(*parent);
            at = *parent;
        }
        Err(finality_grandpa::Error::NotDescendent)
    }
}

/// What a node cast in a round.
#[derive(Clone, Default)]
pub(super) struct Cast {
    pub(super) proposal: Option<PrimaryPropose<H256, u32>>,
    pub(super) prevote: Option<Prevote<H256, u32>>,
    pub(super) precommit: Option<Precommit<H256, u32>>,
}

/// A round that was completed.
#[derive(Clone)]
pub(super) struct Completed {
    pub(super) round: u64,
    pub(super) base: (H256, u32),
    pub(super) votes: Vec<Vote>,
}

impl Completed {
    pub(super) fn catch_up(&self) -> CatchUp {
        let (mut prevotes, mut precommits) = (Vec::new(), Vec::new());
        for SignedMessage {
            message,
            signature,
            id,
        } in self.votes.iter().cloned()
        {
            match message {
                Message::Prevote(prevote) => {
                    prevotes.push(SignedPrevote {
                        prevote,
                        signature,
                        id,
                    });
                }
                Message::Precommit(precommit) => {
                    precommits.push(SignedPrecommit {
                        precommit,
                        signature,
                        id,
                    });
                }
                Message::PrimaryPropose(_) => {}
            }
        }
        CatchUp {
            round_number: self.round,
            prevotes,
            precommits,
            base_hash: self.base.0,
            base_number: self.base.1,
        }
    }
}

/// What a voter has on disk.
#[derive(Default)]
pub(super) struct Record {
    /// The last two rounds.
    pub(super) completed: Vec<Completed>,
    /// What was cast in rounds that are not completed.
    pub(super) cast: BTreeMap<u64, Cast>,
    pub(super) justification: Option<Arc<Justification>>,
}

impl Record {
    pub(super) fn last_completed(&self) -> Option<&Completed> {
        self.completed.last()
    }

    pub(super) fn completed(&self) -> &[Completed] {
        &self.completed
    }

    pub(super) fn complete(&mut self, completed: Completed) {
        let round = completed.round;
        self.completed.push(completed);
        if self.completed.len() > 2 {
            self.completed.remove(0);
        }
        self.cast.remove(&round);
    }

    /// As if nothing had been written before voting.
    pub(super) fn forget_votes(&mut self) {
        self.cast.clear();
    }
}

impl Cast {
    /// Whoever voted in a round before a crash votes the same again.
    pub(super) fn again(self, message: Message<H256, u32>) -> Message<H256, u32> {
        match message {
            Message::PrimaryPropose(now) => Message::PrimaryPropose(self.proposal.unwrap_or(now)),
            Message::Prevote(now) => Message::Prevote(self.prevote.unwrap_or(now)),
            Message::Precommit(now) => Message::Precommit(self.precommit.unwrap_or(now)),
        }
    }
}
