//! Waiting with an end, and the end of a driver. CUDA can neither bound a wait nor stop a kernel, and tearing a context down
//! waits for its kernels; so whatever might wait for ever is done on a thread that nobody waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, sleep};
use std::time::{Duration, Instant};

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;

use super::Nvidia;
use crate::cuda::driver::{Driver, Fault, PATIENCE, hung};
use crate::error::DeviceError;

/// Between two looks at what is waited for: short at first, since most waits are, and then as long as costs no speed, for
/// another job is queued on the device meanwhile.
const LOOKS: (Duration, Duration) = (Duration::from_micros(10), Duration::from_micros(200));

impl Nvidia {
    /// Asks until what is asked for is there, for so long at most; whether it is.
    pub(super) fn until(
        &mut self,
        query: impl Fn() -> Result<(), DriverError>,
        at_most: Duration,
    ) -> Result<bool, Fault> {
        let began = Instant::now();
        let mut pause = LOOKS.0;
        loop {
            match query() {
                Ok(()) => return Ok(true),
                Err(error) if error.0 == sys::CUresult::CUDA_ERROR_NOT_READY => {}
                Err(error) => return self.check(Err(error)),
            }
            if began.elapsed() >= at_most {
                return Ok(false);
            }
            sleep(pause);
            pause = (pause * 2).min(LOOKS.1);
        }
    }

    /// As [`Self::until`]; a device that is not ready in the end is lost.
    pub(super) fn patiently(
        &mut self,
        query: impl Fn() -> Result<(), DriverError>,
    ) -> Result<(), Fault> {
        if self.until(query, PATIENCE)? {
            return Ok(());
        }
        self.give_up();
        Err(hung(PATIENCE))
    }

    /// Until nothing runs on the device.
    pub(super) fn settle(&mut self) -> Result<(), Fault> {
        for at in 0..self.streams.len() {
            let stream = self.streams[at];
            // SAFETY: the stream lives until `drop`.
            self.patiently(|| unsafe { sys::cuStreamQuery(stream) }.result())?;
        }
        Ok(())
    }
}

impl Drop for Nvidia {
    /// Gives everything back. Of a device that failed the whole context is reset, which gives back all that was in it and is
    /// what a new one needs that is to work.
    fn drop(&mut self) {
        // Kernels and copies in flight use the memory below.
        if self.lost || self.settle().is_err() {
            let device = self.device;
            return self.burial.begin(move || {
                // SAFETY: the context was retained for this driver, which is gone; resetting and releasing take no handles
                // of it.
                unsafe {
                    let _ = sys::cuDevicePrimaryCtxReset_v2(device);
                    let _ = result::primary_ctx::release(device);
                }
            });
        }
        // SAFETY: each handle came from the driver and is used here for the last time; the context is still current, and
        // nothing runs in it.
        unsafe {
            for held in &self.pinned {
                let _ = result::free_host(held.at.cast());
            }
            for at in &self.allocated {
                let _ = result::free_sync(*at);
            }
            for event in &self.events {
                let _ = result::event::destroy(*event);
            }
            for stream in &self.streams {
                let _ = result::stream::destroy(*stream);
            }
            if !self.module.is_null() {
                let _ = result::module::unload(self.module);
            }
            let _ = result::primary_ctx::release(self.device);
        }
    }
}

/// Whether a context of this GPU is still being torn down: it is the process's only one, so a new one must wait for that.
#[derive(Clone, Debug, Default)]
pub(super) struct Burial(Arc<AtomicBool>);

impl Burial {
    /// Does the work on a thread of its own, which may never end.
    fn begin(&self, work: impl FnOnce() + Send + 'static) {
        self.0.store(true, Ordering::Release);
        let under_way = Arc::clone(&self.0);
        let thread = Builder::new().name("labora-cuda-end".into());
        // Where the system refuses a thread, the context stays as it is, and the GPU lost.
        let _ = thread.spawn(move || {
            work();
            under_way.store(false, Ordering::Release);
        });
    }

    /// Whether a new context may be made.
    pub(super) fn check(&self) -> Result<(), DeviceError> {
        if self.0.load(Ordering::Acquire) {
            return Err(DeviceError::NotOpened(
                "what hangs on it keeps its context from being made anew; if that lasts, restart this program".into(),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_context_is_made_before_the_last_is_torn_down_and_nobody_waits_for_that() {
        let burial = Burial::default();
        assert_eq!(burial.check(), Ok(()));
        let (end, ended) = crossbeam_channel::bounded::<()>(0);
        burial.begin(move || ended.recv().unwrap());
        let refused = burial.check().unwrap_err();
        assert!(refused.is_loss(), "it is tried again");
        assert!(refused.to_string().contains("restart"), "{refused}");
        end.send(()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while burial.check().is_err() {
            assert!(Instant::now() < deadline, "the end was not seen");
            std::thread::yield_now();
        }
    }
}
