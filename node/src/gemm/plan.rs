//! Cuts a product into pieces that fit a device, and packs their operands.
//!
//! A packed operand has the rows of its block first, in order; then, for each of them that holds an entry beyond ±63,
//! one more row with the high limbs; then rows of zeros. A block whose entries all lie within ±63 is thus the matrix
//! itself but for padding, and matrices with few wide rows cost little more than ones without.

use std::ops::Range;

use super::{Dimensions, Product};

/// Most packed rows on either side of a piece. A piece's product is then at most 4,096·4,096·4 bytes = 64 MiB and an
/// operand 4,096·16,384 bytes = 64 MiB.
pub(super) const MAX_PIECE_ROWS: usize = 4_096;

/// Longest k of one piece, as the protocol has it.
const MAX_PIECE_K: usize = 16_384;
const MIN_PIECE_K: usize = 256;
const K_STEP: usize = 64;
const MIN_ROWS: usize = 32;
const ROW_STEP: usize = 16;
const LIMIT: u8 = 63;
/// `v = BASE·hi + lo` with lo in [-32, 31] and hi in [-2, 2].
pub(super) const BASE: i32 = 64;

/// One operand of a piece, ready for a device: entries in [-63, 63], rows×k, row-major.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Packed {
    /// A multiple of 16, from 32 to 4,096.
    pub rows: u32,
    /// A multiple of 64, from 256 to 16,384.
    pub k: u32,
    /// `rows * k` entries.
    pub data: Vec<i8>,
}

/// One device product of a plan. Pieces that follow each other share Bt as long as they can.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Piece {
    left: usize,
    right: usize,
    depth: usize,
}

impl Piece {
    /// Whether both pieces take the same packed Bt.
    pub fn shares_bt(&self, other: &Self) -> bool {
        (self.right, self.depth) == (other.right, other.depth)
    }
}

/// How one product is cut.
#[derive(Debug)]
pub struct Plan {
    product: Product,
    left: Vec<Block>,
    right: Vec<Block>,
    depth: Vec<Range<usize>>,
}

/// Rows of one operand that go into a piece together.
#[derive(Debug)]
pub(super) struct Block {
    /// Rows of the whole operand.
    pub rows: Range<usize>,
    /// Which of them have a second limb, in order, counted from the block's first row.
    pub wide: Vec<usize>,
}

impl Block {
    /// Rows when packed, padding included.
    pub fn packed_rows(&self) -> usize {
        (self.rows.len() + self.wide.len())
            .next_multiple_of(ROW_STEP)
            .max(MIN_ROWS)
    }
}

impl Plan {
    /// Reads both operands once to find the rows that need two limbs.
    pub fn new(product: Product) -> Self {
        let k = product.dimensions().k();
        Self {
            left: blocks(product.a(), k),
            right: blocks(product.bt(), k),
            depth: depths(k),
            product,
        }
    }

    /// Dimensions of the whole product.
    pub fn dimensions(&self) -> Dimensions {
        self.product.dimensions()
    }

    /// How many pieces there are; at least one.
    pub fn count(&self) -> usize {
        self.left.len() * self.right.len() * self.depth.len()
    }

    /// The piece at `index`, below [`Plan::count`]; in this order they are best computed.
    pub fn piece(&self, index: usize) -> Piece {
        let left = index % self.left.len();
        let rest = index / self.left.len();
        Piece {
            left,
            depth: rest % self.depth.len(),
            right: rest / self.depth.len(),
        }
    }

    /// Multiply-accumulates of one piece, padding included.
    pub fn piece_macs(&self, piece: Piece) -> u64 {
        let (m, n) = (
            self.left(piece).packed_rows() as u64,
            self.right(piece).packed_rows() as u64,
        );
        m * n * packed_k(&self.depth[piece.depth]) as u64
    }

    /// The piece's A.
    pub fn pack_a(&self, piece: Piece) -> Packed {
        self.pack(self.product.a(), self.left(piece), piece)
    }

    /// The piece's Bt.
    pub fn pack_bt(&self, piece: Piece) -> Packed {
        self.pack(self.product.bt(), self.right(piece), piece)
    }

    pub(super) fn left(&self, piece: Piece) -> &Block {
        &self.left[piece.left]
    }

    pub(super) fn right(&self, piece: Piece) -> &Block {
        &self.right[piece.right]
    }

    fn pack(&self, operand: &[i8], block: &Block, piece: Piece) -> Packed {
        let whole_k = self.dimensions().k();
        let depth = &self.depth[piece.depth];
        let (rows, k) = (block.packed_rows(), packed_k(depth));
        let source = |row: usize| {
            let start = (block.rows.start + row) * whole_k;
            &operand[start + depth.start..start + depth.end]
        };
        let mut data = vec![0i8; rows * k];
        let mut target = data.chunks_exact_mut(k);
        let mut wide = block.wide.iter().peekable();
        for (row, target) in (0..block.rows.len()).zip(&mut target) {
            let target = &mut target[..depth.len()];
            if wide.next_if(|wide| **wide == row).is_some() {
                for (to, from) in target.iter_mut().zip(source(row)) {
                    *to = low_limb(*from);
                }
            } else {
                target.copy_from_slice(source(row));
            }
        }
        for (row, target) in block.wide.iter().zip(target) {
            for (to, from) in target.iter_mut().zip(source(*row)) {
                *to = high_limb(*from);
            }
        }
        // Bounded by MAX_PIECE_ROWS and MAX_PIECE_K, so both fit.
        Packed {
            rows: rows as u32,
            k: k as u32,
            data,
        }
    }
}

fn high_limb(value: i8) -> i8 {
    ((i16::from(value) + 32) >> 6) as i8
}

fn low_limb(value: i8) -> i8 {
    (i16::from(value) - 64 * i16::from(high_limb(value))) as i8
}

/// Blocks of consecutive rows, each at most MAX_PIECE_ROWS when packed.
fn blocks(operand: &[i8], k: usize) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open = Block {
        rows: 0..0,
        wide: Vec::new(),
    };
    for (row, entries) in operand.chunks_exact(k).enumerate() {
        // A fold instead of `any`, which would stop early and so not be vectorised.
        let widest = entries
            .iter()
            .fold(0, |widest: u8, entry| widest.max(entry.unsigned_abs()));
        let limbs = if widest > LIMIT { 2 } else { 1 };
        if open.rows.len() + open.wide.len() + limbs > MAX_PIECE_ROWS {
            let next = Block {
                rows: row..row,
                wide: Vec::new(),
            };
            blocks.push(std::mem::replace(&mut open, next));
        }
        if limbs == 2 {
            open.wide.push(row - open.rows.start);
        }
        open.rows.end = row + 1;
    }
    blocks.push(open);
    blocks
}

/// Ranges of k of about equal length, all but the last a multiple of K_STEP, none longer than MAX_PIECE_K.
fn depths(k: usize) -> Vec<Range<usize>> {
    let count = k.div_ceil(MAX_PIECE_K);
    let step = k.div_ceil(count).next_multiple_of(K_STEP);
    (0..k)
        .step_by(step)
        .map(|start| start..(start + step).min(k))
        .collect()
}

fn packed_k(depth: &Range<usize>) -> usize {
    depth.len().next_multiple_of(K_STEP).max(MIN_PIECE_K)
}
