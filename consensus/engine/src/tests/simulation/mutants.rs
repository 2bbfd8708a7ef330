//! A checker that cannot fail is worth nothing: what is broken on purpose must be found, and found as what it is.

use std::ops::Range;

use super::{Failure, checked, plan::Mutant, world::run};

/// Seeds tried before a mutant counts as not found.
const SEEDS: u64 = 300;

/// Some seed finds the mutant, by a rule that says `rule`.
fn is_found(mutant: Mutant, rule: &str) {
    is_found_by(0..SEEDS, mutant, rule);
}

/// The same, where so few seeds do that it is known which.
fn is_found_by(seeds: Range<u64>, mutant: Mutant, rule: &str) {
    let says = |failure: &Failure| failure.why.iter().any(|why| why.contains(rule));
    let found = seeds
        .clone()
        .find(|seed| checked(*seed, mutant).is_err_and(|failure| says(&failure)));
    println!("{mutant:?} is found by {found:?}");
    assert!(
        found.is_some(),
        "no seed of {seeds:?} finds {mutant:?} as {rule:?}"
    );
}

#[test]
fn a_schedule_is_the_same_each_time() {
    for seed in 0..25 {
        assert_eq!(
            run(seed, Mutant::None),
            run(seed, Mutant::None),
            "seed {seed}"
        );
    }
    let traces: std::collections::HashSet<_> =
        (0..25).map(|seed| run(seed, Mutant::None).trace).collect();
    assert_eq!(traces.len(), 25, "no two seeds are the same schedule");
}

#[test]
fn over_a_third_of_equivocating_stake_makes_two_blocks_final() {
    is_found(Mutant::HalfEquivocates, "elsewhere as");
}

#[test]
fn a_node_that_verifies_nothing_is_found() {
    is_found(Mutant::UnverifiedBlocks, "nobody mined it");
}

#[test]
fn a_vote_for_a_block_without_work_is_found() {
    is_found(Mutant::UnknownVotes, "which nobody mined");
}

#[test]
fn choosing_the_longest_chain_is_found() {
    is_found(Mutant::LongestChain, "work fell from");
    is_found(Mutant::LongestChain, "the best one");
}

#[test]
fn voting_anew_after_a_crash_is_found() {
    is_found(Mutant::ForgottenVotes, "votes twice in round");
}

#[test]
fn proofs_that_are_not_stored_are_found() {
    is_found(Mutant::WithheldProofs, "is stored without its proof");
}

#[test]
fn a_vote_for_a_block_that_led_nowhere_near_the_trusted_target_is_found() {
    // One seed in ten thousand, even where most of what is asked for is forged and no proofs are left. Whatever changes the
    // schedules changes which: `0..40_000` finds another.
    is_found_by(
        11_000..12_000,
        Mutant::ForgottenVouchers,
        "which nobody mined",
    );
}

#[test]
fn a_cache_without_a_bound_is_found() {
    is_found(Mutant::BoundlessCache, "bytes of");
}

#[test]
fn a_network_that_never_heals_is_found() {
    is_found(Mutant::NeverHeals, "the network healed at height");
}

/// Without the guard a validator that votes for two branches ends the voters of others: see [`upstream`](super::upstream).
#[test]
fn voters_that_take_each_vote_as_it_comes_end() {
    let ended = (0..SEEDS).find(|seed| {
        checked(*seed, Mutant::Unguarded)
            .is_ok_and(|stats| stats.voters_ended_by_their_own_commit > 0)
    });
    println!("a voter without a guard is ended by {ended:?}");
    assert!(ended.is_some(), "no seed of {SEEDS} ends a voter");
}
