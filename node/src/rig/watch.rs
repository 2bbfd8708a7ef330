//! One device under watch: reads it, decides, tells the worker, and writes to the log what a person would want to know.

use super::{governor::Governor, limits::Rules, reading::Reader};
use crate::{
    rig::Reading,
    worker::{DeviceHandle, Hold},
};

/// Holds for power and temperature come and go with the seconds; one in so many milliseconds is told of.
const QUIET_MS: u64 = 60_000;

pub(super) struct Watch {
    device: DeviceHandle,
    reader: Box<dyn Reader>,
    rules: Rules,
    governor: Governor,
    held: Option<Hold>,
    /// The last holds for power and for temperature that were told of.
    told: [Option<u64>; Hold::ALL.len()],
    /// Whether the log's last word is that it is held.
    told_held: bool,
    is_failing: bool,
}

impl Watch {
    pub fn new(device: DeviceHandle, reader: Box<dyn Reader>, rules: Rules) -> Self {
        Watch {
            device,
            reader,
            rules,
            governor: Governor::new(rules),
            held: None,
            told: [None; Hold::ALL.len()],
            told_held: false,
            is_failing: false,
        }
    }

    /// Takes one reading, at `now_ms` since the start.
    pub fn tick(&mut self, now_ms: u64) {
        let reading = match self.reader.read() {
            Ok(reading) => {
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!(target: "labora", device = %self.device.place(), "it can be measured again");
                }
                Some(reading)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(target: "labora", device = %self.device.place(), %error, "it cannot be measured; tried again until it can");
                }
                None
            }
        };
        let held = self.governor.step(now_ms, reading.as_ref());
        if held != self.held {
            self.device.hold(held);
            self.held = held;
            self.tell(now_ms, reading.as_ref());
        }
        self.device.report(reading);
    }

    fn tell(&mut self, now_ms: u64, reading: Option<&Reading>) {
        let device = self.device.place();
        let Some(held) = self.held else {
            if std::mem::take(&mut self.told_held) {
                tracing::info!(target: "labora", %device, "filler goes on");
            }
            return;
        };
        // `Hold::ALL` is in the order of the variants.
        let last = &mut self.told[held as usize];
        let is_frequent = matches!(held, Hold::Power | Hold::Temperature);
        if is_frequent && last.is_some_and(|last| now_ms.saturating_sub(last) < QUIET_MS) {
            return;
        }
        *last = Some(now_ms);
        self.told_held = true;
        let why = why(held, &self.rules, reading);
        tracing::info!(target: "labora", %device, "filler is held: {why}");
    }
}

/// The reason for a hold, as a sentence.
fn why(held: Hold, rules: &Rules, reading: Option<&Reading>) -> String {
    let figure = |figure: Option<f64>| figure.unwrap_or_default();
    match held {
        Hold::Power => format!(
            "it draws more than the {:.0} W of --max-power, {:.0} W at the moment",
            figure(rules.max_power_w),
            figure(reading.and_then(|reading| reading.power_w))
        ),
        Hold::Temperature => format!(
            "it has {:.0} °C, more than the {:.0} °C of --max-temp",
            figure(reading.and_then(|reading| reading.temperature_c)),
            figure(rules.max_temperature_c)
        ),
        Hold::InUse => {
            let others = reading.and_then(|reading| reading.others.as_ref());
            match others.and_then(|others| others.program.as_ref()) {
                Some(program) => format!("{program} uses it; back when it has been idle for 10 s"),
                None => format!(
                    "other programs use {:.0} % of it; back when it has been idle for 10 s",
                    100.0 * others.map_or(0.0, |others| others.share)
                ),
            }
        }
        // Not a limit's: the worker's own.
        Hold::Standby => "it stands by for the other devices".into(),
        Hold::Unreadable => {
            "what a limit was set on cannot be read; in a container, other programs are seen with \
                             --pid=host only"
                .into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::{Limits, Others};

    #[test]
    fn every_reason_is_a_sentence_with_its_figures() {
        let rules = Rules::of_gpu(&Limits {
            max_power_w: Some(300),
            max_temperature_c: Some(80),
            ..Limits::default()
        });
        let reading = Reading {
            power_w: Some(412.4),
            temperature_c: Some(83.0),
            others: Some(Others {
                share: 0.4,
                program: Some("python3 (77)".into()),
            }),
            ..Reading::default()
        };
        let said = |held| why(held, &rules, Some(&reading));
        for (held, words) in [
            (Hold::Power, vec!["300 W", "412 W"]),
            (Hold::Temperature, vec!["80 °C", "83 °C"]),
            (Hold::InUse, vec!["python3 (77)", "10 s"]),
            (Hold::Unreadable, vec!["--pid=host"]),
        ] {
            let sentence = said(held);
            assert!(
                words.iter().all(|word| sentence.contains(word)),
                "{sentence}"
            );
        }
        let nameless = Reading {
            others: Some(Others {
                share: 0.4,
                program: None,
            }),
            ..Reading::default()
        };
        assert!(why(Hold::InUse, &rules, Some(&nameless)).contains("40 %"));
    }

    #[test]
    fn reasons_are_numbered_as_they_are_listed() {
        for (at, hold) in Hold::ALL.into_iter().enumerate() {
            assert_eq!(hold as usize, at);
        }
    }
}
