//! Owns the devices, one thread each, and decides what they multiply: products that somebody asked for come first, and
//! filler takes what time is left, as long as there is a block to be mined. Both are mined under the engine's current
//! template.
//!
//! It knows nothing of HTTP (see `crate::http`), of how products are cut (`crate::gemm`), or of how one is computed
//! (`labora_kernels`). All its queues are bounded: a caller whose product does not fit is told [`MultiplyError::Busy`].

mod device;
mod figures;
mod queue;
mod request;
mod roster;
mod stats;
mod submit;
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use labora_consensus::Template;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use crate::{
    devices::{self, DevicesSpec, Nvidia, Opened},
    gemm::Product,
};
pub use figures::{DeviceHandle, DeviceStats, Hold};
use queue::Queue;
pub use request::{Answer, MultiplyError};
pub use stats::{Rates, WorkerStats};
pub use submit::{SubmitSeal, Verdict};
use {figures::Figures, request::Request, stats::Stats};

/// How long [`WorkerHandle::shutdown`] lets devices finish the products that wait. With 8 GMAC/s, a slow laptop, that is
/// some 240 GMAC; what is left is refused with [`MultiplyError::ShuttingDown`].
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(30);

/// How long [`WorkerHandle::shutdown`] then waits for answers to the winning tiles that were found last.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);

/// What a worker is started with.
#[derive(Clone, Debug, Default)]
pub struct WorkerConfig {
    /// Which devices to take.
    pub devices: DevicesSpec,
}

/// Why a worker did not start.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// A device could not be opened.
    #[error("{0}; `--devices none` starts without")]
    Device(#[from] devices::OpenError),
    /// The system refused a thread.
    #[error("no thread for a device: {0}")]
    Thread(#[from] std::io::Error),
}

/// Starts workers; see [`Worker::start`].
pub struct Worker;

impl Worker {
    /// Opens the devices and starts to mine on each template that comes through `templates`, until there is none.
    ///
    /// `submit` gets every winning tile. Must be called within a tokio runtime.
    pub fn start<S: SubmitSeal>(
        config: WorkerConfig,
        templates: watch::Receiver<Option<Template>>,
        submit: S,
    ) -> Result<WorkerHandle, WorkerError> {
        let devices = devices::open(&config.devices, &Nvidia)?;
        Self::start_on(devices, templates, submit)
    }

    fn start_on<S: SubmitSeal>(
        devices: Vec<Opened>,
        templates: watch::Receiver<Option<Template>>,
        submit: S,
    ) -> Result<WorkerHandle, WorkerError> {
        let figures = devices
            .iter()
            .map(|opened| {
                let name = device::name(opened.device.as_ref());
                Figures::new(opened.place.clone(), name)
            })
            .collect();
        let stats = Arc::new(Stats::new(figures));
        let roles = devices.iter().map(|opened| opened.role).collect();
        let queue = Arc::new(Queue::new(roles));
        let (winners, submitting) = submit::start(submit, Arc::clone(&stats));
        let inner = Arc::new(Inner {
            queue: Arc::clone(&queue),
            stats: Arc::clone(&stats),
            threads: Mutex::default(),
            submitting: Mutex::new(Some(submitting)),
        });
        for (index, opened) in devices.into_iter().enumerate() {
            let feeder = device::Feeder::new(
                index,
                opened.device,
                Arc::clone(&queue),
                Arc::clone(&stats),
                winners.clone(),
            );
            // Where a later thread is refused, `inner` is dropped and so closes the queue for those that run.
            let thread = thread::Builder::new()
                .name(format!("device-{index}"))
                .spawn(move || feeder.run())?;
            inner.threads.lock().push(thread);
        }
        tokio::spawn(follow(templates, queue));
        Ok(WorkerHandle { inner })
    }
}

/// Hands every template to the queue, until the engine or the queue is gone.
async fn follow(mut templates: watch::Receiver<Option<Template>>, queue: Arc<Queue>) {
    loop {
        let template = templates.borrow_and_update().clone();
        let open = queue.set_template(template.as_ref());
        if !open || templates.changed().await.is_err() {
            queue.set_template(None);
            return;
        }
    }
}

/// A running worker. Clones share it; the last one to be dropped stops it.
#[derive(Clone)]
pub struct WorkerHandle {
    inner: Arc<Inner>,
}

struct Inner {
    queue: Arc<Queue>,
    stats: Arc<Stats>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Ends when the threads have, and every tile that they found is answered.
    submitting: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl WorkerHandle {
    /// Computes a product on the next free device, mined under the template of that moment if there is one.
    ///
    /// Dropping the future gives the product up; its device goes on with the next after the piece under way.
    pub async fn multiply(&self, product: Product) -> Result<Answer, MultiplyError> {
        let (reply, answer) = oneshot::channel();
        self.inner.queue.push(Request { product, reply })?;
        answer.await.map_err(|_| MultiplyError::Lost)?
    }

    /// Its devices, for what measures them and holds them back.
    pub fn devices(&self) -> Vec<DeviceHandle> {
        let handle = |index| DeviceHandle {
            queue: Arc::clone(&self.inner.queue),
            stats: Arc::clone(&self.inner.stats),
            index,
        };
        (0..self.inner.stats.devices().len()).map(handle).collect()
    }

    /// Figures of this moment.
    pub fn stats(&self) -> WorkerStats {
        self.inner.stats.snapshot(self.inner.queue.observe())
    }

    /// Stops to take products, finishes those taken for at most [`SHUTDOWN_GRACE`], waits for the device threads, and lets
    /// the winning tiles that they found be answered.
    pub async fn shutdown(&self) {
        let queue = Arc::clone(&self.inner.queue);
        queue.close();
        let threads = std::mem::take(&mut *self.inner.threads.lock());
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a device thread panicked; please report this");
                }
            }
        });
        tokio::pin!(joined);
        if tokio::time::timeout(SHUTDOWN_GRACE, &mut joined)
            .await
            .is_err()
        {
            queue.abandon();
            // Only the piece under way is left now. A cancelled runtime is the one way this fails, and it ends the wait too.
            let _ = joined.await;
        }
        let submitting = self.inner.submitting.lock().take();
        if let Some(submitting) = submitting {
            // Where nobody answers in time, or the runtime ends, the tiles are lost, as they would be without the wait.
            let _ = tokio::time::timeout(SETTLE_LIMIT, submitting).await;
        }
    }
}
