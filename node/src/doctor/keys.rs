//! Who is mined for, and the keys in the data folder.

use std::{fs, io, path::Path};

use sp_core::{Pair as _, ed25519};

use super::{Finding, Health, Subject};

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
