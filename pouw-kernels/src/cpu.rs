//! The CPU as a device: a bounded queue, one thread that takes jobs from it, and a pool that works on one job at a time.

mod cache;
mod grid;
mod machine;
mod operands;
#[cfg(test)]
mod tests;
mod tickets;

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use labora_pouw::Shape;
use parking_lot::Mutex;

use crate::device::{Cancel, Device, DeviceInfo, Job, Outcome, Pending, Want};
use crate::error::DeviceError;
use crate::isa::Isa;
use crate::layout::{fix_words, panel_bytes};
pub(crate) use machine::{Machine, Plain};

/// Jobs that may wait for a device: its caller prepares one product while another is done, and twice that for bursts.
pub const MAX_QUEUED: usize = 4;
/// Threads of one device: more than any machine of today has.
pub const MAX_THREADS: usize = 1024;
/// Bytes of one product: A, Bt, both packed, the correction and C. The largest that nodes hand over, 4,096² with
/// k = 16,384, takes 64 + 64 MiB, packed 128 + 68 MiB, and C 64 MiB; four times as much is well within any miner.
pub const MAX_PRODUCT_BYTES: u64 = 2 << 30;
/// Bytes of noised and packed Bt that are kept while a template stands: half a gigabyte holds all weights of a model of
/// 470 million parameters, seen again with every batch.
pub const MAX_PANEL_CACHE_BYTES: usize = 512 << 20;
/// Winners that one outcome names: a block needs one, and the lowest tickets come first. Under an easy difficulty all
/// 2^12 and more tiles of a product win, at 100 KB and more a proof.
pub const MAX_WINNERS: usize = 16;

/// Products handed back whose memory is kept for the next.
const MAX_SPARE: usize = 2;

struct Ask {
    job: Job,
    cancel: Cancel,
    answer: Sender<Result<Outcome, DeviceError>>,
}

/// The cores of this machine.
pub struct CpuDevice {
    info: DeviceInfo,
    isa: Isa,
    spare: Arc<Mutex<Vec<Vec<i32>>>>,
    /// Raised on drop, so that a long product does not hold up the end.
    ending: Cancel,
    queue: Option<Sender<Ask>>,
    thread: Option<JoinHandle<()>>,
}

impl CpuDevice {
    /// A device of so many threads, which start here and end when the device is dropped.
    pub fn new(threads: NonZeroUsize, isa: Isa) -> Result<Self, DeviceError> {
        let threads = threads.get();
        if threads > MAX_THREADS {
            return Err(DeviceError::Threads { got: threads });
        }
        let plural = if threads == 1 { "" } else { "s" };
        let info = DeviceInfo {
            name: format!("CPU, {isa}, {threads} thread{plural}"),
            filler: filler_shape(isa),
        };
        let spare = Arc::new(Mutex::new(Vec::with_capacity(MAX_SPARE)));
        let ending = Cancel::new();
        let mut machine = Machine::new(threads, isa, Arc::clone(&spare), ending.clone())?;
        let (queue, asks) = bounded(MAX_QUEUED);
        let thread = Builder::new()
            .name("labora-cpu".into())
            .spawn(move || serve(&mut machine, &asks))
            .map_err(|error| DeviceError::Spawn(error.to_string()))?;
        Ok(CpuDevice {
            info,
            isa,
            spare,
            ending,
            queue: Some(queue),
            thread: Some(thread),
        })
    }
}

/// 2,048³ is 8.6 GMAC: a tenth of a second and less where there is vector code, with 1/2,048 of it spent on each row's
/// noise, and a proof of 64 KB. Plain Rust is some ten times slower and gets an eighth of that.
fn filler_shape(isa: Isa) -> Shape {
    let (m, n) = if isa == Isa::portable() {
        (512, 1024)
    } else {
        (2048, 2048)
    };
    match Shape::new(m, n, 2048) {
        Ok(shape) => shape,
        // Sides are multiples of 16 and k of 64, all within bounds.
        Err(error) => unreachable!("{error}"),
    }
}

/// Takes jobs until the queue is closed.
fn serve(machine: &mut Machine, asks: &Receiver<Ask>) {
    for Ask {
        job,
        cancel,
        answer,
    } in asks
    {
        if machine.is_ending() {
            continue;
        }
        // A panic is a defect in this crate. It costs one job, not the miner: buffers are overwritten by the next job
        // and the cache is emptied, so nothing half done is seen again.
        let outcome = catch_unwind(AssertUnwindSafe(|| machine.work(&job, &cancel)))
            .unwrap_or_else(|panic| {
                machine.forget();
                let what = panic
                    .downcast_ref::<String>()
                    .map(String::as_str)
                    .or(panic.downcast_ref::<&str>().copied());
                Err(DeviceError::Panicked(
                    what.unwrap_or("no message").to_owned(),
                ))
            });
        // Nobody may be waiting any more.
        let _ = answer.send(outcome);
    }
}

/// Bytes that a product takes, as [`MAX_PRODUCT_BYTES`] counts them.
fn product_bytes(isa: Isa, job: &Job) -> u64 {
    let (m, n, k) = (
        u64::from(job.a.rows()),
        u64::from(job.bt.rows()),
        u64::from(job.a.k()),
    );
    let strips = m / 16 * isa.strip_bytes(crate::layout::Entries::Full, k as usize) as u64;
    let panels = n / 16 * panel_bytes(k as usize) as u64;
    let exact = (m + n) / 16 * 2 * fix_words(k as usize) as u64 + 4 * m * n;
    (m + n) * k
        + strips
        + panels
        + if job.want == Want::ExactProduct {
            exact
        } else {
            0
        }
}

impl Device for CpuDevice {
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
        let got = product_bytes(self.isa, &job);
        if got > MAX_PRODUCT_BYTES {
            return Err(DeviceError::TooLarge {
                got,
                max: MAX_PRODUCT_BYTES,
            });
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
        let mut spare = self.spare.lock();
        if spare.len() < MAX_SPARE {
            spare.push(product);
        }
    }
}

impl Drop for CpuDevice {
    fn drop(&mut self) {
        self.ending.cancel();
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // It catches panics, so it cannot have ended with one; and there is nobody to tell.
            let _ = thread.join();
        }
    }
}
