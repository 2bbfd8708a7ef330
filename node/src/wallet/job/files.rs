//! The matrices of a job in their files: read one at a time, padded, named.

use std::path::{Path, PathBuf};

use labora_pouw::{Hash, Shape};
use pallet_jobs::{Batch, Left, MAX_PRODUCTS};

use super::PostOptions;
use crate::{
    gemm::{MAX_OPERAND_BYTES, MAX_PRODUCT_BYTES},
    wallet::{
        WalletError,
        matrix::{Matrix, MatrixFileError, RawShape, Sides, padded_k, padded_side},
        progress,
        show::macs,
    },
};

/// A file, as it goes into the job.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// The file.
    pub path: PathBuf,
    raw: RawShape,
    /// Whether rows and columns are swapped: it is B, not Bt.
    is_transposed: bool,
    /// Rows in the job.
    rows: u32,
    /// Columns in the job.
    columns: u32,
}

/// A file that was read: its sides without padding, and what it is named once padded.
#[derive(Clone, Copy, Debug)]
struct Read {
    rows: u32,
    columns: u32,
    root: Hash,
}

impl Source {
    fn new(path: &Path, raw: RawShape, is_transposed: bool) -> Self {
        Self {
            path: path.to_owned(),
            raw,
            is_transposed,
            rows: 0,
            columns: 0,
        }
    }

    /// The matrix as it goes into the job, and its sides without padding.
    pub(super) async fn load(&self) -> Result<(Matrix, (u32, u32)), WalletError> {
        let source = self.clone();
        let doing = format!("reading {}", self.path.display());
        let read = progress::working(&doing, move || {
            let matrix = Matrix::read(&source.path, source.raw)?;
            let matrix = match source.is_transposed {
                true => matrix.transposed()?,
                false => matrix,
            };
            let sides = (matrix.rows, matrix.columns);
            let (rows, columns) = match source.rows {
                0 => pads(&matrix),
                rows => Some((rows, source.columns)),
            }
            // Beyond what can be proved it is refused by its sides, and not padded.
            .unwrap_or_default();
            Ok::<_, MatrixFileError>((matrix.padded(rows, columns)?, sides))
        });
        read.await?
            .map_err(|error| WalletError::File(Box::new(error)))
    }

    /// Reads it for the first time, and fixes its sides in the job.
    async fn first(&mut self) -> Result<Read, WalletError> {
        let (matrix, (rows, columns)) = self.load().await?;
        (self.rows, self.columns) = (matrix.rows, matrix.columns);
        let doing = format!("hashing {}", self.path.display());
        let root = progress::working(&doing, move || matrix.root());
        let root = root.await?;
        Ok(Read {
            rows,
            columns,
            root,
        })
    }
}

/// The sides that a matrix is padded to, if it can be proved at all.
fn pads(matrix: &Matrix) -> Option<(u32, u32)> {
    Some((padded_side(matrix.rows)?, padded_k(matrix.columns)?))
}

/// The files of a job, read.
pub(super) struct Files {
    /// They: that of B, and those of A.
    pub sources: Vec<Source>,
    /// What is posted.
    pub batch: Batch,
    /// Shapes without padding.
    pub sides: Vec<Sides>,
    k: u32,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Multiply-accumulates without padding.
    useful: u64,
}

fn shape(m: u32, n: u32, k: u32) -> Result<Shape, WalletError> {
    let beyond = |side, got, most, remedy| WalletError::Shape {
        side,
        got,
        most,
        remedy,
    };
    let by_rows = "split A by rows, into several --a";
    let pm = padded_side(m).ok_or(beyond("m", m, Shape::MAX_SIDE, by_rows))?;
    let by_columns = "split B by columns, into several jobs";
    let pn = padded_side(n).ok_or(beyond("n", n, Shape::MAX_SIDE, by_columns))?;
    let by_k = "split A by columns and B by rows, and add the products up";
    let pk = padded_k(k).ok_or(beyond("k", k, Shape::MAX_K, by_k))?;
    Shape::new(pm, pn, pk).map_err(|error| WalletError::sentence(error.to_string()))
}

impl Files {
    /// Reads all files, one after the other.
    pub(super) async fn read(options: &PostOptions) -> Result<Self, WalletError> {
        let count = options.a.len();
        if !(1..=MAX_PRODUCTS as usize).contains(&count) {
            return Err(WalletError::Products(count));
        }
        let mut right = match (&options.b, &options.bt) {
            (_, Some(bt)) => Source::new(bt, RawShape { columns: options.k }, false),
            (Some(b), None) => Source::new(b, raw_b(b, options)?, true),
            // The command line has one of them.
            (None, None) => return Err(WalletError::sentence("give --b or --bt")),
        };
        let b = right.first().await?;
        let (n, k) = (b.rows, b.columns);
        said(&right.path, "columns", n, "n", options.n)?;
        shape(1, n, k)?;
        let mut files = Self {
            sources: vec![right],
            batch: Batch {
                root_b: b.root,
                n: 0,
                k: 0,
                left: Default::default(),
            },
            sides: Vec::new(),
            k,
            macs: 0,
            useful: 0,
        };
        for path in &options.a {
            let raw = RawShape { columns: options.k };
            let mut source = Source::new(path, raw, false);
            let a = source.first().await?;
            if a.columns != k {
                return Err(WalletError::Inner {
                    path: path.clone(),
                    got: a.columns,
                    expected: k,
                });
            }
            said(path, "rows", a.rows, "m", options.m)?;
            let shape = shape(a.rows, n, k)?;
            files.add(source, a, shape, n)?;
        }
        Ok(files)
    }

    fn add(&mut self, source: Source, a: Read, shape: Shape, n: u32) -> Result<(), WalletError> {
        (self.batch.n, self.batch.k) = (shape.n(), shape.k());
        let left = Left {
            root: a.root,
            m: shape.m(),
        };
        let pushed = self.batch.left.try_push(left);
        pushed.map_err(|_| WalletError::Products(self.sources.len()))?;
        self.sources.push(source);
        self.sides.push(Sides { m: a.rows, n });
        // At most 64 times 2^54.
        self.macs = self.macs.saturating_add(shape.macs());
        let useful = u64::from(a.rows) * u64::from(n) * u64::from(self.k);
        self.useful = self.useful.saturating_add(useful);
        Ok(())
    }

    /// Bytes of all matrices.
    fn bytes(&self) -> u64 {
        let each = self
            .sources
            .iter()
            .map(|of| u64::from(of.rows) * u64::from(of.columns));
        each.fold(0, u64::saturating_add)
    }

    /// Names of all matrices, in the order of `sources`.
    pub(super) fn roots(&self) -> impl Iterator<Item = Hash> {
        std::iter::once(self.batch.root_b).chain(self.batch.left.iter().map(|left| left.root))
    }

    /// What people should know of its size.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = vec![format!(
            "{} to keep, {} to do.",
            progress::bytes(self.bytes()),
            macs(self.macs.into())
        )];
        if self.useful < self.macs {
            let times = self.macs as f64 / self.useful.max(1) as f64;
            notes.push(format!(
                "Padded with zeros to what can be proved: m and n to multiples of 16 from 32 on, k of 64 from 256 on. That is \
                 {times:.2} times the work."
            ));
        }
        let (n, k) = (u64::from(self.batch.n), u64::from(self.batch.k));
        let large = |m: u64| (m + n) * k > MAX_OPERAND_BYTES || 4 * m * n > MAX_PRODUCT_BYTES;
        if self.batch.left.iter().any(|left| large(left.m.into())) {
            notes.push(format!(
                "A product is larger than workers of this version take: (m + n)·k and 4·m·n of at most {}. Split it, or wait for others.",
                progress::bytes(MAX_PRODUCT_BYTES)
            ));
        }
        notes
    }
}

/// How a raw B lies: k rows, so as many columns as go into its length.
fn raw_b(path: &Path, options: &PostOptions) -> Result<RawShape, WalletError> {
    let Some(k) = options.k.filter(|_| options.n.is_none()) else {
        return Ok(RawShape { columns: options.n });
    };
    let bytes = std::fs::metadata(path)
        .map(|about| about.len())
        .unwrap_or_default();
    // Another length is refused when it is read.
    let columns = u32::try_from(bytes / u64::from(k.max(1))).ok();
    Ok(RawShape { columns })
}

/// Fails if a flag says something else of a side.
fn said(
    path: &Path,
    what: &'static str,
    got: u32,
    flag: &'static str,
    expected: Option<u32>,
) -> Result<(), WalletError> {
    match expected {
        Some(expected) if expected != got => Err(WalletError::Said {
            path: path.to_owned(),
            what,
            got,
            flag,
            expected,
        }),
        _ => Ok(()),
    }
}
