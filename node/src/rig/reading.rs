//! What is measured on a device, and who measures it.

use serde::Serialize;

/// What is measured on a device at one moment. A figure is `None` where the device or the system does not give it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Reading {
    /// Power, in watts.
    pub power_w: Option<f64>,
    /// Temperature of the chip, in degrees Celsius.
    pub temperature_c: Option<f64>,
    /// Share of time in which it worked, for whomever, from 0 to 1.
    pub utilisation: Option<f64>,
    /// Device memory in use, by whomever, in bytes.
    pub memory_used_bytes: Option<u64>,
    /// Energy since the first reading, in joules, for whatever it was used.
    pub energy_j: Option<f64>,
    /// What other programs do with it.
    pub others: Option<Others>,
}

/// Use of a device by other programs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Others {
    /// Share of the device, from 0 to 1. A GPU that another program computes on counts as used wholly, whatever that
    /// program does at the moment: it has its memory there, and comes back.
    pub share: f64,
    /// Which program it is, where the system tells.
    pub program: Option<String>,
}

/// Measures one device.
pub trait Reader: Send {
    /// Measures it now.
    fn read(&mut self) -> Result<Reading, ReadError>;
}

/// Why a device cannot be measured.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReadError {
    /// NVIDIA's management library refuses.
    #[error("NVML does not answer for it: {0}")]
    Nvml(String),
    /// The system's own figures.
    #[error("{path} cannot be read: {why}")]
    System {
        /// What was read.
        path: String,
        /// Why it failed.
        why: String,
    },
}
