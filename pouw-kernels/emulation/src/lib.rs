//! Runs the CUDA kernels of `pouw-kernels/cuda` on the host, without a GPU, for tests.
//!
//! The kernels' own source is compiled as plain C++; only the instructions that C++ lacks are
//! emulated (`host/`), by their definition in the PTX manual. Threads of a block run in lock step
//! where they meet. Device memory is host memory: pointers among a kernel's arguments are plain
//! addresses.
//!
//! It knows nothing of the protocol, of devices or of jobs.

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ffi::CString;

/// Target whose code paths are taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Target {
    /// sm_75: m8n8k16, no asynchronous copies, two stages.
    Turing,
    /// sm_90a: `wgmma` and TMA; `mma` as on all targets from sm_80 on: m16n8k32, `cp.async`, three
    /// stages.
    Hopper,
}

impl Target {
    /// All of them.
    pub const ALL: [Target; 2] = [Target::Turing, Target::Hopper];

    /// The target on which a card of this compute capability (90 for 9.0) is emulated.
    pub fn of_capability(capability: u32) -> Target {
        if capability < 80 {
            Target::Turing
        } else {
            Target::Hopper
        }
    }

    fn arch(self) -> c_uint {
        match self {
            Target::Turing => 750,
            Target::Hopper => 900,
        }
    }
}

/// Why a launch did not run to its end.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LaunchError {
    /// No such kernel on this target.
    #[error("{target:?} has no kernel {kernel}; see host/kernels.h")]
    NoKernel {
        /// What was asked for.
        kernel: String,
        /// On which target.
        target: Target,
    },
    /// The kernel did what a GPU forbids or leaves undefined.
    #[error("{kernel}: {fault}")]
    Fault {
        /// Which kernel.
        kernel: String,
        /// Block, thread, and what it did.
        fault: String,
    },
}

unsafe extern "C" {
    fn labora_emulation_has(arch: c_uint, name: *const c_char) -> c_int;
    fn labora_emulation_launch(
        arch: c_uint,
        name: *const c_char,
        grid: *const c_uint,
        block: *const c_uint,
        shared_bytes: c_uint,
        arguments: *const *const c_void,
    ) -> *const c_char;
}

/// As [`launch_on`], on [`Target::Hopper`], which has all kernels.
///
/// # Safety
///
/// As of [`launch_on`].
pub unsafe fn launch(
    kernel: &str,
    grid: [u32; 3],
    block: [u32; 3],
    shared_bytes: u32,
    args: &[*const c_void],
) -> Result<(), LaunchError> {
    // SAFETY: the caller promises what launch_on asks for.
    unsafe { launch_on(Target::Hopper, kernel, grid, block, shared_bytes, args) }
}

/// Runs a grid of `kernel` to its end on this OS thread, block after block. `args` are the addresses
/// of the arguments, as `cuLaunchKernel` takes them; `shared_bytes` of dynamic shared memory.
///
/// # Safety
///
/// `args` must have the address of one value of the right type for each parameter of the kernel, and
/// pointers among these values must be good for what the kernel reads and writes there.
pub unsafe fn launch_on(
    target: Target,
    kernel: &str,
    grid: [u32; 3],
    block: [u32; 3],
    shared_bytes: u32,
    args: &[*const c_void],
) -> Result<(), LaunchError> {
    let missing = || LaunchError::NoKernel {
        kernel: kernel.into(),
        target,
    };
    let name = CString::new(kernel).map_err(|_| missing())?;
    // SAFETY: a string that ends in zero.
    if unsafe { labora_emulation_has(target.arch(), name.as_ptr()) } == 0 {
        return Err(missing());
    }
    // SAFETY: grid and block have three entries; the caller promises the arguments. The message that
    // may come back ends in zero and stands until this thread's next launch.
    unsafe {
        let fault = labora_emulation_launch(
            target.arch(),
            name.as_ptr(),
            grid.as_ptr(),
            block.as_ptr(),
            shared_bytes,
            args.as_ptr(),
        );
        if fault.is_null() {
            return Ok(());
        }
        Err(LaunchError::Fault {
            kernel: kernel.into(),
            fault: CStr::from_ptr(fault).to_string_lossy().into_owned(),
        })
    }
}
