//! What can be wrong with a matrix, and what a device may answer instead of an outcome.

use labora_pouw::ShapeError;

use crate::cpu::{MAX_QUEUED, MAX_THREADS};
use crate::cuda::NEEDED_DRIVER;

/// Why numbers are no matrix that a device takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MatrixError {
    /// The number of rows.
    #[error(
        "a matrix of {got} rows; devices take multiples of 16 from 16 to 1048576: pad with rows of zeros, or split"
    )]
    Rows {
        /// Rows that came.
        got: u32,
    },
    /// The number of columns.
    #[error(
        "a matrix of {got} columns; devices take multiples of 64 from 64 to 16384: pad with zeros, or add up products"
    )]
    Columns {
        /// Columns that came.
        got: u32,
    },
    /// Rows and columns do not account for the entries.
    #[error(
        "a matrix of {got} entries where its rows and columns make {expected}; entries are row-major int8"
    )]
    Length {
        /// Entries that came.
        got: usize,
        /// Rows times columns.
        expected: usize,
    },
    /// An entry is too large.
    #[error(
        "entry {got} in row {row}, column {column}; entries are in [-63, 63]: split larger ones into limbs"
    )]
    Entry {
        /// Row of the first such entry.
        row: usize,
        /// Its column.
        column: usize,
        /// What it is.
        got: i8,
    },
}

/// Why a device gives no outcome.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DeviceError {
    /// The operands do not fit each other.
    #[error("A has {a} columns and Bt {bt}; they share the dimension k, so both must have as many")]
    SharedDimension {
        /// Columns of A.
        a: u32,
        /// Columns of Bt.
        bt: u32,
    },
    /// The product can be computed but not mined.
    #[error("a product of this shape cannot be mined: {0}")]
    Shape(#[from] ShapeError),
    /// Only tickets are wanted, and there is nothing to mine on.
    #[error(
        "tickets are wanted of a job without a template; give it one, or ask for the exact product"
    )]
    NoTemplate,
    /// The product needs too much memory.
    #[error("a product that needs {got} bytes of memory; this device takes up to {max}: split it")]
    TooLarge {
        /// Bytes of operands, packed operands and result.
        got: u64,
        /// What the device takes.
        max: u64,
    },
    /// As many jobs wait as may.
    #[error("{MAX_QUEUED} jobs wait for this device already; wait for one of them")]
    Busy,
    /// The device has too many threads.
    #[error("{got} threads for one device; at most {MAX_THREADS}")]
    Threads {
        /// Threads asked for.
        got: usize,
    },
    /// The system gave no thread.
    #[error("the system started no thread for the device ({0}); try fewer threads")]
    Spawn(String),
    /// The device came upon a defect of its own. It goes on with the next job.
    #[error(
        "the device stumbled over a defect of its own ({0}); please report this. It takes further jobs"
    )]
    Panicked(String),
    /// The device's thread has ended.
    #[error("the device has been shut down")]
    Gone,
    /// There is no NVIDIA driver.
    #[error(
        "no NVIDIA driver was found (libcuda); install version {NEEDED_DRIVER} or newer to use an NVIDIA GPU"
    )]
    NoDriver,
    /// There is a driver, and it does not work.
    #[error(
        "the NVIDIA driver cannot be used ({0}); see what `nvidia-smi` says: after an update reboot, else install version \
         {NEEDED_DRIVER} or newer"
    )]
    BadDriver(String),
    /// The GPU is there, and does not open.
    #[error(
        "the GPU cannot be opened ({0}); see in `nvidia-smi` what has it for itself or has its memory, and in the kernel log for Xid"
    )]
    NotOpened(String),
    /// The driver does not load what this build holds.
    #[error(
        "the NVIDIA driver goes up to CUDA {}.{}, the kernels need {}.{}; install driver {NEEDED_DRIVER} or newer, or NVRTC \
         (libnvrtc) of CUDA {}", 
        got.0, got.1, needs.0, needs.1, got.0
    )]
    OldDriver {
        /// CUDA version that the driver supports, major and minor.
        got: (u32, u32),
        /// The least that will do.
        needs: (u32, u32),
    },
    /// No such GPU.
    #[error(
        "no GPU {index}: the driver shows {count}, counted from 0; see what CUDA_VISIBLE_DEVICES hides"
    )]
    NoSuchGpu {
        /// Index asked for.
        index: u32,
        /// How many there are.
        count: u32,
    },
    /// The GPU lacks the instructions.
    #[error(
        "{name} has compute capability {}.{}; int8 tensor cores come with {}.{} (Turing), so it cannot be used",
        got.0, got.1, needs.0, needs.1
    )]
    OldGpu {
        /// Its name.
        name: String,
        /// Its compute capability.
        got: (u32, u32),
        /// The least that will do.
        needs: (u32, u32),
    },
    /// The GPU has no kernels.
    #[error(
        "no kernels for this GPU ({0}); install NVRTC (libnvrtc) 13.0 or newer, which makes them, or run `make cuda` and build again"
    )]
    NoKernels(String),
    /// The GPU has no memory left.
    #[error(
        "the GPU has no {needs} bytes of memory left for this product; end what else uses it, or split the product"
    )]
    OutOfMemory {
        /// Bytes that were asked for in one piece.
        needs: u64,
    },
    /// The device went away in the middle of its work. It may come back, and another one can do the work meanwhile.
    #[error(
        "the device was lost ({0}); it is opened again by itself. If it stays away, see the kernel log for Xid"
    )]
    Lost(String),
}

impl DeviceError {
    /// Whether another device may well do what this one did not.
    pub fn is_of_the_device(&self) -> bool {
        match self {
            DeviceError::SharedDimension { .. }
            | DeviceError::Shape(_)
            | DeviceError::NoTemplate => false,
            DeviceError::TooLarge { .. }
            | DeviceError::Busy
            | DeviceError::Threads { .. }
            | DeviceError::Spawn(_)
            | DeviceError::Panicked(_)
            | DeviceError::Gone
            | DeviceError::NoDriver
            | DeviceError::BadDriver(_)
            | DeviceError::NotOpened(_)
            | DeviceError::OldDriver { .. }
            | DeviceError::NoSuchGpu { .. }
            | DeviceError::OldGpu { .. }
            | DeviceError::NoKernels(_)
            | DeviceError::OutOfMemory { .. }
            | DeviceError::Lost(_) => true,
        }
    }

    /// Whether the fault is the device's and not the job's: another device, or this one later, can do the job. A GPU whose
    /// memory another program took is as good as gone until that program ends.
    pub fn is_loss(&self) -> bool {
        matches!(
            self,
            Self::Lost(_) | Self::NotOpened(_) | Self::OutOfMemory { .. }
        )
    }
}
