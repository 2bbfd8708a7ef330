//! One connection to a node: opened, checked to be one that can be mined for, and then what it is asked.

use std::{collections::VecDeque, time::Duration};

use jsonrpsee::{
    core::client::{ClientT, Error as RpcError, Subscription, SubscriptionClientT},
    rpc_params,
    ws_client::{WsClient, WsClientBuilder},
};
use labora_market::node::shown_up_to;
use labora_pouw::{Difficulty, Proof, Seal};
use parity_scale_codec::Encode;
use parking_lot::Mutex;
use serde::Deserialize;
use sp_core::{H256, U256};

use super::url::NodeUrl;
use crate::{
    rpc::{
        error::Error as NodeError,
        share_types::ShareAnswer,
        types::{WorkMessage, protocol},
    },
    shares::RigName,
};

/// Longest message that is read: work has some 400 bytes, and `pouw_info` a line for each device of the node.
const MAX_MESSAGE: u32 = 64 << 10;

/// Longest message that is sent: a proof has at most 0.53 MB, in hex twice that.
const MAX_SUBMISSION: u32 = 2 << 20;

/// Until a connection stands, and again until the node has answered what it is asked first.
const OPEN_LIMIT: Duration = Duration::from_secs(5);

/// Until a submitted tile has its answer: a node that is busy importing takes a second or two.
const SUBMIT_LIMIT: Duration = Duration::from_secs(10);

/// Requests under way: a submission, and a question every 0.2 s for the 4 s after which a silent node is given up.
const MAX_REQUESTS: usize = 64;

/// Work that waits to be heard; each message replaces the one before.
const MAX_NEWS: usize = 64;

/// Templates of one parent that a tile may still be for; a node takes tiles for its last four.
const MAX_OPEN: usize = 8;

/// Most characters of a node's own words that are shown.
const MAX_WORDS: usize = 200;

/// The codes of JSON-RPC that the SDK answers with where a method is unknown, and where it is denied to the outside.
const METHOD_NOT_FOUND: i32 = -32601;

/// Why a node cannot be mined for.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No connection, or no answer.
    #[error("no connection ({0})")]
    Unreachable(String),
    /// It does not know what miners ask for.
    #[error(
        "it does not know {method}: no node of Labora, or one older than this miner; update it"
    )]
    Unknown {
        /// The method.
        method: &'static str,
    },
    /// It speaks another version of the protocol.
    #[error("it speaks the protocol {got}, this miner {expected}; update the older of the two")]
    Protocol {
        /// The node's.
        got: String,
        /// This miner's.
        expected: String,
    },
    /// It does not build blocks.
    #[error(
        "it does not mine; start it with --mine, --author, and --devices none if it is to multiply nothing itself"
    )]
    NotMining,
    /// It denies mining to other machines.
    #[error(
        "it lets other machines not mine; start it with --rpc-external and --rpc-methods unsafe on a network that you \
         trust, or reach it through a tunnel to its own 127.0.0.1"
    )]
    Denied,
    /// It is on another chain.
    #[error(
        "it is on the chain with the genesis {got:?}, the miner began on {expected:?}; name nodes of one chain"
    )]
    OtherChain {
        /// The node's.
        got: H256,
        /// That of the first node that was mined for.
        expected: H256,
    },
    /// Its answer cannot be read.
    #[error("its answer to {method} cannot be read ({error}); update the older of node and miner")]
    Unreadable {
        /// The method.
        method: &'static str,
        /// What is wrong.
        error: String,
    },
}

impl OpenError {
    /// Whether the node has answered and will not do as it is, so that trying again is useless.
    pub(super) fn is_refusal(&self) -> bool {
        !matches!(self, OpenError::Unreachable(_))
    }

    fn of(method: &'static str, error: RpcError) -> Self {
        match error {
            RpcError::Call(object) if object.code() == METHOD_NOT_FOUND => {
                if object.message().contains("unsafe") {
                    OpenError::Denied
                } else {
                    OpenError::Unknown { method }
                }
            }
            RpcError::Call(object) if object.code() == NodeError::NotMining.code() => {
                OpenError::NotMining
            }
            RpcError::ParseError(error) => OpenError::Unreadable {
                method,
                error: words(&error.to_string()),
            },
            error => OpenError::Unreachable(words(&error.to_string())),
        }
    }
}

/// What of `pouw_info` a miner needs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeInfo {
    protocol: String,
    genesis: H256,
    mining: bool,
    #[serde(default)]
    share_macs: Option<String>,
}

/// An open connection, as submissions use it.
pub(super) struct Session {
    client: WsClient,
    node: NodeUrl,
    genesis: H256,
    share: Option<Difficulty>,
    open: Mutex<Open>,
}

/// Templates of the parent that is mined on.
#[derive(Default)]
struct Open {
    parent: H256,
    /// Each with the difficulty of its block.
    templates: VecDeque<(H256, Difficulty)>,
}

/// The node's news of what to mine.
pub(super) type News = Subscription<WorkMessage>;

/// What became of a tile.
#[derive(Debug)]
pub(super) enum Sent {
    /// It became this block.
    Block(H256),
    /// It was counted as a share, and won no block.
    Share,
    /// Another was faster.
    Late,
    /// It was refused, which honest work never is.
    Refused(String),
    /// As a share, it was one too many for the node.
    Busy(String),
    /// There was no answer.
    Unanswered(String),
}

impl Session {
    /// Connects, checks that the node can be mined for, and subscribes to its work.
    pub(super) async fn open(node: &NodeUrl) -> Result<(Self, News), OpenError> {
        let client = WsClientBuilder::default()
            .max_response_size(MAX_MESSAGE)
            .max_request_size(MAX_SUBMISSION)
            .connection_timeout(OPEN_LIMIT)
            .request_timeout(SUBMIT_LIMIT)
            .max_concurrent_requests(MAX_REQUESTS)
            .max_buffer_capacity_per_subscription(MAX_NEWS)
            .build(node.as_str());
        let late = |_| OpenError::Unreachable(format!("no answer in {OPEN_LIMIT:?}"));
        let client = tokio::time::timeout(OPEN_LIMIT, client)
            .await
            .map_err(late)?
            .map_err(|error| OpenError::Unreachable(words(&error.to_string())))?;
        tokio::time::timeout(OPEN_LIMIT, Self::greet(client, node))
            .await
            .map_err(late)?
    }

    async fn greet(client: WsClient, node: &NodeUrl) -> Result<(Self, News), OpenError> {
        let info = "pouw_info";
        let answer: NodeInfo = client
            .request(info, rpc_params![])
            .await
            .map_err(|error| OpenError::of(info, error))?;
        let expected = protocol();
        if answer.protocol != expected {
            let got = words(&answer.protocol);
            return Err(OpenError::Protocol { got, expected });
        }
        if !answer.mining {
            return Err(OpenError::NotMining);
        }
        let share = answer.share_macs.map(|macs| {
            difficulty(&macs).ok_or_else(|| OpenError::Unreadable {
                method: info,
                error: format!("shares of {} multiply-accumulates", words(&macs)),
            })
        });
        let method = "pouw_subscribeWork";
        let news = client
            .subscribe(method, rpc_params![], "pouw_unsubscribeWork")
            .await
            .map_err(|error| OpenError::of(method, error))?;
        let session = Session {
            client,
            node: node.clone(),
            genesis: answer.genesis,
            share: share.transpose()?,
            open: Mutex::default(),
        };
        // Asked every few tenths of a second from now on, so a node that does not know it is found out here.
        session
            .work()
            .await
            .map_err(|error| OpenError::of("pouw_getWork", error))?;
        Ok((session, news))
    }

    /// The node.
    pub(super) fn node(&self) -> &NodeUrl {
        &self.node
    }

    /// Hash of its chain's genesis block.
    pub(super) fn genesis(&self) -> H256 {
        self.genesis
    }

    /// What a share is worth; `None` if the node counts none.
    pub(super) fn share(&self) -> Option<Difficulty> {
        self.share
    }

    /// Resolves when the connection is gone, to why.
    pub(super) async fn gone(&self) -> String {
        self.client.on_disconnect().await;
        "the connection was closed".to_owned()
    }

    /// Asks what is to be mined now.
    pub(super) async fn work(&self) -> Result<WorkMessage, RpcError> {
        self.client.request("pouw_getWork", rpc_params![]).await
    }

    /// Tiles for this template are welcome, and win its block at `difficulty`; those for other parents no longer.
    pub(super) fn opens(&self, parent: H256, pre_hash: H256, difficulty: Difficulty) {
        let mut open = self.open.lock();
        if open.parent != parent {
            open.parent = parent;
            open.templates.clear();
        }
        if open.templates.iter().any(|(known, _)| *known == pre_hash) {
            return;
        }
        if open.templates.len() == MAX_OPEN {
            open.templates.pop_front();
        }
        open.templates.push_back((pre_hash, difficulty));
    }

    /// The difficulty of a template's block, if the node still wants tiles for it as far as this miner has heard.
    pub(super) fn wanted(&self, pre_hash: H256) -> Option<Difficulty> {
        let open = self.open.lock();
        let found = open.templates.iter().find(|(known, _)| *known == pre_hash);
        found.map(|(_, difficulty)| *difficulty)
    }

    /// Sends a tile: as a share of `rig` where the node counts those, else for the block.
    pub(super) async fn submit(
        &self,
        rig: Option<&RigName>,
        pre_hash: H256,
        seal: &Seal,
        proof: &Proof,
    ) -> Sent {
        let bytes = |bytes: Vec<u8>| format!("0x{}", hex::encode(bytes));
        let (hash, seal, proof) = (
            bytes(pre_hash.0.into()),
            bytes(seal.encode()),
            bytes(proof.encode()),
        );
        let result = match rig.filter(|_| self.share.is_some()) {
            Some(rig) => {
                let parameters = rpc_params![rig.as_str(), hash, seal, proof];
                let answer = self
                    .client
                    .request::<ShareAnswer, _>("pouw_submitShare", parameters);
                answer
                    .await
                    .map(|answer| answer.block.map_or(Sent::Share, Sent::Block))
            }
            None => {
                let parameters = rpc_params![hash, seal, proof];
                let answer = self.client.request("pouw_submitSeal", parameters);
                answer.await.map(Sent::Block)
            }
        };
        match result {
            Ok(sent) => sent,
            Err(RpcError::Call(error)) => {
                let late = [NodeError::Stale, NodeError::Duplicate].map(|error| error.code());
                let busy = NodeError::Busy(String::new()).code();
                match error.code() {
                    code if late.contains(&code) => Sent::Late,
                    code if code == busy => Sent::Busy(words(error.message())),
                    _ => Sent::Refused(words(error.message())),
                }
            }
            Err(error) => Sent::Unanswered(words(&error.to_string())),
        }
    }
}

/// A difficulty as the node writes it, in decimal digits.
pub(super) fn difficulty(digits: &str) -> Option<Difficulty> {
    Difficulty::new(U256::from_dec_str(digits).ok()?).ok()
}

/// A node's words, fit to be shown: bounded, and without anything that a terminal would obey.
pub(super) fn words(text: &str) -> String {
    shown_up_to(text, MAX_WORDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_from_elsewhere_are_bounded_and_command_no_terminal() {
        assert_eq!(words("plain, é"), "plain, é");
        assert_eq!(words("\u{1b}[2Jgone\n"), " [2Jgone ");
        assert_eq!(words(&"x".repeat(1_000)).chars().count(), MAX_WORDS + 1);
    }

    #[test]
    fn a_difficulty_is_a_number_above_zero() {
        assert_eq!(
            difficulty("1000").map(Difficulty::get),
            Some(U256::from(1000))
        );
        for digits in ["", "0", "-1", "1.5", "0x10", &"9".repeat(100)] {
            assert_eq!(difficulty(digits), None, "{digits}");
        }
    }
}
