//! What a network did, when it ends.

use std::{collections::BTreeMap, io::Write, time::Duration};

use serde::Serialize;

use super::{
    members::{Member, Role},
    tally::Figures,
};
use crate::table;

/// The figures of a run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Summary {
    validators: usize,
    miners: usize,
    /// Of the best chain, since the run began.
    blocks: u64,
    finalised_blocks: u32,
    /// From the start of the command, keys and chain spec included.
    seconds_to_first_finalised: Option<f64>,
    /// Best minus finalised, at each new best block.
    median_finality_lag: Option<u32>,
    highest_finality_lag: Option<u32>,
    /// Blocks seen that are not on the best chain.
    orphans: u64,
    orphan_rate: f64,
    blocks_per_miner: BTreeMap<String, u64>,
    seconds: f64,
}

impl Summary {
    pub(super) fn new(members: &[Member], figures: &Figures, took: Duration) -> Self {
        let of = |role| members.iter().filter(move |member| member.role == role);
        let mut blocks_per_miner: BTreeMap<_, _> = of(Role::Miner)
            .map(|member| (member.name.clone(), 0))
            .collect();
        for (author, blocks) in &figures.by_author {
            let known = members
                .iter()
                .find(|it| Some(&it.account) == author.as_ref());
            let name = known.map_or("others", |member| member.name.as_str());
            *blocks_per_miner.entry(name.to_owned()).or_default() += blocks;
        }
        Summary {
            validators: of(Role::Validator).count(),
            miners: of(Role::Miner).count(),
            blocks: figures.blocks,
            finalised_blocks: figures.finalised,
            seconds_to_first_finalised: figures.first_final.map(tenths),
            median_finality_lag: figures.median_lag,
            highest_finality_lag: figures.highest_lag,
            orphans: figures.orphans,
            orphan_rate: (figures.orphan_rate() * 1e4).round() / 1e4,
            blocks_per_miner,
            seconds: tenths(took),
        }
    }

    /// As a table, or as JSON.
    pub(super) fn print(&self, json: bool, out: &mut impl Write) -> std::io::Result<()> {
        if json {
            return table::write_json(self, out);
        }
        let or_none = |figure: Option<u32>| figure.map_or("none".into(), |it| it.to_string());
        let first = self.seconds_to_first_finalised;
        let mut rows = vec![
            ["blocks".into(), self.blocks.to_string()],
            ["of them final".into(), self.finalised_blocks.to_string()],
            [
                "seconds to the first final block".into(),
                first.map_or("none was".into(), |it| format!("{it:.1}")),
            ],
            [
                "median finality lag, in blocks".into(),
                or_none(self.median_finality_lag),
            ],
            ["highest".into(), or_none(self.highest_finality_lag)],
            [
                "orphans".into(),
                format!("{} ({:.1} %)", self.orphans, self.orphan_rate * 100.0),
            ],
            ["seconds in all".into(), format!("{:.1}", self.seconds)],
        ];
        for (name, blocks) in &self.blocks_per_miner {
            rows.push([format!("blocks of {name}"), blocks.to_string()]);
        }
        table::write(&rows, out)
    }
}

fn tenths(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10.0).round() / 10.0
}
