//! The single-entry fraud proof: shows a chain that a committed result C is not A·B, by one entry
//! of it.
//!
//! C is committed to as int32 little-endian in tile-major order: tile (i, j), 16×16 and row-major
//! inside, at position i·n/16+j. A tile is thus exactly one BLAKE3 chunk, and any entry opens with
//! one leaf and its path. The proof holds the tile's strips of A and of Bt as a block's proof does,
//! and that leaf; who checks it recomputes one entry, k multiply-adds. Entries of jobs may be any
//! int8, so no range is checked here.

use alloc::vec::Vec;

use parity_scale_codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use zerocopy::IntoBytes;

use crate::freivalds::LengthError;
use crate::{Hash, Path, Shape, Strip, TILE, tree};

/// Entries of a tile of C, which is one leaf.
pub const TILE_ENTRIES: usize = TILE * TILE;

/// A claimed result: that the product of the matrices under two roots is the matrix under a third.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
pub struct Claim {
    /// Shape of the product.
    pub shape: Shape,
    /// BLAKE3 hash of A, m×k int8, row-major.
    pub root_a: Hash,
    /// BLAKE3 hash of Bt, n×k int8, row-major.
    pub root_b: Hash,
    /// BLAKE3 hash of C, m×n int32 little-endian, tile-major.
    pub root_c: Hash,
}

/// Proof that one entry of a committed result is wrong.
///
/// SCALE: fields in order; decoding is bounded as that of a block's proof.
#[derive(Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, PartialEq, TypeInfo)]
pub struct FraudProof {
    /// Row of the tile, below m/16.
    pub row: u32,
    /// Column of the tile, below n/16.
    pub column: u32,
    /// The wrong entry within the tile, row-major.
    pub entry: u8,
    /// Rows 16·row to 16·row+15 of A.
    pub a: Strip,
    /// Opening of `a` against root_a.
    pub a_path: Path,
    /// Rows 16·column to 16·column+15 of Bt.
    pub b: Strip,
    /// Opening of `b` against root_b.
    pub b_path: Path,
    /// The tile of C as committed to, 16×16, row-major.
    pub leaf: [i32; TILE_ENTRIES],
    /// Opening of `leaf` against root_c.
    pub leaf_path: Path,
}

impl FraudProof {
    /// Longest encoding: 9 bytes that name the entry, two strips and three paths, 1024 bytes of
    /// leaf: 529,940 bytes.
    pub const MAX_ENCODED_LEN: usize =
        4 + 4 + 1 + 2 * Strip::MAX_ENCODED_LEN + 3 * Path::MAX_ENCODED_LEN + 4 * TILE_ENTRIES;
}

/// A wrong entry of C.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fault {
    /// Row of C, from 0.
    pub row: u32,
    /// Column of C, from 0.
    pub column: u32,
    /// What was committed to.
    pub committed: i32,
    /// What A·B has there.
    pub exact: i32,
}

/// Why a fraud proof shows nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FraudError {
    /// No such tile.
    #[error("tile ({row}, {column}) of a result that has {rows}×{columns} tiles")]
    Tile {
        /// Row that came.
        row: u32,
        /// Column that came.
        column: u32,
        /// Rows of tiles.
        rows: u32,
        /// Columns of tiles.
        columns: u32,
    },
    /// A strip does not have 16·k entries.
    #[error("strips of {a} and {b} entries; the claim's k asks for {expected} each")]
    StripLength {
        /// Entries of the strip of A.
        a: usize,
        /// Entries of the strip of Bt.
        b: usize,
        /// Entries expected: 16·k.
        expected: usize,
    },
    /// The strip of A does not open root_a.
    #[error("the strip of A does not open root_a at the tile's row")]
    OpeningA,
    /// The strip of Bt does not open root_b.
    #[error("the strip of Bt does not open root_b at the tile's column")]
    OpeningB,
    /// The leaf does not open root_c.
    #[error("the leaf does not open root_c at the tile")]
    OpeningC,
    /// The committed entry is right.
    #[error("the entry is {0}, as committed: there is no fraud to prove")]
    NoFault(i32),
}

/// Checks a fraud proof against a claim; `Ok` if, and only if, it shows a wrong entry, which is
/// returned.
///
/// Pure and total. From free to costly: tile, strip lengths, openings, then one entry.
pub fn verify(claim: &Claim, proof: &FraudProof) -> Result<Fault, FraudError> {
    let Claim { shape, .. } = *claim;
    let (rows, columns) = (shape.tile_rows(), shape.tile_columns());
    let (row, column) = (proof.row, proof.column);
    if row >= rows || column >= columns {
        return Err(FraudError::Tile {
            row,
            column,
            rows,
            columns,
        });
    }
    let (a, b, expected) = (proof.a.entries(), proof.b.entries(), shape.strip_len());
    if a.len() != expected || b.len() != expected {
        return Err(FraudError::StripLength {
            a: a.len(),
            b: b.len(),
            expected,
        });
    }
    let tile = u64::from(row) * u64::from(columns) + u64::from(column);
    let leaf = bytes(&proof.leaf);
    if tree::range_root(
        shape.c_len(),
        tile * leaf.len() as u64,
        &leaf,
        &proof.leaf_path,
    ) != Some(claim.root_c)
    {
        return Err(FraudError::OpeningC);
    }
    if proof.a.root(shape.a_len(), row, &proof.a_path) != Some(claim.root_a) {
        return Err(FraudError::OpeningA);
    }
    if proof.b.root(shape.b_len(), column, &proof.b_path) != Some(claim.root_b) {
        return Err(FraudError::OpeningB);
    }
    let (i, j) = (
        usize::from(proof.entry) / TILE,
        usize::from(proof.entry) % TILE,
    );
    let (k, committed) = (shape.k() as usize, proof.leaf[usize::from(proof.entry)]);
    let exact = dot(&a[i * k..(i + 1) * k], &b[j * k..(j + 1) * k]);
    if exact == committed {
        return Err(FraudError::NoFault(exact));
    }
    Ok(Fault {
        row: row * TILE as u32 + i as u32,
        column: column * TILE as u32 + j as u32,
        committed,
        exact,
    })
}

/// All that a challenger has: the matrices under a claim's roots.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    shape: Shape,
    a: &'a [i8],
    bt: &'a [i8],
    c: &'a [i32],
}

impl<'a> Data<'a> {
    /// `a`: m×k, `bt`: n×k, row-major; `c`: m×n, tile-major.
    pub fn new(
        shape: Shape,
        a: &'a [i8],
        bt: &'a [i8],
        c: &'a [i32],
    ) -> Result<Data<'a>, LengthError> {
        let operands = [
            ("A", a.len(), shape.a_len()),
            ("Bt", bt.len(), shape.b_len()),
            ("C", c.len(), shape.c_len() / 4),
        ];
        match operands
            .into_iter()
            .find(|(_, got, expected)| *got as u64 != *expected)
        {
            Some((operand, got, expected)) => Err(LengthError {
                operand,
                got,
                expected,
            }),
            None => Ok(Data { shape, a, bt, c }),
        }
    }

    /// The claim that these matrices make.
    pub fn claim(&self) -> Claim {
        Claim {
            shape: self.shape,
            root_a: tree::root(self.a.as_bytes()),
            root_b: tree::root(self.bt.as_bytes()),
            root_c: tree::root(&bytes(self.c)),
        }
    }
}

/// Looks for a wrong entry, tile by tile in rows `rows` of C (all of `0..m`, or those that
/// [`freivalds::check`](crate::freivalds::check) names), and proves the first. `None` if all of
/// them are right.
///
/// Costs n·k multiply-adds for each of the rows, and one hash of the data.
pub fn prove(data: &Data<'_>, rows: core::ops::Range<u32>) -> Option<FraudProof> {
    let Data { shape, a, bt, c } = *data;
    let k = shape.k() as usize;
    let columns = shape.tile_columns() as usize;
    let tiles = c.as_chunks::<TILE_ENTRIES>().0;
    for row in rows.start.min(shape.m())..rows.end.min(shape.m()) {
        let row = row as usize;
        let a_row = &a[row * k..(row + 1) * k];
        for (j, bt_row) in bt.chunks_exact(k).enumerate() {
            let tile = row / TILE * columns + j / TILE;
            let entry = row % TILE * TILE + j % TILE;
            if tiles[tile][entry] != dot(a_row, bt_row) {
                // Below 256 = TILE_ENTRIES.
                return prove_entry(data, (row / TILE) as u32, (j / TILE) as u32, entry as u8);
            }
        }
    }
    None
}

/// The proof about one entry of one tile, right or wrong; `None` if there is no such tile.
pub fn prove_entry(data: &Data<'_>, row: u32, column: u32, entry: u8) -> Option<FraudProof> {
    let Data { shape, a, bt, c } = *data;
    if row >= shape.tile_rows() || column >= shape.tile_columns() {
        return None;
    }
    let len = shape.strip_len();
    let strip = |matrix: &[i8], index: u32| {
        let offset = index as usize * len;
        let strip = Strip::new(matrix[offset..offset + len].to_vec()).ok()?;
        Some((strip, tree::open_range(matrix.as_bytes(), offset, len)))
    };
    let (a, a_path) = strip(a, row)?;
    let (b, b_path) = strip(bt, column)?;
    let tile = row as usize * shape.tile_columns() as usize + column as usize;
    let leaf = *c.as_chunks::<TILE_ENTRIES>().0.get(tile)?;
    let leaf_path = tree::open_range(&bytes(c), tile * tree::CHUNK, tree::CHUNK);
    Some(FraudProof {
        row,
        column,
        entry,
        a,
        a_path,
        b,
        b_path,
        leaf,
        leaf_path,
    })
}

/// C in tile-major order from row-major, m×n; the shape's entries, or fewer if `row_major` is
/// short.
pub fn tile_major(shape: Shape, row_major: &[i32]) -> Vec<i32> {
    let n = shape.n() as usize;
    let mut out = Vec::with_capacity(row_major.len());
    for band in row_major.chunks_exact(TILE * n) {
        for tile in 0..n / TILE {
            for row in band.chunks_exact(n) {
                out.extend_from_slice(&row[tile * TILE..(tile + 1) * TILE]);
            }
        }
    }
    out
}

fn bytes(entries: &[i32]) -> Vec<u8> {
    entries
        .iter()
        .flat_map(|entry| entry.to_le_bytes())
        .collect()
}

/// At most 16384·128·128 = 2^28 in magnitude: nothing wraps.
fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).fold(0, |sum, (a, b)| {
        sum.wrapping_add(i32::from(*a).wrapping_mul(i32::from(*b)))
    })
}
