//! Which GPUs there are, and why one cannot be used.

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys::{self, CUdevice_attribute};

use super::image;
use crate::cuda::{Found, NEEDED_CAPABILITY};
use crate::error::DeviceError;

/// What is called before a version is known. A symbol that is missing is a panic in the call.
const SYMBOLS: [&str; 10] = [
    "cuDriverGetVersion",
    "cuInit",
    "cuDeviceGetCount",
    "cuDeviceGet",
    "cuDeviceGetAttribute",
    "cuDeviceGetName",
    "cuDeviceGetPCIBusId",
    "cuDeviceTotalMem_v2",
    "cuGetErrorName",
    "cuGetErrorString",
];

fn bad(error: DriverError) -> DeviceError {
    match super::fault(error, 0) {
        super::Fault::Lost(why) => DeviceError::BadDriver(why),
        super::Fault::OutOfMemory { .. } => DeviceError::BadDriver("it is out of memory".into()),
    }
}

/// Opens the driver; gives the CUDA version that it supports and the number of GPUs.
fn driver() -> Result<((u32, u32), u32), DeviceError> {
    // SAFETY: loading NVIDIA's library runs its initialisers, which is what it is for.
    if !unsafe { sys::is_culib_present() } {
        return Err(DeviceError::NoDriver);
    }
    for symbol in SYMBOLS {
        // SAFETY: the symbol is looked up and not called; the library was found just now and is never closed.
        if unsafe { sys::culib().get::<*const ()>(symbol.as_bytes()) }.is_err() {
            return Err(DeviceError::BadDriver(format!("libcuda has no {symbol}")));
        }
    }
    let mut version = 0;
    // SAFETY: the library is there, and writes one number; this call needs no initialisation.
    unsafe { sys::cuDriverGetVersion(&mut version).result() }.map_err(bad)?;
    let version = (version as u32 / 1000, version as u32 % 1000 / 10);
    match result::init() {
        Ok(()) => {}
        Err(error) if error.0 == sys::CUresult::CUDA_ERROR_NO_DEVICE => return Ok((version, 0)),
        // A library without its kernel module, as in containers that were not given the GPU.
        Err(error) if error.0 == sys::CUresult::CUDA_ERROR_STUB_LIBRARY => {
            return Err(DeviceError::NoDriver);
        }
        Err(error) => return Err(bad(error)),
    }
    Ok((version, result::device::get_count().map_err(bad)? as u32))
}

/// All GPUs that the driver shows.
pub(in crate::cuda) fn list() -> Result<Vec<Found>, DeviceError> {
    let (version, count) = driver()?;
    (0..count).map(|index| found(version, index)).collect()
}

/// One of them.
pub(super) fn get(index: u32) -> Result<Found, DeviceError> {
    let (version, count) = driver()?;
    if index >= count {
        return Err(DeviceError::NoSuchGpu { index, count });
    }
    found(version, index)
}

fn found(driver: (u32, u32), index: u32) -> Result<Found, DeviceError> {
    let device = result::device::get(index as i32).map_err(bad)?;
    let attribute = |attribute| {
        // SAFETY: `device` is a device.
        unsafe { result::device::get_attribute(device, attribute) }
            .map(|value| value as u32)
            .map_err(bad)
    };
    let capability = (
        attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
        attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
    );
    let mut bus = [0; 32];
    // SAFETY: it writes at most so many bytes, the last a zero.
    unsafe { sys::cuDeviceGetPCIBusId(bus.as_mut_ptr(), bus.len() as i32 - 1, device).result() }
        .map_err(bad)?;
    let bus: String = bus
        .iter()
        .map(|byte| *byte as u8)
        .take_while(|byte| *byte != 0)
        .map(char::from)
        .collect();
    let name = result::device::get_name(device).map_err(bad)?;
    let usable = if capability < NEEDED_CAPABILITY {
        Err(DeviceError::OldGpu {
            name: name.clone(),
            got: capability,
            needs: NEEDED_CAPABILITY,
        })
    } else {
        image::usable(driver)
    };
    Ok(Found {
        index,
        name,
        capability,
        multiprocessors: attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        // SAFETY: `device` is a device.
        memory_bytes: unsafe { result::device::total_mem(device) }.map_err(bad)? as u64,
        bus,
        driver,
        usable,
    })
}
