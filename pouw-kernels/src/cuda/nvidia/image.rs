//! The kernels' machine code: embedded where nvcc was found at build time, else made from the source by NVRTC.

use std::ffi::{CString, c_char};

use cudarc::driver::{result, sys};
use cudarc::nvrtc;

use super::fault;
use crate::cuda::driver::Fault;
use crate::error::DeviceError;

/// Fat binaries are read by words.
#[repr(C, align(64))]
struct Aligned<T: ?Sized>(T);

// By build.rs. `FAT`: machine code for all generations, where nvcc was found. `SOURCE`: all kernels in one file.
include!(concat!(env!("OUT_DIR"), "/image.rs"));

/// CUDA version whose machine code is embedded; any driver of that major version loads it.
const EMBEDDED: (u32, u32) = (13, 0);

/// How this build came by its kernels, for people.
pub(in crate::cuda) fn origin() -> &'static str {
    match FAT {
        Some(_) => "kernels are built in",
        None => "kernels are compiled by NVRTC when a GPU is opened",
    }
}

/// A name for the kernels in this build: others were timed apart.
pub(in crate::cuda) fn version() -> String {
    let image = FAT.map_or(SOURCE.as_bytes(), |image| &image.0);
    blake3::hash(image).to_hex()[..8].to_owned()
}

/// Where a driver gets its kernels from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    BuiltIn,
    Nvrtc,
}

/// Whether a driver of that version gets kernels.
pub(super) fn usable(driver: (u32, u32)) -> Result<(), DeviceError> {
    origin_for(driver, FAT.is_some(), nvrtc_version).map(drop)
}

/// What is built in if the driver loads it, else what NVRTC makes if the driver loads that: a machine whose driver is of CUDA 12
/// often has NVRTC 12. What NVRTC makes is of its own major version.
fn origin_for(
    driver: (u32, u32),
    is_built_in: bool,
    nvrtc: impl FnOnce() -> Result<(u32, u32), DeviceError>,
) -> Result<Origin, DeviceError> {
    if is_built_in && driver >= EMBEDDED {
        return Ok(Origin::BuiltIn);
    }
    let needs = match nvrtc() {
        Ok((major, _)) if driver >= (major, 0) => return Ok(Origin::Nvrtc),
        _ if is_built_in => EMBEDDED,
        Ok((major, _)) => (major, 0),
        Err(error) => return Err(error),
    };
    Err(DeviceError::OldDriver { got: driver, needs })
}

/// What is called of NVRTC. A symbol that is missing is a panic in the call.
const SYMBOLS: [&str; 8] = [
    "nvrtcVersion",
    "nvrtcCreateProgram",
    "nvrtcCompileProgram",
    "nvrtcDestroyProgram",
    "nvrtcGetProgramLogSize",
    "nvrtcGetProgramLog",
    "nvrtcGetCUBINSize",
    "nvrtcGetCUBIN",
];

fn nvrtc_version() -> Result<(u32, u32), DeviceError> {
    // SAFETY: loading NVIDIA's library runs its initialisers, which is what it is for.
    if !unsafe { nvrtc::sys::is_culib_present() } {
        return Err(DeviceError::NoKernels(
            "this build holds their source alone, and NVRTC was not found".into(),
        ));
    }
    for symbol in SYMBOLS {
        // SAFETY: the symbol is looked up and not called; the library was found just now and is never closed.
        if unsafe { nvrtc::sys::culib().get::<*const ()>(symbol.as_bytes()) }.is_err() {
            return Err(DeviceError::NoKernels(format!("NVRTC has no {symbol}")));
        }
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
pub(super) struct Cubin(Option<Vec<u8>>);

impl Cubin {
    /// Loads the kernels into the current context, by a driver of that version.
    pub(super) fn load(
        &mut self,
        driver: (u32, u32),
        capability: (u32, u32),
    ) -> Result<sys::CUmodule, DeviceError> {
        let origin = origin_for(driver, FAT.is_some(), nvrtc_version)?;
        let built_in = match (FAT, &self.0) {
            (Some(image), None) if origin == Origin::BuiltIn => load(&image.0),
            _ => Err(DeviceError::NoKernels("none are built in".into())),
        };
        match built_in {
            // Not for this GPU, one that came after the build, or not for this driver.
            Err(DeviceError::NoKernels(_)) => {
                let cubin = match self.0.take() {
                    Some(cubin) => cubin,
                    None => compile(SOURCE, capability)?,
                };
                load(self.0.insert(cubin))
            }
            other => other,
        }
    }
}

fn load(image: &[u8]) -> Result<sys::CUmodule, DeviceError> {
    // SAFETY: the image is whole, made by NVIDIA's compiler, and outlives the call.
    unsafe { result::module::load_data(image.as_ptr().cast()) }.map_err(|error| {
        match (error.0, fault(error, 0)) {
            (_, Fault::OutOfMemory { .. }) => {
                DeviceError::NotOpened("it has no memory left for the kernels".into())
            }
            (
                sys::CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU
                | sys::CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION
                | sys::CUresult::CUDA_ERROR_INVALID_PTX,
                Fault::Lost(why),
            ) => DeviceError::NoKernels(why),
            (_, Fault::Lost(why)) => DeviceError::NotOpened(why),
        }
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_in_one_file_is_what_nvrtc_takes_for_every_generation() {
        // SAFETY: as in `nvrtc_version`.
        if !unsafe { nvrtc::sys::is_culib_present() } {
            println!("no NVRTC found, nothing checked (`make cuda` sets one up)");
            return;
        }
        let version = nvrtc_version().unwrap();
        // The chip, and the first NVRTC that knows it.
        let known = [
            ((7, 5), (10, 0)),
            ((8, 6), (11, 1)),
            ((9, 0), (12, 0)),
            ((11, 0), (13, 0)),
            ((12, 0), (12, 8)),
        ];
        for (capability, _) in known.iter().filter(|(_, since)| version >= *since) {
            let cubin = compile(SOURCE, *capability).unwrap();
            assert!(cubin.starts_with(b"\x7fELF"), "{capability:?}");
            for kernel in ["labora_chunks", "labora_onto", "labora_product_mma_7"] {
                let name = kernel.as_bytes();
                assert!(
                    cubin.windows(name.len()).any(|bytes| bytes == name),
                    "{kernel}"
                );
            }
        }
        let broken = compile("int main( {", (8, 0)).unwrap_err();
        assert!(matches!(broken, DeviceError::NoKernels(why) if why.contains("error")));
    }

    #[test]
    fn an_older_driver_is_served_by_an_nvrtc_of_its_own_version() {
        let old = |needs| {
            Err(DeviceError::OldDriver {
                got: (12, 4),
                needs,
            })
        };
        let absent = || Err(DeviceError::NoKernels("NVRTC was not found".into()));
        let version = |version| move || Ok(version);
        assert_eq!(origin_for((13, 0), true, absent), Ok(Origin::BuiltIn));
        assert_eq!(
            origin_for((12, 4), true, version((12, 6))),
            Ok(Origin::Nvrtc)
        );
        // The sentence names the driver that what is built in needs.
        assert_eq!(origin_for((12, 4), true, absent), old((13, 0)));
        assert_eq!(origin_for((12, 4), true, version((13, 0))), old((13, 0)));
        // A build without nvcc.
        assert_eq!(
            origin_for((12, 4), false, version((12, 0))),
            Ok(Origin::Nvrtc)
        );
        assert_eq!(origin_for((12, 4), false, version((13, 1))), old((13, 0)));
        assert_eq!(
            origin_for((13, 0), false, absent),
            absent().map(|_| Origin::Nvrtc)
        );
    }

    #[test]
    fn a_fat_binary_has_the_kernels_if_there_is_one() {
        let Some(image) = FAT else {
            println!("built without nvcc, nothing checked (`make cuda` sets one up)");
            return;
        };
        // The magic number of fat binaries, little-endian.
        assert_eq!(image.0[..4], 0xba55_ed50_u32.to_le_bytes());
        assert!(image.0.as_ptr().addr().is_multiple_of(64));
    }
}
