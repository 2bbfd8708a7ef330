//! Why a block, a header or a proof is refused, and whose fault that is.

use labora_consensus_api::DigestError;
use labora_pouw::VerifyError;
use sp_core::H256;

/// Whose fault a refusal is: the sync layer bans the sender of a bad block, and must not for a slow disk or a late peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// Nobody honest sends this.
    Sender,
    /// It may be right; this node cannot tell, or cannot tell yet.
    Ours,
}

/// How the peer that sent a block took the question for its proof, which nobody else had either.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Conduct {
    /// It answered, without a valid proof.
    Failed,
    /// So it did, and nothing could be learned of whether the block is final, so that it might have dropped the proof.
    Unclear,
    /// It said nothing in time, while others answered: the line was not to blame.
    Silent,
    /// It is not known, could not be asked, or had a good reason.
    Blameless,
}

/// Why the engine refuses something. Fields carry what came and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The digest is not one of this chain.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// The header is so long that no child could carry it in its inherent.
    #[error("the header is {got} bytes long, of at most {max}: the next block could not carry it")]
    HeaderTooLong {
        /// Bytes of the encoded header.
        got: usize,
        /// Most bytes allowed.
        max: usize,
    },
    /// The header's hash is not the one under which it was sent.
    #[error("the header hashes to {got:?}, it was sent as {expected:?}")]
    WrongHash {
        /// Hash of the header.
        got: H256,
        /// Hash that the sender gave.
        expected: H256,
    },
    /// The block's number does not follow its parent's.
    #[error("the block says it is number {got}, its parent is number {parent}")]
    WrongNumber {
        /// Number in the header.
        got: u32,
        /// Number of the parent.
        parent: u32,
    },
    /// The timestamp is not above the parent's.
    #[error("timestamp {got_ms} ms must be above the parent's {parent_ms} ms")]
    TooEarly {
        /// Time that the author stated.
        got_ms: u64,
        /// The parent's.
        parent_ms: u64,
    },
    /// The timestamp is too far ahead of this node's clock.
    #[error(
        "timestamp {got_ms} ms lies over {max_ahead_ms} ms ahead of this clock ({now_ms} ms): wait, or set the clock"
    )]
    TooLate {
        /// Time that the author stated.
        got_ms: u64,
        /// This node's clock.
        now_ms: u64,
        /// How far ahead is allowed.
        max_ahead_ms: u64,
    },
    /// The proof does not prove the block's work.
    #[error("the proof is refused: {0}")]
    Proof(VerifyError),
    /// The proof's bytes are not exactly one proof.
    #[error("{got} bytes are not one whole proof (at most {max} bytes)")]
    ProofEncoding {
        /// Bytes that came.
        got: usize,
        /// Longest proof there is.
        max: usize,
    },
    /// The same bytes were refused as this block's proof a while ago.
    #[error("these very bytes were refused as the proof of block {0:?} before")]
    RefusedBefore(H256),
    /// A proof verified for one block came with another.
    #[error("the verified proof is that of {got:?}, the block is {expected:?}")]
    ProofOfAnother {
        /// The block that the proof was verified for.
        got: H256,
        /// The block being imported.
        expected: H256,
    },
    /// No peer gave the proof of a block.
    #[error("{asked} peers were asked, and none gave a valid proof of block {block:?}")]
    ProofMissing {
        /// The block.
        block: H256,
        /// How many peers were asked.
        asked: usize,
        /// What the very peer that sent the block did.
        sender: Conduct,
    },
    /// The block has the number of one that is proved final, and is another.
    #[error("block {got:?} has the number of {finalised:?}, which finality is proved of")]
    NotTheFinalOne {
        /// The block.
        got: H256,
        /// The final one.
        finalised: H256,
    },
    /// The block lies beside the final chain. Whoever was cut off from the others may have built on it, and learns of that.
    #[error(
        "block {got:?} has the number of {finalised:?}, which is final: finality has cut its fork off"
    )]
    CutOff {
        /// The block.
        got: H256,
        /// The final one.
        finalised: H256,
    },
    /// The history below a final block that came with its state leads elsewhere.
    #[error(
        "block {got:?} ends the history that peers gave, and is not the parent of {above:?}, which is final: if this comes again and again from all peers, end the node, remove its database (purge-chain) and sync again"
    )]
    FalseHistory {
        /// The last block of the history.
        got: H256,
        /// The final block above it.
        above: H256,
    },
    /// A state came for a block that no proof of finality names.
    #[error("a state came for block {0:?}, which is not the one that finality was proved of")]
    UntrustedState(H256),
    /// The block reached import without having gone through the verifier.
    #[error(
        "block {0:?} came to import without evidence of its work: it must pass the verifier first"
    )]
    Unverified(H256),
    /// A block above the finalised one was to be imported without being executed.
    #[error(
        "block {0:?} is not final, so it must be executed on its parent's state, not imported with a state or without one"
    )]
    NotExecuted(H256),
    /// The parent is not in this chain.
    #[error("the parent {0:?} is not known")]
    UnknownParent(H256),
    /// A block in the chain has no record of its work.
    #[error("no accumulated work is recorded for block {0:?}: the database is damaged, sync again")]
    NoWork(H256),
    /// A record in auxiliary storage does not decode.
    #[error(
        "the {what} record of block {block:?} does not decode: the database is damaged, or of a newer version"
    )]
    Record {
        /// Which record.
        what: &'static str,
        /// Of which block.
        block: H256,
    },
    /// The runtime states a difficulty of zero.
    #[error("the runtime states a difficulty of zero after block {0:?}")]
    ZeroDifficulty(H256),
    /// The sum of difficulties does not fit.
    #[error(transparent)]
    WorkOverflow(#[from] labora_pouw::WorkOverflow),
    /// The block below took the block in some other way than importing it.
    #[error("block {block:?} was not imported: {result:?}")]
    NotImported {
        /// The block.
        block: H256,
        /// What import said.
        result: sc_consensus::ImportResult,
    },
    /// The node is shutting down.
    #[error("the verification was cut off: the node is shutting down")]
    ShuttingDown,
    /// The database or the runtime failed.
    #[error(transparent)]
    Chain(#[from] sp_blockchain::Error),
}

impl EngineError {
    /// Whose fault this is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Digest(_)
            | Self::HeaderTooLong { .. }
            | Self::WrongHash { .. }
            | Self::WrongNumber { .. }
            | Self::TooEarly { .. }
            | Self::Proof(_)
            | Self::ProofEncoding { .. }
            | Self::RefusedBefore(_)
            | Self::NotTheFinalOne { .. }
            | Self::FalseHistory { .. }
            | Self::UntrustedState(_)
            | Self::ProofMissing {
                sender: Conduct::Failed,
                ..
            } => Fault::Sender,
            Self::TooLate { .. }
            | Self::CutOff { .. }
            | Self::ProofOfAnother { .. }
            | Self::ProofMissing {
                sender: Conduct::Unclear | Conduct::Silent | Conduct::Blameless,
                ..
            }
            | Self::Unverified(_)
            | Self::NotExecuted(_)
            | Self::UnknownParent(_)
            | Self::NoWork(_)
            | Self::Record { .. }
            | Self::ZeroDifficulty(_)
            | Self::WorkOverflow(_)
            | Self::NotImported { .. }
            | Self::ShuttingDown
            | Self::Chain(_) => Fault::Ours,
        }
    }
}

impl From<EngineError> for sp_consensus::Error {
    fn from(error: EngineError) -> Self {
        Self::Other(Box::new(error))
    }
}
