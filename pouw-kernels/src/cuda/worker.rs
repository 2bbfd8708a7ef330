//! The device's thread: opens the GPU, does jobs, and after a loss opens it again while it answers what comes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::driver::{Driver, Facts, Fault, Open};
use super::machine::{End, Machine};
use super::{Ask, MEMORY_PERCENT, Settings, Shared, timing};
use crate::error::DeviceError;

/// Attempts to open a lost GPU after which people are told what they can do.
const ADVISED_AFTER: u32 = 4;

/// Serves the queue until it is closed. What came of the first opening goes to `ready`.
pub(super) fn serve(
    mut open: Open,
    settings: &Settings,
    shared: &Shared,
    asks: &Receiver<Ask>,
    ready: &Sender<Result<Facts, DeviceError>>,
) {
    let mut opened = match open_driver(&mut open, settings, shared) {
        Ok(opened) => {
            let _ = ready.send(Ok(opened.0.facts().clone()));
            opened
        }
        Err(error) => {
            let _ = ready.send(Err(at_first(error)));
            return;
        }
    };
    let (first, longest) = settings.retry;
    let mut interval = first;
    loop {
        shared.proven.store(false, Ordering::Relaxed);
        let name = opened.0.facts().name.clone();
        let Some(lost) = work(opened, settings, shared, asks) else {
            return;
        };
        tracing::warn!(device = %name, retry_ms = interval.as_millis() as u64, "{lost}");
        // A GPU that did something since is not one that fails at once.
        if shared.proven.load(Ordering::Relaxed) {
            interval = first;
        }
        let mut attempts = 0;
        opened = loop {
            if !answer_for(interval, &lost, shared, asks) {
                return;
            }
            attempts += 1;
            interval = (interval * 2).min(longest);
            match open_driver(&mut open, settings, shared) {
                Ok(opened) => break opened,
                Err(error) => {
                    tracing::warn!(device = %name, retry_ms = interval.as_millis() as u64, "still lost: {error}");
                    if attempts == ADVISED_AFTER {
                        tracing::warn!(
                            device = %name,
                            "{attempts} new contexts were refused. If nvidia-smi shows the GPU well, restart this program: CUDA may \
                             refuse one in which a kernel failed; else look for Xid in the kernel log"
                        );
                    }
                }
            }
        };
        *shared.lost.lock() = None;
        tracing::info!(device = %name, "the GPU is open again");
    }
}

/// A GPU that was never open is not one that is opened again by itself.
fn at_first(error: DeviceError) -> DeviceError {
    match error {
        DeviceError::Lost(why) => DeviceError::NotOpened(why),
        DeviceError::OutOfMemory { .. } => {
            DeviceError::NotOpened("it has too little memory left to multiply in".into())
        }
        other => other,
    }
}

/// An opened driver, its budget, and what was timed.
type Opened = (Box<dyn Driver>, u64, Vec<super::multiply::Speed>);

/// Opens the GPU, and times it if need be. A panic is that of a driver which lacks something.
fn open_driver(
    open: &mut Open,
    settings: &Settings,
    shared: &Shared,
) -> Result<Opened, DeviceError> {
    catch_unwind(AssertUnwindSafe(|| {
        let mut driver = open()?;
        let free = driver.facts().free_bytes / 100 * MEMORY_PERCENT;
        let budget = free.min(settings.options.max_memory_bytes.unwrap_or(u64::MAX));
        shared.budget.store(budget, Ordering::Relaxed);
        let speeds =
            timing::speeds(&mut *driver, budget, settings).map_err(|fault| match fault {
                Fault::OutOfMemory { needs } => DeviceError::OutOfMemory { needs },
                Fault::Lost(why) => DeviceError::Lost(why),
            })?;
        Ok((driver, budget, speeds))
    }))
    .unwrap_or_else(|panic| Err(DeviceError::Panicked(message(&*panic))))
}

/// Does jobs. `None`: the device is being dropped; else why it is lost, which all jobs not answered before were told.
fn work(
    (driver, budget, speeds): Opened,
    settings: &Settings,
    shared: &Shared,
    asks: &Receiver<Ask>,
) -> Option<DeviceError> {
    let mut machine = match Machine::new(driver, budget, &speeds, settings, shared) {
        Ok(machine) => machine,
        Err(Fault::OutOfMemory { needs }) => {
            return Some(lose(shared, DeviceError::OutOfMemory { needs }));
        }
        Err(Fault::Lost(why)) => return Some(lose(shared, DeviceError::Lost(why))),
    };
    // A panic is a defect in this crate. It costs the jobs in flight, not the miner; what is on the GPU is thrown away with
    // the machine.
    let end = catch_unwind(AssertUnwindSafe(|| machine.run(asks)));
    let (lost, told) = match end {
        Ok(End::Closed) => {
            for ask in machine.unanswered() {
                ask.answer(Err(DeviceError::Gone));
            }
            return None;
        }
        Ok(End::Lost(why)) => (DeviceError::Lost(why.clone()), DeviceError::Lost(why)),
        Err(panic) => {
            let what = message(&*panic);
            (
                DeviceError::Lost(format!("a defect of the device's own: {what}")),
                DeviceError::Panicked(what),
            )
        }
    };
    // First, so that nobody who is told puts another job into the queue.
    let lost = lose(shared, lost);
    for ask in machine.unanswered() {
        ask.answer(Err(told.clone()));
    }
    Some(lost)
}

fn lose(shared: &Shared, why: DeviceError) -> DeviceError {
    *shared.lost.lock() = Some(why.clone());
    why
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
        .to_owned()
}

/// Answers all jobs for so long; false if the queue was closed.
fn answer_for(
    interval: Duration,
    lost: &DeviceError,
    shared: &Shared,
    asks: &Receiver<Ask>,
) -> bool {
    let end = Instant::now() + interval;
    loop {
        match asks.recv_deadline(end) {
            Ok(ask) => ask.answer(Err(lost.clone())),
            Err(RecvTimeoutError::Timeout) => return !shared.ending.is_cancelled(),
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}
