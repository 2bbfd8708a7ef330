//! NVIDIA's driver, opened at run time. All `unsafe` of the CUDA device is here and in `nvidia/`: calls of the driver
//! with handles that it gave and that live as long as this.

mod cublaslt;
mod end;
mod image;
mod list;
mod pinned;

use std::collections::{HashMap, HashSet};
use std::ffi::{CString, c_void};
use std::time::Duration;

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;

use super::driver::{
    Address, Copied, Driver, Event, Facts, Fault, Launch, Pinned, Stream, TensorMap, Tiled,
};
use crate::error::DeviceError;
pub(super) use cublaslt::CublasLt;
use end::Burial;
use image::Cubin;
pub(super) use image::{origin, version};
pub(super) use list::list;
use pinned::Held;

/// Shared memory that a block may have without being asked for.
const SHARED_WITHOUT_ASKING: u32 = 48 << 10;

/// One GPU, through its primary context, which is current to the thread that opened it and used by no other.
pub(super) struct Nvidia {
    facts: Facts,
    device: sys::CUdevice,
    module: sys::CUmodule,
    functions: HashMap<&'static str, sys::CUfunction>,
    streams: Vec<sys::CUstream>,
    events: Vec<sys::CUevent>,
    pinned: Vec<Held>,
    allocated: HashSet<Address>,
    /// A call failed, or what runs does not end: the context is to be reset, not just left.
    lost: bool,
    burial: Burial,
}

/// What outlives one opening of a GPU.
#[derive(Default)]
pub(super) struct Kept {
    /// What NVRTC made.
    cubin: Cubin,
    burial: Burial,
}

impl Nvidia {
    /// Opens GPU `index`.
    pub(super) fn open(index: u32, kept: &mut Kept) -> Result<Self, DeviceError> {
        kept.burial.check()?;
        let found = list::get(index)?;
        found.usable.clone()?;
        let at_open = |error: DriverError| match fault(error, 0) {
            Fault::OutOfMemory { .. } => DeviceError::NotOpened("it has no memory left".into()),
            Fault::Lost(why) => DeviceError::NotOpened(why),
        };
        let device = result::device::get(index as i32).map_err(at_open)?;
        // SAFETY: `device` is a device; the context is released in `drop`.
        let context = unsafe { result::primary_ctx::retain(device) }.map_err(at_open)?;
        let mut opened = Nvidia {
            facts: Facts {
                name: found.name,
                capability: found.capability,
                multiprocessors: found.multiprocessors,
                free_bytes: 0,
            },
            device,
            module: std::ptr::null_mut(),
            functions: HashMap::new(),
            streams: Vec::new(),
            events: Vec::new(),
            pinned: Vec::new(),
            allocated: HashSet::new(),
            lost: false,
            burial: kept.burial.clone(),
        };
        // SAFETY: the context was just retained.
        unsafe { result::ctx::set_current(context) }.map_err(at_open)?;
        opened.module = kept.cubin.load(found.driver, found.capability)?;
        for _ in Stream::ALL {
            let stream = result::stream::create(result::stream::StreamKind::NonBlocking);
            opened.streams.push(stream.map_err(at_open)?);
        }
        opened.facts.free_bytes = result::mem_get_info().map_err(at_open)?.0 as u64;
        Ok(opened)
    }

    fn stream(&self, stream: Stream) -> sys::CUstream {
        self.streams[stream as usize]
    }

    /// Notes a failure.
    fn check<T>(&mut self, result: Result<T, DriverError>) -> Result<T, Fault> {
        result.map_err(|error| {
            let fault = fault(error, 0);
            self.lost = true;
            fault
        })
    }

    fn function(&mut self, name: &'static str, shared: u32) -> Result<sys::CUfunction, Fault> {
        if let Some(function) = self.functions.get(name) {
            return Ok(*function);
        }
        let symbol = CString::new(name).map_err(|error| Fault::Lost(error.to_string()))?;
        // SAFETY: the module is loaded until `drop`.
        let function = unsafe { result::module::get_function(self.module, symbol) };
        let function = self.check(function)?;
        if shared > SHARED_WITHOUT_ASKING {
            let attribute =
                sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            // SAFETY: the function is of the loaded module.
            let set = unsafe {
                result::function::set_function_attribute(function, attribute, shared as i32)
            };
            self.check(set)?;
        }
        self.functions.insert(name, function);
        Ok(function)
    }
}

/// What an error of the driver means for the device.
fn fault(error: DriverError, needs: u64) -> Fault {
    if error.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY {
        return Fault::OutOfMemory { needs };
    }
    let text = |of: Result<&std::ffi::CStr, DriverError>| {
        of.map_or("no text".into(), |text| text.to_string_lossy().into_owned())
    };
    Fault::Lost(format!(
        "{}: {}",
        text(error.error_name()),
        text(error.error_string())
    ))
}

impl Driver for Nvidia {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn alloc(&mut self, bytes: u64) -> Result<Address, Fault> {
        // SAFETY: memory that is never read by the host but through copies within it.
        match unsafe { result::malloc_sync(bytes as usize) } {
            Ok(at) => {
                self.allocated.insert(at);
                Ok(at)
            }
            Err(error) => match fault(error, bytes) {
                memory @ Fault::OutOfMemory { .. } => Err(memory),
                lost => {
                    self.lost = true;
                    Err(lost)
                }
            },
        }
    }

    fn free(&mut self, at: Address) -> Result<(), Fault> {
        assert!(self.allocated.remove(&at), "freed twice");
        // The driver waits, without an end, for kernels that may use it.
        self.settle()?;
        // SAFETY: it was allocated above and has not been freed.
        let freed = unsafe { result::free_sync(at) };
        self.check(freed)
    }

    fn pin(&mut self, bytes: usize) -> Result<Pinned, Fault> {
        let last = self.event()?;
        // SAFETY: freed in `drop` only.
        let at =
            unsafe { result::malloc_host(bytes, 0) }.map_err(|error| fault(error, bytes as u64))?;
        let at = at.cast::<u8>();
        // SAFETY: so many bytes were allocated; from here on all are initialised.
        unsafe { at.write_bytes(0, bytes) };
        self.pinned.push(Held {
            at,
            bytes,
            last: self.events[last.0],
            used: None,
        });
        Ok(Pinned(self.pinned.len() - 1))
    }

    fn event(&mut self) -> Result<Event, Fault> {
        let event = result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT);
        let event = self.check(event)?;
        self.events.push(event);
        Ok(Event(self.events.len() - 1))
    }

    fn write(&mut self, to: Pinned, offset: usize, bytes: &[u8]) -> Result<(), Fault> {
        let at = self.quiet(to, offset, bytes.len())?;
        // SAFETY: `quiet` checked the range and that no copy uses it; nobody else has the address.
        unsafe { at.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(())
    }

    fn read(&mut self, from: Pinned, offset: usize, bytes: &mut [u8]) -> Result<(), Fault> {
        let at = self.quiet(from, offset, bytes.len())?;
        // SAFETY: as in `write`; the memory is initialised since it was pinned.
        unsafe { at.copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    fn upload(&mut self, copy: Copied) -> Result<(), Fault> {
        let (at, queue) = (self.lend(copy)?, self.stream(copy.stream));
        // SAFETY: the source is pinned and of that length, and `write` waits for this copy; the caller keeps within what
        // it allocated.
        let copied = unsafe {
            let from = std::slice::from_raw_parts(at, copy.bytes);
            result::memcpy_htod_async(copy.device, from, queue)
        };
        self.check(copied)?;
        self.lent(copy)
    }

    fn download(&mut self, copy: Copied) -> Result<(), Fault> {
        let (at, queue) = (self.lend(copy)?, self.stream(copy.stream));
        // SAFETY: the target is pinned and of that length, and `read` waits for this copy; the device reads within what
        // was allocated.
        let copied = unsafe {
            sys::cuMemcpyDtoHAsync_v2(at.cast::<c_void>(), copy.device, copy.bytes, queue).result()
        };
        self.check(copied)?;
        self.lent(copy)
    }

    fn clear(&mut self, stream: Stream, at: Address, bytes: u64) -> Result<(), Fault> {
        let queue = self.stream(stream);
        // SAFETY: device memory alone is written, within what the caller allocated.
        let cleared = unsafe { result::memset_d8_async(at, 0, bytes as usize, queue) };
        self.check(cleared)
    }

    fn launch(&mut self, launch: &Launch) -> Result<(), Fault> {
        let function = self.function(launch.kernel, launch.shared_bytes)?;
        let mut args: Vec<_> = launch
            .args
            .addresses()
            .into_iter()
            .map(<*const c_void>::cast_mut)
            .collect();
        let queue = self.stream(Stream::Compute);
        // SAFETY: the arguments are copied before the call returns, and are as the kernel declares them (`kernels`, which
        // the tests run against the same source); a kernel touches device memory alone.
        let launched = unsafe {
            result::launch_kernel(
                function,
                (launch.grid, 1, 1),
                (launch.threads, 1, 1),
                launch.shared_bytes,
                queue,
                &mut args,
            )
        };
        self.check(launched)
    }

    fn blocks(&mut self, kernel: &'static str, threads: u32, shared: u32) -> Result<u32, Fault> {
        let function = self.function(kernel, shared)?;
        // SAFETY: the function is of the loaded module.
        let blocks = unsafe {
            result::occupancy::max_active_block_per_multiprocessor(
                function,
                threads as i32,
                shared as usize,
            )
        };
        match self.check(blocks)? {
            0 => Err(Fault::Lost(format!(
                "{kernel} does not fit a multiprocessor: {threads} threads, {shared} bytes"
            ))),
            blocks => Ok(blocks as u32),
        }
    }

    fn tensor_map(&mut self, of: Tiled) -> Result<TensorMap, Fault> {
        use sys::{
            CUtensorMapDataType, CUtensorMapFloatOOBfill, CUtensorMapInterleave,
            CUtensorMapL2promotion, CUtensorMapSwizzle,
        };
        let mut map = sys::CUtensorMap { opaque: [0; 16] };
        let sizes = [u64::from(of.columns), u64::from(of.rows)];
        let strides = [u64::from(of.columns)];
        let (tile, steps) = ([128, of.box_rows], [1, 1]);
        // SAFETY: the arrays are as long as rank 2 asks for; the address is not followed here.
        let encoded = unsafe {
            sys::cuTensorMapEncodeTiled(
                &mut map,
                CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_UINT8,
                2,
                of.at as *mut c_void,
                sizes.as_ptr(),
                strides.as_ptr(),
                tile.as_ptr(),
                steps.as_ptr(),
                CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
                CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_128B,
                CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
            )
            .result()
        };
        self.check(encoded)?;
        Ok(TensorMap(map.opaque))
    }

    fn record(&mut self, event: Event, stream: Stream) -> Result<(), Fault> {
        let (event, queue) = (self.events[event.0], self.stream(stream));
        // SAFETY: both handles live until `drop`.
        let recorded = unsafe { result::event::record(event, queue) };
        self.check(recorded)
    }

    fn hold(&mut self, stream: Stream, event: Event) -> Result<(), Fault> {
        let (event, queue) = (self.events[event.0], self.stream(stream));
        let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
        // SAFETY: both handles live until `drop`.
        let held = unsafe { result::stream::wait_event(queue, event, flags) };
        self.check(held)
    }

    fn is_done(&mut self, event: Event) -> Result<bool, Fault> {
        // SAFETY: the event lives until `drop`.
        match unsafe { result::event::query(self.events[event.0]) } {
            Ok(()) => Ok(true),
            Err(error) if error.0 == sys::CUresult::CUDA_ERROR_NOT_READY => Ok(false),
            Err(error) => self.check(Err(error)),
        }
    }

    fn wait(&mut self, event: Event, at_most: Duration) -> Result<bool, Fault> {
        let event = self.events[event.0];
        // SAFETY: the event lives until `drop`.
        self.until(|| unsafe { result::event::query(event) }, at_most)
    }

    fn give_up(&mut self) {
        self.lost = true;
    }

    fn elapsed_ms(&mut self, from: Event, to: Event) -> Result<f32, Fault> {
        // The binding calls the one that came with CUDA 12.8; this one drivers of 12.0 have too, and those of 13 still.
        type Elapsed = unsafe extern "C" fn(*mut f32, sys::CUevent, sys::CUevent) -> sys::CUresult;
        // SAFETY: the library is open, for this driver is, and is never closed; the type is the one that CUDA documents.
        let elapsed = unsafe { sys::culib().get::<Elapsed>(b"cuEventElapsedTime") };
        let elapsed = elapsed.map_err(|error| Fault::Lost(error.to_string()))?;
        let mut ms = 0.0;
        // SAFETY: both events live until `drop`; it writes one number.
        let told = unsafe { elapsed(&mut ms, self.events[from.0], self.events[to.0]) }.result();
        self.check(told)?;
        Ok(ms)
    }
}
