//! What an engine has done since it was made, for whoever operates the node.

use std::sync::atomic::{AtomicU64, Ordering};

use sp_core::{H256, U256};
use sp_runtime::traits::Block as BlockT;

use crate::{engine::Engine, trust::TrustedTarget};

/// What came of a question to a peer for the proof of a block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answered {
    /// A proof that holds.
    Given,
    /// That it has none.
    Without,
    /// A proof that does not hold.
    Wrong,
    /// Bytes that are no answer.
    Malformed,
    /// Nothing in time, or the connection broke.
    Not,
}

impl Answered {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Given,
        Self::Without,
        Self::Wrong,
        Self::Malformed,
        Self::Not,
    ];

    /// A word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Without => "without",
            Self::Wrong => "wrong",
            Self::Malformed => "malformed",
            Self::Not => "not",
        }
    }
}

/// Counts.
#[derive(Default)]
pub(crate) struct Tally {
    verified: AtomicU64,
    refused: AtomicU64,
    missing: AtomicU64,
    questions: [AtomicU64; Answered::ALL.len()],
}

impl Tally {
    pub(crate) fn verified(&self) {
        self.verified.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn answered(&self, how: Answered) {
        self.questions[how as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn missed(&self) {
        self.missing.fetch_add(1, Ordering::Relaxed);
    }
}

/// What an engine has done since it was made, and where it stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EngineStats {
    /// Proofs that held.
    pub proofs_verified: u64,
    /// Proofs that did not.
    pub proofs_refused: u64,
    /// Times that no peer gave the proof of a block.
    pub proofs_missing: u64,
    /// Questions to peers for proofs, in the order of [`Answered::ALL`].
    pub questions: [u64; Answered::ALL.len()],
    /// Bytes of proofs in memory whose blocks are not imported.
    pub waiting_bytes: usize,
    /// Multiply-accumulates that the next block on the best one takes on average; `None` where the state is gone.
    pub difficulty: Option<U256>,
    /// The highest block that peers proved final while it was not yet here.
    pub trusted: Option<TrustedTarget>,
}

impl<B: BlockT<Hash = H256>> Engine<B> {
    /// What it has done so far.
    pub fn stats(&self) -> EngineStats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let best = self.chain().tips().best;
        EngineStats {
            proofs_verified: read(&self.tally.verified),
            proofs_refused: read(&self.tally.refused),
            proofs_missing: read(&self.tally.missing),
            questions: self.tally.questions.each_ref().map(read),
            waiting_bytes: self.proofs.bytes(),
            difficulty: self.difficulty_after(best).ok().map(|macs| macs.get()),
            trusted: self.trusted(),
        }
    }
}
