//! What a chain spec says beside the SDK's: what happened on the chain since its genesis that newcomers cannot find out.

use sc_chain_spec::{ChainSpecExtension, get_extension};
use serde::{Deserialize, Serialize};
use sp_consensus_grandpa::AuthorityList;
use sp_core::H256;

/// The fields of this chain's own.
#[derive(ChainSpecExtension, Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Extensions {
    /// Changes of validators that finality did not make.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forced_changes: Vec<ForcedChange>,
}

/// A change of validators by force, as `pouw_forcedChanges` tells of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ForcedChange {
    /// The last block that was final before it.
    pub number: u32,
    /// Hash of that block.
    pub hash: H256,
    /// The block with which the new validators took over.
    pub effective: u32,
    /// Number of their set.
    pub set_id: u64,
    /// Their keys, with their weights.
    pub authorities: AuthorityList,
}

/// The forced changes that a chain spec names; none where it is of another kind.
pub fn forced_changes(spec: &dyn sc_service::ChainSpec) -> &[ForcedChange] {
    get_extension::<Vec<ForcedChange>>(spec.extensions()).map_or(&[], Vec::as_slice)
}
