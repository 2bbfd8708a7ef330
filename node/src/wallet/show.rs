//! What people are shown: on standard output, or beside it where that is for programs.

use std::{
    io::{self, Write},
    time::Duration,
};

use labora_runtime::AccountId;
use serde::Serialize;

use super::WalletError;
use crate::{rpc::in_words, table};

/// Letters of an address in a list, at each of its ends.
const SHORT: usize = 6;

/// Where output goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Out {
    /// For people, on standard output.
    People,
    /// JSON on standard output, and what people read on standard error.
    Programs,
}

impl Out {
    /// By the flag `--json`.
    pub(super) fn new(json: bool) -> Self {
        match json {
            true => Self::Programs,
            false => Self::People,
        }
    }

    /// A line for people.
    pub(super) fn say(self, line: &str) -> Result<(), WalletError> {
        match self {
            Self::People => Ok(writeln!(io::stdout(), "{line}")?),
            Self::Programs => Ok(writeln!(io::stderr(), "{line}")?),
        }
    }

    /// A table for people.
    pub(super) fn table<const N: usize>(self, rows: &[[String; N]]) -> Result<(), WalletError> {
        match self {
            Self::People => Ok(table::write(rows, &mut io::stdout().lock())?),
            Self::Programs => Ok(table::write(rows, &mut io::stderr().lock())?),
        }
    }

    /// Names and values for people, one pair a line.
    pub(super) fn pairs(self, pairs: &[(&str, String)]) -> Result<(), WalletError> {
        let shown = pairs.iter().filter(|(_, value)| !value.is_empty());
        let rows = shown.map(|(name, value)| [(*name).to_owned(), value.clone()]);
        // The first row is the head, which a table of pairs has not.
        let rows: Vec<[String; 2]> = std::iter::once([String::new(), String::new()])
            .chain(rows)
            .collect();
        let mut text = Vec::new();
        table::write(&rows, &mut text)?;
        let text = String::from_utf8_lossy(&text).into_owned();
        self.say(text.trim_matches('\n'))
    }

    /// JSON, if it is wanted.
    pub(super) fn json(self, value: &impl Serialize) -> Result<(), WalletError> {
        match self {
            Self::People => Ok(()),
            Self::Programs => Ok(table::write_json(value, &mut io::stdout().lock())?),
        }
    }
}

/// A sentence on standard error. If nobody reads that, nothing is lost.
pub(super) fn warn(sentence: &str) {
    let _ = writeln!(io::stderr(), "labora: {sentence}");
}

/// The two ends of an address.
pub(super) fn short(account: &AccountId) -> String {
    let address = account.to_string();
    match (
        address.get(..SHORT),
        address.get(address.len().saturating_sub(SHORT)..),
    ) {
        (Some(first), Some(last)) => format!("{first}…{last}"),
        _ => address,
    }
}

/// How long so many blocks take.
pub(super) fn time_of(blocks: u32, block_ms: u64) -> String {
    in_words(Duration::from_millis(
        block_ms.saturating_mul(blocks.into()),
    ))
}

/// A number with its thing: `1 block`, `2 blocks`.
pub(super) fn count(number: u64, thing: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{s}")
}

/// A share in billionths, in percent.
pub(super) fn percent(parts: u32) -> String {
    let hundredths = parts / 100_000;
    let fraction = format!("{:02}", hundredths % 100);
    match fraction.trim_end_matches('0') {
        "" => format!("{} %", hundredths / 100),
        fraction => format!("{}.{fraction} %", hundredths / 100),
    }
}

/// A large number with a unit of a thousand's power.
pub(super) fn macs(macs: u128) -> String {
    let units = [
        (1e18, "EMAC"),
        (1e15, "PMAC"),
        (1e12, "TMAC"),
        (1e9, "GMAC"),
        (1e6, "MMAC"),
    ];
    // Rounded for people.
    let number = macs as f64;
    match units.into_iter().find(|(unit, _)| number >= *unit) {
        Some((unit, name)) => format!("{:.3} {name}", number / unit),
        // Below the least unit.
        None => count(u64::try_from(macs).unwrap_or(u64::MAX), "MAC"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_for_people() {
        assert_eq!(percent(850_000_000), "85 %");
        assert_eq!(percent(12_345_678), "1.23 %");
        assert_eq!(percent(500_000), "0.05 %");
        assert_eq!(count(1, "block"), "1 block");
        assert_eq!(count(0, "block"), "0 blocks");
        assert_eq!(macs(999_999), "999999 MACs");
        assert_eq!(macs(1_610_612_736), "1.611 GMAC");
        assert_eq!(macs(1 << 54), "18.014 PMAC");
        assert_eq!(macs(1 << 64), "18.447 EMAC");
        assert_eq!(time_of(5, 12_000), "60 s");
        assert_eq!(
            time_of(u32::MAX, u64::MAX),
            in_words(Duration::from_millis(u64::MAX))
        );
        let alice = sp_keyring::Sr25519Keyring::Alice.to_account_id();
        assert_eq!(short(&alice), "5Grwva…GKutQY");
    }
}
