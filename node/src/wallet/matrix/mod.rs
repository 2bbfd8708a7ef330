//! Matrices on their way between files and jobs: read, transposed, padded to a provable shape, and the result back.

mod npy;
mod product;
mod shape;

pub(super) use npy::{Header, NpyError};
pub(super) use product::{ProductError, check, rows_of, secret, signed};
pub(super) use shape::{Sides, padded_k, padded_side};

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use labora_pouw::Shape;

/// Rows and columns that are read: no side of a product is longer.
const MAX_SIDE: u32 = Shape::MAX_SIDE;

/// Longest matrix, in bytes: the largest A there can be.
pub(super) const MAX_BYTES: u64 = Shape::MAX_SIDE as u64 * Shape::MAX_K as u64;

/// Why a matrix was not read.
#[derive(Debug, thiserror::Error)]
pub enum MatrixFileError {
    /// The system.
    #[error("{path} cannot be read: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A folder, a pipe, a device.
    #[error("{0} is no file of a known length; save the matrix to a file")]
    NoFile(PathBuf),
    /// Not what NumPy writes.
    #[error("{path}: {error}")]
    Npy {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: NpyError,
    },
    /// Raw bytes without their shape.
    #[error("{0} is no .npy file; if it is row-major int8, say how many columns it has with --k")]
    Raw(PathBuf),
    /// A length that no matrix of so many columns has.
    #[error("{path} has {got} bytes, which are no whole rows of {columns}; check --k")]
    RawLength {
        /// The file.
        path: PathBuf,
        /// Its length.
        got: u64,
        /// Columns.
        columns: u32,
    },
    /// The file ends too soon or goes on.
    #[error("{path} has {got} bytes, and its header says {expected}; write it again")]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length.
        got: u64,
        /// What it should be.
        expected: u64,
    },
    /// No such sides.
    #[error("{path} is {rows}×{columns}; a matrix of a job has 1 to {MAX_SIDE} rows and columns")]
    Sides {
        /// The file.
        path: PathBuf,
        /// Rows.
        rows: u64,
        /// Columns.
        columns: u64,
    },
    /// More than a product can have.
    #[error("{path} is {rows}×{columns}, more than a product can have; split it by rows")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Rows.
        rows: u32,
        /// Columns.
        columns: u32,
    },
    /// No memory for it.
    #[error("there is no memory for {0}; split the matrix by rows")]
    Memory(String),
}

/// How files that are no `.npy` are laid out.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct RawShape {
    /// Columns of each row.
    pub columns: Option<u32>,
}

/// A matrix of int8, row-major.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Matrix {
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub columns: u32,
    /// Entries, as bytes.
    pub entries: Vec<u8>,
}

/// `length` zeros, or an error where there is no memory for them.
fn zeros(length: u64) -> Result<Vec<u8>, MatrixFileError> {
    let memory = || MatrixFileError::Memory(format!("a matrix of {length} bytes"));
    let length = usize::try_from(length).map_err(|_| memory())?;
    let mut all = Vec::new();
    all.try_reserve_exact(length).map_err(|_| memory())?;
    all.resize(length, 0);
    Ok(all)
}

impl Matrix {
    /// Reads a file: `.npy` with int8 in two dimensions, or raw int8, row-major, of `raw.columns` columns.
    ///
    /// # Errors
    ///
    /// [`MatrixFileError`].
    pub(super) fn read(path: &Path, raw: RawShape) -> Result<Self, MatrixFileError> {
        let failed = |error| MatrixFileError::Io {
            path: path.to_owned(),
            error,
        };
        // Before it is opened, which waits for ever on a pipe.
        let about = std::fs::metadata(path).map_err(failed)?;
        if !about.is_file() {
            return Err(MatrixFileError::NoFile(path.to_owned()));
        }
        let mut file = File::open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let named = path
            .extension()
            .is_some_and(|of| of.eq_ignore_ascii_case("npy"));
        let begins = npy::begins(&mut file).map_err(failed)?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        match begins || named {
            true => Self::of_npy(path, &mut file, bytes),
            false => Self::of_raw(path, &mut file, bytes, raw),
        }
    }

    fn of_npy(path: &Path, file: &mut File, bytes: u64) -> Result<Self, MatrixFileError> {
        let header = Header::read(file).map_err(|error| MatrixFileError::Npy {
            path: path.to_owned(),
            error,
        })?;
        let (rows, columns) = sides(path, header.rows, header.columns)?;
        let expected = header
            .length
            .saturating_add(u64::from(rows) * u64::from(columns));
        if bytes != expected {
            return Err(MatrixFileError::Length {
                path: path.to_owned(),
                got: bytes,
                expected,
            });
        }
        // Fortran's order is the transposed matrix in C's.
        match header.is_fortran {
            false => Self::of_entries(path, file, rows, columns),
            true => Self::of_entries(path, file, columns, rows)?.transposed(),
        }
    }

    fn of_raw(
        path: &Path,
        file: &mut File,
        bytes: u64,
        raw: RawShape,
    ) -> Result<Self, MatrixFileError> {
        let columns = raw
            .columns
            .ok_or_else(|| MatrixFileError::Raw(path.to_owned()))?;
        let whole = u64::from(columns.max(1));
        if !bytes.is_multiple_of(whole) {
            return Err(MatrixFileError::RawLength {
                path: path.to_owned(),
                got: bytes,
                columns,
            });
        }
        let (rows, columns) = sides(path, bytes / whole, columns.into())?;
        Self::of_entries(path, file, rows, columns)
    }

    fn of_entries(
        path: &Path,
        file: &mut File,
        rows: u32,
        columns: u32,
    ) -> Result<Self, MatrixFileError> {
        let length = u64::from(rows) * u64::from(columns);
        if length > MAX_BYTES {
            return Err(MatrixFileError::TooLarge {
                path: path.to_owned(),
                rows,
                columns,
            });
        }
        let mut entries = zeros(length)?;
        file.read_exact(&mut entries)
            .map_err(|error| MatrixFileError::Io {
                path: path.to_owned(),
                error,
            })?;
        Ok(Self {
            rows,
            columns,
            entries,
        })
    }

    /// Columns for rows.
    pub(super) fn transposed(&self) -> Result<Self, MatrixFileError> {
        /// Rows and columns of a block, which fits the first cache.
        const BLOCK: usize = 64;
        let (rows, columns) = (self.rows as usize, self.columns as usize);
        let mut entries = zeros(self.entries.len() as u64)?;
        for top in (0..rows).step_by(BLOCK) {
            for left in (0..columns).step_by(BLOCK) {
                for row in top..rows.min(top + BLOCK) {
                    for column in left..columns.min(left + BLOCK) {
                        entries[column * rows + row] = self.entries[row * columns + column];
                    }
                }
            }
        }
        Ok(Self {
            rows: self.columns,
            columns: self.rows,
            entries,
        })
    }

    /// With zeros below and to the right, up to so many rows and columns; never less than there are.
    pub(super) fn padded(self, rows: u32, columns: u32) -> Result<Self, MatrixFileError> {
        let (rows, columns) = (rows.max(self.rows), columns.max(self.columns));
        if (rows, columns) == (self.rows, self.columns) {
            return Ok(self);
        }
        let mut entries = zeros(u64::from(rows) * u64::from(columns))?;
        let (from, to) = (self.columns as usize, columns as usize);
        for (old, new) in self
            .entries
            .chunks_exact(from)
            .zip(entries.chunks_exact_mut(to))
        {
            new[..from].copy_from_slice(old);
        }
        Ok(Self {
            rows,
            columns,
            entries,
        })
    }

    /// Its name in a job.
    pub(super) fn root(&self) -> labora_pouw::Hash {
        blake3::hash(&self.entries).into()
    }
}

fn sides(path: &Path, rows: u64, columns: u64) -> Result<(u32, u32), MatrixFileError> {
    let side = |side: u64| {
        u32::try_from(side)
            .ok()
            .filter(|side| (1..=MAX_SIDE).contains(side))
    };
    match (side(rows), side(columns)) {
        (Some(rows), Some(columns)) => Ok((rows, columns)),
        _ => Err(MatrixFileError::Sides {
            path: path.to_owned(),
            rows,
            columns,
        }),
    }
}

#[cfg(test)]
mod tests;
