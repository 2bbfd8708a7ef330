//! What the `pouw_…` methods answer with. Hashes and bytes are 0x-prefixed hex; difficulties and sums of work, which pass
//! 2⁵³, are decimal strings; times are in milliseconds.

use labora_consensus::Template;
use labora_consensus_api::SealRecord;
use labora_pouw::{Seal, Shape};
use serde::{Deserialize, Serialize};
use sp_core::{Bytes, H256, U256};

use crate::worker;

/// The protocol's version tag as `pouw_info` gives it.
pub fn protocol() -> String {
    String::from_utf8_lossy(labora_pouw::TAG)
        .trim_end_matches(':')
        .to_owned()
}

/// Answer of `pouw_info`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Info {
    /// The protocol's version tag, which is hashed into every seed.
    pub protocol: String,
    /// Hash of the genesis block.
    pub genesis: H256,
    /// Newest block of the best chain.
    pub best: H256,
    /// Its number.
    pub best_number: u32,
    /// Work of the best chain, in multiply-accumulates.
    pub accumulated_work: String,
    /// Difficulty that a child of the best block has to meet, in multiply-accumulates.
    pub difficulty: String,
    /// Time between blocks that the difficulty aims at.
    pub target_block_time_ms: u64,
    /// Whether this node builds blocks to be mined.
    pub mining: bool,
    /// SS58 address that it mines for.
    pub author: Option<String>,
    /// What it multiplies on, in words.
    pub devices: Vec<String>,
    /// What a share has to be worth, in multiply-accumulates; null if this node counts none.
    #[serde(default)]
    pub share_macs: Option<String>,
    /// Bounds of the protocol, for those who write miners.
    pub limits: Limits,
}

/// Bounds of the protocol.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Side of the tile that one ticket covers; m and n are multiples of it.
    pub tile: u32,
    /// Rank of the noise, and length of a window; k is a multiple of it.
    pub rank: u32,
    /// Largest magnitude of an entry of A and Bt.
    pub entry: u32,
    /// Smallest and largest m and n.
    pub side: [u32; 2],
    /// Smallest and largest k.
    pub inner: [u32; 2],
    /// Longest SCALE-encoded proof, in bytes.
    pub max_proof_bytes: u32,
}

impl Limits {
    /// The bounds of the protocol that this node speaks.
    pub fn of_protocol() -> Self {
        Limits {
            tile: labora_pouw::TILE as u32,
            rank: labora_pouw::RANK as u32,
            entry: labora_pouw::LIMIT as u32,
            side: [Shape::MIN_SIDE, Shape::MAX_SIDE],
            inner: [Shape::MIN_K, Shape::MAX_K],
            max_proof_bytes: labora_pouw::Proof::MAX_ENCODED_LEN as u32,
        }
    }
}

/// One message of `pouw_subscribeWork`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum WorkMessage {
    /// Mine this, and drop all earlier work.
    #[serde(rename_all = "camelCase")]
    Work {
        /// Hash that tickets are made for: that of the header without its seal.
        pre_hash: H256,
        /// Expected multiply-accumulates of one block.
        difficulty: String,
        /// (2²⁵⁶-1)/difficulty, big-endian: a ticket of a product with inner length k wins if it is at most this times
        /// 256·k.
        target_per_mac: H256,
        /// Block that is built upon.
        parent: H256,
        /// Number of the block that is mined.
        number: u32,
    },
    /// Mine nothing: the node syncs, has no peers, or has no block ready.
    Stop,
}

impl From<Option<&Template>> for WorkMessage {
    fn from(template: Option<&Template>) -> Self {
        let Some(template) = template else {
            return WorkMessage::Stop;
        };
        // A difficulty of zero is no difficulty: the runtime never states one. Should it, nothing wins.
        let per_mac = U256::MAX
            .checked_div(template.difficulty)
            .unwrap_or_default();
        WorkMessage::Work {
            pre_hash: template.pre_hash,
            difficulty: template.difficulty.to_string(),
            target_per_mac: H256(per_mac.to_big_endian()),
            parent: template.parent,
            number: template.number,
        }
    }
}

/// Answer of `pouw_blockProof`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockProof {
    /// Hash that the tickets were made for.
    pub pre_hash: H256,
    /// SCALE-encoded seal.
    pub seal: Bytes,
    /// SCALE-encoded proof.
    pub proof: Bytes,
}

/// Answer of `pouw_sealOf`: what a block was mined on, as the state of its descendants gives it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SealInfo {
    /// Hash of the block.
    pub block: H256,
    /// Difficulty that it had to meet, in multiply-accumulates.
    pub difficulty: String,
    /// Rows of A.
    pub m: u32,
    /// Columns of B, which are rows of Bt.
    pub n: u32,
    /// Columns of A and of Bt.
    pub k: u32,
    /// BLAKE3 hash of A's row-major bytes.
    pub root_a: H256,
    /// BLAKE3 hash of Bt's row-major bytes.
    pub root_b: H256,
    /// Row of the tile that won.
    pub row: u32,
    /// Column of the tile that won.
    pub column: u32,
}

impl From<SealRecord> for SealInfo {
    fn from(record: SealRecord) -> Self {
        let seal: Seal = record.seal;
        let shape = seal.shape();
        SealInfo {
            block: record.block,
            difficulty: record.difficulty.to_string(),
            m: shape.m(),
            n: shape.n(),
            k: shape.k(),
            root_a: H256(*seal.root_a()),
            root_b: H256(*seal.root_b()),
            row: seal.row(),
            column: seal.column(),
        }
    }
}

/// Answer of `pouw_stats`: what this node did since its start.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Whether there is a template to mine on and a device that does.
    pub is_mining: bool,
    /// Products answered.
    pub products: u64,
    /// Products that failed on a device.
    pub products_failed: u64,
    /// Products that wait.
    pub queue_length: usize,
    /// Products that may wait.
    pub queue_capacity: usize,
    /// Multiply-accumulates for products that were asked for, padding included.
    pub macs_useful: u64,
    /// Multiply-accumulates for filler.
    pub macs_filler: u64,
    /// Those of both that took part in mining.
    pub macs_mined: u64,
    /// Multiply-accumulates per second over the last ten seconds.
    pub macs_per_s_10s: Rates,
    /// Multiply-accumulates per second over the last sixty seconds.
    pub macs_per_s_60s: Rates,
    /// Blocks mined, on whatever, by this node's devices.
    pub blocks: u64,
    /// Those of them mined on products that were asked for.
    pub blocks_useful: u64,
    /// Winning tiles for a block that another had settled.
    pub seals_too_late: u64,
    /// Seals of this node's devices that the engine refused, which honest work never is.
    pub seals_refused: u64,
    /// Seals that came by RPC and became blocks.
    pub rpc_accepted: u64,
    /// Seals that came by RPC and were refused, for whatever reason.
    pub rpc_rejected: u64,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// What each device did and how it fares.
    pub devices: Vec<DeviceStats>,
}

/// One device in the answer of `pouw_stats`. What was measured is `null` where the device or the system does not give it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceStats {
    /// What `--devices` calls it.
    pub id: String,
    /// What it is, in words.
    pub name: String,
    /// Multiply-accumulates for products that were asked for, padding included.
    pub macs_useful: u64,
    /// Multiply-accumulates for filler.
    pub macs_filler: u64,
    /// Those of both that took part in mining.
    pub macs_mined: u64,
    /// How often it went away in the middle of its work.
    pub lost: u64,
    /// Why it does no filler at the moment: `power`, `temperature`, `in_use` or `unreadable`.
    pub held: Option<String>,
    /// Power, in watts.
    pub power_w: Option<f64>,
    /// Temperature, in degrees Celsius.
    pub temperature_c: Option<f64>,
    /// Share of time in which it worked, for whomever, from 0 to 1.
    pub utilisation: Option<f64>,
    /// Device memory in use, by whomever, in bytes.
    pub memory_used_bytes: Option<u64>,
    /// Energy since the start, in joules.
    pub energy_j: Option<f64>,
}

impl From<&worker::DeviceStats> for DeviceStats {
    fn from(device: &worker::DeviceStats) -> Self {
        let reading = device.reading.clone().unwrap_or_default();
        DeviceStats {
            id: device.id.clone(),
            name: device.name.clone(),
            macs_useful: device.macs_useful,
            macs_filler: device.macs_filler,
            macs_mined: device.macs_mined,
            lost: device.lost,
            held: device.held.map(|hold| hold.name().to_owned()),
            power_w: reading.power_w,
            temperature_c: reading.temperature_c,
            utilisation: reading.utilisation,
            memory_used_bytes: reading.memory_used_bytes,
            energy_j: reading.energy_j,
        }
    }
}

/// Multiply-accumulates per second over a window that ends now.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Rates {
    /// For products that were asked for, padding included.
    pub useful: f64,
    /// For filler.
    pub filler: f64,
}

impl From<worker::Rates> for Rates {
    fn from(rates: worker::Rates) -> Self {
        Rates {
            useful: rates.useful,
            filler: rates.filler,
        }
    }
}

impl Stats {
    /// The worker's figures, and how many seals that came by RPC were taken and refused.
    pub fn new(worker: &worker::WorkerStats, rpc_accepted: u64, rpc_rejected: u64) -> Self {
        Stats {
            is_mining: worker.is_mining,
            products: worker.products,
            products_failed: worker.failed,
            queue_length: worker.queue_length,
            queue_capacity: worker.queue_capacity,
            macs_useful: worker.macs_useful,
            macs_filler: worker.macs_filler,
            macs_mined: worker.macs_mined,
            macs_per_s_10s: worker.macs_per_s_10s.into(),
            macs_per_s_60s: worker.macs_per_s_60s.into(),
            blocks: worker.blocks_useful.saturating_add(worker.blocks_filler),
            blocks_useful: worker.blocks_useful,
            seals_too_late: worker.seals_too_late,
            seals_refused: worker.seals_refused,
            rpc_accepted,
            rpc_rejected,
            uptime_s: worker.uptime_s,
            devices: worker.per_device.iter().map(DeviceStats::from).collect(),
        }
    }
}
