//! Which chains there are: a name, an id, and the runtime's genesis preset for each, or a file.
//!
//! A spec carries the runtime as WASM; the figures of its genesis are the presets that the runtime itself knows
//! (`labora_runtime::genesis_config_presets`), so that tools which have nothing but the WASM build the same block.

mod extensions;
mod network;

use std::path::{Path, PathBuf};

use labora_runtime::{WASM_BINARY, genesis_config_presets as presets};
use sc_chain_spec::Properties;
use sc_service::ChainType;

pub use extensions::{Extensions, forced_changes};
pub use network::{Founding, GrandpaId, MAX_FOUNDERS, Preset, SPARE};

/// A chain of this runtime.
pub type ChainSpec = sc_service::GenericChainSpec<Extensions>;

/// Symbol of the token.
pub const TOKEN_SYMBOL: &str = "LAB";
/// Decimals of the token.
pub const TOKEN_DECIMALS: u8 = 12;
/// Prefix of addresses.
pub const SS58_FORMAT: u16 = 42;

/// Why there is no chain spec.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program was built without its runtime.
    #[error(
        "this program was built without its WASM runtime (SKIP_WASM_BUILD was set); build it without, or give a chain \
         spec's file with --chain"
    )]
    NoRuntime,
    /// Neither a chain that this program knows nor a file.
    #[error(
        "there is no chain '{0}': expected dev, local, testnet, or the path of a chain spec's file"
    )]
    Unknown(String),
    /// Not as many validators as a network can begin with.
    #[error("a network begins with 1 to {MAX_FOUNDERS} validators, and {got} are named")]
    Validators {
        /// How many.
        got: usize,
    },
    /// An account or a key of two validators.
    #[error("{0} is named for two validators; each needs an account and a key of its own")]
    Twice(String),
    /// The file is not a chain spec.
    #[error("'{}' is not a chain spec: {reason}; `labora chain-spec --chain local` prints one", path.display())]
    NotASpec {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// Id of [`development`].
const DEV_ID: &str = "labora_dev";

/// Id of [`local`].
const LOCAL_ID: &str = "labora_local";

/// Whether this is the id of a chain of one machine whose spec is in the binary, made anew by each version with its own runtime.
pub fn is_built_in(id: &str) -> bool {
    matches!(id, DEV_ID | LOCAL_ID)
}

/// A chain of one developer's machine: Alice is root, the well-known accounts are rich, a block every 3 s.
pub fn development() -> Result<ChainSpec, Error> {
    Ok(builder()?
        .with_name("Labora Development")
        .with_id(DEV_ID)
        .with_chain_type(ChainType::Development)
        .with_protocol_id("labora-dev")
        .with_genesis_config_preset_name(presets::DEVELOPMENT)
        .build())
}

/// A chain of a few nodes on one machine: as the development chain, with a block every 6 s.
pub fn local() -> Result<ChainSpec, Error> {
    Ok(builder()?
        .with_name("Labora Local Testnet")
        .with_id(LOCAL_ID)
        .with_chain_type(ChainType::Local)
        .with_protocol_id("labora-local")
        .with_genesis_config_preset_name(presets::LOCAL_TESTNET)
        .build())
}

/// The skeleton of a public test network: nobody owns anything, nobody is root, a block every 12 s. It has no boot nodes
/// and is not a network that runs; whoever starts one exports it, adds boot nodes and gives out the file.
pub fn testnet() -> Result<ChainSpec, Error> {
    Ok(builder()?
        .with_name("Labora Testnet")
        .with_id("labora_testnet")
        .with_chain_type(ChainType::Live)
        .with_protocol_id("labora-testnet")
        .with_genesis_config_preset_name(presets::TESTNET)
        .build())
}

/// The chain that `id` names: `dev`, `local`, `testnet`, or else the path of a chain spec's file. Nothing is `dev`.
///
/// # Errors
///
/// [`Error::Unknown`] if it is none of these, [`Error::NotASpec`] if the file is there but no chain spec.
pub fn load(id: &str) -> Result<ChainSpec, Error> {
    match id {
        "" | "dev" => development(),
        "local" => local(),
        "testnet" => testnet(),
        path if Path::new(path).is_file() => from_file(PathBuf::from(path)),
        other => Err(Error::Unknown(other.to_owned())),
    }
}

fn from_file(path: PathBuf) -> Result<ChainSpec, Error> {
    ChainSpec::from_json_file(path.clone()).map_err(|reason| Error::NotASpec { path, reason })
}

fn builder() -> Result<sc_chain_spec::ChainSpecBuilder<Extensions>, Error> {
    let runtime = WASM_BINARY.ok_or(Error::NoRuntime)?;
    Ok(ChainSpec::builder(runtime, Extensions::default()).with_properties(properties()))
}

/// What wallets and explorers need to show amounts and addresses.
fn properties() -> Properties {
    let mut properties = Properties::new();
    properties.insert("tokenSymbol".into(), TOKEN_SYMBOL.into());
    properties.insert("tokenDecimals".into(), TOKEN_DECIMALS.into());
    properties.insert("ss58Format".into(), SS58_FORMAT.into());
    properties
}

#[cfg(test)]
mod tests;
