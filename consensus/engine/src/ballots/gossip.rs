//! What GRANDPA's peers say to each other, as far as it is looked at: after `sc-consensus-grandpa`, which keeps these types to
//! itself.

use parity_scale_codec::{Decode, Encode};
use sp_consensus_grandpa::{AuthorityId, AuthoritySignature};
use sp_core::H256;

use super::Vote;

/// The votes that made a block final.
pub(super) type Commit =
    finality_grandpa::CompactCommit<H256, u32, AuthoritySignature, AuthorityId>;
/// The votes of a round that is over, for whoever missed it.
pub(super) type CatchUp = finality_grandpa::CatchUp<H256, u32, AuthoritySignature, AuthorityId>;

/// A message.
#[derive(Clone, Debug, Decode, Encode)]
pub(super) enum Gossip {
    #[codec(index = 0)]
    Vote {
        round: u64,
        set: u64,
        vote: Vote<AuthorityId, AuthoritySignature>,
    },
    #[codec(index = 1)]
    Commit {
        round: u64,
        set: u64,
        commit: Commit,
    },
    #[codec(index = 2)]
    Neighbour(Neighbour),
    #[codec(index = 4)]
    CatchUp { set: u64, catch_up: CatchUp },
}

/// Where a node's voter stands.
#[derive(Clone, Debug, Decode, Encode)]
pub(super) enum Neighbour {
    #[codec(index = 1)]
    V1 {
        round: u64,
        set: u64,
        finalised: u32,
    },
}

impl Gossip {
    /// Reads a message; nothing for one of another kind, or none at all: the SDK knows what to make of that.
    pub(super) fn read(mut bytes: &[u8]) -> Option<Self> {
        let message = Self::decode(&mut bytes).ok()?;
        bytes.is_empty().then_some(message)
    }
}
