//! What a device is given, what it answers, and the contract between.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use labora_pouw::{Difficulty, Hash, Proof, Seal, Shape};

use crate::error::DeviceError;
use crate::matrix::Matrix;

/// The block that is mined for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Template {
    /// Hash of the header without its seal.
    pub pre_hash: Hash,
    /// MACs that a block is expected to take.
    pub difficulty: Difficulty,
}

/// What the asker is after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Winning tickets alone: filler. Needs a template.
    TicketsOnly,
    /// The exact product, and the winning tickets if there is a template.
    ExactProduct,
}

/// One product.
#[derive(Clone, Debug)]
pub struct Job {
    /// What to mine on; without it the product is computed and nothing else.
    pub template: Option<Template>,
    /// A: m×k.
    pub a: Matrix,
    /// B transposed: n×k.
    pub bt: Matrix,
    /// What is to be given back.
    pub want: Want,
}

/// A winning tile, ready to be put into a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Winner {
    /// What goes into the header.
    pub seal: Seal,
    /// What goes beside the block.
    pub proof: Proof,
    /// The tile's ticket.
    pub ticket: Hash,
}

/// What came of a job.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Tiles that won, lowest ticket first, [`crate::MAX_WINNERS`] at most; empty unless `mined`.
    pub winners: Vec<Winner>,
    /// C = A·B, m×n, row-major, exact, if it was wanted.
    pub product: Option<Vec<i32>>,
    /// Multiply-accumulates that were done: m·n·k, less if the job was cancelled on the way.
    pub macs: u64,
    /// Whether every tile got its ticket: there was a template, and it stood to the end.
    pub mined: bool,
}

/// Says that a template no longer stands. Clones are the same flag.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A flag that is not raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the flag, for good: filler returns within about 50 ms, an exact product is finished without mining.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether the flag is raised.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// An outcome that is on its way. Dropping it does not stop the job: cancel it.
#[derive(Debug)]
pub struct Pending(pub(crate) Receiver<Result<Outcome, DeviceError>>);

/// The device's end of a [`Pending`] outcome. Dropped without an outcome, it says [`DeviceError::Gone`].
#[derive(Debug)]
pub struct Promise(Sender<Result<Outcome, DeviceError>>);

impl Promise {
    /// Gives the outcome. Nobody may be waiting any more, which is no error.
    pub fn keep(self, outcome: Result<Outcome, DeviceError>) {
        let _ = self.0.send(outcome);
    }
}

impl Pending {
    /// An outcome to come, and the end from which it comes: for devices outside this crate.
    pub fn promised() -> (Promise, Self) {
        let (sender, receiver) = bounded(1);
        (Promise(sender), Pending(receiver))
    }

    /// Waits for the outcome.
    pub fn wait(self) -> Result<Outcome, DeviceError> {
        self.0.recv().unwrap_or(Err(DeviceError::Gone))
    }

    /// Waits for so long; the pending outcome comes back if it is not there by then.
    pub fn wait_timeout(
        self,
        timeout: std::time::Duration,
    ) -> Result<Result<Outcome, DeviceError>, Self> {
        match self.0.recv_timeout(timeout) {
            Ok(outcome) => Ok(outcome),
            Err(RecvTimeoutError::Disconnected) => Ok(Err(DeviceError::Gone)),
            Err(RecvTimeoutError::Timeout) => Err(self),
        }
    }

    /// The channel on which the outcome comes, once, for `select!`.
    pub fn receiver(&self) -> &Receiver<Result<Outcome, DeviceError>> {
        &self.0
    }
}

/// What a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// For people: kind, instruction set, threads.
    pub name: String,
    /// The shape that filler for this device should have: large enough that what is done per product does not count.
    pub filler: Shape,
}

impl fmt::Display for DeviceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Something that multiplies, and mines with it.
///
/// Jobs are done one after the other, in the order in which they came. Dropping the device finishes none of those that
/// wait: they end in [`DeviceError::Gone`].
pub trait Device: Send + Sync {
    /// What this device is.
    fn info(&self) -> DeviceInfo;

    /// Starts a job, or puts it behind the one that runs, and returns at once.
    ///
    /// Jobs that can never succeed are refused here; so are jobs past the queue's bound ([`DeviceError::Busy`]).
    fn run(&self, job: Job, cancel: &Cancel) -> Result<Pending, DeviceError>;

    /// Takes a product that is no longer needed, whose memory the next one then uses. Optional: without it each exact
    /// product has the system map its memory afresh.
    fn recycle(&self, product: Vec<i32>) {
        drop(product);
    }

    /// Why the device takes no jobs for the time being, if so; it comes back by itself.
    fn lost(&self) -> Option<DeviceError> {
        None
    }
}
