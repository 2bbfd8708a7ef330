//! From the command line to the thing that was asked for.

mod lock;

use std::{
    path::Path,
    process::ExitCode,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use labora_runtime::opaque::Block;
use sc_cli::SubstrateCli;
use sc_service::PartialComponents;

use crate::{
    bench,
    cli::{Cli, Subcommand},
    devices, disk, doctor, miner, mining, pouw, service, settings, testnet, wallet,
};
pub use lock::{LockError, lock};

impl SubstrateCli for Cli {
    fn impl_name() -> String {
        "Labora Node".into()
    }

    fn impl_version() -> String {
        env!("SUBSTRATE_CLI_IMPL_VERSION").into()
    }

    fn description() -> String {
        env!("CARGO_PKG_DESCRIPTION").into()
    }

    fn author() -> String {
        env!("CARGO_PKG_AUTHORS").into()
    }

    fn support_url() -> String {
        concat!(env!("CARGO_PKG_REPOSITORY"), "/issues").into()
    }

    fn copyright_start_year() -> i32 {
        2026
    }

    fn load_spec(&self, id: &str) -> Result<Box<dyn sc_service::ChainSpec>, String> {
        let spec = labora_chain_spec::load(id).map_err(|error| error.to_string())?;
        Ok(Box::new(spec))
    }
}

/// The SDK's proposer tells of every template at `info`; here one is made every few seconds and most are never sealed.
const QUIET: &str = "basic-authorship=warn,sc_basic_authorship=warn";

/// Reads the command line and does it.
pub fn run() -> sc_cli::Result<ExitCode> {
    testnet::tie_to_supervisor().map_err(sc_cli::Error::Input)?;
    let mut cli = Cli::from_args();
    // First, so that what the user asks for with --log still wins.
    cli.run.shared_params.log.insert(0, QUIET.into());
    match &cli.subcommand {
        None => run_node(&cli)?,
        Some(Subcommand::Devices(options)) => return devices::command::run(options),
        Some(Subcommand::Doctor(command)) => return doctor::run(&cli, command),
        Some(Subcommand::Bench(options)) => return bench::run(options),
        Some(Subcommand::Miner(command)) => return miner::run(command),
        Some(Subcommand::Job(command)) => return wallet::run(wallet::Command::Job(command)),
        Some(Subcommand::Grant(command)) => return wallet::run(wallet::Command::Grant(command)),
        Some(Subcommand::Balance(command)) => {
            return wallet::run(wallet::Command::Balance(command));
        }
        Some(Subcommand::Transfer(command)) => {
            return wallet::run(wallet::Command::Transfer(command));
        }
        Some(Subcommand::Stake(command)) => return wallet::run(wallet::Command::Stake(command)),
        Some(Subcommand::Pool(command)) => return wallet::run(wallet::Command::Pool(command)),
        Some(Subcommand::Testnet(command)) => return testnet::run(command),
        Some(Subcommand::Pouw(command)) => return pouw::run(command),
        Some(Subcommand::Key(command)) => command.run(&cli)?,
        Some(Subcommand::ChainSpec(command)) => command.run(cli.load_spec(&command.chain)?)?,
        Some(Subcommand::BuildSpec(command)) => {
            let runner = cli.create_runner(command)?;
            runner.sync_run(|config| command.run(config.chain_spec, config.network))?;
        }
        Some(Subcommand::ChainInfo(command)) => {
            let runner = cli.create_runner(command)?;
            runner.sync_run(|config| command.run::<Block>(&config))?;
        }
        Some(Subcommand::CheckBlock(command)) => {
            let runner = cli.create_runner(command)?;
            runner.async_run(|config| {
                let PartialComponents {
                    client,
                    task_manager,
                    import_queue,
                    ..
                } = service::new_partial(&config, cli.proofs.trust(), false)?;
                Ok((command.run(client, import_queue), task_manager))
            })?;
        }
        Some(Subcommand::ExportBlocks(command)) => {
            let runner = cli.create_runner(command)?;
            runner.async_run(|config| {
                let PartialComponents {
                    client,
                    task_manager,
                    ..
                } = service::new_partial(&config, cli.proofs.trust(), false)?;
                Ok((command.run(client, config.database), task_manager))
            })?;
        }
        Some(Subcommand::ExportState(command)) => {
            let runner = cli.create_runner(command)?;
            runner.async_run(|config| {
                let PartialComponents {
                    client,
                    task_manager,
                    ..
                } = service::new_partial(&config, cli.proofs.trust(), false)?;
                Ok((command.run(client, config.chain_spec), task_manager))
            })?;
        }
        Some(Subcommand::ImportBlocks(_)) => {
            return Err(sc_cli::Error::Input(
                "exported blocks carry no proofs of work, and a block is not imported without its proof; start a node \
                 with --bootnodes and the address of one that has the blocks, or copy its data folder while it is \
                 stopped"
                    .into(),
            ));
        }
        Some(Subcommand::PurgeChain(command)) => {
            let runner = cli.create_runner(command)?;
            runner.sync_run(|config| {
                // Until the folder is gone, so that no node starts on what is being removed.
                let _held = match config.database.path() {
                    Some(folder) => {
                        lock(folder).map_err(|error| sc_cli::Error::Input(error.to_string()))?
                    }
                    None => Vec::new(),
                };
                command.run(config.database)
            })?;
        }
        Some(Subcommand::Revert(command)) => {
            let runner = cli.create_runner(command)?;
            runner.async_run(|config| {
                let PartialComponents {
                    client,
                    task_manager,
                    backend,
                    ..
                } = service::new_partial(&config, cli.proofs.trust(), false)?;
                let votes = Box::new(|client, _, blocks| {
                    sc_consensus_grandpa::revert(client, blocks)?;
                    Ok(())
                });
                Ok((command.run(client, backend, Some(votes)), task_manager))
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn run_node(cli: &Cli) -> sc_cli::Result<()> {
    let mut runner = cli.create_runner(&cli.run)?;
    settings::adjust(runner.config_mut(), cli)?;
    let options = mining::Options::new(cli, runner.config())?;
    let folder = runner.config().database.path().map(Path::to_owned);
    let database = Arc::new(OnceLock::new());
    let held = database.clone();
    let result = runner.run_node_until_exit(|config| async move {
        service::new_full(config, options, &held)
            .await
            .map_err(sc_cli::Error::Service)
    });
    if let Some(database) = Arc::into_inner(database).and_then(OnceLock::into_inner) {
        close(database);
    }
    result.map_err(|error| match folder {
        Some(folder) => name_folder(error, &folder),
        None => error,
    })
}

/// Longest wait for whoever still holds the database when all tasks have ended.
const CLOSING: Duration = Duration::from_secs(5);

/// Closes the database, on this thread. Were the last holder some other thread, RocksDB might still be closing when the
/// process ends and takes RocksDB's own locks away, which aborts it.
fn close(database: Arc<service::FullBackend>) {
    let deadline = Instant::now() + CLOSING;
    while Arc::strong_count(&database) > 1 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Names the folder of a database that cannot be opened, which the SDK's own errors do not.
fn name_folder(error: sc_cli::Error, folder: &Path) -> sc_cli::Error {
    let free = disk::nearest(folder).and_then(|folder| disk::free(&folder).ok());
    name_folder_with(error, folder, free)
}

/// The same, where so much is free; `None` if that is not known.
fn name_folder_with(error: sc_cli::Error, folder: &Path, free: Option<u64>) -> sc_cli::Error {
    let words = error.to_string();
    let says_full = ["No space left on device", "Disk quota exceeded"];
    let says_full = says_full.iter().any(|of| words.contains(of));
    let of_database = [
        "Database version",
        "Corruption:",
        "Invalid argument:",
        "Not a directory",
    ];
    if !says_full && !of_database.iter().any(|of| words.contains(of)) {
        return error;
    }
    // A whole database looks damaged where nothing can be written, and must not be deleted for that.
    if says_full || free.is_some_and(|free| free < disk::LEAST_FREE) {
        let left = free.map_or_else(String::new, |free| {
            format!(", with {} MiB left", free >> 20)
        });
        return sc_cli::Error::Input(format!(
            "the disk of the database in {} is full{left}; make room and start again: nothing in that folder has to be \
             deleted ({words})",
            folder.display()
        ));
    }
    sc_cli::Error::Input(format!(
        "the database in {} cannot be opened; check that it is a folder of this user's, made by this version; else start \
         with another --base-path, or delete it with purge-chain and sync again ({words})",
        folder.display()
    ))
}

/// What RocksDB and ParityDB say when another process holds their lock; they have no code of their own.
fn is_locked(words: &str) -> bool {
    words.contains("lock hold by current process")
        || words.contains("While lock file")
        || words.contains("Database file is in use")
}

/// An error as a sentence that says what to do, where the SDK's own does not.
pub fn explain(error: &sc_cli::Error) -> String {
    let words = error.to_string();
    if is_locked(&words) {
        return format!(
            "another node is running on this data folder; stop it, or give this one another folder with --base-path \
             ({words})"
        );
    }
    if words.contains("Address already in use") {
        return format!(
            "a port that was asked for is in use by another program; choose another with --rpc-port, \
             --gemm-listen, --prometheus-port or --port ({words})"
        );
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_data_folder_is_explained() {
        let error = sc_cli::Error::Client(sp_blockchain::Error::Backend(
            "IO error: While lock file: chains/dev/db/full/LOCK: Resource temporarily unavailable"
                .into(),
        ));
        assert!(
            explain(&error).starts_with("another node is running on this data folder; stop it")
        );
    }

    #[test]
    fn a_database_that_cannot_be_opened_is_named() {
        let error = sc_cli::Error::Input(
            "Database version cannot be read from existing db_version file".into(),
        );
        let folder = Path::new("/data/db");
        let words = name_folder_with(error, folder, Some(1 << 40)).to_string();
        assert!(
            words.contains("/data/db") && words.contains("--base-path"),
            "{words}"
        );
        let other = sc_cli::Error::Input("no such chain".into());
        let other = name_folder_with(other, folder, Some(0)).to_string();
        assert!(!other.contains("/data/db"), "{other}");
    }

    #[test]
    fn a_full_disk_is_no_reason_to_delete_a_database() {
        let not_opened = "Invalid argument: Column families not opened: col12, col11";
        for (words, free) in [
            (not_opened, Some(0)),
            ("IO Error: No space left on device (os error 28)", None),
            // Some other limit than the file system's.
            ("Disk quota exceeded (os error 122)", Some(1 << 40)),
        ] {
            let error = sc_cli::Error::Input(words.into());
            let told = name_folder_with(error, Path::new("/data/db"), free).to_string();
            assert!(
                told.contains("is full") && told.contains("make room"),
                "{told}"
            );
            assert!(told.contains("/data/db") && told.contains(words), "{told}");
            assert!(!told.contains("purge-chain"), "{told}");
        }
        for free in [None, Some(1 << 40)] {
            let error = sc_cli::Error::Input(not_opened.into());
            let told = name_folder_with(error, Path::new("/data/db"), free).to_string();
            assert!(told.contains("purge-chain"), "{told}");
        }
    }

    #[test]
    fn other_errors_are_left_as_they_are() {
        let error = sc_cli::Error::Input("no such chain".into());
        assert_eq!(explain(&error), error.to_string());
    }
}
