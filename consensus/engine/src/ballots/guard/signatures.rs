//! One signature for each vote.
//!
//! A signer can sign one message in as many ways as it likes. The voter compares signatures too, and takes two of them for a
//! double vote, whose weight counts for every block; here they are one vote. So the first that was seen stands for the vote, and
//! whoever brings another brings nothing.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use finality_grandpa::Message;
use parity_scale_codec::Encode;
use schnellru::{ByLength, LruMap};
use sp_consensus_grandpa::{AuthorityId, AuthoritySignature, check_message_signature};
use sp_core::H256;

use super::{
    super::gossip::{CatchUp, Commit},
    peers::Name,
};

/// What somebody votes: whether it is a prevote, and for which block.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Cast {
    pub(super) is_prevote: bool,
    block: H256,
    number: u32,
}

impl Cast {
    pub(super) fn prevote(block: H256, number: u32) -> Self {
        Self {
            is_prevote: true,
            block,
            number,
        }
    }

    pub(super) fn precommit(block: H256, number: u32) -> Self {
        Self {
            is_prevote: false,
            block,
            number,
        }
    }

    /// The least and the greatest of its kind.
    pub(super) fn bounds(&self) -> (Self, Self) {
        let of = |byte, number| Self {
            is_prevote: self.is_prevote,
            block: H256::repeat_byte(byte),
            number,
        };
        (of(0, 0), of(u8::MAX, u32::MAX))
    }

    /// The block, and its height.
    pub(super) fn target(&self) -> (H256, u32) {
        (self.block, self.number)
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

/// Signatures that are known to be right, so that nobody can have them checked again and again: a few rounds of a hundred
/// validators; 200 bytes each.
const CHECKED: u32 = 8_192;

/// The signatures that stand for votes of the rounds that are looked at, and those that are right.
pub(super) struct Signatures {
    known: BTreeMap<(u64, AuthorityId), Vec<(Cast, AuthoritySignature)>>,
    /// Votes whose signatures are right.
    checked: RefCell<LruMap<Vec<u8>, ()>>,
}

impl Default for Signatures {
    fn default() -> Self {
        Self {
            known: BTreeMap::new(),
            checked: RefCell::new(LruMap::new(ByLength::new(CHECKED))),
        }
    }
}

impl Signatures {
    fn of(&self, round: u64, id: &AuthorityId, cast: Cast) -> Option<&AuthoritySignature> {
        let of_voter = self.known.get(&(round, id.clone()))?.iter();
        let mut found = of_voter.filter(|(known, _)| *known == cast);
        found.next().map(|(_, signature)| signature)
    }

    /// Whether the signature is the voter's; looked up, where it was checked before.
    pub(super) fn is_right(
        &self,
        round: u64,
        set: u64,
        message: &Message<H256, u32>,
        id: &AuthorityId,
        signature: &AuthoritySignature,
    ) -> bool {
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

    /// A vote with a right signature, which stands for it if none did. Of votes that were given room, or that the voter has or
    /// gets: so there are at most as many as of these.
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
        let of_voter = self.known.entry((round, id.clone())).or_default();
        if !of_voter.iter().any(|(known, _)| *known == cast) {
            of_voter.push((cast, signature.clone()));
        }
    }

    /// The voter gets these votes.
    pub(super) fn note_catch_up(&mut self, catch_up: &CatchUp) {
        let round = catch_up.round_number;
        for vote in &catch_up.prevotes {
            let message = Message::Prevote(vote.prevote.clone());
            self.note(round, &vote.id, &message, &vote.signature);
        }
        for vote in &catch_up.precommits {
            let message = Message::Precommit(vote.precommit.clone());
            self.note(round, &vote.id, &message, &vote.signature);
        }
    }

    /// A vote is known no longer.
    pub(super) fn forget_vote(&mut self, (round, id, cast): &Name) {
        if let Some(of_voter) = self.known.get_mut(&(*round, id.clone())) {
            of_voter.retain(|(known, _)| known != cast);
        }
    }

    pub(super) fn forget_before(&mut self, round: u64) {
        self.known.retain(|(of, _), _| *of >= round);
    }

    pub(super) fn forget(&mut self) {
        self.known.clear();
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
