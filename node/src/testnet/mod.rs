//! `labora testnet`: a network of validators and miners as processes of this machine, or the same written out for real ones.
//!
//! [`members`] are who takes part, with their keys; [`folder`] is where a network lives; [`supervisor`] starts its processes,
//! looks after them ([`process`]), asks them how they are ([`watch`]), counts ([`tally`]), and shows it ([`show`]).
//! [`write`](mod@write) needs none of these: it writes the network and ends.

mod console;
mod error;
mod folder;
mod founder;
mod launch;
mod members;
mod ports;
mod process;
mod show;
mod summary;
mod supervisor;
mod tally;
#[cfg(test)]
mod tests;
mod units;
mod watch;
mod write;

use std::{num::NonZeroU32, path::PathBuf, process::ExitCode};

use clap::{Args, ValueEnum, value_parser};
use labora_chain_spec::Preset;
use serde::{Deserialize, Serialize};

use crate::cli::devices::{DevicesError, parse_devices};
pub use error::TestnetError;
use folder::Folder;
use founder::{Founder, parse_founder};
pub use process::tie_to_supervisor;
use supervisor::Supervisor;

/// Most validators, and most miners, that are started: each is a process with a runtime and a database of its own.
const MAX_OF_A_KIND: i64 = 32;

/// Validators and miners where nothing is said.
const DEFAULT_VALIDATORS: u16 = 4;
const DEFAULT_MINERS: u16 = 2;

/// What network, and what to do with it.
#[derive(Args, Clone, Debug)]
pub struct TestnetCommand {
    /// Validators, 1 to 32. Default: 4, or as many as the network in --base-path has.
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=MAX_OF_A_KIND))]
    pub validators: Option<u16>,

    /// Miners, 0 to 32. Default: 2, or as many as the network in --base-path has.
    #[arg(long, value_name = "M", value_parser = value_parser!(u16).range(0..=MAX_OF_A_KIND))]
    pub miners: Option<u16>,

    /// Whose figures of work and eras the chain has. Default: local, or those of the network in --base-path.
    #[arg(long, value_enum)]
    pub preset: Option<PresetName>,

    /// Nobody is root. Otherwise the first validator's account is.
    #[arg(long)]
    pub no_root: bool,

    /// Folder to keep the network in. One that is there is started again.
    ///
    /// Without it the network lives in a temporary folder, which is removed at the end unless a member has died.
    #[arg(long, value_name = "PATH", conflicts_with = "write")]
    pub base_path: Option<PathBuf>,

    /// First of the ports on 127.0.0.1: each member takes three, for peers, RPC and metrics (four with --market). Default: any free ones.
    #[arg(long, value_name = "PORT", conflicts_with = "write")]
    pub base_port: Option<u16>,

    /// What each miner multiplies on, as a node's --devices. Default: cpu:1, and with --write a node's own, auto.
    #[arg(long, value_name = "DEVICES", value_parser = checked_devices)]
    pub devices: Option<String>,

    /// Members take part in the market of jobs: validators audit results, miners work on jobs.
    ///
    /// Each keeps up to 1 GiB of matrices, and takes a fourth port for them. Its account signs: NAME/job-key in the folder.
    #[arg(long, conflicts_with = "write")]
    pub market: bool,

    /// End by itself once this many blocks are final, and print a summary.
    #[arg(long, value_name = "N", conflicts_with = "write")]
    pub blocks: Option<NonZeroU32>,

    /// Print the summary as JSON.
    #[arg(long, conflicts_with = "write")]
    pub json: bool,

    /// Start nothing: write a network for real machines into this folder, which must be empty or not be there.
    ///
    /// It is a new one of the members and the preset that the other flags name, with keys and a chain of its own: what is in
    /// a --base-path is not written out.
    #[arg(long, value_name = "DIR")]
    pub write: Option<PathBuf>,

    /// A validator by its public keys, for networks of several operators: NAME=STASH,GRANDPA, both as SS58 addresses.
    ///
    /// Repeat it for each. Nobody's secrets are needed: each operator makes its own keys with `labora key generate` and
    /// tells the addresses only.
    #[arg(
        long = "founder",
        value_name = "NAME=STASH,GRANDPA",
        value_parser = parse_founder,
        requires = "write",
        conflicts_with_all = ["validators", "miners"]
    )]
    pub founders: Vec<Founder>,
}

/// A chain's figures by name.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum PresetName {
    /// A block every 3 s, eras of minutes.
    Dev,
    /// A block every 6 s, eras of minutes.
    Local,
    /// A block every 12 s, eras of half a day, a difficulty for ten machines.
    Testnet,
}

impl From<PresetName> for Preset {
    fn from(name: PresetName) -> Self {
        match name {
            PresetName::Dev => Preset::Development,
            PresetName::Local => Preset::Local,
            PresetName::Testnet => Preset::Testnet,
        }
    }
}

/// The value as it is, once it is known to be one: the miners read it themselves.
fn checked_devices(value: &str) -> Result<String, DevicesError> {
    parse_devices(value).map(|_| value.to_owned())
}

/// So many of these, in words.
fn counted(count: usize, one: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {one}s"),
    }
}

/// Does what was asked for. With `--blocks`, ends with status 1 if the network ended before.
pub fn run(command: &TestnetCommand) -> sc_cli::Result<ExitCode> {
    if let Some(folder) = &command.write {
        write::run(command, folder)?;
        return Ok(ExitCode::SUCCESS);
    }
    Ok(supervise(command)?)
}

fn supervise(command: &TestnetCommand) -> Result<ExitCode, TestnetError> {
    // Before the keys and the chain are made: that is part of what a user waits for.
    let began = std::time::Instant::now();
    let folder = Folder::open(command)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(TestnetError::System)?;
    // On this thread, which starts the processes: they are told when it ends, and it ends last.
    let (ended, folder) = runtime.block_on(async {
        let mut supervisor = Supervisor::new(command, folder, began)?;
        let ended = supervisor.run().await;
        Ok::<_, TestnetError>((ended, supervisor.into_folder()))
    })?;
    folder.close(ended.as_ref().map_or(true, |ended| ended.died > 0));
    let ended = ended?;
    Ok(if ended.reached {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
