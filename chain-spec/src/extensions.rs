//! What a chain spec says beside the SDK's: what happened on the chain since its genesis that newcomers cannot find out.

use labora_consensus::ForcedChange;
use sc_chain_spec::{ChainSpecExtension, get_extension};
use serde::{Deserialize, Serialize};

/// The fields of this chain's own.
#[derive(ChainSpecExtension, Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Extensions {
    /// Changes of validators that finality did not make.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forced_changes: Vec<ForcedChange>,
}

/// The forced changes that a chain spec names; none where it is of another kind.
pub fn forced_changes(spec: &dyn sc_service::ChainSpec) -> &[ForcedChange] {
    get_extension::<Vec<ForcedChange>>(spec.extensions()).map_or(&[], Vec::as_slice)
}
