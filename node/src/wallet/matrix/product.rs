//! A result: whether it is the product, and its rows as a file has them.

use labora_kernels::freivalds::check as freivalds_check;
use labora_pouw::{
    Hash, Shape, TILE,
    freivalds::{self, LengthError, Verdict},
};
use sp_core::{Pair as _, sr25519};

/// Bytes of an entry of C.
const ENTRY: usize = 4;

/// Bytes of a tile of C.
const TILE_BYTES: usize = TILE * TILE * ENTRY;

/// Why a result is not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ProductError {
    /// A matrix has another length than its job says.
    #[error(transparent)]
    Length(#[from] LengthError),
    /// C is not A·B.
    #[error("it is not the product: an entry of row {row} is wrong")]
    Wrong {
        /// First row that is wrong.
        row: u32,
    },
}

/// Whether C is A·B, by Freivalds' check with a vector that nobody else has seen: a wrong one passes once in 2⁶¹.
///
/// `a`: m×k and `bt`: n×k, row-major int8; `c`: m×n int32 little-endian, tile-major.
///
/// # Errors
///
/// [`ProductError`].
pub(crate) fn check(
    shape: Shape,
    (a, bt, c): (&[u8], &[u8], &[u8]),
    root_c: &Hash,
) -> Result<(), ProductError> {
    let r = freivalds::challenge(&secret(), root_c, shape.n());
    let (a, bt) = (signed(a), signed(bt));
    let entries: Vec<i32> = c
        .as_chunks::<ENTRY>()
        .0
        .iter()
        .map(|bytes| i32::from_le_bytes(*bytes))
        .collect();
    match freivalds_check(shape, &a, &bt, &entries, &r)?.verdict {
        Verdict::Holds => Ok(()),
        Verdict::Wrong { row } => Err(ProductError::Wrong { row }),
    }
}

/// A secret that nobody else has, of the system's randomness, by the way that keys are made.
pub(crate) fn secret() -> Hash {
    sr25519::Pair::generate().1
}

/// Bytes as entries.
pub(crate) fn signed(bytes: &[u8]) -> Vec<i8> {
    bytes.iter().map(|byte| byte.cast_signed()).collect()
}

/// The first `columns` entries of the rows of one band of C, at most `rows` of them, row-major. `band`: 16 rows, tile-major, of
/// `n` columns.
pub(crate) fn rows_of(band: &[u8], n: u32, rows: usize, columns: u32) -> Vec<u8> {
    let width = columns.min(n) as usize * ENTRY;
    let mut out = Vec::with_capacity(rows.min(TILE) * width);
    let line = TILE * ENTRY;
    for row in 0..rows.min(TILE) {
        let mut left = width;
        for tile in band.chunks_exact(TILE_BYTES) {
            let taken = left.min(line);
            out.extend_from_slice(&tile[row * line..row * line + taken]);
            left -= taken;
        }
    }
    out
}
