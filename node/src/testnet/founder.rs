//! A validator of whom only the public keys are known: `NAME=STASH,GRANDPA`.

use std::collections::BTreeSet;

use labora_chain_spec::GrandpaId;
use sp_core::{
    crypto::{AccountId32, Ss58Codec},
    ed25519,
};

use super::TestnetError;

/// Longest name: it becomes a folder's and a node's.
const MAX_NAME: usize = 32;

/// A validator that somebody else runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Founder {
    /// Names its folder.
    pub name: String,
    /// Its stash.
    pub account: AccountId32,
    /// What it votes with.
    pub grandpa: GrandpaId,
}

/// Why a founder was refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FounderError {
    /// Not three parts.
    #[error(
        "expected NAME=STASH,GRANDPA with two SS58 addresses; `labora key generate` prints an address"
    )]
    Parts,
    /// No name.
    #[error(
        "`{0}` is no name; expected 1 to {MAX_NAME} of a-z, 0-9 and -, beginning with a letter"
    )]
    Name(String),
    /// Not an address.
    #[error(
        "`{0}` is not an SS58 address; `labora key generate` makes a stash and prints it, `--scheme ed25519` a key for \
         GRANDPA"
    )]
    Address(String),
    /// One key for two things.
    #[error(
        "stash and GRANDPA key are the same; a key that votes lies on a machine, and a stash does not: make two \
         (`labora key generate --scheme ed25519` for GRANDPA)"
    )]
    SameKey,
}

/// Reads the value of `--founder`.
pub fn parse_founder(value: &str) -> Result<Founder, FounderError> {
    let (name, keys) = value.split_once('=').ok_or(FounderError::Parts)?;
    let (stash, grandpa) = keys.split_once(',').ok_or(FounderError::Parts)?;
    let begins = name.starts_with(|letter: char| letter.is_ascii_lowercase());
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !begins || name.len() > MAX_NAME || !name.bytes().all(plain) {
        return Err(FounderError::Name(name.into()));
    }
    // Any network's prefix will do: it is the same key on each.
    let (account, _) = AccountId32::from_ss58check_with_version(stash)
        .map_err(|_| FounderError::Address(stash.into()))?;
    let (key, _) = ed25519::Public::from_ss58check_with_version(grandpa)
        .map_err(|_| FounderError::Address(grandpa.into()))?;
    if AsRef::<[u8]>::as_ref(&account) == AsRef::<[u8]>::as_ref(&key) {
        return Err(FounderError::SameKey);
    }
    Ok(Founder {
        name: name.into(),
        account,
        grandpa: key.into(),
    })
}

/// Fails if two have one name. Their keys are compared where the chain is made.
pub(super) fn check_names(founders: &[Founder]) -> Result<(), TestnetError> {
    let mut names = BTreeSet::new();
    for founder in founders {
        if !names.insert(&founder.name) {
            return Err(TestnetError::FounderTwice(founder.name.clone()));
        }
    }
    Ok(())
}
