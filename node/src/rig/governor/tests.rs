use proptest::prelude::*;

use super::*;
use crate::rig::{
    limits::{Limits, Sharing},
    reading::Others,
};

/// Time between readings.
const STEP_MS: u64 = 250;

fn gpu(max_power_w: Option<u32>, max_temperature_c: Option<u32>, sharing: Sharing) -> Governor {
    Governor::new(Rules::of_gpu(&Limits {
        max_power_w,
        max_temperature_c,
        sharing,
    }))
}

fn reading(power_w: f64, temperature_c: f64, share: f64) -> Reading {
    Reading {
        power_w: Some(power_w),
        temperature_c: Some(temperature_c),
        others: Some(Others {
            share,
            program: None,
        }),
        ..Reading::default()
    }
}

/// The decisions on these readings, one each [`STEP_MS`].
fn decisions(governor: &mut Governor, readings: &[Reading]) -> Vec<Option<Hold>> {
    readings
        .iter()
        .zip(0..)
        .map(|(reading, step)| governor.step(step * STEP_MS, Some(reading)))
        .collect()
}

#[test]
fn another_program_stops_filler_at_once_and_ten_idle_seconds_bring_it_back() {
    let mut governor = gpu(None, None, Sharing::IdleOnly);
    let (idle, busy) = (reading(0.0, 0.0, 0.0), reading(0.0, 0.0, 1.0));
    assert_eq!(governor.step(0, Some(&idle)), None);
    assert_eq!(governor.step(250, Some(&busy)), Some(Hold::InUse));
    assert_eq!(governor.step(1_000, Some(&busy)), Some(Hold::InUse));
    assert_eq!(governor.step(10_999, Some(&idle)), Some(Hold::InUse));
    assert_eq!(governor.step(11_000, Some(&idle)), None);
}

#[test]
fn the_ten_seconds_begin_anew_with_every_use() {
    let mut governor = gpu(None, None, Sharing::IdleOnly);
    let (idle, busy) = (reading(0.0, 0.0, 0.0), reading(0.0, 0.0, 1.0));
    governor.step(0, Some(&busy));
    governor.step(9_000, Some(&idle));
    governor.step(9_500, Some(&busy));
    assert_eq!(governor.step(19_000, Some(&idle)), Some(Hold::InUse));
    assert_eq!(governor.step(19_500, Some(&idle)), None);
}

#[test]
fn a_desktop_that_draws_a_little_is_no_use_and_one_that_draws_much_is() {
    let mut governor = gpu(None, None, Sharing::IdleOnly);
    assert_eq!(governor.step(0, Some(&reading(0.0, 0.0, 0.05))), None);
    let game = reading(0.0, 0.0, 0.60);
    assert_eq!(governor.step(250, Some(&game)), Some(Hold::InUse));
}

#[test]
fn load_on_the_cpu_counts_once_it_lasts() {
    let mut governor = Governor::new(Rules::of_cpu(&Limits {
        sharing: Sharing::IdleOnly,
        ..Limits::default()
    }));
    let (idle, busy) = (reading(0.0, 0.0, 0.02), reading(0.0, 0.0, 0.50));
    let held = decisions(
        &mut governor,
        &[idle.clone(), busy.clone(), busy.clone(), busy],
    );
    assert_eq!(held[1], None, "a quarter of a second is a blink");
    assert_eq!(held[3], Some(Hold::InUse), "three are less than a second");
    // Between the bounds it is neither use nor rest.
    let mut now = 1_000;
    while now < 60_000 {
        assert_eq!(
            governor.step(now, Some(&reading(0.0, 0.0, 0.20))),
            Some(Hold::InUse)
        );
        now += STEP_MS;
    }
}

#[test]
fn heat_holds_at_once_and_until_it_is_five_kelvins_cooler() {
    let mut governor = gpu(None, Some(80), Sharing::WithOthers);
    let at = |degrees| reading(0.0, degrees, 1.0);
    assert_eq!(governor.step(0, Some(&at(80.0))), None);
    assert_eq!(governor.step(250, Some(&at(81.0))), Some(Hold::Temperature));
    assert_eq!(
        governor.step(20_000, Some(&at(76.0))),
        Some(Hold::Temperature)
    );
    assert_eq!(
        governor.step(20_250, Some(&at(75.0))),
        Some(Hold::Temperature),
        "it hovered until now"
    );
    assert_eq!(governor.step(25_000, Some(&at(75.0))), None);
}

#[test]
fn a_spike_of_power_is_no_reason_and_power_that_lasts_is() {
    let mut governor = gpu(Some(300), None, Sharing::WithOthers);
    let (low, high) = (reading(100.0, 0.0, 0.0), reading(500.0, 0.0, 0.0));
    assert_eq!(governor.step(0, Some(&low)), None);
    assert_eq!(governor.step(250, Some(&high)), None);
    let held = (2..20).find(|step| governor.step(step * 250, Some(&high)) == Some(Hold::Power));
    let held = held.expect("the mean passes the limit");
    assert!(held * 250 <= 2_000, "after {held} readings");
}

/// What a device draws: 600 W at filler and 80 W at rest, and it takes half a second to change.
#[test]
fn mean_power_keeps_to_the_limit_and_the_device_is_not_left_idle() {
    for limit in [150, 300, 450] {
        let mut governor = gpu(Some(limit), None, Sharing::WithOthers);
        let (mut power, mut sum, mut held) = (80.0, 0.0, None);
        let (mut working, mut changes) = (0u32, 0u32);
        let steps = 4 * 600;
        for step in 0..steps {
            let draws = if held.is_none() { 600.0 } else { 80.0 };
            power += (draws - power) * 0.4;
            sum += power;
            let now = governor.step(step * STEP_MS, Some(&reading(power, 0.0, 0.0)));
            changes += u32::from(now != held);
            held = now;
            working += u32::from(held.is_none());
        }
        let mean = sum / steps as f64;
        assert!(mean <= f64::from(limit) * 1.02, "{mean} W under {limit} W");
        assert!(mean >= f64::from(limit) * 0.6, "{mean} W under {limit} W");
        assert!(working > 0);
        // Ten minutes of it.
        assert!(changes <= 2 * 600, "{changes} changes");
    }
}

#[test]
fn a_limit_that_cannot_be_read_holds_after_two_seconds() {
    let mut governor = gpu(None, Some(80), Sharing::WithOthers);
    assert_eq!(governor.step(0, None), None);
    assert_eq!(governor.step(1_750, None), None);
    assert_eq!(governor.step(2_000, None), Some(Hold::Unreadable));
    let cool = reading(0.0, 40.0, 0.0);
    assert_eq!(governor.step(2_250, Some(&cool)), None);
    assert_eq!(governor.step(2_500, None), None, "counted anew");
}

#[test]
fn of_several_reasons_the_one_is_named_that_waiting_helps_least() {
    let mut governor = gpu(Some(100), Some(50), Sharing::IdleOnly);
    let all = reading(500.0, 90.0, 1.0);
    assert_eq!(governor.step(0, Some(&all)), Some(Hold::InUse));
    let mut governor = gpu(Some(100), Some(50), Sharing::WithOthers);
    assert_eq!(governor.step(0, Some(&all)), Some(Hold::Temperature));
    let mut governor = gpu(Some(100), None, Sharing::WithOthers);
    assert_eq!(governor.step(0, Some(&all)), Some(Hold::Power));
}

/// Any readings, some without figures, some without sense.
fn any_readings() -> impl Strategy<Value = Vec<Reading>> {
    let figure = |most: f64| {
        prop_oneof![
            8 => (0.0..most).prop_map(Some),
            1 => Just(None),
            1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(-1.0)].prop_map(Some),
        ]
    };
    let one =
        (figure(600.0), figure(110.0), figure(1.0)).prop_map(|(power, temperature, share)| {
            Reading {
                power_w: power,
                temperature_c: temperature,
                others: share.map(|share| Others {
                    share,
                    program: None,
                }),
                ..Reading::default()
            }
        });
    proptest::collection::vec(one, 1..200)
}

proptest! {
    #[test]
    fn without_limits_nothing_is_ever_held(readings in any_readings()) {
        let mut governor = gpu(None, None, Sharing::WithOthers);
        prop_assert!(decisions(&mut governor, &readings).iter().all(Option::is_none));
    }

    #[test]
    fn a_device_that_is_too_hot_or_used_never_works(readings in any_readings()) {
        let mut governor = gpu(None, Some(70), Sharing::IdleOnly);
        let held = decisions(&mut governor, &readings);
        for (reading, held) in readings.iter().zip(held) {
            let hot = reading.temperature_c.is_some_and(|celsius| celsius > 70.0);
            let used = reading.others.as_ref().is_some_and(|others| others.share > 0.10);
            prop_assert!(!(hot || used) || held.is_some(), "{reading:?}");
        }
    }

    #[test]
    fn nothing_that_is_read_makes_it_flap(readings in any_readings()) {
        // Unreadable limits apart, which have no shortest hold: a limit that can be read again is kept again.
        let readings: Vec<_> = readings.into_iter()
            .filter(|reading| reading.power_w.is_some() && reading.temperature_c.is_some() && reading.others.is_some())
            .collect();
        let mut governor = gpu(Some(300), Some(70), Sharing::IdleOnly);
        let held = decisions(&mut governor, &readings);
        let mut began = None;
        for (step, held) in held.iter().enumerate() {
            match (held, began) {
                (Some(_), None) => began = Some(step),
                (None, Some(then)) => {
                    prop_assert!((step - then) as u64 * STEP_MS >= POWER_HOLD_MS);
                    began = None;
                }
                _ => {}
            }
        }
    }

    #[test]
    fn what_stays_the_same_is_decided_once(power in 0.0..600.0, temperature in 0.0..110.0, share in 0.0..1.0) {
        let mut governor = gpu(Some(300), Some(70), Sharing::IdleOnly);
        let readings = vec![reading(power, temperature, share); 200];
        let held = decisions(&mut governor, &readings);
        let changes = held.windows(2).filter(|pair| pair[0] != pair[1]).count();
        prop_assert_eq!(changes, 0);
        let over = power > 300.0 || temperature > 70.0 || share > 0.10;
        prop_assert_eq!(held[0].is_some(), over);
    }

    #[test]
    fn a_device_that_is_cool_idle_and_thrifty_works_again_in_the_end(readings in any_readings()) {
        let mut governor = gpu(Some(300), Some(70), Sharing::IdleOnly);
        let from = readings.len() as u64;
        for (step, reading) in (0..).zip(&readings) {
            governor.step(step * STEP_MS, Some(reading));
        }
        let calm = reading(50.0, 30.0, 0.0);
        let last = (from..from + 80).map(|step| governor.step(step * STEP_MS, Some(&calm))).last();
        prop_assert_eq!(last, Some(None));
    }
}
