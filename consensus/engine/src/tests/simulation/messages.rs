//! What peers send each other, and what else happens at a time.

use std::sync::Arc;

use futures::channel::oneshot;
use sp_core::H256;

use super::{
    super::miner::Header,
    record::{CatchUp, Commit, Justification, Vote},
};
use crate::exchange::decode_request;

/// What one peer sends to another.
#[derive(Clone)]
pub(super) enum Message {
    /// A block announcement and its data, as sc-network-sync carries it.
    Announce {
        header: Header,
        data: Vec<u8>,
    },
    /// Asks for the blocks above the number `above` up to `block`.
    AskBlocks {
        id: u64,
        block: H256,
        above: u32,
    },
    /// Asks for proofs: a request of `/pouw/proofs/1`.
    AskProofs {
        id: u64,
        request: Vec<u8>,
    },
    /// Asks what is final.
    AskFinality {
        id: u64,
        from: H256,
        number: u32,
    },
    Answer {
        id: u64,
        answer: Answer,
    },
    Vote {
        round: u64,
        vote: Vote,
    },
    Commit {
        round: u64,
        commit: Commit,
    },
    CatchUp(CatchUp),
    /// Where the sender stands: what sync and GRANDPA's gossip tell peers now and then.
    Here {
        round: u64,
        finalised: u32,
        best: H256,
    },
}

#[derive(Clone)]
pub(super) enum Answer {
    Blocks(Vec<Header>),
    Proofs(Vec<u8>),
    /// The last block that is final, with what proves it.
    Final(Option<Arc<Justification>>),
    /// The connection broke.
    Failed,
}

impl Message {
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Announce { header, data } => {
                format!(
                    "announces block {} {:?} with {} bytes",
                    header.number,
                    header.hash(),
                    data.len()
                )
            }
            Self::AskBlocks { block, above, .. } => format!("asks for {block:?}, above {above}"),
            Self::AskProofs { request, .. } => {
                format!("asks for proofs: {:?}", decode_request(request))
            }
            Self::AskFinality { number, .. } => format!("asks what is final above {number}"),
            Self::Answer { answer, .. } => format!("answers {}", answer.shown()),
            Self::Vote { round, vote } => {
                format!("votes in round {round}: {}: {:?}", vote.id, vote.message)
            }
            Self::Commit { round, commit } => format!("commits round {round}: {commit:?}"),
            Self::CatchUp(catch_up) => format!("sends round {}", catch_up.round_number),
            Self::Here {
                round,
                finalised,
                best,
            } => {
                format!("is in round {round}, has finalised {finalised}, its best is {best:?}")
            }
        }
    }
}

impl Answer {
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Blocks(headers) => {
                let blocks: Vec<_> = headers
                    .iter()
                    .map(|header| (header.number, header.hash()))
                    .collect();
                format!("with blocks {blocks:?}")
            }
            Self::Proofs(bytes) => format!("with {} bytes of proofs", bytes.len()),
            Self::Final(proof) => format!(
                "that final is {:?}",
                proof.as_ref().map(|proof| proof.target())
            ),
            Self::Failed => "nothing".into(),
        }
    }
}

/// What happens at a time.
pub(super) enum Event {
    Wake(oneshot::Sender<()>),
    /// A verification on another thread of a node is done, if the node still lives as it did.
    Work {
        node: usize,
        life: u64,
        work: Box<dyn FnOnce() + Send>,
    },
    Arrive {
        from: usize,
        to: usize,
        message: Message,
    },
    Crash(usize),
    Start(usize),
    Mine,
    Gossip(usize),
    Adversary,
    Divide(Vec<u8>),
    Unite,
}

impl From<oneshot::Sender<()>> for Event {
    fn from(wake: oneshot::Sender<()>) -> Self {
        Self::Wake(wake)
    }
}
