//! The figures: medians, ratios, as a table and as JSON.

use std::fs;

use labora_tests::Outcome;
use serde_json::{Value, json};

use crate::measure::{Kind, Spent, Sync};

/// Speed of `labora`'s kinds as a multiple of the plain node's: each with what it is compared with.
const PAIRS: [(&str, &str); 4] = [
    ("labora full", "plain full"),
    ("labora full-archive", "plain full-archive"),
    ("labora verify-all", "plain full-archive"),
    ("labora warp", "plain warp"),
];

/// What was measured of each kind, round by round.
pub type Measured = Vec<(Kind, Vec<Sync>)>;

/// What the chain was like, and the machine.
pub struct Circumstances {
    /// Blocks.
    pub blocks: u64,
    /// Transfers in each.
    pub transfers_per_block: f64,
    /// Bytes of a proof.
    pub proof_bytes: f64,
    /// Processes that wanted a processor, on average over a minute, at the end of each round.
    pub load: Vec<f64>,
}

/// The table for people.
pub fn print(measured: &Measured, about: &Circumstances) {
    println!(
        "{} blocks, {:.1} transfers in each, proofs of {:.0} bytes; load at the end of each round: {:?}",
        about.blocks, about.transfers_per_block, about.proof_bytes, about.load
    );
    println!(
        "| {:20} | {:>12} | {:>12} | {:>16} | {:>16} | rounds, s",
        "median", "best, s", "best, CPU s", "all blocks, s", "all blocks, CPU"
    );
    for (kind, syncs) in measured {
        let best = median(syncs, |sync| sync.to_best);
        let all = median(syncs, |sync| sync.to_all);
        let walls: Vec<String> = syncs
            .iter()
            .map(|sync| format!("{:.1}", sync.to_best.wall_s))
            .collect();
        println!(
            "| {:20} | {:12.2} | {:12.2} | {:16.2} | {:16.2} | {}",
            kind.name,
            best.wall_s,
            best.cpu_s,
            all.wall_s,
            all.cpu_s,
            walls.join(" ")
        );
    }
    for ratio in ratios(measured) {
        println!(
            "speed of {} over {}: to the best block {:.2} by the wall, {:.2} by CPU; to all blocks {:.2}, {:.2}",
            ratio.of, ratio.over, ratio.best.0, ratio.best.1, ratio.all.0, ratio.all.1
        );
    }
}

/// The same for programs.
pub fn write(measured: &Measured, about: &Circumstances, path: &std::path::Path) -> Outcome {
    let seconds = |spent: Spent| json!({ "wall": spent.wall_s, "cpu": spent.cpu_s });
    let kinds: Vec<Value> = measured
        .iter()
        .map(|(kind, syncs)| {
            let rounds: Vec<Value> = syncs
                .iter()
                .map(|sync| json!({ "to_best_s": seconds(sync.to_best), "to_all_s": seconds(sync.to_all) }))
                .collect();
            json!({
                "kind": kind.name,
                "to_best_s": seconds(median(syncs, |sync| sync.to_best)),
                "to_all_s": seconds(median(syncs, |sync| sync.to_all)),
                "rounds": rounds,
            })
        })
        .collect();
    let ratios: Vec<Value> = ratios(measured)
        .iter()
        .map(|ratio| {
            json!({
                "of": ratio.of,
                "over": ratio.over,
                "to_best": { "wall": ratio.best.0, "cpu": ratio.best.1 },
                "to_all": { "wall": ratio.all.0, "cpu": ratio.all.1 },
            })
        })
        .collect();
    let report = json!({
        "blocks": about.blocks,
        "transfers_per_block": about.transfers_per_block,
        "proof_bytes": about.proof_bytes,
        "load": about.load,
        "kinds": kinds,
        "ratios": ratios,
    });
    Ok(fs::write(path, serde_json::to_vec_pretty(&report)?)?)
}

/// Speeds of one kind over another's, by the wall and by CPU.
struct Ratio {
    of: &'static str,
    over: &'static str,
    best: (f64, f64),
    all: (f64, f64),
}

fn ratios(measured: &Measured) -> Vec<Ratio> {
    let syncs = |name: &str| {
        let (_, syncs) = measured.iter().find(|(kind, _)| kind.name == name)?;
        Some(syncs)
    };
    let speeds = |of: Spent, over: Spent| (over.wall_s / of.wall_s, over.cpu_s / of.cpu_s);
    PAIRS
        .iter()
        .filter_map(|(of, over)| {
            let (ours, plain) = (syncs(of)?, syncs(over)?);
            Some(Ratio {
                of,
                over,
                best: speeds(
                    median(ours, |sync| sync.to_best),
                    median(plain, |sync| sync.to_best),
                ),
                all: speeds(
                    median(ours, |sync| sync.to_all),
                    median(plain, |sync| sync.to_all),
                ),
            })
        })
        .collect()
}

/// The median of each figure by itself.
fn median(syncs: &[Sync], part: impl Fn(&Sync) -> Spent) -> Spent {
    let of = |figure: fn(Spent) -> f64| {
        let mut all: Vec<f64> = syncs.iter().map(|sync| figure(part(sync))).collect();
        all.sort_by(f64::total_cmp);
        let (low, high) = (all.len().saturating_sub(1) / 2, all.len() / 2);
        match (all.get(low), all.get(high)) {
            (Some(low), Some(high)) => (low + high) / 2.0,
            _ => f64::NAN,
        }
    };
    Spent {
        wall_s: of(|spent| spent.wall_s),
        cpu_s: of(|spent| spent.cpu_s),
    }
}
