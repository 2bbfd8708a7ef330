//! The last few proposals on one parent, of which any may still win.

use std::collections::VecDeque;

use schnellru::{ByLength, LruMap};
use sp_core::H256;

use super::Template;

/// Proposals kept on one parent: a winner may come from a product that was started up to four templates ago, some
/// seconds at one template a second. Each holds a block and its state changes, at most a few MB.
const MAX_PROPOSALS: usize = 4;

/// Pre-hashes remembered after they were sealed: 32 bytes each.
const MAX_SEALED: u32 = 256;

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

pub(super) struct Proposals<H, P> {
    held: VecDeque<Proposal<H, P>>,
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
            .retain(|held| held.template.parent == proposal.template.parent);
        if self.held.len() == MAX_PROPOSALS {
            self.held.pop_front();
        }
        self.held.push_back(proposal);
    }

    pub(super) fn lookup(&self, pre_hash: H256) -> Lookup<H> {
        if self.sealed.peek(&pre_hash).is_some() {
            return Lookup::Sealed;
        }
        match self
            .held
            .iter()
            .find(|held| held.template.pre_hash == pre_hash)
        {
            Some(held) => Lookup::Open(held.template.clone(), held.header.clone()),
            None => Lookup::Unknown,
        }
    }

    /// Takes a proposal out to be imported; a second seal for it is a duplicate from now on.
    pub(super) fn take(&mut self, pre_hash: H256) -> Option<Proposal<H, P>> {
        let at = self
            .held
            .iter()
            .position(|held| held.template.pre_hash == pre_hash)?;
        self.sealed.insert(pre_hash, ());
        self.held.remove(at)
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
        self.held.back().map(|held| held.template.parent)
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
}
