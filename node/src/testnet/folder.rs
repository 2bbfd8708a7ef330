//! The folder that a network of this machine lives in:
//!
//! ```text
//! network.json    its members, by their public keys
//! chain.json      its chain spec, raw
//! lock            held by the supervisor that runs it
//! compiled-runtimes  what the chain's code is compiled to
//! NAME/           of each member: keys.json, job-key in a market, data (the node's base path), log
//! ```
//!
//! `network.json` is written last: a folder without it is no network.

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use labora_chain_spec::{ChainSpec, Preset};
use sc_service::ChainType;
use serde::{Deserialize, Serialize};

use crate::genesis;

use super::{
    DEFAULT_MINERS, DEFAULT_VALIDATORS, MAX_OF_A_KIND, PresetName, TestnetCommand, TestnetError,
    counted,
    members::{self, Home, Member, Role},
};

const MANIFEST: &str = "network.json";
const CHAIN: &str = "chain.json";
const LOCK: &str = "lock";

/// Longest `network.json` that is read: 64 members take some 20 KB.
const MAX_MANIFEST: u64 = 1 << 20;

/// Of `network.json`.
const VERSION: u32 = 1;

/// What `network.json` holds.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Manifest {
    version: u32,
    /// Whose figures its chain has.
    pub preset: PresetName,
    /// Whether somebody is root.
    pub root: bool,
    /// Validators first.
    pub members: Vec<Member>,
}

/// An open network.
pub(super) struct Folder {
    path: PathBuf,
    /// Removes it, where it is not to be kept.
    temporary: Option<tempfile::TempDir>,
    /// What it holds.
    pub manifest: Manifest,
    /// Whether its chain is about to begin.
    pub is_new: bool,
    /// Held while the folder is open.
    _lock: File,
}

impl Folder {
    /// Opens the network that was asked for, or makes it.
    pub(super) fn open(command: &TestnetCommand) -> Result<Self, TestnetError> {
        let (path, temporary) = match &command.base_path {
            Some(path) => (path.clone(), None),
            None => {
                let place = std::env::temp_dir();
                let folder = members::private_folder("labora-testnet-", &place);
                let folder = folder.map_err(TestnetError::file(place, "written to"))?;
                (folder.path().to_owned(), Some(folder))
            }
        };
        fs::create_dir_all(&path).map_err(TestnetError::file(&path, "made"))?;
        // Members are started with absolute paths, which say the same wherever they are read.
        let path = path
            .canonicalize()
            .map_err(TestnetError::file(&path, "found"))?;
        let is_new = !path.join(MANIFEST).exists();
        if is_new && holds_anything(&path)? {
            return Err(TestnetError::NotANetwork(path));
        }
        let lock = lock(&path)?;
        let manifest = if is_new {
            found(&path, command)?
        } else {
            let manifest = read(&path.join(MANIFEST))?;
            compare(&path, &manifest, command)?;
            manifest
        };
        Ok(Folder {
            path,
            temporary,
            manifest,
            is_new,
            _lock: lock,
        })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// In which folder what the chain's code is compiled to is kept, for all members.
    pub(super) fn code(&self) -> PathBuf {
        genesis::named_cache().unwrap_or_else(|| self.path.clone())
    }

    /// Its chain spec.
    pub(super) fn chain(&self) -> PathBuf {
        self.path.join(CHAIN)
    }

    /// Has each member's account in a file that a node can sign with.
    pub(super) fn keep_job_keys(&self) -> Result<(), TestnetError> {
        let mut homes = (self.manifest.members.iter()).map(|it| Home::new(&self.path, &it.name));
        homes.try_for_each(|home| home.keep_job_key())
    }

    /// Ends its use; one that is not to be kept is removed, unless there is something to `look_at`.
    pub(super) fn close(self, look_at: bool) {
        let Some(temporary) = self.temporary else {
            eprintln!("the network is kept in {}", self.path.display());
            return;
        };
        if look_at {
            let kept = temporary.keep();
            eprintln!(
                "logs and data of the network are left in {}",
                kept.display()
            );
        }
    }
}

/// Compiles the chain's code, once: all members begin with that, and would each do it on its own, as they do if this fails.
fn compile(network: &Path, spec: &Path) {
    let executor = genesis::passing_executor(Some(network.to_owned()));
    let compiled = ChainSpec::from_json_file(spec.to_owned()).and_then(|spec| {
        genesis::storage_of(&spec)
            .and_then(|storage| genesis::hash_of(storage, executor))
            .map_err(|error| error.to_string())
    });
    if let Err(error) = compiled {
        eprintln!("the runtime could not be compiled beforehand: {error}");
    }
}

fn holds_anything(path: &Path) -> Result<bool, TestnetError> {
    let mut entries = fs::read_dir(path).map_err(TestnetError::file(path, "read"))?;
    Ok(entries.next().is_some())
}

/// Keeps a second supervisor away until the file is closed.
fn lock(path: &Path) -> Result<File, TestnetError> {
    let place = path.join(LOCK);
    let file = File::create(&place).map_err(TestnetError::file(&place, "written"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(TestnetError::Running(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(TestnetError::file(place, "locked")(error)),
    }
}

/// Makes a network in an empty folder. What is left of one that could not be made is removed.
fn found(path: &Path, command: &TestnetCommand) -> Result<Manifest, TestnetError> {
    let made = make(path, command);
    if made.is_err() {
        // The error that ended it is the one to show; what cannot be removed is seen at the next start.
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            let _ = fs::remove_dir_all(entry.path()).or_else(|_| fs::remove_file(entry.path()));
        }
    }
    made
}

fn make(path: &Path, command: &TestnetCommand) -> Result<Manifest, TestnetError> {
    let preset = command.preset.unwrap_or(PresetName::Local);
    let chain_type = match preset {
        PresetName::Testnet => ChainType::Live,
        PresetName::Dev | PresetName::Local => ChainType::Local,
    };
    let validators = command.validators.unwrap_or(DEFAULT_VALIDATORS);
    let miners = command.miners.unwrap_or(DEFAULT_MINERS);
    let id = Preset::from(preset).chain_id();
    let members = members::make_all(path, id, validators, miners)?;
    let voters = members::voters(&members);
    let founding = members::founding(preset.into(), chain_type, voters, !command.no_root);
    let spec = members::raw_spec(&founding)?;
    let place = path.join(CHAIN);
    fs::write(&place, spec).map_err(TestnetError::file(&place, "written"))?;
    let manifest = Manifest {
        version: VERSION,
        preset,
        root: !command.no_root,
        members,
    };
    let place = path.join(MANIFEST);
    let json =
        serde_json::to_vec_pretty(&manifest).map_err(|error| manifest_error(&place, error))?;
    let draft = path.join("network.json.new");
    fs::write(&draft, json)
        .and_then(|()| fs::rename(&draft, &place))
        .map_err(TestnetError::file(place, "written"))?;
    compile(path, &path.join(CHAIN));
    Ok(manifest)
}

fn manifest_error(path: &Path, reason: impl ToString) -> TestnetError {
    TestnetError::Manifest {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

fn read(path: &Path) -> Result<Manifest, TestnetError> {
    let length = fs::metadata(path)
        .map_err(TestnetError::file(path, "read"))?
        .len();
    if length > MAX_MANIFEST {
        return Err(manifest_error(path, format!("it has {length} bytes")));
    }
    let text = fs::read(path).map_err(TestnetError::file(path, "read"))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|error| manifest_error(path, error))?;
    let counts = [Role::Validator, Role::Miner].map(|role| manifest.count(role));
    let in_bounds = counts[0] >= 1 && counts.iter().all(|count| *count as i64 <= MAX_OF_A_KIND);
    let is_plain = |member: &Member| !member.name.is_empty() && !member.name.contains(['/', '.']);
    if manifest.version != VERSION || !in_bounds || !manifest.members.iter().all(is_plain) {
        return Err(manifest_error(
            path,
            "its version, its members or their names are none of ours",
        ));
    }
    // Both would open one folder.
    let mut names = BTreeSet::new();
    if let Some(twice) = (manifest.members.iter()).find(|member| !names.insert(&member.name)) {
        return Err(manifest_error(
            path,
            format!("two members are named {}", twice.name),
        ));
    }
    Ok(manifest)
}

/// Fails if a flag asks for another network than is there.
fn compare(path: &Path, there: &Manifest, command: &TestnetCommand) -> Result<(), TestnetError> {
    let count = |role, name: &str, asked: Option<u16>| {
        let has = there.count(role);
        let differs = asked.filter(|asked| usize::from(*asked) != has)?;
        Some((counted(has, name), format!("{differs}")))
    };
    let preset = || {
        let asked = command.preset.filter(|asked| *asked != there.preset)?;
        Some((
            format!("preset {:?}", there.preset).to_lowercase(),
            format!("{asked:?}").to_lowercase(),
        ))
    };
    let root = || (command.no_root && there.root).then(|| ("a root".into(), "none".into()));
    let found = count(Role::Validator, "validator", command.validators)
        .or_else(|| count(Role::Miner, "miner", command.miners))
        .or_else(preset)
        .or_else(root);
    match found {
        None => Ok(()),
        Some((has, asked)) => Err(TestnetError::Differs {
            path: path.to_owned(),
            has,
            asked,
        }),
    }
}

impl Manifest {
    /// Its members, for people.
    pub(super) fn in_words(&self) -> String {
        let of = |role, one| counted(self.count(role), one);
        let (validators, miners) = (of(Role::Validator, "validator"), of(Role::Miner, "miner"));
        format!("{validators} and {miners}")
    }

    /// Members of a role.
    pub(super) fn count(&self, role: Role) -> usize {
        self.members.iter().filter(|it| it.role == role).count()
    }
}
