//! Who takes part in a network: each member with its role, its public keys, and, when it is made, its secrets.

use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
};

use labora_chain_spec::{Founding, GrandpaId, Preset};
use sc_keystore::LocalKeystore;
use sc_network::config::{NodeKeyConfig, Secret};
use sc_service::ChainType;
use serde::{Deserialize, Serialize};
use sp_consensus_grandpa::KEY_TYPE;
use sp_core::{ByteArray, Pair, crypto::AccountId32, ed25519, sr25519};
use sp_keystore::Keystore;

use super::TestnetError;

/// What a member does.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    /// Votes, and does not mine.
    Validator,
    /// Mines, and does not vote.
    Miner,
}

/// A member as everyone may know it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Member {
    /// Unique in its network.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// A validator's stash; whom a miner mines for.
    pub account: AccountId32,
    /// What a validator votes with.
    pub grandpa: Option<GrandpaId>,
    /// What peers know it by.
    pub peer_id: String,
}

/// Where a member's files are: the same in a network that runs here and in one that is written out.
#[derive(Clone, Debug)]
pub(super) struct Home(PathBuf);

impl Home {
    /// Of a member in a network's folder.
    pub(super) fn new(network: &Path, name: &str) -> Self {
        Home(network.join(name))
    }

    /// Its folder.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// What its node gets as `--base-path`.
    pub(super) fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// Its node's log.
    pub(super) fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    /// The secrets of its account, for a wallet.
    fn secrets(&self) -> PathBuf {
        self.0.join("keys.json")
    }

    /// The phrase of its account alone, as `--job-key` and `--key` read it.
    pub(super) fn job_key(&self) -> PathBuf {
        self.0.join("job-key")
    }

    /// Writes [`Self::job_key`], if it is not there yet, from what was stored when the member was made.
    pub(super) fn keep_job_key(&self) -> Result<(), TestnetError> {
        let to = self.job_key();
        if to.exists() {
            return Ok(());
        }
        let from = self.secrets();
        let file = fs::File::open(&from).map_err(TestnetError::file(&from, "read"))?;
        let secrets: Phrase =
            serde_json::from_reader(file.take(MAX_SECRETS)).map_err(|error| TestnetError::Key {
                name: self
                    .0
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                path: from,
                reason: error.to_string(),
            })?;
        // Whole or not at all: a file that is there is taken for what it should be.
        let draft = self.0.join("job-key.new");
        let _ = fs::remove_file(&draft);
        write_secret(&draft, secrets.account_phrase.as_bytes())?;
        fs::rename(&draft, &to).map_err(TestnetError::file(&to, "written"))
    }

    fn chain(&self, id: &str) -> PathBuf {
        self.data().join("chains").join(id)
    }
}

/// What `keys.json` holds.
#[derive(Serialize)]
struct Secrets<'a> {
    account: &'a AccountId32,
    account_phrase: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    grandpa: Option<&'a GrandpaId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grandpa_phrase: Option<&'a str>,
}

/// What of it `job-key` holds.
#[derive(Deserialize)]
struct Phrase {
    account_phrase: String,
}

/// Longest `keys.json` that is read: ours have some 500 bytes.
const MAX_SECRETS: u64 = 16 << 10;

/// Makes a member with fresh keys and stores them where its node looks for them.
pub(super) fn make(
    network: &Path,
    chain_id: &str,
    role: Role,
    name: String,
) -> Result<Member, TestnetError> {
    let home = Home::new(network, &name);
    fs::create_dir_all(home.path()).map_err(TestnetError::file(home.path(), "made"))?;
    let (account, account_phrase, _) = sr25519::Pair::generate_with_phrase(None);
    let account = AccountId32::from(account.public());
    let vote = (role == Role::Validator).then(|| {
        let (pair, phrase, _) = ed25519::Pair::generate_with_phrase(None);
        (GrandpaId::from(pair.public()), phrase)
    });
    if let Some((key, phrase)) = &vote {
        store_vote_key(&home.chain(chain_id).join("keystore"), &name, key, phrase)?;
    }
    let peer_id = node_key(&home.chain(chain_id).join("network"), &name)?;
    let secrets = Secrets {
        account: &account,
        account_phrase: &account_phrase,
        grandpa: vote.as_ref().map(|(key, _)| key),
        grandpa_phrase: vote.as_ref().map(|(_, phrase)| phrase.as_str()),
    };
    let text = serde_json::to_vec_pretty(&secrets).map_err(|error| TestnetError::Key {
        name: name.clone(),
        path: home.secrets(),
        reason: error.to_string(),
    })?;
    write_secret(&home.secrets(), &text)?;
    Ok(Member {
        name,
        role,
        account,
        grandpa: vote.map(|(key, _)| key),
        peer_id,
    })
}

/// Puts a key where the SDK's keystore finds it.
fn store_vote_key(
    folder: &Path,
    name: &str,
    key: &GrandpaId,
    phrase: &str,
) -> Result<(), TestnetError> {
    let failed = |reason: String| TestnetError::Key {
        name: name.to_owned(),
        path: folder.to_owned(),
        reason,
    };
    let keystore = LocalKeystore::open(folder, None).map_err(|error| failed(error.to_string()))?;
    // The trait's error says nothing.
    keystore
        .insert(KEY_TYPE, phrase, key.as_slice())
        .map_err(|()| failed("the key's file cannot be written; see the disk's space".into()))
}

/// Makes the key that names a node to its peers, as its first start would, and gives that name.
fn node_key(folder: &Path, name: &str) -> Result<String, TestnetError> {
    let path = folder.join("secret_ed25519");
    let pair = NodeKeyConfig::Ed25519(Secret::File(path.clone())).into_keypair();
    let pair = pair.map_err(|error| TestnetError::Key {
        name: name.to_owned(),
        path,
        reason: error.to_string(),
    })?;
    Ok(pair.public().to_peer_id().to_string())
}

/// Writes a new file that its owner alone can read.
pub(super) fn write_secret(path: &Path, content: &[u8]) -> Result<(), TestnetError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    written.map_err(TestnetError::file(path, "written"))
}

/// A temporary folder that its owner alone can look into.
pub(super) fn private_folder(prefix: &str, within: &Path) -> std::io::Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    builder.tempdir_in(within)
}

/// Makes all members of a network in a folder: `validator-1`, …, `miner-1`, ….
pub(super) fn make_all(
    network: &Path,
    chain_id: &str,
    validators: u16,
    miners: u16,
) -> Result<Vec<Member>, TestnetError> {
    let validators = (1..=validators).map(|at| (Role::Validator, format!("validator-{at}")));
    let miners = (1..=miners).map(|at| (Role::Miner, format!("miner-{at}")));
    validators
        .chain(miners)
        .map(|(role, name)| make(network, chain_id, role, name))
        .collect()
}

/// The chain that validators found; the first of them is root, if anybody is to be.
pub(super) fn founding(
    preset: Preset,
    chain_type: ChainType,
    validators: Vec<(AccountId32, GrandpaId)>,
    with_root: bool,
) -> Founding {
    let first = validators.first().map(|(account, _)| account.clone());
    Founding {
        preset,
        chain_type,
        root: first.filter(|_| with_root),
        validators,
    }
}

/// Those of the members who vote.
pub(super) fn voters(members: &[Member]) -> Vec<(AccountId32, GrandpaId)> {
    members
        .iter()
        .filter_map(|member| Some((member.account.clone(), member.grandpa.clone()?)))
        .collect()
}

/// The chain spec's raw form, from which a node starts without executing the runtime's genesis.
pub(super) fn raw_spec(founding: &Founding) -> Result<String, TestnetError> {
    founding
        .chain_spec()?
        .as_json(true)
        .map_err(TestnetError::Genesis)
}
