//! The schedule against exact values: some computed with 120 decimal digits, others that integers can check by themselves.

use proptest::prelude::*;
use sp_core::U512;

use super::*;

const LAB: u128 = 1_000_000_000_000;
const FOUR_YEARS: u32 = 10_519_200;

fn schedule(initial: u128, half_life: u32, tail: u128) -> Schedule {
    Schedule::new(initial, half_life, tail).expect("within bounds")
}

#[test]
fn totals_are_those_of_the_formula() {
    // ⌊t·n + D·(1 - 2^(-n/H))⌋ in decimal arithmetic of 120 digits.
    let exact = [
        (10 * LAB, FOUR_YEARS, 3 * LAB / 10, 1, 10_299_999_670_532),
        (10 * LAB, FOUR_YEARS, 3 * LAB / 10, 2, 20_599_998_682_129),
        (
            10 * LAB,
            FOUR_YEARS,
            3 * LAB / 10,
            7_200,
            74_142_923_098_739_095,
        ),
        (
            10 * LAB,
            FOUR_YEARS,
            3 * LAB / 10,
            2_629_800,
            24_934_496_320_536_525_568,
        ),
        (
            10 * LAB,
            FOUR_YEARS,
            3 * LAB / 10,
            5_259_600,
            46_027_348_074_782_359_582,
        ),
        (
            10 * LAB,
            FOUR_YEARS,
            3 * LAB / 10,
            10_519_199,
            79_035_743_070_595_754_639,
        ),
        (
            10 * LAB,
            FOUR_YEARS,
            3 * LAB / 10,
            10_519_200,
            79_035_748_370_595_919_373,
        ),
        (
            10 * LAB,
            FOUR_YEARS,
            3 * LAB / 10,
            10_519_201,
            79_035_753_670_595_754_639,
        ),
        (
            10 * LAB,
            FOUR_YEARS,
            3 * LAB / 10,
            33_333_333,
            144_884_705_204_478_824_642,
        ),
        (
            10 * LAB,
            FOUR_YEARS,
            3 * LAB / 10,
            u32::MAX,
            1_440_250_165_241_191_838_747,
        ),
        (
            MAX_SUBSIDY,
            u32::MAX,
            MAX_SUBSIDY,
            u32::MAX,
            8_937_747_320_769_615_863_697_173_000_792_725,
        ),
        (
            MAX_SUBSIDY,
            u32::MAX,
            0,
            1,
            1_208_925_819_517_077_381_436_127,
        ),
        (1_000, 7, 1, 5, 3_948),
        (1_000, 1, 0, 3, 1_261),
        (12_345_678_901, 3, 0, 1, 11_023_230_570),
    ];
    for (initial, half_life, tail, blocks, total) in exact {
        assert_eq!(
            schedule(initial, half_life, tail).total(blocks),
            total,
            "{initial} halving every {half_life}, tail {tail}, after {blocks}"
        );
    }
}

#[test]
fn the_power_is_exact_to_120_bits() {
    // Squared j times, 2^(-p/2^j) is 2^-p. Each squaring doubles the relative error and rounds once more.
    for halvings in 1u32..=16 {
        for odd in [1u32, 3, 5, 0xffff] {
            let mut power = two_to_minus(odd, 1 << halvings);
            for _ in 0..halvings {
                power = ((U512::from(power) * U512::from(power)) >> FRACTION_BITS)
                    .try_into()
                    .expect("a power of at most 1 squared is at most 1");
            }
            let exact = (U256::one() << FRACTION_BITS) >> odd;
            let error = power.abs_diff(exact);
            // 2^-120 of the value, doubled by each squaring, and a unit for the shift.
            let allowed = ((exact >> 120) << halvings) + U256::from(halvings + 1);
            assert!(error <= allowed, "2^(-{odd}/2^{halvings}): off by {error}");
        }
    }
}

#[test]
fn after_each_half_life_half_of_the_rest_is_left() {
    let of = schedule(10 * LAB, FOUR_YEARS, 0);
    // After 408 half-lives nothing is left of the fixed point's 128 bits.
    let all = of.total(u32::MAX);
    for halvings in 1..=64 {
        let issued = of.total(FOUR_YEARS * halvings);
        assert_eq!(
            issued,
            all - all.div_ceil(1 << halvings),
            "after {halvings} half-lives"
        );
    }
}

#[test]
fn the_first_subsidy_is_the_initial_one_and_in_the_end_the_tail_is_left() {
    let of = schedule(10 * LAB, FOUR_YEARS, LAB);
    let first = of.subsidy(0);
    // Half a block's decay below the rate at the start: ln 2 / (2·H) of it.
    assert!(
        first < 11 * LAB && first > 11 * LAB - LAB / 1_000_000,
        "{first}"
    );
    assert_eq!(schedule(10 * LAB, 1_000, LAB).subsidy(1_000_000), LAB);
    assert_eq!(of.subsidy(u32::MAX), LAB);
}

#[test]
fn nothing_pays_nothing() {
    assert_eq!(Schedule::NOTHING.total(u32::MAX), 0);
}

#[test]
fn figures_out_of_bounds_make_no_schedule() {
    assert_eq!(Schedule::new(1, 0, 1), Err(ScheduleError::NoHalfLife));
    assert_eq!(
        Schedule::new(MAX_SUBSIDY + 1, 1, 0),
        Err(ScheduleError::TooHigh)
    );
    assert_eq!(
        Schedule::new(0, 1, MAX_SUBSIDY + 1),
        Err(ScheduleError::TooHigh)
    );
    assert!(Schedule::new(MAX_SUBSIDY, u32::MAX, MAX_SUBSIDY).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(3), ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn subsidies_add_up_to_totals_and_do_not_rise(
        initial in 0..=MAX_SUBSIDY,
        half_life in 1..=u32::MAX,
        tail in 0..=MAX_SUBSIDY,
        from in 0..u32::MAX - 8,
    ) {
        let of = schedule(initial, half_life, tail);
        let subsidies: Vec<u128> = (from..from + 8).map(|index| of.subsidy(index)).collect();
        prop_assert_eq!(of.total(from) + subsidies.iter().sum::<u128>(), of.total(from + 8));
        for pair in subsidies.windows(2) {
            // Rounding of two totals moves a difference by one, and the fixed point's error is below one.
            prop_assert!(pair[1] <= pair[0] + 2, "{} after {}", pair[1], pair[0]);
        }
        prop_assert!(subsidies.iter().all(|subsidy| *subsidy >= tail && *subsidy <= tail + initial + 2));
    }
}
