//! Deterministic simulation of fork choice, proof availability and finality.
//!
//! Nodes here are made of the parts that a real node is made of: the engine with its verifier, import, announcement
//! validator, proof cache, relay and proof store, `MostWork` and the voting rules, and GRANDPA's own voter. Blocks have
//! real proofs. Only what surrounds them is made up: the disk is a block tree in memory, sync is one question, GRANDPA's
//! gossip is a few messages, and the network delays, drops, doubles, reorders and divides as the seed says, while nodes
//! crash and up to a third of the stake votes for two things at once.
//!
//! A seed decides everything, so a schedule that fails once fails always:
//!
//! ```text
//! LABORA_SIM_SEED=17 cargo test --release -p labora-consensus --lib simulation::schedules -- --nocapture
//! ```
//!
//! `LABORA_SIM_SCHEDULES` sets how many schedules are run, `LABORA_SIM_FIRST` the first seed.

mod adversary;
mod blocks;
mod chain;
mod checker;
mod client;
mod context;
mod desk;
mod downloads;
mod globals;
mod gossip;
mod messages;
mod mutants;
mod node;
mod plan;
mod record;
mod runtime;
mod stats;
mod upstream;
mod views;
mod votes;
mod world;

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use parking_lot::Mutex;

use plan::Mutant;
use stats::Stats;
use world::{Outcome, run};

/// Schedules of a test run.
const SCHEDULES: u64 = 10_000;

/// Honest nodes are hung up on by others in one schedule of so many: one sends a block before it learns that finality went
/// elsewhere, or cannot yet prove the finality for which it took a block without proof.
const MOST_HONEST_BANNED_ONE_IN: u64 = 40;

fn from_environment(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} must be a number, not {value}")),
    )
}

/// A schedule that ended badly.
struct Failure {
    seed: u64,
    why: Vec<String>,
}

/// Runs a schedule; a panic is a broken rule too.
fn checked(seed: u64, mutant: Mutant) -> Result<Stats, Failure> {
    let why = match catch_unwind(AssertUnwindSafe(|| run(seed, mutant))) {
        Ok(Outcome { stats, broken, .. }) if broken.is_empty() => return Ok(stats),
        Ok(Outcome { broken, .. }) => broken,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or(panic.downcast_ref::<&str>().copied());
            vec![format!("panic: {}", text.unwrap_or("of an unknown kind"))]
        }
    };
    Err(Failure { seed, why })
}

/// What became of many schedules.
#[derive(Default)]
struct Total {
    stats: Stats,
    failures: Vec<Failure>,
    /// Seeds of those that did not come to an end, with equivocating stake.
    stalled: Vec<u64>,
    /// Seeds of those in which a voter ended.
    ended: Vec<u64>,
}

/// Runs schedules on all cores. Which core runs which makes no difference to any of them.
fn all(seeds: Range<u64>, mutant: Mutant) -> Total {
    let next = AtomicU64::new(seeds.start);
    let total = Mutex::new(Total::default());
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if !seeds.contains(&seed) {
                        break;
                    }
                    let ended = checked(seed, mutant);
                    let mut total = total.lock();
                    match ended {
                        Ok(stats) => {
                            if stats.stalled_after_equivocation > 0 {
                                total.stalled.push(seed);
                            }
                            if stats.voters_ended_by_their_own_commit
                                + stats.voters_ended_by_votes_beside_their_base
                                > 0
                            {
                                total.ended.push(seed);
                            }
                            total.stats += stats;
                        }
                        Err(failure) => total.failures.push(failure),
                    }
                }
            });
        }
    });
    total.into_inner()
}

/// What to say of failures: the seeds, and how to run one of them again.
fn told(failures: &[Failure]) -> String {
    let mut text = format!("{} schedules broke a rule", failures.len());
    for Failure { seed, why } in failures.iter().take(20) {
        text += &format!("\nseed {seed}:\n  {}", why.join("\n  "));
    }
    if let Some(Failure { seed, .. }) = failures.first() {
        text += &format!(
            "\nto run it again: LABORA_SIM_SEED={seed} cargo test --release -p labora-consensus --lib \
             simulation::schedules -- --nocapture"
        );
    }
    text
}

#[test]
fn schedules_are_safe_live_and_bounded() {
    let began = Instant::now();
    let seeds = match from_environment("LABORA_SIM_SEED") {
        Some(seed) => {
            println!("seed {seed}: {:#?}", world::plan(seed));
            seed..seed + 1
        }
        None => {
            let first = from_environment("LABORA_SIM_FIRST").unwrap_or(0);
            first..first + from_environment("LABORA_SIM_SCHEDULES").unwrap_or(SCHEDULES)
        }
    };
    let Total {
        stats,
        mut failures,
        mut stalled,
        ended,
    } = all(seeds, Mutant::None);
    failures.sort_by_key(|failure| failure.seed);
    stalled.sort_unstable();
    println!(
        "{stats}{:>12}  seconds of this machine",
        began.elapsed().as_secs()
    );
    assert!(failures.is_empty(), "{}", told(&failures));
    assert!(ended.is_empty(), "voters ended, with seeds {ended:?}");
    assert!(
        stalled.is_empty(),
        "schedules stalled, with seeds {stalled:?}"
    );
    let banned = stats.honest_peers_banned + stats.honest_peers_banned_for_silence;
    let most = stats.schedules / MOST_HONEST_BANNED_ONE_IN;
    // Of a few schedules one may have several.
    assert!(
        stats.schedules < SCHEDULES || banned <= most,
        "{banned} honest nodes were hung up on, of at most {most}"
    );
}
