//! Opens the devices that the command line names.

use std::{num::NonZeroUsize, sync::Arc, thread};

use labora_kernels::{CpuDevice, Device, DeviceError, Isa};

use super::{
    gpus::{Gpu, Gpus},
    spec::{CpuChoice, DevicesSpec, GpuChoice, Place, Role},
};

/// A device that is ready, and where it is.
pub struct Opened {
    /// Where.
    pub place: Place,
    /// The device.
    pub device: Arc<dyn Device>,
    /// When it works.
    pub role: Role,
}

/// Why the devices that were named are not there.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The CPU.
    #[error("the CPU cannot be used: {0}")]
    Cpu(DeviceError),
    /// A GPU that was named.
    #[error("GPU {index} cannot be used: {error}; `labora devices` shows what can")]
    Gpu {
        /// Its number.
        index: u32,
        /// Why not.
        error: DeviceError,
    },
    /// A number that no GPU has.
    #[error(
        "no GPU {index}: the driver shows {count}, counted from 0; `labora devices` lists them, and CUDA_VISIBLE_DEVICES may hide some"
    )]
    NoSuchGpu {
        /// The number.
        index: u32,
        /// How many there are.
        count: usize,
    },
    /// GPUs were asked for by their kind alone.
    #[error(
        "`cuda` was asked for and no GPU can be used: {0}; `--devices auto` takes the CPU then"
    )]
    NoUsableGpu(String),
    /// GPUs were asked for, and cannot be listed.
    #[error("GPUs were asked for and cannot be used: {0}")]
    Driver(DeviceError),
}

/// Opens what the specification names. With [`DevicesSpec::Auto`] a GPU that cannot be used costs a line in the log;
/// one that was named, the start.
pub fn open(spec: &DevicesSpec, gpus: &dyn Gpus) -> Result<Vec<Opened>, OpenError> {
    match spec {
        DevicesSpec::None => Ok(Vec::new()),
        DevicesSpec::Auto => open_auto(gpus),
        DevicesSpec::Named {
            gpus: wanted,
            cpu: threads,
        } => {
            let mut opened = match wanted {
                None => Vec::new(),
                Some(GpuChoice::All) => open_all(gpus)?,
                Some(GpuChoice::These(indices)) => open_these(gpus, indices)?,
            };
            if let Some(threads) = threads {
                opened.push(open_cpu(*threads)?);
            }
            Ok(opened)
        }
    }
}

fn open_auto(gpus: &dyn Gpus) -> Result<Vec<Opened>, OpenError> {
    match gpus.list() {
        Ok(found) => {
            let (opened, refused) = open_usable(gpus, &found);
            for sentence in refused {
                tracing::warn!(target: "labora", "{sentence}; going on without it");
            }
            if !opened.is_empty() {
                return Ok(with_standby(opened));
            }
        }
        // Most machines have neither driver nor GPU, and need not hear of it at each start.
        Err(error) if gpus.cards_without_driver() == 0 => {
            tracing::debug!(target: "labora", %error, "no GPU is used");
        }
        Err(error) => {
            tracing::warn!(target: "labora", "there is an NVIDIA GPU, but it cannot be used: {error}; going on with the CPU");
        }
    }
    Ok(vec![open_cpu(CpuChoice::AllCores)?])
}

/// Adds the CPU, for when no GPU answers.
fn with_standby(mut opened: Vec<Opened>) -> Vec<Opened> {
    match open_cpu(CpuChoice::AllCores) {
        Ok(cpu) => opened.push(Opened {
            role: Role::Standby,
            ..cpu
        }),
        Err(error) => {
            tracing::warn!(target: "labora", "{error}; nothing stands by for the GPUs");
        }
    }
    opened
}

fn open_all(gpus: &dyn Gpus) -> Result<Vec<Opened>, OpenError> {
    let found = gpus.list().map_err(OpenError::Driver)?;
    let (opened, refused) = open_usable(gpus, &found);
    if opened.is_empty() {
        let why = match refused.as_slice() {
            [] => "the driver shows none".to_owned(),
            sentences => sentences.join("; "),
        };
        return Err(OpenError::NoUsableGpu(why));
    }
    for sentence in refused {
        tracing::warn!(target: "labora", "{sentence}; going on without it");
    }
    Ok(opened)
}

fn open_these(gpus: &dyn Gpus, indices: &[u32]) -> Result<Vec<Opened>, OpenError> {
    let found = gpus.list().map_err(OpenError::Driver)?;
    let pick = |&index: &u32| {
        let gpu = found.iter().find(|gpu| gpu.index == index);
        let count = found.len();
        let gpu = gpu.ok_or(OpenError::NoSuchGpu { index, count })?;
        open_gpu(gpus, gpu).map_err(|error| OpenError::Gpu { index, error })
    };
    indices.iter().map(pick).collect()
}

/// The GPUs that open, and a sentence on each that does not.
fn open_usable(gpus: &dyn Gpus, found: &[Gpu]) -> (Vec<Opened>, Vec<String>) {
    let mut opened = Vec::new();
    let mut refused = Vec::new();
    for gpu in found {
        match open_gpu(gpus, gpu) {
            Ok(device) => opened.push(device),
            Err(error) => refused.push(format!("GPU {} cannot be used: {error}", gpu.index)),
        }
    }
    (opened, refused)
}

fn open_gpu(gpus: &dyn Gpus, gpu: &Gpu) -> Result<Opened, DeviceError> {
    gpu.usable.clone()?;
    let place = Place::Gpu {
        index: gpu.index,
        bus: gpu.bus.clone(),
    };
    let device = gpus.open(gpu.index)?;
    Ok(Opened {
        place,
        device,
        role: Role::Regular,
    })
}

fn open_cpu(choice: CpuChoice) -> Result<Opened, OpenError> {
    let threads = match choice {
        CpuChoice::Threads(threads) => threads,
        CpuChoice::AllCores => thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    };
    let device = CpuDevice::new(threads, Isa::detect()).map_err(OpenError::Cpu)?;
    Ok(Opened {
        place: Place::Cpu,
        device: Arc::new(device),
        role: Role::Regular,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::gpus::scripted::{Scripted, gpu};

    fn cuda(indices: &[u32]) -> DevicesSpec {
        DevicesSpec::Named {
            gpus: Some(GpuChoice::These(indices.to_vec())),
            cpu: None,
        }
    }

    fn places(opened: Vec<Opened>) -> Vec<String> {
        opened
            .iter()
            .map(|opened| opened.place.to_string())
            .collect()
    }

    fn lost() -> DeviceError {
        DeviceError::Lost("Xid 79".into())
    }

    #[test]
    fn auto_takes_every_usable_gpu_and_has_the_cpu_stand_by() {
        let gpus = Scripted::with(vec![gpu(0), gpu(1).refusing(lost()), gpu(2)]);
        let opened = open(&DevicesSpec::Auto, &gpus).expect("two are left");
        let roles: Vec<_> = opened.iter().map(|opened| opened.role).collect();
        assert_eq!(roles, [Role::Regular, Role::Regular, Role::Standby]);
        assert_eq!(places(opened), ["cuda:0", "cuda:2", "cpu"]);
    }

    #[test]
    fn auto_takes_the_cpu_where_no_gpu_is_left() {
        for gpus in [
            Scripted::without_driver(lost()),
            Scripted::with(Vec::new()),
            Scripted::with(vec![gpu(0).refusing(lost())]),
            Scripted::with(vec![gpu(0).failing_to_open(lost())]),
        ] {
            let opened = open(&DevicesSpec::Auto, &gpus).expect("the CPU is always there");
            assert_eq!(opened[0].role, Role::Regular);
            assert_eq!(places(opened), ["cpu"]);
        }
    }

    #[test]
    fn a_named_gpu_that_cannot_be_used_ends_the_start() {
        let gpus = Scripted::with(vec![
            gpu(0),
            gpu(1).refusing(lost()),
            gpu(2).failing_to_open(lost()),
        ]);
        for index in [1, 2] {
            let error = open(&cuda(&[0, index]), &gpus).err().expect("it was named");
            assert!(error.to_string().contains("Xid 79"), "{error}");
            assert!(
                error.to_string().contains(&format!("GPU {index}")),
                "{error}"
            );
        }
        let error = open(&cuda(&[0, 3]), &gpus).err().expect("there is none");
        assert!(error.to_string().contains("shows 3"), "{error}");
        let gpus = Scripted::without_driver(lost());
        assert!(open(&cuda(&[0]), &gpus).is_err());
    }

    #[test]
    fn cuda_alone_needs_one_gpu_and_goes_on_without_the_others() {
        let all = DevicesSpec::Named {
            gpus: Some(GpuChoice::All),
            cpu: None,
        };
        let gpus = Scripted::with(vec![gpu(0).refusing(lost()), gpu(1)]);
        assert_eq!(places(open(&all, &gpus).expect("one will do")), ["cuda:1"]);
        for gpus in [
            Scripted::with(Vec::new()),
            Scripted::with(vec![gpu(0).refusing(lost())]),
            Scripted::without_driver(lost()),
        ] {
            assert!(open(&all, &gpus).is_err());
        }
    }

    #[test]
    fn a_gpu_and_the_cpu_are_opened_side_by_side() {
        let spec = DevicesSpec::Named {
            gpus: Some(GpuChoice::These(vec![1])),
            cpu: Some(CpuChoice::Threads(NonZeroUsize::MIN)),
        };
        let gpus = Scripted::with(vec![gpu(0), gpu(1)]);
        assert_eq!(
            places(open(&spec, &gpus).expect("both are there")),
            ["cuda:1", "cpu"]
        );
        assert!(
            open(&DevicesSpec::None, &gpus)
                .expect("nothing always is")
                .is_empty()
        );
    }
}
