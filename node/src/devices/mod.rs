//! The devices of this machine: what `--devices` names, what is there, how it is opened, and `labora devices`, which shows
//! all that. What they then compute is `crate::worker`'s business, and how hot they get `crate::rig`'s.

pub mod command;
pub mod gpus;
mod nvidia;
mod open;
mod spec;

pub use nvidia::Nvidia;
pub use open::{OpenError, Opened, open};
pub use spec::{CpuChoice, DevicesSpec, GpuChoice, Place, Role};
