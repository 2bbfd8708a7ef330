//! What the device asks of a driver: memory, copies, launches and events, in streams. One implementation is NVIDIA's
//! driver; the tests have one that runs the kernels on the host, and loses the device when told to.

use std::time::Duration;

/// An address in the device's memory.
pub(super) type Address = u64;

/// What a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub name: String,
    /// Compute capability, major and minor.
    pub capability: (u32, u32),
    pub multiprocessors: u32,
    /// Bytes of memory that nobody used at the time of opening.
    pub free_bytes: u64,
}

/// Why a call of the driver failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// No memory in one piece of that size. The device is as it was.
    OutOfMemory { needs: u64 },
    /// Anything else: nothing that the device holds can be relied upon any more.
    Lost(String),
}

/// How long the device may take over anything but a job's own launches, whose time is known better: the longest of these,
/// a timed product on the slowest GPU, is a fraction of a second.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// What is said of a device that does not come to an end. CUDA cannot stop a kernel.
pub(super) fn hung(limit: Duration) -> Fault {
    Fault::Lost(format!(
        "what runs on it did not end within {:.1} s",
        limit.as_secs_f64()
    ))
}

/// Queues whose entries run in order, and beside those of other streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    /// Copies to the device.
    Up,
    /// Kernels.
    Compute,
    /// Copies from the device.
    Down,
}

impl Stream {
    pub(super) const ALL: [Stream; 3] = [Stream::Up, Stream::Compute, Stream::Down];
}

/// Host memory that the device reads and writes by itself; the driver keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pinned(pub usize);

/// A mark in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event(pub usize);

/// A tile loader's description of a matrix, opaque to the host.
#[derive(Clone, Copy, Debug)]
pub(super) struct TensorMap(pub [u64; 16]);

/// A row-major int8 matrix that a tensor map is to describe: the box is `box_rows` rows of 128 columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiled {
    pub at: Address,
    pub rows: u32,
    pub columns: u32,
    pub box_rows: u32,
}

/// A copy between pinned memory, from `offset` on, and the device's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Copied {
    pub stream: Stream,
    pub host: Pinned,
    pub offset: usize,
    pub device: Address,
    pub bytes: usize,
}

/// A kernel's launch.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    pub kernel: &'static str,
    pub grid: u32,
    pub threads: u32,
    pub shared_bytes: u32,
    pub args: Args,
}

/// Calls are those of the CUDA driver, less what the device does not need. Events and pinned memory live as long as the
/// driver; device memory is freed with it.
///
/// `write` and `read` wait until no copy uses the pinned memory, so that host and device never touch it at once. No call waits
/// for ever.
pub(super) trait Driver {
    fn facts(&self) -> &Facts;

    fn alloc(&mut self, bytes: u64) -> Result<Address, Fault>;
    fn free(&mut self, at: Address) -> Result<(), Fault>;
    fn pin(&mut self, bytes: usize) -> Result<Pinned, Fault>;
    fn event(&mut self) -> Result<Event, Fault>;

    fn write(&mut self, to: Pinned, offset: usize, bytes: &[u8]) -> Result<(), Fault>;
    fn read(&mut self, from: Pinned, offset: usize, bytes: &mut [u8]) -> Result<(), Fault>;

    /// Copies to the device.
    fn upload(&mut self, copy: Copied) -> Result<(), Fault>;
    /// Copies from the device.
    fn download(&mut self, copy: Copied) -> Result<(), Fault>;
    fn clear(&mut self, stream: Stream, at: Address, bytes: u64) -> Result<(), Fault>;
    /// Launches in [`Stream::Compute`].
    fn launch(&mut self, launch: &Launch) -> Result<(), Fault>;
    /// How many blocks of a kernel run on one multiprocessor at once; at least 1.
    fn blocks(&mut self, kernel: &'static str, threads: u32, shared: u32) -> Result<u32, Fault>;
    fn tensor_map(&mut self, of: Tiled) -> Result<TensorMap, Fault>;

    fn record(&mut self, event: Event, stream: Stream) -> Result<(), Fault>;
    /// What comes after in `stream` waits for the event's last record.
    fn hold(&mut self, stream: Stream, event: Event) -> Result<(), Fault>;
    /// Whether all before the event's last record is done.
    fn is_done(&mut self, event: Event) -> Result<bool, Fault>;
    /// Waits until all before the event's last record is done, for so long at most; whether it is.
    fn wait(&mut self, event: Event, at_most: Duration) -> Result<bool, Fault>;
    /// The device does not answer: nothing may wait for it any more, not even the end of this driver.
    fn give_up(&mut self);
    /// Between two events that are done.
    fn elapsed_ms(&mut self, from: Event, to: Event) -> Result<f32, Fault>;

    /// Waits until all before the event's last record is done; a device that takes longer than [`PATIENCE`] is lost.
    fn finish(&mut self, event: Event) -> Result<(), Fault> {
        if self.wait(event, PATIENCE)? {
            return Ok(());
        }
        self.give_up();
        Err(hung(PATIENCE))
    }
}

/// Opens a driver; again after it was lost.
pub(super) type Open = Box<dyn FnMut() -> Result<Box<dyn Driver>, crate::DeviceError> + Send>;

/// One line of arguments: tensor maps want 128 bytes of alignment, and have as many.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(128))]
struct Line([u8; 128]);

/// A kernel's arguments, each on a line of its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Args(Vec<Line>);

impl Args {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds an argument of at most 128 bytes, as the kernel's parameter has them.
    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        let mut line = Line([0; 128]);
        line.0[..bytes.len()].copy_from_slice(bytes);
        self.0.push(line);
        self
    }

    pub(super) fn pointer(self, at: Address) -> Self {
        self.bytes(&at.to_le_bytes())
    }

    pub(super) fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    pub(super) fn u64(self, value: u64) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    pub(super) fn map(self, map: &TensorMap) -> Self {
        self.bytes(zerocopy::IntoBytes::as_bytes(&map.0))
    }

    /// The list of addresses that a launch takes, good for as long as `self` stays where it is.
    pub(super) fn addresses(&self) -> Vec<*const core::ffi::c_void> {
        self.0
            .iter()
            .map(|line| (&raw const line.0).cast())
            .collect()
    }
}
