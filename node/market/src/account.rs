//! Who signs: a key of any of the chain's schemes, from a file or a secret URI.

use std::{
    fs::File,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use labora_runtime::AccountId;
use parity_scale_codec::Encode;
use sp_core::{Pair as _, ecdsa, ed25519, sr25519};
use sp_runtime::{MultiSignature, MultiSigner, traits::IdentifyAccount};

/// Longest file of a key: a phrase of 24 words, a path and a password fit many times.
const MAX_FILE: u64 = 4 << 10;

/// How a key signs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Scheme {
    /// Schnorr over Ristretto; what wallets of this kind of chain make.
    #[default]
    Sr25519,
    /// EdDSA over Curve25519.
    Ed25519,
    /// ECDSA over secp256k1.
    Ecdsa,
}

impl std::str::FromStr for Scheme {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "sr25519" => Ok(Self::Sr25519),
            "ed25519" => Ok(Self::Ed25519),
            "ecdsa" => Ok(Self::Ecdsa),
            _ => Err("expected sr25519, ed25519 or ecdsa"),
        }
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file.
    #[error("the key's file {path} cannot be read: {error}")]
    File {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Others could sign with it.
    #[error(
        "the key's file {0} can be read by other users of this machine; `chmod 600 {0}` keeps it to you"
    )]
    Open(PathBuf),
    /// Nothing that a key is made of. Never shows what it was.
    #[error(
        "no secret: expected a phrase of 12 to 24 words, a seed of 64 hexadecimal digits after 0x, or a path such as //Alice \
         (`labora key generate` makes a phrase)"
    )]
    Secret,
}

#[derive(Clone)]
enum Key {
    Sr25519(Box<sr25519::Pair>),
    Ed25519(Box<ed25519::Pair>),
    Ecdsa(Box<ecdsa::Pair>),
}

/// An account with its key.
#[derive(Clone)]
pub struct Account {
    key: Key,
    id: AccountId,
}

impl std::fmt::Debug for Account {
    /// Without the key.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Account({})", self.id)
    }
}

impl Account {
    /// Of a secret URI: a phrase, a seed in hex, or a path of the phrase that everyone knows, such as `//Alice`.
    ///
    /// # Errors
    ///
    /// [`KeyError::Secret`] if it is none.
    pub fn from_uri(uri: &str, scheme: Scheme) -> Result<Self, KeyError> {
        let uri = uri.trim();
        // Nothing at all is the root of the phrase that everyone knows.
        if uri.is_empty() {
            return Err(KeyError::Secret);
        }
        let secret = |_| KeyError::Secret;
        let key = match scheme {
            Scheme::Sr25519 => Key::Sr25519(Box::new(
                sr25519::Pair::from_string(uri, None).map_err(secret)?,
            )),
            Scheme::Ed25519 => Key::Ed25519(Box::new(
                ed25519::Pair::from_string(uri, None).map_err(secret)?,
            )),
            Scheme::Ecdsa => Key::Ecdsa(Box::new(
                ecdsa::Pair::from_string(uri, None).map_err(secret)?,
            )),
        };
        let signer: MultiSigner = match &key {
            Key::Sr25519(pair) => pair.public().into(),
            Key::Ed25519(pair) => pair.public().into(),
            Key::Ecdsa(pair) => pair.public().into(),
        };
        let id = signer.into_account();
        Ok(Self { key, id })
    }

    /// Of the first line of a file, which nobody else can read.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, others can read it, or it holds no secret.
    pub fn from_file(path: &Path, scheme: Scheme) -> Result<Self, KeyError> {
        let failed = |error| KeyError::File {
            path: path.to_owned(),
            error,
        };
        let file = File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(KeyError::Open(path.to_owned()));
        }
        let mut text = String::new();
        file.take(MAX_FILE)
            .read_to_string(&mut text)
            .map_err(failed)?;
        Self::from_uri(text.lines().next().unwrap_or_default(), scheme)
    }

    /// Its address.
    pub fn id(&self) -> &AccountId {
        &self.id
    }

    /// Signs.
    pub fn sign(&self, message: &[u8]) -> MultiSignature {
        match &self.key {
            Key::Sr25519(pair) => pair.sign(message).into(),
            Key::Ed25519(pair) => pair.sign(message).into(),
            Key::Ecdsa(pair) => pair.sign(message).into(),
        }
    }

    /// 32 bytes that only the key's holder can know, the same each time for the same `about`: so that a secret that was
    /// committed to is not lost with the process that made it.
    pub fn secret(&self, about: &impl Encode) -> [u8; 32] {
        let key = match &self.key {
            Key::Sr25519(pair) => pair.to_raw_vec(),
            Key::Ed25519(pair) => pair.to_raw_vec(),
            Key::Ecdsa(pair) => pair.to_raw_vec(),
        };
        let mut hasher = blake3::Hasher::new_derive_key("labora 2026-11-30 secrets of an account");
        hasher.update(&(key.len() as u64).to_le_bytes());
        hasher.update(&key);
        hasher.update(&about.encode());
        hasher.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use sp_keyring::{Ed25519Keyring, Sr25519Keyring};
    use sp_runtime::traits::Verify;

    use super::*;

    #[test]
    fn a_key_of_each_scheme_signs_for_its_account() {
        for scheme in [Scheme::Sr25519, Scheme::Ed25519, Scheme::Ecdsa] {
            let account = Account::from_uri("//Alice", scheme).expect("a path");
            let signature = account.sign(b"message");
            assert!(
                signature.verify(&b"message"[..], account.id()),
                "{scheme:?}"
            );
            assert!(!signature.verify(&b"other"[..], account.id()), "{scheme:?}");
        }
        let of = |scheme| {
            Account::from_uri("//Alice", scheme)
                .expect("a path")
                .id()
                .clone()
        };
        assert_eq!(of(Scheme::Sr25519), Sr25519Keyring::Alice.to_account_id());
        assert_eq!(of(Scheme::Ed25519), Ed25519Keyring::Alice.to_account_id());
    }

    #[test]
    fn what_is_no_secret_is_refused_and_not_shown() {
        for uri in ["", "  ", "alice and her secret", "0x12"] {
            let error = Account::from_uri(uri, Scheme::Sr25519).expect_err("no secret");
            assert!(!error.to_string().contains("her secret"));
        }
        let account = Account::from_uri("//Alice", Scheme::Sr25519).expect("a path");
        assert_eq!(format!("{account:?}"), format!("Account({})", account.id()));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        fs::write(&path, "//Alice\nnotes\n").expect("a file");
        for (mode, fine) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("ours");
            let read = Account::from_file(&path, Scheme::Sr25519);
            assert_eq!(read.is_ok(), fine, "{mode:o}");
        }
        let missing = Account::from_file(&folder.path().join("none"), Scheme::Sr25519);
        assert!(missing.expect_err("no file").to_string().contains("none"));
    }

    #[test]
    fn secrets_are_of_the_key_and_of_what_they_are_about() {
        let of = |uri, about: u32| {
            Account::from_uri(uri, Scheme::Sr25519)
                .expect("a path")
                .secret(&about)
        };
        assert_eq!(of("//Alice", 1), of("//Alice", 1));
        assert_ne!(of("//Alice", 1), of("//Alice", 2));
        assert_ne!(of("//Alice", 1), of("//Bob", 1));
    }
}
