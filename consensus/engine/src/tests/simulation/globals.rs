//! Messages to all: commits, and help for a voter that lags.

use std::sync::Arc;

use finality_grandpa::voter::{Callback, CommunicationIn};
use sp_core::H256;

use super::{
    gossip::{Gossip, Mind},
    record::{CatchUp, Commit, Justification},
};
use crate::ballots::{Fate, targets_of};

pub(super) enum Global {
    Commit(u64, Commit),
    CatchUp(CatchUp),
}

impl Global {
    /// Blocks that must be known first.
    pub(super) fn targets(&self) -> Vec<(H256, u32)> {
        match self {
            Self::Commit(_, commit) => {
                let voted = commit.precommits.iter().map(|signed| &signed.precommit);
                let mut targets: Vec<_> = voted
                    .map(|vote| (vote.target_hash, vote.target_number))
                    .collect();
                targets.push((commit.target_hash, commit.target_number));
                targets
            }
            Self::CatchUp(catch_up) => targets_of(catch_up).collect(),
        }
    }
}

impl Gossip {
    /// A message to all goes to the voter, without the votes that this cannot take.
    pub(super) fn take_global(&self, mind: &mut Mind, global: Global) {
        if !self.guards() {
            return mind.pass_global(global);
        }
        let (round, votes) = match &global {
            Global::Commit(round, commit) => (*round, &commit.precommits),
            Global::CatchUp(catch_up) => (catch_up.round_number, &catch_up.precommits),
        };
        for vote in votes {
            let _ = mind.ballots.came(round, vote);
        }
        let released = mind.ballots.released(round, &*self.chain);
        mind.pass_all(round, released);
        match global {
            Global::Commit(round, commit) => match mind.ballots.commit(round, commit, &*self.chain)
            {
                Fate::Takes(commit) => {
                    mind.pass_all(round, commit.precommits.clone());
                    mind.pass_global(Global::Commit(round, commit));
                }
                Fate::Passes(commit) => {
                    mind.pass_global(Global::Commit(round, commit));
                }
                Fate::Proves(commit) => self.import(mind, round, commit),
                Fate::Dropped => {}
            },
            Global::CatchUp(catch_up) => {
                if let Some(catch_up) = mind.ballots.catch_up(catch_up, &*self.chain) {
                    mind.pass_global(Global::CatchUp(catch_up));
                }
            }
        }
    }

    /// A proof of finality that the voter cannot take as a commit.
    fn import(&self, mind: &mut Mind, round: u64, commit: Commit) {
        let (block, number) = (commit.target_hash, commit.target_number);
        let justification = Justification::new(commit.clone(), &self.chain);
        if number > self.chain.finalised().1 && justification.holds(&self.context.voters()) {
            self.context
                .count(|stats| stats.commits_imported_as_proofs += 1);
            match self.chain.finalise(block) {
                Ok(()) => {
                    self.record.lock().justification = Some(Arc::new(justification));
                    mind.commit = Some((round, commit));
                }
                Err(error) => self
                    .context
                    .broke(format!("a commit is not final: {error}")),
            }
        }
    }
}

impl Mind {
    fn pass_global(&mut self, global: Global) {
        let message = match global {
            Global::Commit(round, commit) => {
                CommunicationIn::Commit(round, commit.into(), Callback::Blank)
            }
            Global::CatchUp(catch_up) => CommunicationIn::CatchUp(catch_up, Callback::Blank),
        };
        if let Some(voter) = &self.global {
            let _ = voter.unbounded_send(Ok(message));
        }
    }
}
