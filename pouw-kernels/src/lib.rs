//! Devices that multiply int8 matrices exactly, and mine with the same multiplications.
//!
//! A [`Device`] takes a [`Job`]: two matrices, and the block template to mine on if there is one. It answers with the
//! tickets that win, and with the exact product when that is asked for. [`CpuDevice`] is the device that every machine
//! has, [`CudaDevice`] is an NVIDIA GPU; [`Filler`] makes products for when nobody has asked for one.
//!
//! The protocol itself stands in `labora-pouw`; what is here are faster ways to the same bytes, checked against it. The
//! crate knows nothing of chains, networks or files.
//!
//! ```
//! use labora_kernels::{Cancel, CpuDevice, Device, Isa, Job, Matrix, Want};
//!
//! let device = CpuDevice::new(std::num::NonZeroUsize::MIN, Isa::detect())?;
//! let a = Matrix::new(16, 64, vec![1; 16 * 64])?;
//! let bt = Matrix::new(32, 64, vec![-2; 32 * 64])?;
//! let job = Job { template: None, a, bt, want: Want::ExactProduct };
//! let outcome = device.run(job, &Cancel::new())?.wait()?;
//! assert_eq!(outcome.product, Some(vec![-128; 16 * 32]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod bench;
mod cpu;
mod cuda;
mod device;
mod error;
mod filler;
pub mod freivalds;
mod isa;
mod layout;
mod matrix;
mod noise;

pub use cpu::{
    CpuDevice, MAX_PANEL_CACHE_BYTES, MAX_PRODUCT_BYTES, MAX_QUEUED, MAX_THREADS, MAX_WINNERS,
};
pub use cuda::{
    CudaDevice, CudaOptions, Found, GpuFigures, GpuParts, MEMORY_PERCENT, NEEDED_CAPABILITY,
    NEEDED_DRIVER, measure_gpu,
};
pub use device::{
    Cancel, Device, DeviceInfo, Job, Outcome, Pending, Promise, Template, Want, Winner,
};
pub use error::{DeviceError, MatrixError};
pub use filler::Filler;
pub use isa::Isa;
pub use matrix::Matrix;
