//! Flags that keep devices within limits.

use clap::Args;

use crate::rig::{Limits, Sharing};

/// Lowest limit of power: a GPU at rest draws some 10 to 80 W.
const MIN_POWER_W: i64 = 10;
/// Highest limit of power: no single GPU of today draws a third of it.
const MAX_POWER_W: i64 = 5_000;
/// Lowest limit of temperature: a warm room.
const MIN_TEMPERATURE_C: i64 = 30;
/// Highest limit of temperature: GPUs end themselves before.
const MAX_TEMPERATURE_C: i64 = 110;

/// What keeps devices from filler. Products that somebody asked for are computed all the same.
#[derive(Args, Clone, Debug, Default)]
pub struct LimitParams {
    /// Most power that each GPU may draw, in watts, on the mean over two seconds; above it, filler pauses.
    #[arg(long, value_name = "WATTS", value_parser = clap::value_parser!(u32).range(MIN_POWER_W..=MAX_POWER_W))]
    pub max_power: Option<u32>,

    /// Most degrees Celsius that each GPU may have; above it, filler pauses until it is 5 K cooler.
    #[arg(long, value_name = "CELSIUS", value_parser = clap::value_parser!(u32).range(MIN_TEMPERATURE_C..=MAX_TEMPERATURE_C))]
    pub max_temp: Option<u32>,

    /// Leave devices to other programs: filler stops within a second of another program using one, and returns when that
    /// device has been idle for 10 s.
    #[arg(long)]
    pub idle_only: bool,
}

impl LimitParams {
    /// The limits as the rig takes them.
    pub fn limits(&self) -> Limits {
        Limits {
            max_power_w: self.max_power,
            max_temperature_c: self.max_temp,
            sharing: if self.idle_only {
                Sharing::IdleOnly
            } else {
                Sharing::WithOthers
            },
        }
    }
}
