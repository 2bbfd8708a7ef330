//! The chain that is synced, and the nodes that serve it.
//!
//! A `labora` node mines it, votes on it and keeps all proofs. Two more sync it from there and keep the proofs that a node
//! keeps by default: warp sync wants three peers, and a full sync that meets no proofs is measured against one of these.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use labora_tests::{
    Machine, Node, NodeOptions, Outcome,
    node::Mining,
    rpc::{Rpc, bytes_of, next_number},
    spec::{self, VALIDATORS},
    wait_for,
};

use crate::transfers::{Transfers, carried_by};

/// As fast as a node makes blocks: the difficulty starts below what one product is worth, and keeps blocks apart by what it
/// takes to mine and build one.
const WORK: spec::Work = spec::Work {
    initial_difficulty: 1 << 20,
    target_block_time_ms: 100,
    half_life_ms: 60_000,
};

/// Transfers that are submitted for each block.
const TRANSFERS_PER_BLOCK: u64 = 10;

/// From one block to the next on a busy machine.
const BLOCK_LIMIT: Duration = Duration::from_secs(60);

/// From the last block to its finality, and to its import by those who sync it.
const SETTLE_LIMIT: Duration = Duration::from_secs(900);

/// Blocks at the end that votes leave out.
const MAX_LAG: u64 = 3;

/// File that says that a folder holds a finished chain.
const FINISHED: &str = "finished";

/// Who serves.
pub struct Servers {
    /// Keeps all proofs.
    pub archive: Node,
    /// Keep those of 256 blocks.
    pub pruned: [Node; 2],
    /// Number of the best block, which is final but for the last few.
    pub height: u64,
    /// Hash of it.
    pub best: String,
    /// The chain's spec.
    pub spec: PathBuf,
    /// Transactions in a block, inherents left out, on average.
    pub transfers_per_block: f64,
    /// Bytes of a block's proof, on average.
    pub proof_bytes: f64,
}

impl Servers {
    /// Lets them end without showing their logs.
    pub fn hush(&mut self) {
        self.archive.hush();
        self.pruned.iter_mut().for_each(Node::hush);
    }
}

/// Makes a chain of `blocks` blocks in `folder`, or as much of it as is not there yet, and starts its servers.
pub async fn serve(machine: &Machine, folder: &Path, blocks: u64) -> Outcome<Servers> {
    fs::create_dir_all(folder)?;
    let finished = folder.join(FINISHED);
    let spec = folder.join("spec.json");
    if !finished.is_file() {
        if !spec.is_file() {
            spec::write(folder, WORK)?;
        }
        make(machine, folder, &spec, blocks).await?;
        fs::write(&finished, blocks.to_string())?;
    }
    let archive = Node::start(machine, &folder.join("archive"), &voter(&spec)).await?;
    let height = archive.rpc().best_number().await?;
    wait_for("the chain to be final", SETTLE_LIMIT, || async {
        let lag = height - archive.rpc().finalised_number().await?;
        Ok((lag <= MAX_LAG).then_some(()))
    })
    .await?;
    let pruned = [
        follower(machine, folder, &spec, "pruned-1", &archive).await?,
        follower(machine, folder, &spec, "pruned-2", &archive).await?,
    ];
    let (transfers_per_block, proof_bytes) = sample(archive.rpc(), height).await?;
    Ok(Servers {
        best: archive.rpc().best_hash().await?,
        archive,
        pruned,
        height,
        spec,
        transfers_per_block,
        proof_bytes,
    })
}

/// Mines the chain.
async fn make(machine: &Machine, folder: &Path, spec: &Path, blocks: u64) -> Outcome {
    let base = folder.join("archive");
    let miner = NodeOptions {
        mining: Mining::With("cpu:1"),
        ..voter(spec)
    };
    let node = Node::start(machine, &base, &miner).await?;
    let mut transfers = Transfers::of_chain(node.rpc()).await?;
    let mut news = node.rpc().heads().await?;
    loop {
        let number = next_number(&mut news, BLOCK_LIMIT).await?;
        if number % 500 == 0 {
            eprintln!("made {number} of {blocks} blocks");
        }
        if number >= blocks {
            break;
        }
        transfers
            .submit_up_to(node.rpc(), (number + 1) * TRANSFERS_PER_BLOCK)
            .await?;
    }
    node.stop_well().await
}

/// The node that made the chain, without mining. It goes on voting, so that all of it becomes final.
fn voter(spec: &Path) -> NodeOptions {
    let mut options = NodeOptions::of_spec(spec).following();
    options.more = VALIDATORS[0].arguments().into();
    options
        .more
        .extend(["--proofs", "archive"].map(str::to_owned));
    options
}

/// A node with the whole chain that keeps the proofs that a node keeps by default. It is started twice: the SDK tells peers of
/// the best block as it was at the start until one is announced, and on a chain that rests none is.
async fn follower(
    machine: &Machine,
    folder: &Path,
    spec: &Path,
    name: &str,
    from: &Node,
) -> Outcome<Node> {
    let options = NodeOptions::of_spec(spec)
        .following()
        .bootnode(from.address().await?);
    let node = Node::start(machine, &folder.join(name), &options).await?;
    let best = from.rpc().best_hash().await?;
    let finalised = from.rpc().finalised_number().await?;
    wait_for(
        &format!("{name} to have the chain"),
        SETTLE_LIMIT,
        || async {
            let there = node.rpc().best_hash().await? == best;
            let is_final = node.rpc().finalised_number().await? >= finalised;
            Ok((there && is_final).then_some(()))
        },
    )
    .await?;
    node.stop_well().await?;
    Node::start(machine, &folder.join(name), &options).await
}

/// Looks at twenty blocks: transfers in one, and bytes of its proof.
async fn sample(rpc: &Rpc, height: u64) -> Outcome<(f64, f64)> {
    let step = (height / 20).max(1);
    let (mut seen, mut transfers, mut bytes) = (0.0, 0.0, 0.0);
    for number in (step..=height).step_by(usize::try_from(step)?) {
        let hash = rpc.hash_at(number).await?.ok_or("a block is missing")?;
        transfers += carried_by(rpc, &hash).await? as f64;
        let proved: serde_json::Value = rpc.call("pouw_blockProof", &[hash.into()]).await?;
        let proof = proved["proof"].as_str().ok_or("no proof")?;
        bytes += bytes_of(proof)?.len() as f64;
        seen += 1.0;
    }
    Ok((transfers / seen, bytes / seen))
}
