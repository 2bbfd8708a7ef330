//! The chain of a network that is being founded: a preset, with its own validators in place of the well-known ones.

use std::collections::BTreeSet;

use labora_runtime::{AccountId, LAB, genesis_config_presets as presets};
use sc_chain_spec::json_merge;
use sc_service::ChainType;
use serde_json::Value;

use crate::{ChainSpec, Error, builder};

/// The key that a validator votes with.
pub use sp_consensus_grandpa::AuthorityId as GrandpaId;

/// Most validators of a genesis: as many as the runtime elects.
pub const MAX_FOUNDERS: usize = 100;

/// What each founding validator has beside its stake: for fees, and to stake more.
pub const SPARE: u128 = 10_000 * LAB;

/// A chain that is known by name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Preset {
    /// A block every 3 s.
    Development,
    /// A block every 6 s.
    Local,
    /// A block every 12 s, and the difficulty and the terms of stake of a public chain.
    Testnet,
}

impl Preset {
    /// The id of a network with these figures.
    pub fn chain_id(self) -> &'static str {
        self.names().1
    }

    /// Name in the runtime, id, and name for people.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Preset::Development => (
                presets::DEVELOPMENT,
                "labora_dev_network",
                "Labora Dev Network",
            ),
            Preset::Local => (
                presets::LOCAL_TESTNET,
                "labora_local_network",
                "Labora Local Network",
            ),
            Preset::Testnet => (presets::TESTNET, "labora_testnet", "Labora Testnet"),
        }
    }
}

/// What a network is founded with.
#[derive(Clone, Debug)]
pub struct Founding {
    /// Figures of work, rewards and eras.
    pub preset: Preset,
    /// Whether its nodes are reached from other machines.
    pub chain_type: ChainType,
    /// The first validators: account, and key to vote with.
    pub validators: Vec<(AccountId, GrandpaId)>,
    /// Who governs it, if anybody.
    pub root: Option<AccountId>,
}

impl Founding {
    /// The chain. Nobody but its validators and its root owns anything on it.
    ///
    /// # Errors
    ///
    /// If there are no validators, too many, or one account or key twice.
    pub fn chain_spec(&self) -> Result<ChainSpec, Error> {
        let patch = self.genesis()?;
        let (_, id, name) = self.preset.names();
        Ok(builder()?
            .with_name(name)
            .with_id(id)
            .with_chain_type(self.chain_type.clone())
            .with_protocol_id(&id.replace('_', "-"))
            .with_genesis_config_patch(patch)
            .build())
    }

    /// Its genesis, as JSON to lay over the runtime's default one.
    pub fn genesis(&self) -> Result<Value, Error> {
        self.check()?;
        let (preset, ..) = self.preset.names();
        let mut genesis = presets::get_preset(&preset.into())
            .and_then(|json| serde_json::from_slice(&json).ok())
            .ok_or_else(|| Error::Unknown(preset.to_owned()))?;
        let network = presets::network(&self.validators, SPARE, self.root.clone());
        json_merge(&mut genesis, network);
        Ok(genesis)
    }

    fn check(&self) -> Result<(), Error> {
        let got = self.validators.len();
        if !(1..=MAX_FOUNDERS).contains(&got) {
            return Err(Error::Validators { got });
        }
        let (mut accounts, mut keys) = (BTreeSet::new(), BTreeSet::new());
        for (account, key) in &self.validators {
            if !accounts.insert(account) {
                return Err(Error::Twice(account.to_string()));
            }
            if !keys.insert(key) {
                return Err(Error::Twice(key.to_string()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
