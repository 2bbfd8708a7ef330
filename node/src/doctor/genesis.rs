//! Which chain it is: its genesis, whether that can be built, and whether the node that answers has the same.

use std::{io, net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use sp_core::{H256, storage::StorageMap};
use tracing_subscriber::util::SubscriberInitExt as _;

use super::{Finding, database::Database, network::Need};
use crate::genesis;

/// What a chain begins with.
pub(super) struct Genesis {
    /// Hash of its block.
    pub hash: H256,
    state: StorageMap,
}

impl Genesis {
    /// The genesis of a chain's spec, as a node makes it; an error says why none does. The chain's own code runs, for a second
    /// or two.
    pub(super) fn of_spec(spec: &dyn sc_service::ChainSpec) -> Result<Self, String> {
        let (built, said) = listen(|| build(spec));
        built.map_err(|error| reason(&said, &error.to_string()))
    }

    /// What its state holds under this key.
    pub(super) fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.state.get(key).cloned()
    }
}

/// Whether a node can begin with a chain's spec.
pub(super) fn finding(
    spec: &dyn sc_service::ChainSpec,
    genesis: &Result<Genesis, String>,
) -> Finding {
    let what = "chain spec";
    match genesis {
        Ok(genesis) => Finding::good(what, format!("{}, genesis {}", spec.name(), genesis.hash)),
        Err(reason) => Finding::bad(
            what,
            format!("its genesis cannot be built: {reason}"),
            "no node starts on it: change in the file what is named, or get the file again from who founded the network; \
             `labora testnet --write` writes a new one",
        ),
    }
}

fn build(spec: &dyn sc_service::ChainSpec) -> sp_blockchain::Result<Genesis> {
    let storage = genesis::storage_of(spec)?;
    let state = storage.top.clone();
    let hash = genesis::hash_of(storage, genesis::passing_executor(None))?;
    Ok(Genesis { hash, state })
}

/// What is logged as an error while something is done.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Does this, and gives with its result what it logged as errors on this thread.
fn listen<T>(work: impl FnOnce() -> T) -> (T, String) {
    let said = Said::default();
    let writer = said.clone();
    let logger = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::ERROR)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let guard = logger.set_default();
    let result = work();
    drop(guard);
    let said = String::from_utf8_lossy(&said.0.lock()).into_owned();
    (result, said)
}

/// Why the chain's code refused. It can only trap, of which the error tells; its sentence is in the log, below the place.
fn reason(said: &str, error: &str) -> String {
    let sentence = said
        .rsplit_once("panicked at ")
        .and_then(|(_, rest)| rest.lines().nth(1))
        .map(str::trim)
        .filter(|sentence| !sentence.is_empty());
    sentence
        .or_else(|| error.lines().next())
        .unwrap_or_default()
        .to_owned()
}

/// A node that answers on RPC's port and is of another chain than the one that was asked about.
pub(super) struct Stranger {
    /// Where it answers.
    pub address: SocketAddr,
    /// Its genesis.
    pub theirs: H256,
    /// That of the chain that was asked about.
    pub ours: H256,
}

impl Stranger {
    /// What to say of it. The node on this data folder may be it, if the folder was made by another version.
    pub(super) fn finding(&self, need: Need, database: &Database) -> Finding {
        let (what, address) = ("port of RPC", self.address);
        let found = format!(
            "{address} is answered by a node of another chain: its genesis is {}, and this chain's {}",
            self.theirs, self.ours
        );
        if database.is_in_use() {
            return Finding::warning(
                what,
                found,
                "give the --chain and --rpc-port of the node that runs on this data folder; a chain that is named, and not a file, \
                 has another genesis in another version",
            );
        }
        let other = "to look at that node, give its --chain and --base-path";
        match need {
            Need::Asked => Finding::bad(
                what,
                found,
                format!("choose another --rpc-port, since that node has this one; {other}"),
            ),
            Need::Default => Finding::warning(
                what,
                found,
                format!("the node takes another port; --rpc-port names one that is free; {other}"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_of_a_trap_is_taken_before_the_trap() {
        let trap = "Storage error: wasm trap\nWASM backtrace:\n 0: 0x1";
        let said = "ERROR runtime: panicked at pallets/eras/src/lib.rs:1:2:\nraise unbondingEras\n";
        assert_eq!(reason(said, trap), "raise unbondingEras");
        assert_eq!(reason("", trap), "Storage error: wasm trap");
        assert_eq!(
            reason("ERROR: panicked at a.rs", trap),
            "Storage error: wasm trap"
        );
    }
}
