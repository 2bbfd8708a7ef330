//! One signature for each vote.
//!
//! A signer can sign one message in as many ways as it likes. The voter compares signatures too, and takes two of them for a
//! double vote, whose weight counts for every block; here they are one vote. So the first that was seen stands for the vote, and
//! whoever brings another brings nothing.

use std::collections::{BTreeMap, BTreeSet};

use finality_grandpa::Message;
use sp_consensus_grandpa::{AuthorityId, AuthoritySignature};
use sp_core::H256;

use super::super::{
    HELD,
    gossip::{CatchUp, Commit},
};

/// What somebody votes: whether it is a prevote, and for which block.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Cast {
    is_prevote: bool,
    block: H256,
    number: u32,
}

impl Cast {
    fn prevote(block: H256, number: u32) -> Self {
        Self {
            is_prevote: true,
            block,
            number,
        }
    }

    fn precommit(block: H256, number: u32) -> Self {
        Self {
            is_prevote: false,
            block,
            number,
        }
    }

    /// None for what is no vote for a block.
    pub(super) fn of(message: &Message<H256, u32>) -> Option<Self> {
        match message {
            Message::Prevote(vote) => Some(Self::prevote(vote.target_hash, vote.target_number)),
            Message::Precommit(vote) => Some(Self::precommit(vote.target_hash, vote.target_number)),
            Message::PrimaryPropose(_) => None,
        }
    }
}

/// The signatures that stand for votes of the rounds that are looked at: of each voter and round as many as votes are known.
#[derive(Debug, Default)]
pub(super) struct Signatures(BTreeMap<(u64, AuthorityId), Vec<(Cast, AuthoritySignature)>>);

impl Signatures {
    fn of(&self, round: u64, id: &AuthorityId, cast: Cast) -> Option<&AuthoritySignature> {
        let of_voter = self.0.get(&(round, id.clone()))?.iter();
        let mut found = of_voter.filter(|(known, _)| *known == cast);
        found.next().map(|(_, signature)| signature)
    }

    /// Whether another signature stands for this vote.
    pub(super) fn is_other(
        &self,
        round: u64,
        id: &AuthorityId,
        message: &Message<H256, u32>,
        signature: &AuthoritySignature,
    ) -> bool {
        let known = Cast::of(message).and_then(|cast| self.of(round, id, cast));
        known.is_some_and(|known| known != signature)
    }

    /// A vote with a right signature, which stands for it if none did.
    pub(super) fn note(
        &mut self,
        round: u64,
        id: &AuthorityId,
        message: &Message<H256, u32>,
        signature: &AuthoritySignature,
    ) {
        let Some(cast) = Cast::of(message) else {
            return;
        };
        let of_voter = self.0.entry((round, id.clone())).or_default();
        let of_kind = |(known, _): &&(Cast, _)| known.is_prevote == cast.is_prevote;
        if of_voter.iter().any(|(known, _)| *known == cast)
            || of_voter.iter().filter(of_kind).count() >= HELD
        {
            return;
        }
        of_voter.push((cast, signature.clone()));
    }

    pub(super) fn forget_before(&mut self, round: u64) {
        self.0.retain(|(of, _), _| *of >= round);
    }

    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// The same commit with each vote once, and with the signatures that stand for them.
    pub(super) fn settle_commit(&self, round: u64, commit: &mut Commit) {
        let mut seen = BTreeSet::new();
        let votes = std::mem::take(&mut commit.precommits).into_iter();
        let signers = std::mem::take(&mut commit.auth_data).into_iter();
        for (vote, (signature, id)) in votes.zip(signers) {
            let cast = Cast::precommit(vote.target_hash, vote.target_number);
            if !seen.insert((id.clone(), cast)) {
                continue;
            }
            let known = self.of(round, &id, cast).cloned();
            commit.precommits.push(vote);
            commit.auth_data.push((known.unwrap_or(signature), id));
        }
    }

    /// The same for help with a round.
    pub(super) fn settle_catch_up(&self, catch_up: &mut CatchUp) {
        let (round, mut seen) = (catch_up.round_number, BTreeSet::new());
        let mut settle = |id: &AuthorityId, cast, signature: &mut AuthoritySignature| {
            if let Some(known) = self.of(round, id, cast) {
                signature.clone_from(known);
            }
            seen.insert((id.clone(), cast))
        };
        catch_up.prevotes.retain_mut(|vote| {
            let target = &vote.prevote;
            let cast = Cast::prevote(target.target_hash, target.target_number);
            settle(&vote.id, cast, &mut vote.signature)
        });
        catch_up.precommits.retain_mut(|vote| {
            let target = &vote.precommit;
            let cast = Cast::precommit(target.target_hash, target.target_number);
            settle(&vote.id, cast, &mut vote.signature)
        });
    }
}
