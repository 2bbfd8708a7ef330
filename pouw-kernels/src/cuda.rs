//! NVIDIA GPUs as devices: a bounded queue each, and one thread that feeds the GPU from it.
//!
//! Nothing of CUDA is needed to build this or to start it; the driver is opened when a GPU is asked for. A GPU that fails
//! is opened again, at longer and longer intervals, while its jobs are answered at once, so that they go elsewhere.

mod admission;
mod bench;
mod driver;
mod flight;
mod grid;
mod kernels;
mod machine;
mod memory;
mod multiply;
mod nvidia;
mod plan;
#[cfg(test)]
mod tests;
mod timing;
mod tuning;
mod winners;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError, bounded};
use labora_pouw::Shape;
use parking_lot::Mutex;

use crate::cpu::MAX_QUEUED;
use crate::device::{Cancel, Device, DeviceInfo, Job, Outcome, Pending, Want};
use crate::error::DeviceError;
pub use bench::{GpuFigures, GpuParts, measure_gpu};
use multiply::Multiply;
use plan::Plan;

/// The NVIDIA driver that a build with built-in kernels needs; it brings CUDA 13.0.
pub const NEEDED_DRIVER: u32 = 580;
/// Least compute capability: Turing, the first with int8 tensor cores.
pub const NEEDED_CAPABILITY: (u32, u32) = (7, 5);
/// Of the memory that was free when the GPU was opened, the share that the device takes at most, in percent. The rest is
/// for what the driver itself needs on the way, and for a desktop.
pub const MEMORY_PERCENT: u64 = 85;

/// Products handed back whose memory is kept for the next.
const MAX_SPARE: usize = 2;

/// A GPU that the driver shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What [`CudaDevice::open`] takes.
    pub index: u32,
    /// Its name, such as "NVIDIA H200".
    pub name: String,
    /// Compute capability, major and minor.
    pub capability: (u32, u32),
    /// Multiprocessors.
    pub multiprocessors: u32,
    /// All of its memory, in bytes.
    pub memory_bytes: u64,
    /// Its place on the PCI bus, such as "0000:17:00.0"; other libraries know it by that.
    pub bus: String,
    /// CUDA version that the driver supports, major and minor.
    pub driver: (u32, u32),
    /// Whether it can be opened, or a sentence that says why not and what to do.
    pub usable: Result<(), DeviceError>,
}

/// How a GPU is to be used.
#[derive(Clone, Debug, Default)]
pub struct CudaOptions {
    /// The JSON file in which what was timed on a GPU model is kept; `None`: it is timed at each start.
    pub tuning: Option<PathBuf>,
    /// Bytes of device memory to take at most, within [`MEMORY_PERCENT`] of what is free.
    pub max_memory_bytes: Option<u64>,
}

/// What tests have smaller than it is.
#[derive(Clone, Debug)]
struct Settings {
    options: CudaOptions,
    /// Bytes of one staged copy: 8 MiB take 0.3 ms on a fast bus, 1 ms on a slow one, and are then as fast as any.
    piece_bytes: usize,
    /// How long one launch may take, by which a cancellation is seen: two are queued.
    band_ms: u64,
    /// Fewer rows than four rounds of blocks, for tests.
    least_band_rows: Option<u32>,
    /// Shape of the product that is timed.
    timed: (u32, u32, u32),
    /// Launches of few tiles that are timed in a row: one is too short for its time to say much.
    lone_runs: u32,
    /// Ways to multiply, for tests of one of them; `None`: all that the GPU has.
    ways: Option<&'static [Multiply]>,
    /// The first interval after which a lost GPU is tried again, and the longest.
    retry: (Duration, Duration),
    /// How long nothing may come of what runs, beside a hundred times what it should take: a GPU that others use too, or that
    /// wakes up, is slow at times.
    hang: Duration,
    /// How long the device keeps what it may need again while nobody asks for anything.
    keep: Duration,
}

impl Settings {
    fn new(options: CudaOptions) -> Self {
        Settings {
            options,
            piece_bytes: 8 << 20,
            band_ms: 20,
            least_band_rows: None,
            timed: (4096, 4096, 4096),
            lone_runs: 8,
            ways: None,
            retry: (Duration::from_secs(1), Duration::from_secs(60)),
            hang: Duration::from_secs(10),
            // Longer than between two templates, and soon enough for whoever wants the GPU instead.
            keep: Duration::from_secs(1),
        }
    }
}

/// A job in the queue.
#[derive(Clone)]
struct Ask {
    job: Job,
    cancel: Cancel,
    answer: Sender<Result<Outcome, DeviceError>>,
}

impl Ask {
    fn answer(self, outcome: Result<Outcome, DeviceError>) {
        let Ask { job, answer, .. } = self;
        // Before the answer: who waits for it may want to overwrite its matrices.
        drop(job);
        // Nobody may be waiting any more.
        let _ = answer.send(outcome);
    }
}

/// What the device's thread and its callers share.
#[derive(Debug)]
struct Shared {
    lost: Mutex<Option<DeviceError>>,
    /// Bytes of one product at most.
    budget: AtomicU64,
    spare: Mutex<Vec<Vec<i32>>>,
    /// Raised on drop, so that a long product does not hold up the end.
    ending: Cancel,
    /// A job went through since the GPU was opened.
    proven: AtomicBool,
    /// Outcomes whose winners are being opened.
    opening: Arc<AtomicUsize>,
}

impl Shared {
    fn new() -> Self {
        Shared {
            lost: Mutex::new(None),
            budget: AtomicU64::new(0),
            spare: Mutex::new(Vec::with_capacity(MAX_SPARE)),
            ending: Cancel::new(),
            proven: AtomicBool::new(false),
            opening: Arc::default(),
        }
    }

    fn succeeded(&self) {
        self.proven.store(true, Ordering::Relaxed);
    }

    /// Memory for a product: handed back by somebody, or fresh. Every entry is overwritten.
    fn take_spare(&self, len: usize) -> Vec<i32> {
        let mut spare = self.spare.lock();
        match spare.iter().position(|product| product.capacity() >= len) {
            Some(at) => {
                let mut product = spare.swap_remove(at);
                product.resize(len, 0);
                product
            }
            None => vec![0; len],
        }
    }
}

/// One NVIDIA GPU.
pub struct CudaDevice {
    info: DeviceInfo,
    shared: Arc<Shared>,
    queue: Option<Sender<Ask>>,
    thread: Option<JoinHandle<()>>,
}

impl CudaDevice {
    /// All GPUs that the driver shows, usable or not; none if there is no GPU.
    ///
    /// Fails with [`DeviceError::NoDriver`] where there is no driver.
    pub fn list() -> Result<Vec<Found>, DeviceError> {
        nvidia::list()
    }

    /// How this build came by its kernels, for people.
    pub fn kernels() -> &'static str {
        nvidia::origin()
    }

    /// Opens a GPU: loads the kernels, and times them if no file says how fast this model is.
    pub fn open(index: u32, options: CudaOptions) -> Result<Self, DeviceError> {
        let mut kept = nvidia::Kept::default();
        let open = move || -> Result<Box<dyn driver::Driver>, DeviceError> {
            Ok(Box::new(nvidia::Nvidia::open(index, &mut kept)?))
        };
        Self::start(Box::new(open), Settings::new(options))
    }

    /// Starts the device's thread, and waits until it has opened the GPU.
    fn start(open: driver::Open, settings: Settings) -> Result<Self, DeviceError> {
        let shared = Arc::new(Shared::new());
        let (queue, asks) = bounded(MAX_QUEUED);
        let (ready, opened) = bounded(1);
        let theirs = Arc::clone(&shared);
        let thread = Builder::new()
            .name("labora-cuda".into())
            .spawn(move || worker::serve(open, &settings, &theirs, &asks, &ready))
            .map_err(|error| DeviceError::Spawn(error.to_string()))?;
        let facts = match opened.recv() {
            Ok(Ok(facts)) => facts,
            Ok(Err(error)) => return Err(error),
            // A panic while it was opened, as of a driver that lacks a symbol.
            Err(_) => return Err(DeviceError::Panicked("while the GPU was opened".into())),
        };
        let info = DeviceInfo {
            name: format!(
                "{}, compute capability {}.{}",
                facts.name, facts.capability.0, facts.capability.1
            ),
            filler: filler_shape(shared.budget.load(Ordering::Relaxed)),
        };
        Ok(CudaDevice {
            info,
            shared,
            queue: Some(queue),
            thread: Some(thread),
        })
    }
}

/// 16,384² by 4,096 is 1.1 TMAC: a millisecond on the fastest GPU, ten on the oldest, with 1/16,384 of it spent on each
/// row's noise, and a proof of 131 KB. It takes four times 64 MiB; a GPU without that gets less.
fn filler_shape(budget: u64) -> Shape {
    let side = match budget >> 20 {
        0..64 => 1024,
        64..1024 => 4096,
        _ => 16_384,
    };
    match Shape::new(side, side, 4096) {
        Ok(shape) => shape,
        // Sides are multiples of 16 and k of 64, all within bounds.
        Err(error) => unreachable!("{error}"),
    }
}

impl Device for CudaDevice {
    fn info(&self) -> DeviceInfo {
        self.info.clone()
    }

    fn run(&self, job: Job, cancel: &Cancel) -> Result<Pending, DeviceError> {
        if job.a.k() != job.bt.k() {
            return Err(DeviceError::SharedDimension {
                a: job.a.k(),
                bt: job.bt.k(),
            });
        }
        match job.template {
            Some(_) => drop(Shape::new(job.a.rows(), job.bt.rows(), job.a.k())?),
            None if job.want == Want::TicketsOnly => return Err(DeviceError::NoTemplate),
            None => {}
        }
        let (got, max) = (
            Plan::most_bytes(&job),
            self.shared.budget.load(Ordering::Relaxed),
        );
        if got > max {
            return Err(DeviceError::TooLarge { got, max });
        }
        if let Some(lost) = self.lost() {
            return Err(lost);
        }
        let (answer, outcome) = bounded(1);
        let Some(queue) = &self.queue else {
            return Err(DeviceError::Gone);
        };
        match queue.try_send(Ask {
            job,
            cancel: cancel.clone(),
            answer,
        }) {
            Ok(()) => Ok(Pending(outcome)),
            Err(TrySendError::Full(_)) => Err(DeviceError::Busy),
            Err(TrySendError::Disconnected(_)) => Err(DeviceError::Gone),
        }
    }

    fn recycle(&self, product: Vec<i32>) {
        let mut spare = self.shared.spare.lock();
        if spare.len() < MAX_SPARE {
            spare.push(product);
        }
    }

    fn lost(&self) -> Option<DeviceError> {
        self.shared.lost.lock().clone()
    }
}

impl Drop for CudaDevice {
    fn drop(&mut self) {
        self.shared.ending.cancel();
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // It catches panics, so it cannot have ended with one; and there is nobody to tell.
            let _ = thread.join();
        }
    }
}
