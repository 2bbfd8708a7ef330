//! What the tests begin with: a miner, a node that knows nobody yet, and the proof that the hostile peer is believed as
//! long as it is honest.

use std::time::Duration;

use labora_tests::{
    Node, NodeOptions, Outcome,
    lag::Mined,
    memory,
    seed::Random,
    validators::{Network, wait_for_best},
    wait_for,
};
use serde_json::Value;

use super::{
    chain::Chain,
    peer::{Key, Manners, Peer},
};

/// Blocks before anything begins.
const FIRST_BLOCKS: u64 = 5;

/// Until the node has noticed what a peer did.
pub const NOTICE_LIMIT: Duration = Duration::from_secs(60);

/// Bytes that what is not verified yet may take here: less than half of what `docs/node.md` promises whatever peers send, since
/// proofs here are an eighth of the longest.
const MEMORY_BOUND: u64 = 340_000_000;

/// A miner and the node that is attacked.
pub struct Scene {
    /// Mines.
    pub miner: Node,
    /// Follows; not yet connected to the miner.
    pub node: Node,
    /// Where the node is reached.
    pub address: String,
    random: Random,
    keys: u64,
    // Dropped last: it removes the nodes' folders.
    _network: Network,
}

impl Scene {
    /// Starts both, and brings the node on the miner's chain through a peer that keeps the rules.
    pub async fn new(seed: u64) -> Outcome<Self> {
        let random = Random::of_test(seed);
        let mut network = Network::new().await?;
        let miner = network.miner("miner", "//Eve").await?;
        let mut options = NodeOptions {
            bootnodes: Vec::new(),
            ..network.options().following()
        };
        // What peers are blamed for is said in the log alone.
        let level = "peerset=trace,labora_consensus=debug,sync=debug";
        options.more.extend(["--log".into(), level.into()]);
        let node = network.start("node", &options).await?;
        let address = node.address().await?;
        let mut scene = Self {
            miner,
            node,
            address,
            random,
            keys: 0,
            _network: network,
        };
        scene.control().await?;
        Ok(scene)
    }

    /// The control of every test here: what is refused later is taken by the same ways from the same peer, with its proofs.
    async fn control(&mut self) -> Outcome {
        wait_for_best(self.miner.rpc(), FIRST_BLOCKS).await?;
        let chain = Chain::of(self.miner.rpc()).await?;
        let below = chain.up_to(chain.height() - 1);
        let peer = self.peer(below.clone(), Manners::Honest).await?;
        self.expect_best(&below).await?;
        let asked = peer.seen().proofs;
        assert!(
            asked > 0,
            "these blocks came by sync, and their proofs by request"
        );

        let block = chain.best().clone();
        peer.learn(chain.clone());
        let proof = block.proof.clone().ok_or("a mined block without proof")?;
        assert!(peer.announce(&block.header, proof).await);
        self.expect_best(&chain).await?;
        assert_eq!(
            peer.seen().proofs,
            asked,
            "the proof came with the announcement"
        );
        Ok(())
    }

    async fn expect_best(&self, chain: &Chain) -> Outcome {
        wait_for_best(self.node.rpc(), chain.height().into()).await?;
        let expected = format!("{:?}", chain.best().hash());
        assert_eq!(self.node.rpc().best_hash().await?, expected);
        Ok(())
    }

    /// A key that no peer has had.
    pub fn key(&mut self) -> Key {
        self.keys += 1;
        let mut key = Key::default();
        key.copy_from_slice(&self.random.part(&format!("key {}", self.keys)).bytes(32));
        key
    }

    /// A new peer, once the node has let it in.
    pub async fn peer(&mut self, chain: Chain, manners: Manners) -> Outcome<Peer> {
        Peer::welcome(self.key(), &self.address, chain, manners).await
    }

    /// Waits until the miner has blocks that the node has not; its chain then.
    pub async fn unknown_blocks(&self) -> Outcome<Chain> {
        let known = self.node.rpc().best_number().await?;
        wait_for_best(self.miner.rpc(), known + 2).await?;
        Chain::of(self.miner.rpc()).await
    }

    /// Tells the node of the miner.
    pub async fn meet_miner(&self) -> Outcome {
        let address: Value = self.miner.address().await?.into();
        let rpc = self.node.rpc();
        rpc.call::<()>("system_addReservedPeer", &[address]).await
    }

    /// Fails unless the node gets the miner's next blocks, each in time.
    pub async fn honest_blocks(&self, count: usize, limit: Duration) -> Outcome {
        let mut mined = Mined::by(self.miner.rpc()).await?;
        let longest = mined.reach(self.node.rpc(), count, limit).await?;
        println!("{count} honest blocks, each within {longest:?} (of {limit:?})");
        self.node.log().assert_no_panic()
    }

    /// Waits until the node has blamed a peer for this.
    pub async fn blamed(&self, peer: &Peer, reason: &str) -> Outcome {
        let blame = format!("Report {}: -", peer.id);
        let reason = format!("Reason: {reason}");
        wait_for(&reason, NOTICE_LIMIT, || async {
            let text = self.node.log().text()?;
            let mut lines = text.lines();
            let found = lines.any(|line| line.contains(&blame) && line.contains(&reason));
            Ok(found.then_some(()))
        })
        .await
    }

    /// Counts the node's memory from here.
    pub fn memory(&self) -> Outcome<Memory> {
        let pid = self.node.pid();
        memory::forget_peak(pid)?;
        let before = memory::resident(pid)?;
        Ok(Memory { pid, before })
    }
}

/// The node's memory at some moment.
pub struct Memory {
    pid: u32,
    before: u64,
}

impl Memory {
    /// Fails if the node has taken more than it may at any time since.
    pub fn assert_bounded(&self) -> Outcome {
        let grown = memory::peak(self.pid)?.saturating_sub(self.before);
        let [grown_mb, before_mb] = [grown, self.before].map(|bytes| bytes / 1_000_000);
        println!("memory: {before_mb} MB, and at most {grown_mb} MB more");
        assert!(grown < MEMORY_BOUND, "{grown} bytes, of {MEMORY_BOUND}");
        Ok(())
    }
}
