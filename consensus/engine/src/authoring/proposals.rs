//! The last few proposals on one parent, of which any may still win.

use std::collections::{HashSet, VecDeque};

use labora_pouw::Seal;
use schnellru::{ByLength, LruMap};
use sp_core::H256;

use super::Template;

/// Proposals kept on one parent: a winner may come from a product that was started up to four templates ago, some
/// seconds at one template a second. Each holds a block and its state changes, at most a few MB.
const MAX_PROPOSALS: usize = 4;

/// Pre-hashes remembered after they were sealed: 32 bytes each.
const MAX_SEALED: u32 = 256;

/// Shares counted on one proposal. Kept to refuse a second count of the same tile: about 100 bytes each, 6.5 MB, for the
/// at most 20 s that four renewals by the clock take. A pool that comes near it has set its shares too low.
pub(super) const MAX_SHARES: usize = 65_536;

/// A proposal as it is offered to miners; `P` is what it takes to import it.
pub(super) struct Proposal<H, P> {
    pub(super) template: Template,
    /// The header without its seal.
    pub(super) header: H,
    pub(super) payload: P,
}

/// What is known of a pre-hash.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Lookup<H> {
    /// It can be sealed.
    Open(Template, H),
    /// It was sealed before.
    Sealed,
    /// It was never offered, or is of an older parent.
    Unknown,
}

/// What became of a share.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Noted {
    /// It is the first of its tile.
    New,
    /// The same tile was noted before.
    Known,
    /// [`MAX_SHARES`] are noted on this proposal.
    Full,
    /// The proposal is no longer open.
    Gone,
}

struct Held<H, P> {
    proposal: Proposal<H, P>,
    /// Tiles that were counted as shares.
    shares: HashSet<Seal>,
}

pub(super) struct Proposals<H, P> {
    held: VecDeque<Held<H, P>>,
    sealed: LruMap<H256, ()>,
}

impl<H: Clone, P> Proposals<H, P> {
    pub(super) fn new() -> Self {
        Self {
            held: VecDeque::new(),
            sealed: LruMap::new(ByLength::new(MAX_SEALED)),
        }
    }

    /// Adds a proposal; those on another parent go.
    pub(super) fn add(&mut self, proposal: Proposal<H, P>) {
        self.held
            .retain(|held| held.proposal.template.parent == proposal.template.parent);
        if self.held.len() == MAX_PROPOSALS {
            self.held.pop_front();
        }
        self.held.push_back(Held {
            proposal,
            shares: HashSet::new(),
        });
    }

    pub(super) fn lookup(&self, pre_hash: H256) -> Lookup<H> {
        if self.sealed.peek(&pre_hash).is_some() {
            return Lookup::Sealed;
        }
        match self.position(pre_hash).map(|at| &self.held[at].proposal) {
            Some(held) => Lookup::Open(held.template.clone(), held.header.clone()),
            None => Lookup::Unknown,
        }
    }

    /// Whether a tile was counted as a share of an open proposal.
    pub(super) fn has_share(&self, pre_hash: H256, seal: &Seal) -> bool {
        self.position(pre_hash)
            .is_some_and(|at| self.held[at].shares.contains(seal))
    }

    /// Counts a tile, once. A seal names roots, shape and tile, so it is the same for the same work only.
    pub(super) fn note_share(&mut self, pre_hash: H256, seal: Seal) -> Noted {
        let Some(at) = self.position(pre_hash) else {
            return Noted::Gone;
        };
        let shares = &mut self.held[at].shares;
        if shares.contains(&seal) {
            Noted::Known
        } else if shares.len() >= MAX_SHARES {
            Noted::Full
        } else {
            shares.insert(seal);
            Noted::New
        }
    }

    fn position(&self, pre_hash: H256) -> Option<usize> {
        self.held
            .iter()
            .position(|held| held.proposal.template.pre_hash == pre_hash)
    }

    /// Takes a proposal out to be imported; a second seal for it is a duplicate from now on.
    pub(super) fn take(&mut self, pre_hash: H256) -> Option<Proposal<H, P>> {
        let at = self.position(pre_hash)?;
        self.sealed.insert(pre_hash, ());
        self.held.remove(at).map(|held| held.proposal)
    }

    /// Forgets that a proposal was sealed: its block was not imported, and can never be, since it is gone.
    pub(super) fn unseal(&mut self, pre_hash: H256) {
        self.sealed.remove(&pre_hash);
    }

    /// Drops all proposals.
    pub(super) fn clear(&mut self) {
        self.held.clear();
    }

    /// The parent that the latest proposal stands on.
    pub(super) fn parent(&self) -> Option<H256> {
        self.held.back().map(|held| held.proposal.template.parent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposal(parent: u8, pre_hash: u8) -> Proposal<u8, u8> {
        let template = Template {
            pre_hash: H256::repeat_byte(pre_hash),
            difficulty: 1.into(),
            parent: H256::repeat_byte(parent),
            number: 1,
        };
        Proposal {
            template,
            header: pre_hash,
            payload: pre_hash,
        }
    }

    fn is_open(proposals: &Proposals<u8, u8>, pre_hash: u8) -> bool {
        matches!(
            proposals.lookup(H256::repeat_byte(pre_hash)),
            Lookup::Open(..)
        )
    }

    #[test]
    fn the_last_four_templates_of_one_parent_can_be_sealed_and_no_other() {
        let mut proposals = Proposals::new();
        for pre_hash in 1..=5 {
            proposals.add(proposal(7, pre_hash));
        }
        assert!(!is_open(&proposals, 1));
        assert!((2..=5).all(|pre_hash| is_open(&proposals, pre_hash)));
        proposals.add(proposal(8, 6));
        assert!((1..=5).all(|pre_hash| !is_open(&proposals, pre_hash)));
        assert!(is_open(&proposals, 6));
    }

    #[test]
    fn a_template_is_sealed_once() {
        let mut proposals = Proposals::new();
        proposals.add(proposal(7, 1));
        let pre_hash = H256::repeat_byte(1);
        assert!(proposals.take(pre_hash).is_some());
        assert!(proposals.take(pre_hash).is_none());
        assert_eq!(proposals.lookup(pre_hash), Lookup::Sealed);
        assert_eq!(proposals.lookup(H256::repeat_byte(2)), Lookup::Unknown);
    }

    fn tile(column: u32) -> Seal {
        let shape = labora_pouw::Shape::new(32, 1 << 20, 256).expect("a valid shape");
        Seal::new(shape, [1; 32], [2; 32], 0, column).expect("a tile of it")
    }

    #[test]
    fn a_tile_is_counted_once_on_each_open_template() {
        let mut proposals = Proposals::new();
        proposals.add(proposal(7, 1));
        proposals.add(proposal(7, 2));
        let [one, two, none] = [1, 2, 3].map(H256::repeat_byte);
        assert_eq!(proposals.note_share(one, tile(0)), Noted::New);
        assert_eq!(proposals.note_share(one, tile(1)), Noted::New);
        assert_eq!(proposals.note_share(one, tile(0)), Noted::Known);
        assert_eq!(proposals.note_share(two, tile(0)), Noted::New);
        assert!(proposals.has_share(one, &tile(1)) && !proposals.has_share(two, &tile(1)));
        assert_eq!(proposals.note_share(none, tile(0)), Noted::Gone);
        assert!(proposals.take(one).is_some());
        assert_eq!(proposals.note_share(one, tile(2)), Noted::Gone);
    }

    #[test]
    fn past_the_bound_no_share_of_a_template_is_counted() {
        let mut proposals = Proposals::new();
        proposals.add(proposal(7, 1));
        let pre_hash = H256::repeat_byte(1);
        for column in 0..MAX_SHARES as u32 {
            assert_eq!(proposals.note_share(pre_hash, tile(column)), Noted::New);
        }
        let last = Seal::new(tile(0).shape(), [3; 32], [2; 32], 0, 0);
        assert_eq!(
            proposals.note_share(pre_hash, last.expect("a tile")),
            Noted::Full
        );
        assert_eq!(proposals.note_share(pre_hash, tile(0)), Noted::Known);
    }
}
