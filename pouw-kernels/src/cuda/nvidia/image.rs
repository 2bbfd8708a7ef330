//! The kernels' machine code: embedded where nvcc was found at build time, else made from the source by NVRTC.

use std::ffi::{CString, c_char};

use cudarc::driver::{result, sys};
use cudarc::nvrtc;

use super::fault;
use crate::cuda::driver::Fault;
use crate::error::DeviceError;

/// What the build put in.
enum Image {
    /// Machine code for all generations, with what loads it: CUDA's major version.
    #[allow(dead_code)]
    Fat(&'static Aligned<[u8]>),
    /// The kernels in one file.
    #[allow(dead_code)]
    Source(&'static str),
}

/// Fat binaries are read by words.
#[repr(C, align(64))]
struct Aligned<T: ?Sized>(T);

// `static IMAGE: Image`, by build.rs.
include!(concat!(env!("OUT_DIR"), "/image.rs"));

/// CUDA version whose machine code is embedded; any driver of that major version loads it.
const EMBEDDED: (u32, u32) = (13, 0);

/// How this build came by its kernels, for people.
pub(in crate::cuda) fn origin() -> &'static str {
    match IMAGE {
        Image::Fat(_) => "kernels are built in",
        Image::Source(_) => "kernels are compiled by NVRTC when a GPU is opened",
    }
}

/// Whether a driver of that version gets kernels.
pub(super) fn usable(driver: (u32, u32)) -> Result<(), DeviceError> {
    let needs = match IMAGE {
        Image::Fat(_) => EMBEDDED,
        Image::Source(_) => {
            let (major, _) = nvrtc_version()?;
            (major, 0)
        }
    };
    if driver < needs {
        return Err(DeviceError::OldDriver { got: driver, needs });
    }
    Ok(())
}

fn nvrtc_version() -> Result<(u32, u32), DeviceError> {
    // SAFETY: loading NVIDIA's library runs its initialisers, which is what it is for.
    if !unsafe { nvrtc::sys::is_culib_present() } {
        return Err(DeviceError::NoKernels(
            "this build holds their source alone, and NVRTC was not found".into(),
        ));
    }
    let (mut major, mut minor) = (0, 0);
    // SAFETY: the library is there, and writes two numbers.
    unsafe { nvrtc::sys::nvrtcVersion(&mut major, &mut minor).result() }.map_err(no_kernels)?;
    Ok((major as u32, minor as u32))
}

fn no_kernels(error: nvrtc::result::NvrtcError) -> DeviceError {
    DeviceError::NoKernels(format!("NVRTC: {:?}", error.0))
}

/// What NVRTC made, kept for when the device is opened again.
#[derive(Default)]
pub(in crate::cuda) struct Cubin(Option<Vec<u8>>);

impl Cubin {
    /// Loads the kernels into the current context.
    pub(super) fn load(&mut self, capability: (u32, u32)) -> Result<sys::CUmodule, DeviceError> {
        let image = match IMAGE {
            Image::Fat(image) => image.0.as_ptr(),
            Image::Source(source) => match &mut self.0 {
                Some(cubin) => cubin.as_ptr(),
                none => none.insert(compile(source, capability)?).as_ptr(),
            },
        };
        // SAFETY: the image is whole, made by NVIDIA's compiler, and outlives the call.
        unsafe { result::module::load_data(image.cast()) }.map_err(|error| {
            match (error.0, fault(error, 0)) {
                (_, Fault::OutOfMemory { needs }) => DeviceError::OutOfMemory { needs },
                (
                    sys::CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU
                    | sys::CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION
                    | sys::CUresult::CUDA_ERROR_INVALID_PTX,
                    Fault::Lost(why),
                ) => DeviceError::NoKernels(why),
                (_, Fault::Lost(why)) => DeviceError::Lost(why),
            }
        })
    }
}

/// Compiles the kernels for one generation.
fn compile(source: &str, (major, minor): (u32, u32)) -> Result<Vec<u8>, DeviceError> {
    nvrtc_version()?;
    // `wgmma` belongs to this very generation and asks for the suffix.
    let suffix = if (major, minor) == (9, 0) { "a" } else { "" };
    let options = [
        format!("--gpu-architecture=sm_{major}{minor}{suffix}"),
        "--std=c++17".into(),
    ];
    let source = CString::new(source).map_err(|error| DeviceError::NoKernels(error.to_string()))?;
    let program =
        Program(nvrtc::result::create_program(&source, Some(c"kernels.cu")).map_err(no_kernels)?);
    // SAFETY: the program was just created.
    if let Err(error) = unsafe { nvrtc::result::compile_program(program.0, &options) } {
        // SAFETY: as above.
        let log = unsafe { nvrtc::result::get_program_log(program.0) }.unwrap_or_default();
        let log: Vec<u8> = log.iter().map(|&byte| byte as u8).collect();
        let log = String::from_utf8_lossy(&log);
        let first = log
            .lines()
            .find(|line| line.contains("error"))
            .unwrap_or("");
        return Err(DeviceError::NoKernels(format!(
            "NVRTC: {:?} {first}",
            error.0
        )));
    }
    let mut bytes = 0;
    // SAFETY: the program is compiled; it writes one number.
    unsafe { nvrtc::sys::nvrtcGetCUBINSize(program.0, &mut bytes).result() }.map_err(no_kernels)?;
    let mut cubin = vec![0_u8; bytes];
    // SAFETY: the buffer has the size that was just asked for.
    unsafe { nvrtc::sys::nvrtcGetCUBIN(program.0, cubin.as_mut_ptr().cast::<c_char>()).result() }
        .map_err(no_kernels)?;
    Ok(cubin)
}

/// A program of NVRTC's, ended with its owner.
struct Program(nvrtc::sys::nvrtcProgram);

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: it was created by NVRTC and is used for the last time.
        let _ = unsafe { nvrtc::result::destroy_program(self.0) };
    }
}
