//! NVIDIA GPUs, by the kernels' own crate.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use labora_kernels::{CudaDevice, CudaOptions, Device, DeviceError, Found, NEEDED_CAPABILITY};

use super::gpus::{Gpu, Gpus, cards_on_bus};

/// The NVIDIA GPUs of this machine.
pub struct Nvidia;

impl Gpus for Nvidia {
    fn list(&self) -> Result<Vec<Gpu>, DeviceError> {
        Ok(CudaDevice::list()?.into_iter().map(gpu).collect())
    }

    fn open(&self, index: u32) -> Result<Arc<dyn Device>, DeviceError> {
        let options = CudaOptions {
            tuning: tuning_file(),
            ..CudaOptions::default()
        };
        Ok(Arc::new(CudaDevice::open(index, options)?))
    }

    fn cards_without_driver(&self) -> usize {
        cards_on_bus(Path::new("/sys/bus/pci/devices"))
    }

    fn kernels(&self) -> &'static str {
        CudaDevice::kernels()
    }
}

fn gpu(found: Found) -> Gpu {
    Gpu {
        runs: runs(found.capability).to_owned(),
        index: found.index,
        name: found.name,
        capability: found.capability,
        memory_bytes: found.memory_bytes,
        bus: found.bus,
        cuda: found.driver,
        usable: found.usable,
    }
}

/// The tensor instructions that the kernels use on a generation, as PTX names them.
fn runs(capability: (u32, u32)) -> &'static str {
    match capability {
        // Both are timed when it is opened, and the faster one is taken.
        (9, 0) => "wgmma m64n256k32 or mma m16n8k32",
        (major, _) if major >= 8 => "mma m16n8k32",
        capability if capability >= NEEDED_CAPABILITY => "mma m8n8k16",
        _ => "nothing",
    }
}

/// Where it is kept which kernel is fastest on a GPU model: the user's cache, as the XDG folders have it.
fn tuning_file() -> Option<PathBuf> {
    let folder = |variable| {
        let path = PathBuf::from(std::env::var_os(variable)?);
        path.is_absolute().then_some(path)
    };
    let cache = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")))?;
    Some(cache.join("labora/tuning.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_generation_has_its_instruction() {
        for (capability, instruction) in [
            ((6, 1), "nothing"),
            ((7, 0), "nothing"),
            ((7, 5), "mma m8n8k16"),
            ((8, 0), "mma m16n8k32"),
            ((8, 9), "mma m16n8k32"),
            ((12, 0), "mma m16n8k32"),
        ] {
            assert_eq!(runs(capability), instruction);
        }
        assert!(runs((9, 0)).starts_with("wgmma"));
    }
}
