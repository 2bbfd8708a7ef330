//! A network of validators that vote and of miners that mine, for tests of finality.

use std::{fs, path::PathBuf, time::Duration};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    Machine, Node, NodeOptions, Outcome,
    rpc::Rpc,
    spec::{self, Sessions, VALIDATORS, Work},
    wait_for,
};

/// What is burned for a double vote of one of four, in the token's smallest unit: the square of three quarters, of 100,000 LAB; a
/// twentieth of it is the reporter's.
pub const SLASHED: u128 = 53_437_500_000_000_000;

/// Some rounds of votes, on a busy machine.
pub const SOON: Duration = Duration::from_secs(180);

/// A chain of four validators, and its nodes so far.
pub struct Network {
    machine: Machine,
    folder: TempDir,
    spec: PathBuf,
    /// Where the nodes that were started listen: whoever comes later begins with all of them.
    pub known: Vec<String>,
}

impl Network {
    /// The chain, without nodes.
    pub async fn new() -> Outcome<Self> {
        Self::with(spec::NETWORK, Sessions::Short).await
    }

    async fn with(work: Work, sessions: Sessions) -> Outcome<Self> {
        let machine = Machine::take().await;
        let folder = tempfile::tempdir()?;
        let spec = spec::write_with_validators(folder.path(), work, sessions)?;
        Ok(Self {
            machine,
            folder,
            spec,
            known: Vec::new(),
        })
    }

    /// The same with other figures of work, and sessions and eras as long as on a public chain.
    pub async fn with_public_sessions(work: Work) -> Outcome<Self> {
        Self::with(work, Sessions::Public).await
    }

    /// The chain's spec with one more field, in a file of its own.
    pub fn spec_with(&self, field: &str, value: Value) -> Outcome<PathBuf> {
        let mut spec: Value = serde_json::from_slice(&fs::read(&self.spec)?)?;
        spec[field] = value;
        let path = self.folder.path().join(format!("spec-{field}.json"));
        fs::write(&path, serde_json::to_vec(&spec)?)?;
        Ok(path)
    }

    /// The folder of a node.
    pub fn base(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A miner of this chain. Proofs go with finality, so that whoever comes late cannot get them.
    pub fn options(&self) -> NodeOptions {
        let mut options = NodeOptions::of_spec(&self.spec);
        options.bootnodes.clone_from(&self.known);
        options.more.extend(["--proofs".into(), "0".into()]);
        options
    }

    /// The same, of a node whose only way to the others leads through this address.
    pub fn only_through(&self, address: String) -> NodeOptions {
        let mut options = self.options();
        options.bootnodes.clear();
        options
            .more
            .extend(["--reserved-only".into(), "--reserved-nodes".into(), address]);
        options
    }

    /// Starts a node.
    pub async fn start(&mut self, name: &str, options: &NodeOptions) -> Outcome<Node> {
        let node = Node::start(&self.machine, &self.base(name), options).await?;
        self.known.push(node.address().await?);
        Ok(node)
    }

    /// A node that mines with a thread.
    pub async fn miner(&mut self, name: &str, author: &'static str) -> Outcome<Node> {
        let options = NodeOptions {
            author,
            ..self.options()
        };
        self.start(name, &options).await
    }

    /// A node that votes as one of [`VALIDATORS`].
    pub async fn validator(&mut self, at: usize) -> Outcome<Node> {
        let flag = VALIDATORS[at].flag;
        let mut options = self.options().following();
        options.more.extend(VALIDATORS[at].arguments());
        self.start(flag.trim_start_matches('-'), &options).await
    }

    /// The first so many validators.
    pub async fn validators(&mut self, count: usize) -> Outcome<Vec<Node>> {
        let mut nodes = Vec::new();
        for at in 0..count {
            nodes.push(self.validator(at).await?);
        }
        Ok(nodes)
    }
}

/// Waits until a block is final.
pub async fn wait_for_final(rpc: &Rpc, number: u64) -> Outcome {
    wait_for_final_within(rpc, number, SOON).await
}

/// The same for so long.
pub async fn wait_for_final_within(rpc: &Rpc, number: u64, limit: Duration) -> Outcome {
    wait_for(&format!("final block {number}"), limit, || async move {
        Ok((rpc.finalised_number().await? >= number).then_some(()))
    })
    .await
}

/// Waits until the best chain has a block.
pub async fn wait_for_best(rpc: &Rpc, number: u64) -> Outcome {
    wait_for_best_within(rpc, number, SOON).await
}

/// The same for so long.
pub async fn wait_for_best_within(rpc: &Rpc, number: u64, limit: Duration) -> Outcome {
    wait_for(&format!("block {number}"), limit, || async move {
        Ok((rpc.best_number().await? >= number).then_some(()))
    })
    .await
}

/// Fails unless these nodes have the same blocks up to the lowest of their finalised ones; gives that number.
pub async fn assert_one_final_chain(nodes: &[&Rpc]) -> Outcome<u64> {
    let mut lowest = u64::MAX;
    for node in nodes {
        lowest = lowest.min(node.finalised_number().await?);
    }
    for number in [1, lowest / 2, lowest] {
        let first = nodes[0].hash_at(number).await?;
        for node in nodes {
            assert_eq!(node.hash_at(number).await?, first, "final block {number}");
        }
    }
    Ok(lowest)
}

/// Waits until a node has what another has, so that nothing it was sent is still on the way.
pub async fn wait_to_catch_up(late: &Rpc, with: &Rpc) -> Outcome {
    let reached = with.best_number().await?;
    wait_for_final(late, reached).await
}

/// Waits until a node has noticed that it is alone; the number of its best block then.
pub async fn wait_to_be_alone(rpc: &Rpc) -> Outcome<u64> {
    wait_for("the last peer to be missed", SOON, || async move {
        Ok((rpc.peers().await? == 0).then_some(()))
    })
    .await?;
    rpc.best_number().await
}

/// A raw value of the best block's state.
pub async fn storage(rpc: &Rpc, key: &str) -> Outcome<Option<Vec<u8>>> {
    let value: Option<String> = rpc.call("state_getStorage", &[key.into()]).await?;
    value.map(|hex| crate::rpc::bytes_of(&hex)).transpose()
}

/// `Rewards::Burned`: what was burned so far.
const BURNED: &str = "0x540a4f8754aa5298a3d6e9aa09e93f976ddc88ead7a1603ccf6949c69fa32a56";

/// `Timestamp::Now`.
const NOW: &str = "0xf0c365c3cf59d671eb72da0e7a4113c49f1f0515f462cdcf84e0f1d6045dfcbb";

/// What the best block's author says it was mined at, in milliseconds since 1970.
pub async fn timestamp_ms(rpc: &Rpc) -> Outcome<u64> {
    let bytes = storage(rpc, NOW).await?.unwrap_or_default();
    let bytes = <[u8; 8]>::try_from(bytes).map_err(|bytes| format!("no timestamp: {bytes:?}"))?;
    Ok(u64::from_le_bytes(bytes))
}

/// What was burned so far by the state of the best block, in the smallest unit.
pub async fn burned(node: &Node) -> Outcome<u128> {
    let bytes = storage(node.rpc(), BURNED).await?.unwrap_or_default();
    Ok(match <[u8; 16]>::try_from(bytes) {
        Ok(bytes) => u128::from_le_bytes(bytes),
        Err(_) => 0,
    })
}
