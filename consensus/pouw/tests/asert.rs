//! Difficulty by the clock: vectors of exact arithmetic, both bounds, and simulated miners.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use labora_pouw::asert::{Anchor, AnchorError, MAX_DIFFICULTY, MIN_DIFFICULTY, next_difficulty};
use labora_pouw::{Difficulty, U256};
use serde_json::Value;

const START_MS: u64 = 1_900_000_000_000;
const TARGET_MS: u64 = 12_000;
const HALF_LIFE_MS: u64 = 3_600_000;

fn anchor(macs: U256) -> Anchor {
    Anchor::new(
        Difficulty::new(macs).unwrap(),
        START_MS,
        0,
        TARGET_MS,
        HALF_LIFE_MS,
    )
    .unwrap()
}

fn decimal(value: &Value) -> U256 {
    U256::from_dec_str(value.as_str().unwrap()).unwrap()
}

/// Computed by a program in another language, in rational arithmetic: the rule (`difficulty`) and
/// 2^x itself (`exact`).
#[test]
fn vectors_of_exact_arithmetic_hold() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("asert/vectors.json")).unwrap();
    assert!(vectors.len() > 200);
    for vector in vectors {
        let number = |name: &str| vector[name].as_u64().unwrap();
        let anchor = Anchor::new(
            Difficulty::new(decimal(&vector["anchor_difficulty"])).unwrap(),
            number("anchor_time_ms"),
            number("anchor_height"),
            number("target_block_time_ms"),
            number("half_life_ms"),
        );
        let found = next_difficulty(
            &anchor.unwrap(),
            number("parent_time_ms"),
            number("parent_height"),
        )
        .get();
        assert_eq!(found, decimal(&vector["difficulty"]), "{vector}");
        let exact = decimal(&vector["exact"]);
        let error = if found > exact {
            found - exact
        } else {
            exact - found
        };
        // The cubic's 0.013 % and 2^(2^-16) for the exponent's rounding.
        assert!(error <= exact / 6600 + 1, "{vector}");
    }
}

#[test]
fn on_schedule_the_difficulty_is_the_anchors_and_a_half_life_doubles_or_halves_it() {
    let macs = U256::from(3_000_000_000_u64);
    let anchor = anchor(macs);
    for height in [0, 1, 300, 1 << 32] {
        let on_time = START_MS + height * TARGET_MS;
        assert_eq!(next_difficulty(&anchor, on_time, height).get(), macs);
        assert_eq!(
            next_difficulty(&anchor, on_time + HALF_LIFE_MS, height).get(),
            macs / 2
        );
        assert_eq!(
            next_difficulty(&anchor, on_time - HALF_LIFE_MS, height).get(),
            macs * 2
        );
    }
}

#[test]
fn a_later_time_never_raises_it_and_steps_are_small() {
    let anchor = anchor(U256::from(10).pow(18.into()));
    let mut before = next_difficulty(&anchor, START_MS - 2 * HALF_LIFE_MS, 0).get();
    for step in 0..40_000 {
        let now = next_difficulty(&anchor, START_MS - 2 * HALF_LIFE_MS + step * 360, 0).get();
        assert!(now <= before, "{before} to {now} at step {step}");
        // 360 ms are 1/10,000 of a half-life: 0.007 %, and the exponent's grain of 2^-16 of a
        // halving once more.
        assert!(
            before - now <= before / 9_000,
            "{before} to {now} at step {step}"
        );
        before = now;
    }
}

#[test]
fn both_bounds_hold_at_any_time_and_are_left_again() {
    for macs in [
        MIN_DIFFICULTY,
        U256::from(10).pow(12.into()),
        MAX_DIFFICULTY,
    ] {
        let anchor = anchor(macs);
        assert_eq!(next_difficulty(&anchor, u64::MAX, 0).get(), MIN_DIFFICULTY);
        assert_eq!(next_difficulty(&anchor, 0, u64::MAX).get(), MAX_DIFFICULTY);
    }
    let lowest = anchor(MIN_DIFFICULTY);
    assert_eq!(
        next_difficulty(&lowest, START_MS + 1, 0).get(),
        MIN_DIFFICULTY
    );
    assert!(next_difficulty(&lowest, START_MS, 1).get() > MIN_DIFFICULTY);
    let highest = anchor(MAX_DIFFICULTY);
    assert_eq!(next_difficulty(&highest, START_MS, 1).get(), MAX_DIFFICULTY);
    assert!(next_difficulty(&highest, START_MS + HALF_LIFE_MS, 1).get() < MAX_DIFFICULTY);
    // One short of the bounds on either side.
    let near = anchor(MAX_DIFFICULTY / 2);
    assert_eq!(
        next_difficulty(&near, START_MS - HALF_LIFE_MS, 0).get(),
        MAX_DIFFICULTY - 1
    );
    let near = anchor(MIN_DIFFICULTY * 2);
    assert_eq!(
        next_difficulty(&near, START_MS + HALF_LIFE_MS, 0).get(),
        MIN_DIFFICULTY
    );
}

#[test]
fn at_the_bounds_targets_and_work_stay_sane() {
    assert_eq!(MIN_DIFFICULTY, U256::from(32 * 32 * 256));
    assert_eq!(MAX_DIFFICULTY, (U256::one() << 224) - 1);
    let highest = Difficulty::new(MAX_DIFFICULTY).unwrap();
    let smallest = highest.target(256);
    assert!(
        smallest >= U256::from(u32::MAX) * 65536,
        "a target of 32 significant bits"
    );
    let blocks = U256::one() << 32;
    assert!(
        MAX_DIFFICULTY.checked_mul(blocks).is_some(),
        "the work of all blocks adds up"
    );
    let lowest = Difficulty::new(MIN_DIFFICULTY).unwrap();
    assert_eq!(
        lowest.target(256),
        U256::MAX / MIN_DIFFICULTY * 65536,
        "a product of four tiles has one winner on average"
    );
}

#[test]
fn figures_that_no_chain_can_have_are_refused() {
    let new = |macs, target, half_life| {
        Anchor::new(Difficulty::new(macs).unwrap(), 0, 0, target, half_life)
    };
    assert_eq!(
        new(MIN_DIFFICULTY - 1, 1, 1),
        Err(AnchorError::Difficulty(MIN_DIFFICULTY - 1))
    );
    assert_eq!(
        new(MAX_DIFFICULTY + 1, 1, 1),
        Err(AnchorError::Difficulty(MAX_DIFFICULTY + 1))
    );
    assert_eq!(
        new(MIN_DIFFICULTY, 0, 1),
        Err(AnchorError::TargetBlockTime(0))
    );
    assert_eq!(
        new(MIN_DIFFICULTY, 86_400_001, 1),
        Err(AnchorError::TargetBlockTime(86_400_001))
    );
    assert_eq!(new(MIN_DIFFICULTY, 1, 0), Err(AnchorError::HalfLife));
    assert!(new(MAX_DIFFICULTY, 86_400_000, u64::MAX).is_ok());
}

/// A chain of one simulated network; times are exponential, from SplitMix64 of a fixed seed.
struct Chain {
    anchor: Anchor,
    random: u64,
    /// The clock, and what the tip's header says.
    now_ms: f64,
    stamp_ms: u64,
    height: u64,
}

impl Chain {
    fn new(macs: u64) -> Chain {
        Chain {
            anchor: anchor(macs.into()),
            random: 12,
            now_ms: START_MS as f64,
            stamp_ms: START_MS,
            height: 0,
        }
    }

    fn uniform(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn difficulty(&self) -> f64 {
        next_difficulty(&self.anchor, self.stamp_ms, self.height)
            .get()
            .as_u128() as f64
    }

    /// Mines one block at `rate` MACs a millisecond; `lie_ms` is added to the clock, within the
    /// rules: above the parent's stamp, at most 15 s ahead. Returns what the block took in ms.
    fn mine(&mut self, rate: f64, lie_ms: f64) -> f64 {
        let took = -(1.0 - self.uniform()).ln() * self.difficulty() / rate;
        self.now_ms += took;
        let latest = self.now_ms as u64 + 15_000;
        self.stamp_ms = ((self.now_ms + lie_ms).max(0.0) as u64)
            .max(self.stamp_ms + 1)
            .min(latest.max(self.stamp_ms + 1));
        self.height += 1;
        took
    }

    /// Mean time of `blocks` blocks in ms.
    fn mean(&mut self, blocks: u32, rate: f64, mut lie_ms: impl FnMut(u32) -> f64) -> f64 {
        (0..blocks).map(|i| self.mine(rate, lie_ms(i))).sum::<f64>() / f64::from(blocks)
    }
}

/// MACs a millisecond at which 3·10^9 take 12 s.
const RATE: f64 = 3e9 / 12_000.0;

fn assert_near(mean_ms: f64, share: f64) {
    let error = mean_ms / TARGET_MS as f64 - 1.0;
    assert!(
        error.abs() < share,
        "blocks of {mean_ms:.0} ms instead of {TARGET_MS}"
    );
}

#[test]
fn a_steady_network_keeps_the_target_time() {
    assert_near(Chain::new(3_000_000_000).mean(20_000, RATE, |_| 0.0), 0.02);
}

#[test]
fn a_hundred_times_the_hash_rate_is_absorbed_and_costs_the_schedule_under_seven_half_lives() {
    let mut chain = Chain::new(3_000_000_000);
    chain.mean(1000, RATE, |_| 0.0);
    let settle = 6000;
    chain.mean(settle, 100.0 * RATE, |_| 0.0);
    assert_near(chain.mean(10_000, 100.0 * RATE, |_| 0.0), 0.03);
    let ahead = START_MS as f64 + (chain.height * TARGET_MS) as f64 - chain.now_ms;
    let half_lives = ahead / HALF_LIFE_MS as f64;
    assert!(
        (half_lives - 100_f64.log2()).abs() < 0.5,
        "ahead by {half_lives:.2} half-lives, log2(100) expected"
    );
}

#[test]
fn a_hundredth_of_the_hash_rate_is_absorbed() {
    let mut chain = Chain::new(3_000_000_000_000);
    let rate = 1000.0 * RATE;
    chain.mean(1000, rate, |_| 0.0);
    // The first block takes twenty minutes; after seven half-lives the pace is back.
    let before = chain.now_ms;
    let mut blocks = 0;
    while chain.now_ms - before < 8.0 * HALF_LIFE_MS as f64 {
        chain.mine(rate / 100.0, 0.0);
        blocks += 1;
    }
    assert!(blocks > 300, "only {blocks} blocks in eight hours");
    assert_near(chain.mean(10_000, rate / 100.0, |_| 0.0), 0.03);
}

#[test]
fn stamps_at_either_edge_of_the_rules_gain_nothing() {
    // All stamps 15 s ahead; all barely above the parent's for an hour at a time; turn and turn
    // about.
    assert_near(
        Chain::new(3_000_000_000).mean(20_000, RATE, |_| 15_000.0),
        0.02,
    );
    assert_near(
        Chain::new(3_000_000_000).mean(
            20_000,
            RATE,
            |i| if i / 300 % 2 == 0 { -1e12 } else { 0.0 },
        ),
        0.03,
    );
    assert_near(
        Chain::new(3_000_000_000).mean(20_000, RATE, |i| if i % 2 == 0 { 15_000.0 } else { -1e12 }),
        0.02,
    );
}

#[test]
fn stamps_held_back_for_ever_make_blocks_harder_so_a_liar_harms_itself() {
    let mut chain = Chain::new(3_000_000_000);
    let honest = chain.difficulty();
    chain.mean(300, RATE, |_| -1e12);
    assert!(
        chain.difficulty() > 1.5 * honest,
        "{} from {honest}",
        chain.difficulty()
    );
}

#[test]
fn after_empty_hours_blocks_come_at_once_and_the_pace_returns() {
    let mut chain = Chain::new(3_000_000_000);
    chain.mean(1000, RATE, |_| 0.0);
    let before = chain.difficulty();
    chain.now_ms += 5.0 * HALF_LIFE_MS as f64;
    // The first block after the gap is at the old difficulty: only its stamp tells the chain.
    chain.mine(RATE, 0.0);
    let after = chain.difficulty();
    assert!(
        (before / after / 32.0 - 1.0).abs() < 0.2,
        "a thirty-second after five half-lives, but {before} to {after}"
    );
    chain.mean(3000, RATE, |_| 0.0);
    assert_near(chain.mean(10_000, RATE, |_| 0.0), 0.03);
    assert!(chain.difficulty() > before / 1.5);
}
