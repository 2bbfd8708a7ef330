//! The GPUs of a machine as the rest of the node sees them, so that what it does about them can be tested without one.

use std::{path::Path, sync::Arc};

use labora_kernels::{Device, DeviceError};

/// A GPU that the driver shows.
#[derive(Clone, Debug)]
pub struct Gpu {
    /// The driver's number for it, from 0.
    pub index: u32,
    /// What its maker calls it.
    pub name: String,
    /// Compute capability, major and minor.
    pub capability: (u32, u32),
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// Address on the PCI bus.
    pub bus: String,
    /// CUDA version that the driver goes up to, major and minor.
    pub cuda: (u32, u32),
    /// The kernel and the tensor instruction that products would run on.
    pub runs: String,
    /// Why it cannot be used, if so.
    pub usable: Result<(), DeviceError>,
}

/// Lists and opens GPUs.
pub trait Gpus {
    /// All that the driver shows, usable or not; an error if there is no driver to ask.
    fn list(&self) -> Result<Vec<Gpu>, DeviceError>;

    /// Opens one.
    fn open(&self, index: u32) -> Result<Arc<dyn Device>, DeviceError>;

    /// NVIDIA cards that the machine's bus shows, for when there is no driver to ask.
    fn cards_without_driver(&self) -> usize;

    /// How the kernels came into this build, for people.
    fn kernels(&self) -> &'static str;
}

/// NVIDIA's vendor number on the PCI bus.
const NVIDIA: &str = "0x10de";

/// Display controllers (VGA, 3D) have this base class.
const DISPLAY_CLASS: &str = "0x03";

/// NVIDIA cards under a folder such as `/sys/bus/pci/devices`; none where it cannot be read.
pub fn cards_on_bus(devices: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(devices) else {
        return 0;
    };
    let says = |path: &Path, file: &str, start: &str| {
        std::fs::read_to_string(path.join(file)).is_ok_and(|text| text.starts_with(start))
    };
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| says(path, "vendor", NVIDIA) && says(path, "class", DISPLAY_CLASS))
        .count()
}

#[cfg(test)]
pub mod scripted {
    //! GPUs as a test describes them; what opens is a CPU device of one thread.

    use std::num::NonZeroUsize;

    use labora_kernels::{CpuDevice, Isa};

    use super::*;

    /// One GPU of a test.
    #[derive(Clone)]
    pub struct One {
        gpu: Gpu,
        opens: Result<(), DeviceError>,
    }

    /// A usable GPU.
    pub fn gpu(index: u32) -> One {
        One {
            gpu: Gpu {
                index,
                name: "Test GPU".into(),
                capability: (9, 0),
                memory_bytes: 80 << 30,
                bus: format!("0000:{index:02x}:00.0"),
                cuda: (13, 0),
                runs: "wgmma".into(),
                usable: Ok(()),
            },
            opens: Ok(()),
        }
    }

    impl One {
        /// The same, which the driver's list says cannot be used.
        pub fn refusing(mut self, error: DeviceError) -> Self {
            self.gpu.usable = Err(error);
            self
        }

        /// The same, which looks usable and is not.
        pub fn failing_to_open(self, error: DeviceError) -> Self {
            Self {
                opens: Err(error),
                ..self
            }
        }
    }

    /// The GPUs of a test.
    pub struct Scripted {
        found: Result<Vec<One>, DeviceError>,
    }

    impl Scripted {
        /// These.
        pub fn with(found: Vec<One>) -> Self {
            Self { found: Ok(found) }
        }

        /// A machine whose driver fails so.
        pub fn without_driver(error: DeviceError) -> Self {
            Self { found: Err(error) }
        }
    }

    impl Gpus for Scripted {
        fn list(&self) -> Result<Vec<Gpu>, DeviceError> {
            let found = self.found.clone()?;
            Ok(found.into_iter().map(|one| one.gpu).collect())
        }

        fn open(&self, index: u32) -> Result<Arc<dyn Device>, DeviceError> {
            let found = self.found.clone()?;
            let one = found.into_iter().find(|one| one.gpu.index == index);
            one.expect("a GPU of the list").opens?;
            Ok(Arc::new(CpuDevice::new(
                NonZeroUsize::MIN,
                Isa::portable(),
            )?))
        }

        fn cards_without_driver(&self) -> usize {
            0
        }

        fn kernels(&self) -> &'static str {
            "kernels of a test"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_display_controllers_of_one_maker() {
        let bus = tempfile::tempdir().expect("a folder");
        for (at, vendor, class) in [
            ("0000:01:00.0", "0x10de", "0x030000"),
            ("0000:01:00.1", "0x10de", "0x040300"),
            ("0000:02:00.0", "0x10de", "0x030200"),
            ("0000:03:00.0", "0x1002", "0x030000"),
        ] {
            let card = bus.path().join(at);
            std::fs::create_dir(&card).expect("a folder in it");
            std::fs::write(card.join("vendor"), format!("{vendor}\n")).expect("a file");
            std::fs::write(card.join("class"), format!("{class}\n")).expect("a file");
        }
        assert_eq!(cards_on_bus(bus.path()), 2, "sound is no card of its own");
        assert_eq!(cards_on_bus(&bus.path().join("nothing")), 0);
    }
}
