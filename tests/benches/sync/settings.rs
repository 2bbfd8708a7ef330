//! What can be asked of this bench, by variables of the environment.

use std::{env, path::PathBuf, str::FromStr};

use labora_tests::Outcome;

/// Variables, their defaults and what they mean.
pub const HELP: &str = "\
LABORA_BIN          the node to measure (default: `labora` in the target folder of the bench)
LABORA_SYNC_BLOCKS  length of the chain (default: 5000)
LABORA_SYNC_ROUNDS  rounds, of which the median counts (default: 3)
LABORA_SYNC_KINDS   words, of which each kind that is measured must hold one (default: all kinds)
LABORA_SYNC_CHAIN   folder in which the chain is made, or found if it was made there before (default: a temporary one)
LABORA_SYNC_JSON    file for the figures as JSON (default: none)";

/// What was asked.
pub struct Settings {
    /// Length of the chain.
    pub blocks: u64,
    /// Rounds.
    pub rounds: usize,
    /// Kinds with one of these words in their names; all if there are none.
    pub kinds: Vec<String>,
    /// Where the chain is made and stays.
    pub chain: Option<PathBuf>,
    /// Where the figures go.
    pub json: Option<PathBuf>,
}

impl Settings {
    /// Reads the environment.
    pub fn from_env() -> Outcome<Self> {
        let kinds = env::var("LABORA_SYNC_KINDS").unwrap_or_default();
        Ok(Self {
            blocks: number("LABORA_SYNC_BLOCKS", 5_000)?,
            rounds: number("LABORA_SYNC_ROUNDS", 3)?,
            kinds: kinds.split_whitespace().map(str::to_owned).collect(),
            chain: env::var_os("LABORA_SYNC_CHAIN").map(PathBuf::from),
            json: env::var_os("LABORA_SYNC_JSON").map(PathBuf::from),
        })
    }
}

fn number<T: FromStr>(variable: &str, default: T) -> Outcome<T> {
    match env::var(variable) {
        Err(_) => Ok(default),
        Ok(text) => match text.parse() {
            Ok(number) => Ok(number),
            Err(_) => Err(format!("{variable} is {text}, which is no number of that kind").into()),
        },
    }
}
