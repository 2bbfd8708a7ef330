//! Measures NVIDIA GPUs by NVML, the library that `nvidia-smi` stands on. It comes with the driver and is opened at run
//! time; a machine without it builds and runs, and measures nothing.

use std::{
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use nvml_wrapper::{
    Device, Nvml,
    enum_wrappers::device::{ComputeMode, TemperatureSensor},
    error::NvmlError,
};

use super::reading::{Others, ReadError, Reader, Reading};

/// Longest name of a program that is asked for, in bytes.
const MAX_PROGRAM_NAME: usize = 256;

/// Programs that are named of one GPU.
const MAX_PROGRAMS: usize = 8;

/// How far back use by others counts that a reader has not yet asked for, in microseconds.
const LOOK_BACK_US: u64 = 1_000_000;

/// The library, open.
#[derive(Clone)]
pub struct Library(Arc<Nvml>);

/// Why there is no library.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LibraryError {
    /// It is not on this machine.
    #[error(
        "NVML (libnvidia-ml.so.1) was not found; it comes with NVIDIA's driver, or as a package of its own (libnvidia-compute-…, nvidia-driver-cuda-libs)"
    )]
    Absent,
    /// It is there and does not start.
    #[error("NVML does not start: {0}; see whether `nvidia-smi` does")]
    Fails(String),
}

/// What a GPU's owner may want to know before it works.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Card {
    /// The driver's version.
    pub driver: Option<String>,
    /// Most watts that its own limiter lets it draw.
    pub power_limit_w: Option<u32>,
    /// Who may use it.
    pub access: Access,
    /// Other programs that compute on it.
    pub programs: Vec<String>,
}

/// Who may compute on a GPU, as its administrator set it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Access {
    /// Anyone.
    #[default]
    Shared,
    /// One program at a time.
    Exclusive,
    /// No one.
    Prohibited,
}

impl Library {
    /// Opens it.
    pub fn open() -> Result<Self, LibraryError> {
        match Nvml::init() {
            Ok(nvml) => Ok(Library(Arc::new(nvml))),
            Err(NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound) => {
                Err(LibraryError::Absent)
            }
            Err(error) => Err(LibraryError::Fails(error.to_string())),
        }
    }

    /// What it says of the GPU at this address of the PCI bus.
    pub fn card(&self, bus: &str) -> Result<Card, ReadError> {
        let device = self.device(bus)?;
        let access = match known(device.compute_mode()).map_err(refused)? {
            Some(ComputeMode::Prohibited) => Access::Prohibited,
            Some(ComputeMode::ExclusiveProcess | ComputeMode::ExclusiveThread) => Access::Exclusive,
            Some(ComputeMode::Default) | None => Access::Shared,
        };
        let own = std::process::id();
        let programs = known(device.running_compute_processes())
            .map_err(refused)?
            .unwrap_or_default()
            .iter()
            .filter(|process| process.pid != own)
            .take(MAX_PROGRAMS)
            .map(|process| self.program(process.pid))
            .collect();
        Ok(Card {
            driver: self.0.sys_driver_version().ok(),
            power_limit_w: known(device.enforced_power_limit())
                .map_err(refused)?
                .map(|milliwatts| milliwatts / 1_000),
            access,
            programs,
        })
    }

    /// A reader of the GPU at this address.
    pub fn reader(&self, bus: &str) -> NvmlReader {
        NvmlReader {
            library: self.clone(),
            bus: bus.to_owned(),
            is_listed: false,
            sampled_us: now_us().saturating_sub(LOOK_BACK_US),
            first_energy_mj: None,
        }
    }

    fn device(&self, bus: &str) -> Result<Device<'_>, ReadError> {
        self.0.device_by_pci_bus_id(bus).map_err(refused)
    }

    /// A process for people: its program and number.
    fn program(&self, pid: u32) -> String {
        match self.0.sys_process_name(pid, MAX_PROGRAM_NAME) {
            Ok(path) => {
                let name = Path::new(&path)
                    .file_name()
                    .map(|name| name.to_string_lossy());
                format!("{} ({pid})", name.unwrap_or_else(|| path.as_str().into()))
            }
            Err(_) => format!("process {pid}"),
        }
    }
}

/// Reads one GPU.
pub struct NvmlReader {
    library: Library,
    bus: String,
    /// Whether NVML has named this process among those that compute on the GPU. Until it has, none of the processes that
    /// it names can be told from this one: in a container, numbers may be the host's.
    is_listed: bool,
    /// Newest sample of others' use that was looked at.
    sampled_us: u64,
    first_energy_mj: Option<u64>,
}

impl Reader for NvmlReader {
    fn read(&mut self) -> Result<Reading, ReadError> {
        let library = self.library.clone();
        let device = library.device(&self.bus)?;
        self.measure(&device).map_err(refused)
    }
}

impl NvmlReader {
    fn measure(&mut self, device: &Device<'_>) -> Result<Reading, NvmlError> {
        let energy_mj = known(device.total_energy_consumption())?;
        let first = *self.first_energy_mj.get_or_insert(energy_mj.unwrap_or(0));
        Ok(Reading {
            power_w: known(device.power_usage())?.map(|milliwatts| f64::from(milliwatts) / 1e3),
            temperature_c: known(device.temperature(TemperatureSensor::Gpu))?.map(f64::from),
            utilisation: known(device.utilization_rates())?
                .map(|rates| f64::from(rates.gpu) / 100.0),
            memory_used_bytes: known(device.memory_info())?.map(|memory| memory.used),
            // The counter begins with the driver, and anew should the driver be loaded anew.
            energy_j: energy_mj.map(|now| now.saturating_sub(first) as f64 / 1e3),
            others: self.others(device)?,
        })
    }

    /// What other programs do with the GPU; `None` if that cannot be told.
    fn others(&mut self, device: &Device<'_>) -> Result<Option<Others>, NvmlError> {
        let own = std::process::id();
        let Some(computing) = known(device.running_compute_processes())? else {
            return Ok(None);
        };
        self.is_listed |= computing.iter().any(|process| process.pid == own);
        if !self.is_listed {
            return Ok(None);
        }
        if let Some(other) = computing.iter().find(|process| process.pid != own) {
            return Ok(Some(Others {
                share: 1.0,
                program: Some(self.library.program(other.pid)),
            }));
        }
        let drawing = known(device.running_graphics_processes())?.unwrap_or_default();
        let drawing = drawing.iter().map(|process| process.pid);
        let samples = match device.process_utilization_stats(self.sampled_us) {
            Ok(samples) => samples,
            // It has none that are newer.
            Err(NvmlError::NotFound) => Vec::new(),
            // Who draws cannot be told from who merely has a window open, so all of them count.
            Err(error) if is_of_no_concern(&error) => {
                return Ok(Some(use_by(
                    drawing.filter(|pid| *pid != own).map(|pid| (pid, 1.0)),
                    |pid| self.library.program(pid),
                )));
            }
            Err(error) => return Err(error),
        };
        self.sampled_us = samples
            .iter()
            .map(|sample| sample.timestamp)
            .fold(self.sampled_us, u64::max);
        let shares = samples
            .iter()
            .filter(|sample| sample.pid != own)
            .map(|sample| (sample.pid, f64::from(sample.sm_util) / 100.0));
        Ok(Some(use_by(shares, |pid| self.library.program(pid))))
    }
}

/// The largest of the shares that others take.
fn use_by(shares: impl Iterator<Item = (u32, f64)>, name: impl Fn(u32) -> String) -> Others {
    match shares.max_by(|one, other| one.1.total_cmp(&other.1)) {
        Some((pid, share)) => Others {
            share,
            program: Some(name(pid)),
        },
        None => Others::default(),
    }
}

/// A figure, or none where this GPU, driver or user does not get it.
fn known<T>(figure: Result<T, NvmlError>) -> Result<Option<T>, NvmlError> {
    match figure {
        Ok(figure) => Ok(Some(figure)),
        Err(error) if is_of_no_concern(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_of_no_concern(error: &NvmlError) -> bool {
    matches!(
        error,
        NvmlError::NotSupported
            | NvmlError::NoPermission
            | NvmlError::FailedToLoadSymbol(_)
            | NvmlError::FunctionNotFound
            | NvmlError::NotFound
            | NvmlError::UnexpectedVariant(_)
    )
}

fn refused(error: NvmlError) -> ReadError {
    ReadError::Nvml(error.to_string())
}

fn now_us() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_of_others_is_named() {
        let shares = [(7, 0.1), (8, 0.5), (9, f64::from(0u8))];
        let others = use_by(shares.into_iter(), |pid| format!("p{pid}"));
        assert_eq!((others.share, others.program.as_deref()), (0.5, Some("p8")));
        let nobody = use_by(std::iter::empty(), |pid| format!("p{pid}"));
        assert_eq!(nobody, Others::default());
    }

    #[test]
    fn what_a_gpu_does_not_have_is_none_and_a_lost_gpu_is_an_error() {
        assert!(matches!(
            known::<u32>(Err(NvmlError::NotSupported)),
            Ok(None)
        ));
        assert!(matches!(
            known::<u32>(Err(NvmlError::GpuLost)),
            Err(NvmlError::GpuLost)
        ));
    }

    /// On machines with NVIDIA's driver it opens; on others it says what is missing.
    #[test]
    fn the_library_opens_or_says_what_to_install() {
        if let Err(error) = Library::open() {
            let words = error.to_string();
            assert!(
                words.contains("driver") || words.contains("nvidia-smi"),
                "{words}"
            );
        }
    }
}
