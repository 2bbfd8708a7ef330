//! Who is mined for, and the keys in the data folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use sc_cli::CliConfiguration as _;
use sc_service::ChainType;
use sp_core::{Pair as _, ed25519};

use super::{
    Finding, Health, Subject,
    votes::{Key, Voters},
};
use crate::{cli::MiningParams, mining};

/// Who is mined for, whether keys are there and for this user's eyes only, and whether a validator's are known to the chain.
pub(super) fn keys(subject: &Subject<'_>, voters: Option<&Voters>) -> Vec<Finding> {
    let mut out = vec![author(subject)];
    if !subject.is_temporary() {
        let run = &subject.command.run;
        let network = subject.chain.join("network").join("secret_ed25519");
        let key = &run.network_params.node_key_params;
        if key.node_key.is_none() {
            let file = key.node_key_file.clone().unwrap_or(network);
            out.push(network_key(&file, run.validator && !subject.is_local()));
        }
        let keystore_params = &run.keystore_params;
        let has_password = keystore_params.password_interactive
            || keystore_params.password.is_some()
            || keystore_params.password_filename.is_some();
        let votes = votes_by_keystore(subject);
        let found = keystore(&keystore_folder(subject), votes, has_password);
        out.push(match voters {
            Some(voters) if votes && found.health == Health::Good => {
                voters.finding(&to_vote_with(subject), &found.found)
            }
            _ => found,
        });
    }
    out
}

/// The seed of the development account that the node is, if it is one.
fn dev_seed(subject: &Subject<'_>) -> Option<String> {
    let run = &subject.command.run;
    let seed = run.dev_key_seed(run.shared_params.is_dev());
    seed.ok().flatten()
}

/// Whether the node is a validator whose key is on disk: those of development accounts are in memory.
fn votes_by_keystore(subject: &Subject<'_>) -> bool {
    subject.command.run.validator && dev_seed(subject).is_none()
}

fn keystore_folder(subject: &Subject<'_>) -> PathBuf {
    let folder = &subject.command.run.keystore_params.keystore_path;
    folder
        .clone()
        .unwrap_or_else(|| subject.chain.join("keystore"))
}

/// The public keys that a validator has on disk to vote with.
pub(super) fn to_vote_with(subject: &Subject<'_>) -> Vec<Key> {
    if subject.is_temporary() || !votes_by_keystore(subject) {
        return Vec::new();
    }
    let entries = fs::read_dir(keystore_folder(subject));
    let names = entries.into_iter().flatten().flatten().map(|entry| {
        let name = entry.file_name();
        hex::decode(name.to_string_lossy().as_ref()).unwrap_or_default()
    });
    names.filter_map(|name| voting_key(&name)).collect()
}

/// The public key in the name of a file that holds one to vote with.
pub(super) fn voting_key(name: &[u8]) -> Option<Key> {
    let key = name.strip_prefix(&sp_consensus_grandpa::KEY_TYPE.0)?;
    key.try_into().ok()
}

fn author(subject: &Subject<'_>) -> Finding {
    let seed = dev_seed(subject);
    let chain = subject.spec.chain_type();
    author_of(&subject.command.mining, seed.as_deref(), &chain)
}

/// By the node's own rule.
pub(super) fn author_of(
    mining: &MiningParams,
    dev_seed: Option<&str>,
    chain: &ChainType,
) -> Finding {
    let what = "author";
    match mining::author(mining, dev_seed, chain) {
        Ok(None) => Finding::good(what, "nobody: the node does not mine"),
        Ok(Some(account)) if mining.author.is_some() => Finding::good(what, account.to_string()),
        Ok(Some(account)) => Finding::good(what, format!("a development account, {account}")),
        Err(_) => Finding::bad(
            what,
            "nobody to mine for",
            "add --author and the SS58 address of an account (`labora key generate` makes one)",
        ),
    }
}

/// The key that names a node to its peers.
pub(super) fn network_key(file: &Path, is_needed: bool) -> Finding {
    let what = "network key";
    let place = file.display();
    // What is in its place may be wanted, and `--file` writes over it.
    let another = format!(
        "move it away, and put the key back from a copy; without one, `labora key generate-node-key --file {place}` and \
         `chmod 600 {place}` make another, and peers know the node by another name"
    );
    if file.is_dir() {
        let found = format!("{place} is a folder, and should be the file of the key");
        return Finding::bad(what, found, another);
    }
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_needed => {
            return Finding::bad(
                what,
                format!("none in {place}"),
                "make one with `labora key generate-node-key` and the node's --chain and --base-path",
            );
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Finding::good(what, "none yet: the first start makes it");
        }
        Err(error) => {
            return Finding::bad(
                what,
                format!("{place} cannot be read: {error}"),
                "give it to the user that runs the node",
            );
        }
    };
    let is_hex = |text: &[u8]| hex::decode(text).is_ok_and(|key| key.len() == 32);
    if bytes.len() == 32 || is_hex(&bytes) {
        return secret(what, file, "there".into());
    }
    if is_hex(bytes.trim_ascii()) {
        return Finding::bad(
            what,
            format!("{place} holds a line break or a space beside the key"),
            "leave nothing but the 64 digits in the file: the node takes all that is in it for the key",
        );
    }
    Finding::bad(
        what,
        format!("{place} holds no key: 32 bytes, or their 64 hexadecimal digits"),
        another,
    )
}

/// The keys that a node signs with; `votes` says that one to vote with is needed.
///
/// With a password a key cannot be held against its name.
pub(super) fn keystore(folder: &Path, votes: bool, has_password: bool) -> Finding {
    let what = "keystore";
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries.flatten().collect::<Vec<_>>(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Finding::bad(
                what,
                format!("{} is a file, and should be a folder", folder.display()),
                "move it away; the node makes the folder, and keys go into it from a copy or with `labora key insert`",
            );
        }
        Err(error) => {
            return Finding::bad(
                what,
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
            if let Some(wrong) = wrong_key(&entry.path(), &name, has_password) {
                return wrong;
            }
        }
    }
    if votes && to_vote_with == 0 {
        return Finding::bad(
            what,
            "no key to vote with, though the node is a validator",
            "make one with the RPC method author_rotateKeysWithOwner, or put one in with `labora key insert --key-type gran \
             --scheme ed25519`; then name it to the chain with session.setKeys",
        );
    }
    Finding::good(
        what,
        match keys {
            0 => "no keys on disk: only who votes with a key of its own needs one".to_owned(),
            1 => "1 key".to_owned(),
            keys => format!("{keys} keys"),
        },
    )
}

/// Why a file in the keystore is not the key that its name says: the type, then the public key.
fn wrong_key(file: &Path, name: &[u8], has_password: bool) -> Option<Finding> {
    let wrong = |found: &str, remedy: &str| {
        Finding::bad("keystore", format!("{} {found}", file.display()), remedy)
    };
    if file.is_dir() {
        return Some(wrong("is a folder, and should be the file of a key", AGAIN));
    }
    let is_secret = secret("keystore", file, String::new());
    if is_secret.health != Health::Good {
        return Some(is_secret);
    }
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            return Some(wrong(
                &format!("cannot be read: {error}"),
                "give it to the user that runs the node",
            ));
        }
    };
    // A phrase or a seed in JSON, as the SDK's keystore writes it.
    let Ok(phrase) = serde_json::from_slice::<String>(&bytes) else {
        return Some(wrong(
            "holds no key: a phrase or a seed, in double quotes",
            AGAIN,
        ));
    };
    let public = name.strip_prefix(&sp_consensus_grandpa::KEY_TYPE.0)?;
    if has_password {
        return None;
    }
    let pair = ed25519::Pair::from_string(&phrase, None);
    let is_its_own = pair.is_ok_and(|pair| pair.public().0 == *public);
    (!is_its_own).then(|| wrong("does not hold the ed25519 key that its name says", AGAIN))
}

/// What to do about a file that is not its key: it may be another that somebody wants.
const AGAIN: &str = "move it out of the keystore and keep it; then put the key in again from a copy or with `labora key insert`, for \
                     one to vote with `--key-type gran --scheme ed25519`";

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
