//! Shares: tiles that miners found below the block's difficulty, counted per rig, so that a pool (or a lab with one node
//! for many rigs) can say who did how much of the work. What a share is worth is the node's choice, the same for all rigs.
//!
//! Whether a tile is one is decided by the engine; here is what is kept of the answer ([`Ledger`]), and how much refused
//! work a connection may cause ([`Patience`]).

mod ledger;
mod patience;

use std::{fmt, num::NonZeroU64, sync::Arc};

use labora_pouw::Difficulty;
use tokio::sync::Semaphore;

pub use ledger::{Figures, Ledger, Reason, Rejected, Report};
pub use patience::Patience;

/// Lowest difficulty of a share, in multiply-accumulates: some 2 ms of one core that mines, against the 0.15 to 1.2 ms that
/// it takes to verify a proof. Below, the node would work as much as its rigs.
pub const MIN_SHARE_MACS: u64 = 100_000_000;

/// Shares that wait for their verification or are in it; further ones are refused. Each holds a proof of at most 0.5 MB, so
/// 32 MB, and takes a core about a millisecond.
const MAX_WAITING: usize = 64;

/// What a rig calls itself: 1 to 64 printable ASCII characters without spaces, so that it can stand in any log or label.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RigName(String);

/// A name that no rig may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "a rig's name is 1 to {} printable ASCII characters without spaces, such as lab-3",
    RigName::MAX_LEN
)]
pub struct RigNameError;

impl RigName {
    /// Longest name, in bytes.
    pub const MAX_LEN: usize = 64;

    /// Checks length and characters.
    pub fn new(name: &str) -> Result<Self, RigNameError> {
        let fits = (1..=Self::MAX_LEN).contains(&name.len());
        if fits && name.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(RigName(name.to_owned()))
        } else {
            Err(RigNameError)
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RigName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What a node that counts shares keeps about them.
pub struct Shares {
    /// What a share is worth, in multiply-accumulates.
    pub worth: Difficulty,
    /// Who did how much.
    pub ledger: Ledger,
    /// Who had how much refused.
    pub patience: Patience,
    /// One permit for each share that is being looked at.
    pub waiting: Arc<Semaphore>,
}

impl Shares {
    /// Counts shares of so many multiply-accumulates.
    pub fn new(macs: NonZeroU64) -> Self {
        Shares {
            worth: Difficulty::from_macs(macs),
            ledger: Ledger::new(),
            patience: Patience::new(),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_printable_and_short() {
        for name in ["a", "lab-3.gpu0", &"x".repeat(64)] {
            assert_eq!(
                RigName::new(name).map(|rig| rig.to_string()),
                Ok(name.into())
            );
        }
        for name in [
            "",
            " ",
            "two words",
            "tab\t",
            "ümlaut",
            "bell\u{7}",
            &"x".repeat(65),
        ] {
            assert_eq!(RigName::new(name), Err(RigNameError), "{name:?}");
        }
    }
}
