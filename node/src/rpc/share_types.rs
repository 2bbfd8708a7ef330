//! What `pouw_submitShare` and `pouw_shares` answer with; the conventions are those of [`super::types`].

use labora_pouw::Difficulty;
use serde::{Deserialize, Serialize};
use sp_core::H256;

use crate::shares::{Figures, Rejected, Report};

/// Answer of `pouw_submitShare`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShareAnswer {
    /// Multiply-accumulates that were counted.
    pub macs: String,
    /// The block that the share has won besides, sealed and imported.
    pub block: Option<H256>,
}

/// Answer of `pouw_shares`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SharesInfo {
    /// What a share has to be worth, in multiply-accumulates.
    pub share_macs: String,
    /// Of all rigs since the node's start, also of those that left the list.
    pub total: AcceptedInfo,
    /// What was refused of rigs that have no accepted share.
    pub strangers: RejectedInfo,
    /// The rigs, by name; those with the newest shares if there are very many.
    pub rigs: Vec<RigInfo>,
}

/// One rig.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RigInfo {
    /// Its name.
    pub rig: String,
    /// What was accepted.
    #[serde(flatten)]
    pub accepted: AcceptedInfo,
    /// What was refused, by reason.
    pub rejected: RejectedInfo,
    /// Multiply-accumulates per second over the last ten minutes, or since its first share.
    pub macs_per_s_10min: f64,
    /// Seconds since its last share, accepted or refused.
    pub seen_s_ago: u64,
}

/// Accepted shares.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedInfo {
    /// How many.
    pub shares: u64,
    /// What they were worth, in multiply-accumulates: shares times their difficulty.
    pub macs: String,
    /// How many of them won a block.
    pub blocks: u64,
}

/// Refused shares, by the name of the error.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectedInfo {
    /// No seal, no proof, or one that breaks a rule.
    pub malformed: u64,
    /// Proved, but worth less than a share.
    pub weak: u64,
    /// For work that is no longer mined.
    pub stale: u64,
    /// Counted before.
    pub duplicate: u64,
    /// The node had too much to verify, or had verified too much in vain.
    pub busy: u64,
}

impl SharesInfo {
    /// The ledger as JSON has it.
    pub fn new(worth: Difficulty, report: &Report) -> Self {
        let rigs = report.rigs.iter().map(|rig| RigInfo {
            rig: rig.rig.to_string(),
            accepted: rig.accepted.into(),
            rejected: rig.rejected.into(),
            macs_per_s_10min: rig.macs_per_s,
            seen_s_ago: rig.seen_s_ago,
        });
        SharesInfo {
            share_macs: worth.get().to_string(),
            total: report.total.into(),
            strangers: report.strangers.into(),
            rigs: rigs.collect(),
        }
    }
}

impl From<Figures> for AcceptedInfo {
    fn from(figures: Figures) -> Self {
        AcceptedInfo {
            shares: figures.shares,
            macs: figures.macs.to_string(),
            blocks: figures.blocks,
        }
    }
}

impl From<Rejected> for RejectedInfo {
    fn from(rejected: Rejected) -> Self {
        RejectedInfo {
            malformed: rejected.malformed,
            weak: rejected.weak,
            stale: rejected.stale,
            duplicate: rejected.duplicate,
            busy: rejected.busy,
        }
    }
}
