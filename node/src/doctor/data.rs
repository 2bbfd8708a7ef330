//! The data folder: database and keys.

use std::{fs, io, path::Path};

use labora_runtime::opaque::Block;
use sc_client_api::Backend as _;
use sc_client_db::{Backend, BlocksPruning, DatabaseSettings, DatabaseSource};
use sp_blockchain::HeaderBackend;
use sp_core::{Pair as _, ed25519};

use super::{Finding, Subject};
use crate::command::is_locked;

/// Blocks that the SDK keeps apart from the final ones while it reads.
const CANONICALISATION_DELAY: u64 = 4_096;
/// Unfinalised blocks from which on their states weigh on memory.
const MANY_UNFINALISED: u32 = 5_000;

/// Whether the database can be read, and where its chain stands. Without room on the disk it cannot even where it is whole.
pub(super) fn database(subject: &Subject<'_>, has_room: bool) -> Finding {
    let path = subject.chain.join("db").join("full");
    if subject.is_temporary() || !path.join("CURRENT").exists() {
        return Finding::good("database", "none yet: the first start makes it");
    }
    let settings = DatabaseSettings {
        trie_cache_maximum_size: None,
        state_pruning: None,
        source: DatabaseSource::RocksDb {
            path: path.clone(),
            cache_size: 16,
        },
        blocks_pruning: BlocksPruning::KeepFinalized,
        pruning_filters: Vec::new(),
        metrics_registry: None,
    };
    match Backend::<Block>::new(settings, CANONICALISATION_DELAY) {
        Ok(backend) => {
            let info = backend.blockchain().info();
            let found = format!(
                "block {}, final up to {}",
                info.best_number, info.finalized_number
            );
            if info.best_number - info.finalized_number.min(info.best_number) > MANY_UNFINALISED {
                return Finding::warning(
                    "database",
                    found,
                    "states of blocks that are not final stay in memory: see why nothing becomes final",
                );
            }
            Finding::good("database", found)
        }
        Err(error) if !has_room && !is_locked(&error.to_string()) => Finding::warning(
            "database",
            "cannot be opened while the disk is full",
            "make room first, as said of the disk, and look again; delete nothing in it",
        ),
        Err(error) => unreadable(&path, &error.to_string()),
    }
}

pub(super) fn unreadable(path: &Path, error: &str) -> Finding {
    if is_locked(error) {
        return Finding::good("database", "in use by the node that runs");
    }
    Finding::bad(
        "database",
        format!("{} cannot be opened: {error}", path.display()),
        "check that it is a folder of this user's, made by this version and for this chain; else start with another \
         --base-path, or delete it with purge-chain and sync again",
    )
}

/// Who is mined for, and whether keys are there and for this user's eyes only.
pub(super) fn keys(subject: &Subject<'_>) -> Vec<Finding> {
    let mut out = vec![author(subject)];
    if !subject.is_temporary() {
        let run = &subject.command.run;
        let network = subject.chain.join("network").join("secret_ed25519");
        let key = &run.network_params.node_key_params;
        if key.node_key.is_none() {
            let file = key.node_key_file.clone().unwrap_or(network);
            out.push(network_key(&file, run.validator && !subject.is_local()));
        }
        let folder = run.keystore_params.keystore_path.clone();
        let keystore_params = &run.keystore_params;
        let has_password = keystore_params.password_interactive
            || keystore_params.password.is_some()
            || keystore_params.password_filename.is_some();
        out.push(keystore(
            &folder.unwrap_or_else(|| subject.chain.join("keystore")),
            run.validator && run.get_keyring().is_none(),
            has_password,
        ));
    }
    out
}

fn author(subject: &Subject<'_>) -> Finding {
    let mining = &subject.command.mining;
    match &mining.author {
        _ if !mining.mine => Finding::good("author", "nobody: the node does not mine"),
        Some(author) => Finding::good("author", author.account().to_string()),
        None if subject.is_local() => Finding::good("author", "a development account"),
        None => Finding::bad(
            "author",
            "nobody to mine for",
            "add --author and the SS58 address of an account (`labora key generate` makes one)",
        ),
    }
}

/// The key that names a node to its peers.
pub(super) fn network_key(file: &Path, is_needed: bool) -> Finding {
    let place = file.display();
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_needed => {
            return Finding::bad(
                "network key",
                format!("none in {place}"),
                "make one with `labora key generate-node-key` and the node's --chain and --base-path",
            );
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Finding::good("network key", "none yet: the first start makes it");
        }
        Err(error) => {
            return Finding::bad(
                "network key",
                format!("{place} cannot be read: {error}"),
                "give it to the user that runs the node",
            );
        }
    };
    let text = String::from_utf8_lossy(&bytes);
    let is_key = bytes.len() == 32 || hex::decode(text.trim()).is_ok_and(|key| key.len() == 32);
    if !is_key {
        return Finding::bad(
            "network key",
            format!("{place} holds no key: 32 bytes, or their 64 hexadecimal digits"),
            "put the file back from a copy, or delete it: the node then has another name",
        );
    }
    secret("network key", file, "there".into())
}

/// The keys that a node signs with; `votes` says that one to vote with is needed.
///
/// With a password a key cannot be held against its name.
pub(super) fn keystore(folder: &Path, votes: bool, has_password: bool) -> Finding {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries.flatten().collect::<Vec<_>>(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            return Finding::bad(
                "keystore",
                format!("{} cannot be read: {error}", folder.display()),
                "give it to the user that runs the node",
            );
        }
    };
    let (mut keys, mut to_vote_with) = (0, 0);
    for entry in entries {
        // The type of a key in four bytes, and the public key: what the SDK's keystore looks for.
        let name = hex::decode(entry.file_name().to_string_lossy().as_ref()).unwrap_or_default();
        if name.len() > 4 {
            keys += 1;
            to_vote_with += usize::from(name.starts_with(&sp_consensus_grandpa::KEY_TYPE.0));
            let finding = secret("keystore", &entry.path(), String::new());
            if finding.health != super::Health::Good {
                return finding;
            }
            if let Some(wrong) = wrong_vote_key(&entry.path(), &name, has_password) {
                return wrong;
            }
        }
    }
    if votes && to_vote_with == 0 {
        return Finding::bad(
            "keystore",
            "no key to vote with, though the node is a validator",
            "make one with the RPC method author_rotateKeysWithOwner, or put one in with `labora key insert --key-type gran \
             --scheme ed25519`; then name it to the chain with session.setKeys",
        );
    }
    Finding::good(
        "keystore",
        match keys {
            0 => "no keys: a node that only mines needs none".to_owned(),
            1 => "1 key".to_owned(),
            keys => format!("{keys} keys"),
        },
    )
}

/// Why a file in the keystore whose name is that of a key to vote with (the type, then the public key) does not hold it.
fn wrong_vote_key(file: &Path, name: &[u8], has_password: bool) -> Option<Finding> {
    let public = name.strip_prefix(&sp_consensus_grandpa::KEY_TYPE.0)?;
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            return Some(Finding::bad(
                "keystore",
                format!("{} cannot be read: {error}", file.display()),
                "give it to the user that runs the node",
            ));
        }
    };
    if has_password {
        return None;
    }
    // A phrase or a seed in JSON, as the SDK's keystore writes it.
    let phrase: Option<String> = serde_json::from_str(&text).ok();
    let pair = phrase.and_then(|phrase| ed25519::Pair::from_string(&phrase, None).ok());
    let is_its_own = pair.is_some_and(|pair| pair.public().0 == *public);
    (!is_its_own).then(|| {
        Finding::bad(
            "keystore",
            format!(
                "{} does not hold the ed25519 key that its name says",
                file.display()
            ),
            "delete it, and put the key in again with `labora key insert --key-type gran --scheme ed25519`",
        )
    })
}

/// A secret must not be readable by others.
#[cfg(unix)]
fn secret(what: &'static str, file: &Path, found: String) -> Finding {
    use std::os::unix::fs::PermissionsExt;
    match fs::metadata(file) {
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => Finding::bad(
            what,
            format!("{} can be read by others on this machine", file.display()),
            format!("chmod 600 {}", file.display()),
        ),
        _ => Finding::good(what, found),
    }
}

#[cfg(not(unix))]
fn secret(what: &'static str, _: &Path, found: String) -> Finding {
    Finding::good(what, found)
}
