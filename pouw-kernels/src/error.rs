//! What can be wrong with a matrix, and what a device may answer instead of an outcome.

use labora_pouw::ShapeError;

use crate::cpu::{MAX_QUEUED, MAX_THREADS};

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
    /// The device went away in the middle of its work. It may come back, and another one can do the work meanwhile.
    #[error(
        "the device was lost ({0}); it is tried again until it is back: see the system's log for why"
    )]
    Lost(String),
    /// The device's thread has ended.
    #[error("the device has been shut down")]
    Gone,
}

impl DeviceError {
    /// Whether the fault is the device's and not the job's: another device, or this one later, can do the job.
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::Lost(_))
    }
}
