//! The command line: every flag of a node with its default and unit, and the subcommands. Values are parsed here, once;
//! what follows can rely on them. Flags that the SDK knows are the SDK's own, spelled as everywhere.

pub mod devices;
mod jobs;
mod limits;
pub mod values;

use std::{num::NonZeroU64, path::PathBuf};

use clap::{Args, Parser};
use labora_consensus::{KeepProofs, TrustedTarget, VerifyBlocks};
use sc_cli::{KeySubcommand, RunCmd};

use crate::{
    bench::BenchOptions,
    devices::{DevicesSpec, command::DevicesOptions},
    doctor::DoctorCommand,
    miner::MinerCommand,
    pouw::PouwCommand,
    testnet::TestnetCommand,
    trust::Trust,
    wallet::{
        BalanceCommand, GrantCommand, JobCommand, PoolCommand, StakeCommand, TransferCommand,
    },
};
use devices::parse_devices;
pub use jobs::{JobKeyParams, JobParams, MatricesParams};
pub use limits::LimitParams;
use values::{
    Author, GemmListen, parse_author, parse_checkpoint, parse_gemm_listen, parse_proofs,
    parse_share_macs, parse_size, parse_verify,
};

/// A node of a chain whose blocks are mined by multiplying matrices that somebody needs.
#[derive(Debug, Parser)]
pub struct Cli {
    /// What to do instead of running a node.
    #[command(subcommand)]
    pub subcommand: Option<Subcommand>,

    /// The SDK's flags of a running node.
    #[clap(flatten)]
    pub run: RunCmd,

    /// Flags about mining.
    #[clap(flatten)]
    pub mining: MiningParams,

    /// Flags that keep devices within limits.
    #[clap(flatten)]
    pub limits: LimitParams,

    /// Flags about the endpoint that multiplies for users.
    #[clap(flatten)]
    pub gemm: GemmParams,

    /// Flags about proofs.
    #[clap(flatten)]
    pub proofs: ProofParams,

    /// Flags about jobs.
    #[clap(flatten)]
    pub jobs: JobParams,
}

/// Which proofs a node keeps, and which it wants to see.
#[derive(Args, Clone, Debug)]
pub struct ProofParams {
    /// Proofs to keep: `archive` for all, or those of unfinalised blocks and of so many finalised ones.
    #[arg(long = "proofs", value_name = "archive|BLOCKS", value_parser = parse_proofs, default_value = "256")]
    pub keep_proofs: KeepProofs,

    /// Blocks whose proofs to verify: `unfinalised`, or `all` to audit a chain from its genesis.
    ///
    /// What is final needs no proof of work. To audit, peers with `--proofs archive` are needed, since others drop proofs
    /// of old blocks.
    #[arg(long, value_name = "unfinalised|all", value_parser = parse_verify, default_value = "unfinalised")]
    pub verify: VerifyBlocks,

    /// A block that is final for certain, as NUMBER:0xHASH, from somebody whom you trust.
    ///
    /// For a node that joins or was away for longer than bonds last: keys of validators that have left could sign another
    /// history by now. No other block of that number is taken, and no proof is needed up to it.
    #[arg(long, value_name = "NUMBER:HASH", value_parser = parse_checkpoint)]
    pub checkpoint: Option<TrustedTarget>,
}

impl ProofParams {
    /// What the user takes on trust.
    pub fn trust(&self) -> Trust {
        Trust {
            verify: self.verify,
            checkpoint: self.checkpoint,
        }
    }
}

/// Whether, for whom, and on what a node mines.
#[derive(Args, Clone, Debug)]
pub struct MiningParams {
    /// Mine blocks.
    #[arg(long)]
    pub mine: bool,

    /// Account that blocks are mined for: its SS58 address.
    ///
    /// A secret URI (a phrase, or `//Alice`) works too and stands for its sr25519 account; on a real chain prefer the
    /// address, since a command line can be read by everyone on the machine. On the development and local chains the
    /// default is the account of `--alice`, `--bob` and so on, and //Alice's with `--dev`.
    #[arg(long, value_name = "SS58|URI", value_parser = parse_author, requires = "mine")]
    pub author: Option<Author>,

    /// What multiplies: `auto`, `none`, or any of `cuda`, `cuda:0,2`, `cpu`, `cpu:THREADS`, joined by `+`.
    ///
    /// `auto` takes every NVIDIA GPU that can be used, and the CPU only where there is none. What is named must be there.
    /// `labora devices` shows what is. `--mine --devices none` leaves all mining to miners that fetch work over RPC (`pouw_subscribeWork`).
    /// `--devices cpu` without `--mine` only serves products. Default: `auto` with `--mine`, else `none`.
    #[arg(long, value_name = "DEVICES", value_parser = parse_devices)]
    pub devices: Option<DevicesSpec>,

    /// Count shares of this many multiply-accumulates for the rigs that mine here (`labora miner --rig`).
    ///
    /// At least 100000000. A rig sends (its multiply-accumulates per second) / N shares a second: aim at one every few
    /// seconds. Off by default: shares are then refused.
    #[arg(long, value_name = "N", value_parser = parse_share_macs, requires = "mine")]
    pub share_macs: Option<NonZeroU64>,
}

impl MiningParams {
    /// What to multiply on, with the default applied.
    pub fn devices(&self) -> DevicesSpec {
        match (&self.devices, self.mine) {
            (Some(devices), _) => devices.clone(),
            (None, true) => DevicesSpec::Auto,
            (None, false) => DevicesSpec::None,
        }
    }
}

/// Where the endpoint that multiplies for users listens.
#[derive(Args, Clone, Debug)]
pub struct GemmParams {
    /// Serve products over HTTP on this address, or `none`.
    ///
    /// Default: 127.0.0.1:9955, if it is free. An address that other machines can reach needs `--gemm-token`.
    #[arg(long, value_name = "ADDRESS:PORT|none", value_parser = parse_gemm_listen)]
    pub gemm_listen: Option<GemmListen>,

    /// Unix socket that products are served on.
    ///
    /// Default: `gemm.sock` in the folder of `--base-path`; of `labora miner`, which has none, `labora-miner.sock` in
    /// $XDG_RUNTIME_DIR or else in the system's temporary folder.
    #[arg(long, value_name = "PATH")]
    pub gemm_socket: Option<PathBuf>,

    /// File whose first line clients must send as `Authorization: Bearer …` over TCP.
    #[arg(long, value_name = "FILE")]
    pub gemm_token: Option<PathBuf>,

    /// Keep matrices by their BLAKE3 hash, in at most so much of the disk (such as 20GiB), and serve them at /v1/artifacts.
    ///
    /// What was not used for longest goes when there is no more room. Off by default.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub artifacts: Option<u64>,

    /// Folder of these matrices.
    ///
    /// Default: `artifacts` in the folder of `--base-path`; `labora miner`, which has none, has to be told.
    #[arg(long, value_name = "PATH", requires = "artifacts")]
    pub artifacts_path: Option<PathBuf>,
}

/// What can be done besides running a node.
#[derive(Debug, clap::Subcommand)]
pub enum Subcommand {
    /// Make, inspect and insert keys.
    #[command(subcommand)]
    Key(KeySubcommand),

    /// Print a chain's specification; `--raw` for the form that other nodes start from.
    #[command(name = "chain-spec", alias = "export-chain-spec")]
    ChainSpec(sc_cli::ExportChainSpecCmd),

    /// Print a chain's specification with this node as its bootnode (the SDK's older form of `chain-spec`).
    BuildSpec(sc_cli::BuildSpecCmd),

    /// Print the best and finalized block of a data folder.
    ChainInfo(sc_cli::ChainInfoCmd),

    /// Check a block of the data folder again, with its stored proof.
    CheckBlock(sc_cli::CheckBlockCmd),

    /// Write blocks, without their proofs, to a file.
    ExportBlocks(sc_cli::ExportBlocksCmd),

    /// Write the state of a block as a chain specification.
    ExportState(sc_cli::ExportStateCmd),

    /// Refused: exported blocks carry no proofs. Says what to do instead.
    ImportBlocks(sc_cli::ImportBlocksCmd),

    /// Delete a chain's data.
    PurgeChain(sc_cli::PurgeChainCmd),

    /// Take back the newest blocks.
    Revert(sc_cli::RevertCmd),

    /// Show what this machine can multiply on, and why a device is not used.
    Devices(DevicesOptions),

    /// Look at clock, disk, ports, peers, keys, database and devices, and say what to do; takes a node's own flags.
    Doctor(Box<DoctorCommand>),

    /// Measure what mining costs on each device, as ratios to plain products.
    Bench(BenchOptions),

    /// Mine for a node elsewhere, without a chain of one's own; takes products like a node.
    Miner(MinerCommand),

    /// Post products as jobs, follow them, and fetch what others computed.
    #[command(subcommand)]
    Job(JobCommand),

    /// Have the research fund pay for jobs: institutions, their members, rigs and ledgers.
    #[command(subcommand)]
    Grant(GrantCommand),

    /// Show what an account has: free, and held for what.
    Balance(BalanceCommand),

    /// Send LAB to an account.
    Transfer(TransferCommand),

    /// Bond stake, back validators or be one, and be paid for it.
    #[command(subcommand)]
    Stake(StakeCommand),

    /// Stake together with others, from 1 LAB on.
    #[command(subcommand)]
    Pool(PoolCommand),

    /// Start a network of validators and miners on this machine, or write one out for real machines.
    Testnet(TestnetCommand),

    /// The proof of work by itself: check vectors, measure this machine.
    #[command(subcommand)]
    Pouw(PouwCommand),
}

#[cfg(test)]
mod tests;
