//! Watches the devices of a running worker: measures them four times a second, keeps them within the limits that the user
//! set, and tells statistics and metrics.
//!
//! A limit keeps a device from filler alone. Products that somebody asked for are computed under any limit: whoever asks
//! is a user of this machine, often by the very program that the device is being left to, and a product that is refused
//! because a chip is warm would make the endpoint useless; they are short, and the chip's own limiter guards it.

mod cpu;
mod governor;
mod limits;
pub mod metrics;
pub mod nvml;
mod reading;
mod watch;

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use limits::Rules;
pub use limits::{Limits, Sharing};
use reading::Reader;
pub use reading::Reading;
#[cfg(test)]
use reading::{Others, ReadError};
use watch::Watch;

use crate::{devices::Place, worker::DeviceHandle};
use nvml::{Library, LibraryError};

/// Time between readings. Use by another program is seen after 250 ms at most, and filler ends within some 50 ms more.
const PERIOD: Duration = Duration::from_millis(250);

/// Why devices are not watched as was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RigError {
    /// Limits on a GPU that cannot be measured.
    #[error(
        "limits were set on {place}, which cannot be measured: {why}; without --max-power, --max-temp and --idle-only it starts"
    )]
    Unmeasured {
        /// What `--devices` calls it.
        place: Place,
        /// Why not.
        why: LibraryError,
    },
    /// The system refused a thread.
    #[error("no thread to watch the devices: {0}")]
    Thread(#[from] std::io::Error),
}

/// The watch over a worker's devices. It ends when this is dropped; holds stay as they are then.
pub struct Rig {
    ending: Arc<Ending>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Ending {
    is_raised: Mutex<bool>,
    raised: Condvar,
}

impl Ending {
    /// Waits until `moment`; whether to end.
    fn wait_until(&self, moment: Instant) -> bool {
        let mut is_raised = self.is_raised.lock();
        while !*is_raised {
            if self.raised.wait_until(&mut is_raised, moment).timed_out() {
                break;
            }
        }
        *is_raised
    }
}

impl Rig {
    /// Measures the devices once, so that no filler runs that must not, and goes on measuring.
    pub fn start(devices: Vec<DeviceHandle>, limits: &Limits) -> Result<Self, RigError> {
        let has_gpu = devices
            .iter()
            .any(|device| matches!(device.place(), Place::Gpu { .. }));
        if limits.concern_gpus() && !has_gpu {
            tracing::warn!(target: "labora", "--max-power and --max-temp are limits of GPUs, and this node uses none");
        }
        let library = has_gpu.then(Library::open);
        let watches = devices
            .into_iter()
            .filter_map(|device| watch(device, limits, library.as_ref()).transpose())
            .collect::<Result<Vec<_>, _>>()?;
        Self::over(watches)
    }

    fn over(mut watches: Vec<Watch>) -> Result<Self, RigError> {
        let ending = Arc::<Ending>::default();
        let began = Instant::now();
        let mut tick = move || {
            for watch in &mut watches {
                watch.tick(began.elapsed().as_millis() as u64);
            }
        };
        tick();
        let thread = thread::Builder::new().name("rig".into()).spawn({
            let ending = Arc::clone(&ending);
            move || {
                let mut next = Instant::now() + PERIOD;
                while !ending.wait_until(next) {
                    tick();
                    // What was slept through, with the machine, is not made up for.
                    next = (next + PERIOD).max(Instant::now());
                }
            }
        })?;
        Ok(Rig {
            ending,
            thread: Some(thread),
        })
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        *self.ending.is_raised.lock() = true;
        self.ending.raised.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of its own has been printed, and nothing depends on it any more.
            let _ = thread.join();
        }
    }
}

/// What watches a device; `None` for one that cannot be measured and has no limits.
fn watch(
    device: DeviceHandle,
    limits: &Limits,
    library: Option<&Result<Library, LibraryError>>,
) -> Result<Option<Watch>, RigError> {
    let (reader, rules): (Box<dyn Reader>, _) = match (device.place(), library) {
        (Place::Cpu, _) => (
            Box::new(cpu::CpuReader::of_this_machine()),
            Rules::of_cpu(limits),
        ),
        (Place::Gpu { bus, .. }, Some(Ok(library))) => {
            (Box::new(library.reader(bus)), Rules::of_gpu(limits))
        }
        (place @ Place::Gpu { .. }, library) => {
            let why = match library {
                Some(Err(why)) => why.clone(),
                _ => LibraryError::Absent,
            };
            if *limits != Limits::default() {
                let place = place.clone();
                return Err(RigError::Unmeasured { place, why });
            }
            tracing::warn!(target: "labora", device = %place, "its power and temperature are not measured: {why}");
            return Ok(None);
        }
    };
    Ok(Some(Watch::new(device, reader, rules)))
}

#[cfg(test)]
mod tests;
