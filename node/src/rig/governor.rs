//! Decides from readings whether a device does filler. Pure: readings and times in, a decision out.
//!
//! Every rule has a bound to hold at and a lower one to go on at, and a hold lasts its shortest time whatever is read:
//! so a device that hovers about a limit does not flap, and an attack of readings changes its mind once a second at most.

use super::{limits::Rules, reading::Reading};
use crate::worker::Hold;

/// Time constant of the mean power that is held against the limit. On and off is all that can be decided here, so it is
/// the mean that keeps to a limit below what the device draws at work; its own limiter acts within milliseconds.
const POWER_MEAN_MS: f64 = 2_000.0;
/// Share of the power limit to fall to before going on.
const POWER_RESUME: f64 = 0.9;
/// Kelvins below the temperature limit to fall to before going on.
const TEMPERATURE_RESUME_K: f64 = 5.0;
/// Shortest hold for power.
const POWER_HOLD_MS: u64 = 1_000;
/// Shortest hold for temperature: a heat sink takes some seconds.
const TEMPERATURE_HOLD_MS: u64 = 5_000;
/// How long a device must have been idle before it is taken again.
pub const IDLE_MS: u64 = 10_000;
/// How long a limit may go unread before it counts as passed.
const UNREAD_MS: u64 = 2_000;

/// The state machine of one device.
#[derive(Clone, Debug)]
pub struct Governor {
    rules: Rules,
    power: Rule,
    temperature: Rule,
    others: Rule,
    power_mean: Mean,
    others_mean: Mean,
    /// Since when what a limit needs has not been read.
    unread_since: Option<u64>,
}

/// One rule's state.
#[derive(Clone, Copy, Debug)]
struct Rule {
    /// Until when it holds at least, while it holds.
    held_until: Option<u64>,
    /// A hold lasts at least as long after the last reading that called for it.
    shortest_ms: u64,
}

/// What a reading says to a rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Call {
    Hold,
    /// Between the two bounds: go on as before.
    Stay,
    Go,
}

impl Rule {
    fn new(shortest_ms: u64) -> Self {
        Rule {
            held_until: None,
            shortest_ms,
        }
    }

    fn step(&mut self, now_ms: u64, call: Call) {
        match (call, self.held_until) {
            (Call::Hold, _) => self.held_until = Some(now_ms.saturating_add(self.shortest_ms)),
            (Call::Go, Some(until)) if now_ms >= until => self.held_until = None,
            // What hovers between the bounds has not been idle, or cool, meanwhile.
            (Call::Stay, Some(until)) => {
                self.held_until = Some(until.max(now_ms.saturating_add(self.shortest_ms)));
            }
            (Call::Go | Call::Stay, _) => {}
        }
    }

    fn holds(&self) -> bool {
        self.held_until.is_some()
    }
}

/// A mean that forgets, over readings that come at any distance.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    last: Option<(u64, f64)>,
}

impl Mean {
    fn step(&mut self, now_ms: u64, value: f64, constant_ms: f64) -> f64 {
        let mean = match self.last {
            // A figure without sense would stay in the mean for ever.
            Some((then, mean)) if constant_ms > 0.0 && mean.is_finite() => {
                let passed = now_ms.saturating_sub(then) as f64;
                value + (mean - value) * (-passed / constant_ms).exp()
            }
            _ => value,
        };
        self.last = Some((now_ms, mean));
        mean
    }
}

impl Governor {
    /// Keeps to these rules.
    pub fn new(rules: Rules) -> Self {
        Governor {
            rules,
            power: Rule::new(POWER_HOLD_MS),
            temperature: Rule::new(TEMPERATURE_HOLD_MS),
            others: Rule::new(IDLE_MS),
            power_mean: Mean::default(),
            others_mean: Mean::default(),
            unread_since: None,
        }
    }

    /// Takes in a reading (`None` if there was none) at a time that never goes back, and says why to hold, if so.
    ///
    /// Of several reasons the one is named that a user can do least about by waiting: use by others, then heat, then power.
    pub fn step(&mut self, now_ms: u64, reading: Option<&Reading>) -> Option<Hold> {
        let empty = Reading::default();
        let reading = reading.unwrap_or(&empty);
        let mut unread = false;

        if let Some(max) = self.rules.max_power_w {
            let call = match reading.power_w {
                Some(power) => {
                    let mean = self.power_mean.step(now_ms, power, POWER_MEAN_MS);
                    call(mean, max, max * POWER_RESUME)
                }
                None => {
                    unread = true;
                    Call::Stay
                }
            };
            self.power.step(now_ms, call);
        }
        if let Some(max) = self.rules.max_temperature_c {
            let call = match reading.temperature_c {
                Some(temperature) => call(temperature, max, max - TEMPERATURE_RESUME_K),
                None => {
                    unread = true;
                    Call::Stay
                }
            };
            self.temperature.step(now_ms, call);
        }
        if let Some(rule) = self.rules.others {
            let call = match &reading.others {
                Some(others) => {
                    let share = self.others_mean.step(now_ms, others.share, rule.mean_ms);
                    call(share, rule.busy_above, rule.idle_up_to)
                }
                None => {
                    unread = true;
                    Call::Stay
                }
            };
            self.others.step(now_ms, call);
        }

        self.unread_since = unread.then(|| self.unread_since.unwrap_or(now_ms));
        let unreadable = self
            .unread_since
            .is_some_and(|since| now_ms.saturating_sub(since) >= UNREAD_MS);
        [
            (unreadable, Hold::Unreadable),
            (self.others.holds(), Hold::InUse),
            (self.temperature.holds(), Hold::Temperature),
            (self.power.holds(), Hold::Power),
        ]
        .into_iter()
        .find_map(|(holds, why)| holds.then_some(why))
    }
}

fn call(value: f64, hold_above: f64, go_up_to: f64) -> Call {
    if value > hold_above {
        Call::Hold
    } else if value <= go_up_to {
        Call::Go
    } else {
        Call::Stay
    }
}

#[cfg(test)]
mod tests;
