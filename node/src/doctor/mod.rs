//! `labora doctor`: looks at what a node needs, before it starts or while it runs, and says what to do about what is wrong.
//!
//! It takes a node's own flags, so that it looks at what that node would use. [`machine`] looks at clock, disk and devices,
//! [`database`] at the database, [`keys`] at keys, [`votes`] at whether the chain knows them, [`network`] at ports, the running node and
//! peers, [`genesis`] at the chain spec, and whether that node is of this chain. It changes
//! nothing, but that a database which a killed node left is put in order when it is opened.

mod database;
mod genesis;
mod keys;
mod machine;
mod network;
mod votes;

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::Args;
use labora_chain_spec::is_built_in;
use sc_cli::{RunCmd, SubstrateCli};
use sc_service::BasePath;
use serde::Serialize;

use crate::{
    cli::{Cli, GemmParams, LimitParams, MiningParams, ProofParams},
    settings::is_local,
    table,
};
use database::{Database, Place, Told};
use genesis::Genesis;

/// What to look at: the flags that the node is started with.
#[derive(Args, Clone, Debug)]
pub struct DoctorCommand {
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,

    /// The SDK's flags of the node.
    #[clap(flatten)]
    pub run: RunCmd,

    /// Its flags about mining.
    #[clap(flatten)]
    pub mining: MiningParams,

    /// Its flags that keep devices within limits.
    #[clap(flatten)]
    pub limits: LimitParams,

    /// Its flags about the endpoint that multiplies for users.
    #[clap(flatten)]
    pub gemm: GemmParams,

    /// Its flags about proofs.
    #[clap(flatten)]
    pub proofs: ProofParams,
}

/// How something is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Health {
    /// As it should be.
    Good,
    /// A node runs; something may trouble it later.
    Warning,
    /// A node does not start, or does not do what it was started for.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
struct Finding {
    what: &'static str,
    health: Health,
    /// What was found, as a phrase.
    found: String,
    /// What to do; empty where nothing is to be done.
    #[serde(rename = "do")]
    remedy: String,
}

impl Finding {
    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self::new(what, Health::Good, found, "")
    }

    fn warning(what: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(what, Health::Warning, found, remedy)
    }

    fn bad(what: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(what, Health::Bad, found, remedy)
    }

    fn new(
        what: &'static str,
        health: Health,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Finding {
            what,
            health,
            found: found.into(),
            remedy: remedy.into(),
        }
    }
}

/// The node that is looked at, as its flags have it.
struct Subject<'a> {
    command: &'a DoctorCommand,
    spec: Box<dyn sc_service::ChainSpec>,
    /// Folder of all its chains.
    base: PathBuf,
    /// Folder of its chain.
    chain: PathBuf,
}

impl<'a> Subject<'a> {
    fn new(cli: &Cli, command: &'a DoctorCommand) -> sc_cli::Result<Self> {
        let shared = &command.run.shared_params;
        let spec = cli.load_spec(&shared.chain_id(shared.is_dev()))?;
        let base = match &shared.base_path {
            Some(path) => BasePath::new(path.clone()),
            None => BasePath::from_project("", "", &Cli::executable_name()),
        };
        Ok(Subject {
            command,
            chain: base.config_dir(spec.id()),
            base: base.path().to_owned(),
            spec,
        })
    }

    /// Whether it keeps nothing: `--dev` without a folder.
    fn is_temporary(&self) -> bool {
        let shared = &self.command.run.shared_params;
        shared.base_path.is_none() && (shared.is_dev() || self.command.run.tmp)
    }

    /// Whether its chain's keys are known to everyone.
    fn is_local(&self) -> bool {
        is_local(&self.spec.chain_type())
    }
}

/// Looks at everything; ends with status 1 if anything is bad.
pub fn run(cli: &Cli, command: &DoctorCommand) -> sc_cli::Result<ExitCode> {
    let subject = Subject::new(cli, command)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let clock = runtime.block_on(machine::clock());
    let disk = machine::disk(&subject);
    let has_room = disk.health != Health::Bad;
    let place = Place::of(&subject)?;
    let database = if subject.is_temporary() {
        Database::None
    } else {
        Database::look(&place, &Told::of(&subject)?)
    };
    // Once, for all who need it.
    let built = Genesis::of_spec(&*subject.spec);
    let genesis = built.as_ref().ok();
    let (network, node) = runtime.block_on(network::look(&subject, &database, genesis));
    let to_vote_with = keys::to_vote_with(&subject);
    let voters = runtime.block_on(votes::look(
        &to_vote_with,
        network::rpc_address(&subject),
        node.as_ref(),
        genesis,
    ));
    let mut findings = vec![clock, disk, genesis::finding(&*subject.spec, &built)];
    findings.extend(network);
    let stranger =
        genesis.and_then(|it| database.of_another_chain(it, is_built_in(subject.spec.id())));
    findings.push(stranger.unwrap_or_else(|| database.finding(&place, has_room)));
    findings.extend(keys::keys(&subject, voters.as_ref()));
    findings.push(machine::devices(&subject));

    let mut out = std::io::stdout().lock();
    if command.json {
        table::write_json(&findings, &mut out)?;
    } else {
        print(&findings, &mut out)?;
    }
    Ok(if findings.iter().any(|it| it.health == Health::Bad) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn print(findings: &[Finding], out: &mut impl Write) -> std::io::Result<()> {
    let mut rows = vec![["", "what", "found"].map(String::from)];
    for finding in findings {
        let mark = match finding.health {
            Health::Good => "✓",
            Health::Warning => "!",
            Health::Bad => "✗",
        };
        rows.push([mark.into(), finding.what.into(), finding.found.clone()]);
    }
    table::write(&rows, out)?;
    let to_do: Vec<_> = findings.iter().filter(|it| !it.remedy.is_empty()).collect();
    if to_do.is_empty() {
        return writeln!(out, "\nNothing is to be done.");
    }
    writeln!(out)?;
    for finding in to_do {
        writeln!(out, "{}: {}.", finding.what, finding.remedy)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
