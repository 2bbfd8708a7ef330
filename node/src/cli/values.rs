//! The values that our own flags take, and how each is read. An error says what was expected and what to give.

use std::{net::SocketAddr, num::NonZeroU64};

use labora_consensus::{KeepProofs, TrustedTarget, VerifyBlocks};
use sp_core::{
    Pair,
    crypto::{AccountId32, Ss58Codec},
    sr25519,
};

use crate::shares::MIN_SHARE_MACS;

/// Account named by `--author`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Author {
    /// Given as an address, which is no secret.
    Address(AccountId32),
    /// Derived from a secret URI, which has now been on a command line.
    FromSecret(AccountId32),
}

impl Author {
    /// The account itself.
    pub fn account(&self) -> &AccountId32 {
        match self {
            Author::Address(account) | Author::FromSecret(account) => account,
        }
    }
}

/// Value of `--gemm-listen`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GemmListen {
    /// No TCP; the Unix socket stays.
    None,
    /// This address and no other: a port in use is an error.
    At(SocketAddr),
}

/// Why a value was refused.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum ValueError {
    /// Neither an address nor a secret URI.
    #[error(
        "neither an SS58 address nor a secret URI; give an address such as \
         5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY (`labora key generate` makes one)"
    )]
    Author,
    /// 32 bytes in hex, of which nobody can say whether they are public.
    #[error(
        "32 bytes in hex may be a public key or a secret seed; give the SS58 address \
         (`labora key inspect 0x…` prints it)"
    )]
    AmbiguousHex,
    /// Not an SS58 address.
    #[error("not an SS58 address, such as 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY")]
    Address,
    /// Not an address with a port.
    #[error("expected `none` or an IP address with a port, such as 127.0.0.1:9955 or [::1]:9955")]
    GemmListen,
    /// Not a number and a hash.
    #[error(
        "expected a block's number and hash, such as 120000:0x5f3c… with 64 hexadecimal digits"
    )]
    Checkpoint,
    /// Not a difficulty that shares may have.
    #[error(
        "expected a number of multiply-accumulates of at least {MIN_SHARE_MACS}, such as 20000000000; a rig that does \
         1 TMAC/s then sends fifty shares a second"
    )]
    ShareMacs,
    /// Not a number of bytes.
    #[error("expected a number of bytes of at least 1MiB, such as 20GiB, 500MiB or 1TiB")]
    Size,
    /// Not a number of blocks.
    #[error("expected `archive` or a number of blocks, such as 256")]
    Proofs,
    /// Neither of two words.
    #[error("expected `unfinalised` or `all`")]
    Verify,
}

/// Reads the value of `--author`. The secret, if it is one, is not kept.
pub fn parse_author(value: &str) -> Result<Author, ValueError> {
    // Any network's prefix will do: it is the same key on each.
    if let Ok((account, _)) = AccountId32::from_ss58check_with_version(value) {
        return Ok(Author::Address(account));
    }
    // As a secret URI, nothing at all is the root of the phrase that everyone knows.
    if value.is_empty() {
        return Err(ValueError::Author);
    }
    let digits = value.strip_prefix("0x").unwrap_or(value);
    if digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(ValueError::AmbiguousHex);
    }
    let pair = sr25519::Pair::from_string(value, None).map_err(|_| ValueError::Author)?;
    Ok(Author::FromSecret(pair.public().into()))
}

/// Reads an SS58 address, of any network.
pub fn parse_address(value: &str) -> Result<AccountId32, ValueError> {
    AccountId32::from_ss58check_with_version(value)
        .map(|(account, _)| account)
        .map_err(|_| ValueError::Address)
}

/// Reads the value of `--gemm-listen`.
pub fn parse_gemm_listen(value: &str) -> Result<GemmListen, ValueError> {
    match value {
        "none" => Ok(GemmListen::None),
        _ => value
            .parse()
            .map(GemmListen::At)
            .map_err(|_| ValueError::GemmListen),
    }
}

/// Reads the value of `--share-macs`.
pub fn parse_share_macs(value: &str) -> Result<NonZeroU64, ValueError> {
    value
        .parse::<NonZeroU64>()
        .ok()
        .filter(|macs| macs.get() >= MIN_SHARE_MACS)
        .ok_or(ValueError::ShareMacs)
}

/// Least that can be kept of artifacts, in bytes.
const MIN_SIZE: u64 = 1 << 20;

/// Reads the value of `--artifacts`: a whole number of bytes, KiB, MiB, GiB or TiB.
pub fn parse_size(value: &str) -> Result<u64, ValueError> {
    let end = value.find(|letter: char| !letter.is_ascii_digit());
    let (number, unit) = value.split_at(end.unwrap_or(value.len()));
    let shift = match unit {
        "" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return Err(ValueError::Size),
    };
    let bytes = number.parse::<u64>().ok();
    let bytes = bytes.and_then(|number| number.checked_mul(1 << shift));
    bytes
        .filter(|bytes| *bytes >= MIN_SIZE)
        .ok_or(ValueError::Size)
}

/// Reads the value of `--proofs`.
pub fn parse_proofs(value: &str) -> Result<KeepProofs, ValueError> {
    match value {
        "archive" => Ok(KeepProofs::Archive),
        _ => value
            .parse()
            .map(KeepProofs::Finalised)
            .map_err(|_| ValueError::Proofs),
    }
}

/// Reads the value of `--verify`.
pub fn parse_verify(value: &str) -> Result<VerifyBlocks, ValueError> {
    match value {
        "unfinalised" => Ok(VerifyBlocks::Unfinalised),
        "all" => Ok(VerifyBlocks::All),
        _ => Err(ValueError::Verify),
    }
}

/// Reads the value of `--checkpoint`.
pub fn parse_checkpoint(value: &str) -> Result<TrustedTarget, ValueError> {
    let (number, hash) = value.split_once(':').ok_or(ValueError::Checkpoint)?;
    Ok(TrustedTarget {
        number: number.parse().map_err(|_| ValueError::Checkpoint)?,
        hash: hash.parse().map_err(|_| ValueError::Checkpoint)?,
    })
}
