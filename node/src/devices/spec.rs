//! Which devices the command line names.

use std::{fmt, num::NonZeroUsize};

/// Which devices a worker takes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum DevicesSpec {
    /// Every GPU that can be used; the CPU only where there is none or none answers, since its cores feed the GPUs, pack
    /// operands and check blocks, and would add little beside them.
    #[default]
    Auto,
    /// These, and a start without them is no start. At least one of the two is given.
    Named {
        /// GPUs.
        gpus: Option<GpuChoice>,
        /// The CPU.
        cpu: Option<CpuChoice>,
    },
    /// Nothing: no filler, and products are refused.
    None,
}

/// Which GPUs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum GpuChoice {
    /// Every one that can be used, and at least one.
    All,
    /// These, by the driver's numbers, each once and in ascending order.
    These(Vec<u32>),
}

/// How much of the CPU.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CpuChoice {
    /// As many threads as there are cores.
    AllCores,
    /// So many threads.
    Threads(NonZeroUsize),
}

impl DevicesSpec {
    /// The CPU alone.
    #[cfg(test)]
    pub fn cpu(choice: CpuChoice) -> Self {
        DevicesSpec::Named {
            gpus: None,
            cpu: Some(choice),
        }
    }
}

/// When a device works.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// Always.
    Regular,
    /// While every regular device is away for longer than a moment.
    Standby,
}

/// Where a device is: what `--devices` calls it, and how it is found again by what measures it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// The cores of this machine.
    Cpu,
    /// A GPU.
    Gpu {
        /// The driver's number for it.
        index: u32,
        /// Its address on the PCI bus, by which NVML knows it too.
        bus: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Cpu => f.write_str("cpu"),
            Place::Gpu { index, .. } => write!(f, "cuda:{index}"),
        }
    }
}
