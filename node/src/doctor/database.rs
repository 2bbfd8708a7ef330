//! The database in the data folder.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use labora_runtime::opaque::Block;
use sc_cli::CliConfiguration;
use sc_client_api::Backend as _;
use sc_client_db::{Backend, BlocksPruning, DatabaseSettings, DatabaseSource, PruningMode};
use sp_blockchain::HeaderBackend;
use sp_core::H256;

use super::{Finding, Subject, genesis::Genesis};
use crate::command::{LockError, lock};

/// Blocks that the SDK keeps apart from the final ones while it reads.
const CANONICALISATION_DELAY: u64 = 4_096;
/// Unfinalised blocks from which on their states weigh on memory.
const MANY_UNFINALISED: u32 = 5_000;

/// MiB of cache to read a database with.
const CACHE: usize = 16;

/// Where a node has its database.
pub(super) struct Place {
    source: DatabaseSource,
    path: PathBuf,
}

impl Place {
    /// As the SDK finds it by the node's flags.
    pub(super) fn of(subject: &Subject<'_>) -> sc_cli::Result<Self> {
        let run = &subject.command.run;
        let kind = run.database()?.unwrap_or(sc_cli::Database::RocksDb);
        let source = match run.database_config(&subject.chain, CACHE, kind)? {
            DatabaseSource::Auto {
                paritydb_path,
                rocksdb_path,
                ..
            } => {
                let rocksdb = Self::rocksdb(&rocksdb_path);
                match rocksdb_path.join(rocksdb.head()).exists() {
                    true => rocksdb.source,
                    false => DatabaseSource::ParityDb {
                        path: paritydb_path,
                    },
                }
            }
            source => source,
        };
        let path = source.path().map(Path::to_owned).unwrap_or_default();
        Ok(Place { source, path })
    }

    /// A RocksDB in this folder.
    pub(super) fn rocksdb(path: &Path) -> Self {
        Place {
            source: DatabaseSource::RocksDb {
                path: path.to_owned(),
                cache_size: CACHE,
            },
            path: path.to_owned(),
        }
    }

    /// A ParityDB in this folder.
    #[cfg(test)]
    pub(super) fn paritydb(path: &Path) -> Self {
        Place {
            source: DatabaseSource::ParityDb {
                path: path.to_owned(),
            },
            path: path.to_owned(),
        }
    }

    fn is_paritydb(&self) -> bool {
        matches!(self.source, DatabaseSource::ParityDb { .. })
    }

    /// The file that says which of the others count.
    fn head(&self) -> &'static str {
        match self.is_paritydb() {
            true => "metadata",
            false => "CURRENT",
        }
    }

    /// Whether a file of this name holds what the database knows, and is not its lock or the log for people.
    fn has(&self, name: &str) -> bool {
        match self.is_paritydb() {
            true => ["index_", "table_", "log"]
                .iter()
                .any(|kind| name.starts_with(kind)),
            false => {
                name.starts_with("MANIFEST-") || name.ends_with(".sst") || name.ends_with(".log")
            }
        }
    }
}

/// What a node is told of its database's chain by its flags and its chain spec.
#[derive(Default)]
pub(super) struct Told {
    /// How much of the state it keeps, if that is said.
    pub state_pruning: Option<PruningMode>,
    /// Blocks by number and hash, and who names them, as the middle of a sentence.
    pub blocks: Vec<(u32, H256, &'static str)>,
}

impl Told {
    /// What flags and spec say.
    pub(super) fn of(subject: &Subject<'_>) -> sc_cli::Result<Self> {
        let checkpoint = subject.command.proofs.checkpoint;
        let checkpoint = checkpoint.map(|it| (it.number, it.hash, "--checkpoint says"));
        let forced = labora_chain_spec::forced_changes(&*subject.spec).iter();
        let forced = forced.map(|it| (it.number, it.hash, "the chain spec's forcedChanges say"));
        Ok(Self {
            state_pruning: subject.command.run.state_pruning()?,
            blocks: checkpoint.into_iter().chain(forced).collect(),
        })
    }
}

/// The database as it was found.
pub(super) enum Database {
    /// Not a file of it.
    None,
    /// Files of it, without the one that says which of them count.
    Headless,
    /// A process has it.
    InUse,
    /// Where its chain stands, what it begins with, and what it contradicts.
    Read {
        best: u32,
        finalised: u32,
        genesis: H256,
        contradicts: Vec<String>,
    },
    /// It is of the user with this number. RocksDB writes when it is opened, and what it writes would be this user's.
    Anothers(u32),
    /// It cannot be opened, for this reason.
    Closed(String),
}

impl Database {
    /// Opens the database in this place if there is one that nobody has, as the node would, and holds it against what the node is
    /// told of its chain.
    pub(super) fn look(place: &Place, told: &Told) -> Self {
        let entries = match fs::read_dir(&place.path) {
            Ok(entries) => entries.flatten(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Database::None,
            Err(error) => return Database::Closed(error.to_string()),
        };
        let names: Vec<_> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        if !names.iter().any(|name| name == place.head()) {
            // On these a new database is begun, or refused.
            return if names.iter().any(|name| place.has(name)) {
                Database::Headless
            } else {
                Database::None
            };
        }
        if matches!(lock(&place.path), Err(LockError::InUse(_))) {
            return Database::InUse;
        }
        let owner = fs::metadata(place.path.join(place.head())).map(|head| head.uid());
        if let Ok(owner) = owner
            && owner != rustix::process::geteuid().as_raw()
        {
            return Database::Anothers(owner);
        }
        Self::read(place.source.clone(), told)
    }

    fn read(source: DatabaseSource, told: &Told) -> Self {
        let settings = DatabaseSettings {
            trie_cache_maximum_size: None,
            state_pruning: told.state_pruning.clone(),
            source,
            blocks_pruning: BlocksPruning::KeepFinalized,
            pruning_filters: Vec::new(),
            metrics_registry: None,
        };
        match Backend::<Block>::new(settings, CANONICALISATION_DELAY) {
            Ok(backend) => {
                let chain = backend.blockchain();
                let info = chain.info();
                let contradicts = told.blocks.iter().filter_map(|(number, hash, by)| {
                    let has = chain.hash(*number).ok().flatten()?;
                    (has != *hash)
                        .then(|| format!("its block {number} is {has:?}, and {by} {hash:?}"))
                });
                Database::Read {
                    best: info.best_number,
                    finalised: info.finalized_number,
                    genesis: info.genesis_hash,
                    contradicts: contradicts.collect(),
                }
            }
            Err(error) => Database::Closed(error.to_string()),
        }
    }

    /// Whether it is of another chain than the spec's; the node would not start on it, but for the built-in ones, whose specs each
    /// version makes anew.
    pub(super) fn of_another_chain(&self, genesis: &Genesis, is_built_in: bool) -> Option<Finding> {
        let has = self.genesis().filter(|has| *has != genesis.hash)?;
        let found = format!("of another chain, which begins with {has:?}");
        let remedy = "give the --chain that it was made with, or another --base-path; or remove it with `labora purge-chain`, which \
                      leaves the keys";
        Some(match is_built_in {
            true => Finding::warning("database", found, remedy),
            false => Finding::bad("database", found, remedy),
        })
    }

    /// Whether a node runs on it.
    pub(super) fn is_in_use(&self) -> bool {
        matches!(self, Database::InUse)
    }

    /// Hash of the genesis of its chain, if it was read and holds one.
    pub(super) fn genesis(&self) -> Option<H256> {
        match self {
            Database::Read { genesis, .. } => Some(*genesis).filter(|hash| !hash.is_zero()),
            _ => None,
        }
    }

    /// Whether it can be read, and where its chain stands. Without room on the disk it cannot even where it is whole.
    pub(super) fn finding(&self, place: &Place, has_room: bool) -> Finding {
        let folder = place.path.display();
        let what = "database";
        match self {
            Database::None => Finding::good(what, "none yet: the first start makes it"),
            Database::InUse => Finding::good(what, "in use by the node that runs"),
            Database::Read { contradicts, .. } if !contradicts.is_empty() => Finding::bad(
                what,
                contradicts.join("; "),
                "ask others which is right; a database with a false history is taken back with `labora revert` as far as it is not final, \
                 or removed with `labora purge-chain`",
            ),
            Database::Read {
                best, finalised, ..
            } => {
                let found = format!("block {best}, final up to {finalised}");
                if best.saturating_sub(*finalised) > MANY_UNFINALISED {
                    return Finding::warning(
                        what,
                        found,
                        "states of blocks that are not final stay in memory: see why nothing becomes final",
                    );
                }
                Finding::good(what, found)
            }
            Database::Headless => Finding::bad(
                what,
                format!(
                    "{folder} is damaged: its file {} is gone, and others are there",
                    place.head()
                ),
                "put the whole folder back from a copy, or delete it with purge-chain, which leaves the keys, and sync again",
            ),
            Database::Anothers(owner) => Finding::warning(
                what,
                format!("not looked at: it belongs to the user with number {owner}"),
                format!("run the doctor as that user: sudo -u '#{owner}' labora doctor …"),
            ),
            Database::Closed(_) if !has_room => Finding::warning(
                what,
                "cannot be opened while the disk is full",
                "make room first, as said of the disk, and look again; delete nothing in it",
            ),
            Database::Closed(error) => Finding::bad(
                what,
                format!("{folder} cannot be opened: {error}"),
                "check that it is a folder of this user's, made by this version and for this chain; else start with another \
                 --base-path, or delete it with purge-chain and sync again",
            ),
        }
    }
}
