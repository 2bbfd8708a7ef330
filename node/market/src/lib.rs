//! Those who take part in the market of jobs (`pallet_jobs`): workers, auditors, and whoever signs a call.
//!
//! ```text
//!   work::Worker ──┐                        ┌─ node::Node      JSON-RPC: of this process, or of a node elsewhere
//!   audit::Auditor ┼─▶ chain::Chain ────────┤
//!   a command line ┘   (reads, signs, sends)└─ account::Account
//!        │
//!        ├─▶ matrices::Matrices   what is multiplied: of this process's store and its peers, or of a node's endpoint
//!        └─▶ work::Multiply       what multiplies: a node's devices, which mine on the way
//! ```
//!
//! Everything is read from the chain's state, so whoever is restarted goes on where the chain has it. Nothing here knows of
//! devices, of HTTP servers, or of how a node is put together.

pub mod account;
pub mod audit;
pub mod chain;
pub mod grants;
pub mod matrices;
pub mod node;
pub mod types;
pub mod words;
pub mod work;

use std::time::Duration;

/// How often the chain is looked at: blocks come every few seconds at most.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long matrices may take to come.
pub(crate) const FETCH_LIMIT: Duration = Duration::from_secs(600);

/// Pause after something was in the way.
pub(crate) const PAUSE: Duration = Duration::from_secs(10);

/// The wait after so many failures: `first`, doubled with each, and no longer than `last`.
pub(crate) fn doubled(first: Duration, failures: u32, last: Duration) -> Duration {
    (first * (1 << failures.min(10))).min(last)
}

/// Most pages of a list that are read at a time; with 100 jobs a page, or 2,000 that are looked at in vain.
pub(crate) const MAX_PAGES: usize = 64;
