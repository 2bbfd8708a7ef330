//! What the engine takes from the machine it runs on: the time, pauses, threads for verification, and memory. A test puts
//! its own in their place, so that nothing but its seed decides what happens when.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use futures::future::{BoxFuture, FutureExt};
use futures_timer::Delay;

use crate::proof_cache::{MAX_CACHE_BYTES, MAX_REFUSED};

/// Unix time in milliseconds.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The machine's clock.
pub fn system_clock() -> Clock {
    Arc::new(|| sp_timestamp::Timestamp::current().as_millis())
}

/// A pause. Not by tokio's clock: the import queue is a blocking task, which outlives that clock when the node ends, and
/// asking it then is a panic.
pub(crate) type Sleep = Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;

/// Takes work off the asynchronous threads.
pub(crate) type Offload = Arc<dyn Fn(Box<dyn FnOnce() + Send>) + Send + Sync>;

/// Difficulties kept by parent: 64 bytes each; a reorganisation deeper than this asks the runtime again.
const MAX_DIFFICULTIES: u32 = 512;

/// What is remembered at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Difficulties of children, by parent.
    pub(crate) difficulties: u32,
    /// Bytes in each of the two lists of proofs.
    pub(crate) proof_bytes: usize,
    /// Names of refused proofs.
    pub(crate) refused: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            difficulties: MAX_DIFFICULTIES,
            proof_bytes: MAX_CACHE_BYTES,
            refused: MAX_REFUSED,
        }
    }
}

/// The machine.
pub(crate) struct Machine {
    pub(crate) clock: Clock,
    pub(crate) sleep: Sleep,
    pub(crate) offload: Offload,
    /// Verifications at a time.
    pub(crate) at_a_time: usize,
    pub(crate) limits: Limits,
}

impl Machine {
    /// This one: as many verifications at a time as it has cores, less one for the rest.
    pub(crate) fn real(clock: Clock) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            clock,
            sleep: Arc::new(|pause| Delay::new(pause).boxed()),
            offload: Arc::new(|work| drop(tokio::task::spawn_blocking(work))),
            at_a_time: cores.saturating_sub(1).max(1),
            limits: Limits::default(),
        }
    }
}
