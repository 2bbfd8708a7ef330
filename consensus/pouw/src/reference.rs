//! The slow and plain prover: what kernels are checked against, and what tests build their cases
//! with.
//!
//! Nothing here is clever, and nothing here runs on a chain.

use std::vec::Vec;

use zerocopy::IntoBytes;

use crate::noise::{SparseFactor, add_noise, dense_factor, sparse_factor};
use crate::transcript::{State, TicketMidstate, fold, xor_of};
use crate::{Difficulty, Hash, Proof, RANK, Seal, Seeds, Shape, Strip, TILE, seeds, tree};

/// A product that did not fit its shape.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReferenceError {
    /// A matrix has a wrong number of entries.
    #[error("matrix {matrix} has {got} entries, its shape asks for {expected}")]
    Length {
        /// Which matrix: "A", "Bt" or "C".
        matrix: &'static str,
        /// Entries that came.
        got: usize,
        /// Entries of the shape.
        expected: u64,
    },
}

/// Everything that the protocol derives from one product.
#[derive(Clone, Debug)]
pub struct Proved {
    /// Shape of the product.
    pub shape: Shape,
    /// Commitment to A.
    pub root_a: Hash,
    /// Commitment to Bt.
    pub root_b: Hash,
    /// Seeds of the noise.
    pub seeds: Seeds,
    /// A with its noise, m×k, row-major.
    pub noised_a: Vec<i8>,
    /// Bt with its noise, n×k, row-major.
    pub noised_b: Vec<i8>,
    /// Final transcript of every tile, m/16 × n/16, row-major.
    pub states: Vec<State>,
    /// The exact product, m×n, row-major, recovered from the noised one.
    pub product: Vec<i32>,
    /// Winning tiles, row by row.
    pub winners: Vec<Winner>,
}

/// A winning tile and its ticket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Winner {
    /// What goes into the header.
    pub seal: Seal,
    /// What goes beside the block.
    pub proof: Proof,
    /// The tile's ticket.
    pub ticket: Hash,
}

/// Test matrices that any language can rebuild: XOF byte mod 127 minus 63; A is m×k, Bt n×k.
pub fn matrices(seed: &str, shape: Shape) -> (Vec<i8>, Vec<i8>) {
    let take = |label: &[u8], len: u64| {
        let mut bytes = vec![0; len as usize];
        blake3::Hasher::new()
            .update(label)
            .update(seed.as_bytes())
            .finalize_xof()
            .fill(&mut bytes);
        bytes
            .into_iter()
            .map(|byte| (byte % 127) as i8 - 63)
            .collect()
    };
    (take(b"A", shape.a_len()), take(b"B", shape.b_len()))
}

/// Multiplies, mines, and gives the exact product back. A is m×k, Bt n×k, entries in [-63, 63].
pub fn prove(
    pre_hash: &Hash,
    a: &[i8],
    bt: &[i8],
    shape: Shape,
    difficulty: Difficulty,
) -> Result<Proved, ReferenceError> {
    check_len("A", a.len(), shape.a_len())?;
    check_len("Bt", bt.len(), shape.b_len())?;
    let (root_a, root_b) = (tree::root(a.as_bytes()), tree::root(bt.as_bytes()));
    let seeds = seeds(pre_hash, &root_a, &root_b, shape);
    let k = shape.k() as usize;
    let noised_a = add_noise(a, &seeds.a, &sparse_factor(&seeds.a, k), 0);
    let noised_b = add_noise(bt, &seeds.b, &sparse_factor(&seeds.b, k), 0);
    let (states, noised_product) = transcripts(&noised_a, &noised_b, shape);
    let product = denoised(noised_product, a, &noised_b, shape, &seeds);
    let mut proved = Proved {
        shape,
        root_a,
        root_b,
        seeds,
        noised_a,
        noised_b,
        states,
        product,
        winners: Vec::new(),
    };
    proved.winners = winners(&proved, a, bt, difficulty);
    Ok(proved)
}

fn check_len(matrix: &'static str, got: usize, expected: u64) -> Result<(), ReferenceError> {
    if got as u64 == expected {
        Ok(())
    } else {
        Err(ReferenceError::Length {
            matrix,
            got,
            expected,
        })
    }
}

fn winners(proved: &Proved, a: &[i8], bt: &[i8], difficulty: Difficulty) -> Vec<Winner> {
    let Proved {
        shape,
        root_a,
        root_b,
        seeds,
        states,
        ..
    } = proved;
    let midstate = TicketMidstate::new(&seeds.a);
    let tiles = (0..shape.tile_rows())
        .flat_map(|row| (0..shape.tile_columns()).map(move |column| (row, column)));
    tiles
        .zip(states)
        .filter_map(|((row, column), state)| {
            let ticket = midstate.ticket(state);
            if !difficulty.wins(&ticket, shape.k()) {
                return None;
            }
            let seal = Seal::new(*shape, *root_a, *root_b, row, column).ok()?;
            let proof = open(a, bt, &seal)?;
            Some(Winner {
                seal,
                proof,
                ticket,
            })
        })
        .collect()
}

/// The proof for a seal's tile, from whole matrices; `None` if they are shorter than the seal's
/// shape.
pub fn open(a: &[i8], bt: &[i8], seal: &Seal) -> Option<Proof> {
    let len = seal.shape().strip_len();
    let strip = |matrix: &[i8], index: u32| {
        let offset = index as usize * len;
        let entries = matrix.get(offset..offset + len)?.to_vec();
        Some((
            Strip::new(entries).ok()?,
            tree::open_range(matrix.as_bytes(), offset, len),
        ))
    };
    let (a, a_path) = strip(a, seal.row())?;
    let (b, b_path) = strip(bt, seal.column())?;
    Some(Proof {
        a,
        a_path,
        b,
        b_path,
    })
}

/// Final transcript of every tile, and the product, of A' (m×k) and Bt' (n×k).
pub fn transcripts(a: &[i8], bt: &[i8], shape: Shape) -> (Vec<State>, Vec<i32>) {
    let (n, k) = (shape.n() as usize, shape.k() as usize);
    let mut product = vec![0; shape.m() as usize * n];
    let mut states = Vec::with_capacity(product.len() / (TILE * TILE));
    for tile_row in 0..shape.tile_rows() as usize {
        for tile_column in 0..shape.tile_columns() as usize {
            let mut state = State::default();
            let mut tile = [0; TILE * TILE];
            for window in 0..shape.windows() as usize {
                for (at, sum) in tile.iter_mut().enumerate() {
                    let span = |row: usize| row * k + window * RANK..row * k + (window + 1) * RANK;
                    let row = &a[span(tile_row * TILE + at / TILE)];
                    let column = &bt[span(tile_column * TILE + at % TILE)];
                    *sum += dot(row, column);
                }
                fold(&mut state, window, xor_of(&tile));
            }
            states.push(state);
            for (at, sum) in tile.iter().enumerate() {
                product[(tile_row * TILE + at / TILE) * n + tile_column * TILE + at % TILE] = *sum;
            }
        }
    }
    (states, product)
}

/// The exact product A·B, m×n row-major, by definition.
pub fn multiply(a: &[i8], bt: &[i8], shape: Shape) -> Vec<i32> {
    let k = shape.k() as usize;
    a.chunks_exact(k)
        .flat_map(|row| bt.chunks_exact(k).map(move |column| dot(row, column)))
        .collect()
}

fn dot(row: &[i8], column: &[i8]) -> i32 {
    row.iter().zip(column).fold(0, |sum, (a, b)| {
        sum.wrapping_add(i32::from(*a).wrapping_mul(i32::from(*b)))
    })
}

/// A·B from the noised product C' = A'·B' by two corrections of rank 64: C' - (A·F_L)·F_R -
/// E_L·(E_R·B').
///
/// `noised_product` is m×n, `a` is A without noise, `noised_b` is Bt with noise.
pub fn denoised(
    noised_product: Vec<i32>,
    a: &[i8],
    noised_b: &[i8],
    shape: Shape,
    seeds: &Seeds,
) -> Vec<i32> {
    let k = shape.k() as usize;
    let u = onto_factor(a, &sparse_factor(&seeds.b, k));
    let v = onto_factor(noised_b, &sparse_factor(&seeds.a, k));
    let dense = |seed: &Hash, rows: u32| {
        let mut out = vec![0; rows as usize * RANK];
        dense_factor(seed, 0, rows as usize, &mut out);
        out
    };
    let (e, f) = (dense(&seeds.a, shape.m()), dense(&seeds.b, shape.n()));
    let n = shape.n() as usize;
    let mut product = noised_product;
    for (at, entry) in product.iter_mut().enumerate() {
        let (i, j) = (at / n * RANK, at % n * RANK);
        for r in 0..RANK {
            *entry -= u[i + r] * i32::from(f[j + r]) + i32::from(e[i + r]) * v[j + r];
        }
    }
    product
}

/// Rows (·×k) times the transposed sparse factor (k×64): ·×64.
fn onto_factor(rows: &[i8], factor: &SparseFactor) -> Vec<i32> {
    let mut out = Vec::new();
    for row in rows.chunks_exact(factor.k()) {
        let mut sums = [0; RANK];
        for (c, entry) in row.iter().enumerate() {
            sums[usize::from(factor.p[c])] += i32::from(*entry);
            sums[usize::from(factor.q[c])] += i32::from(*entry) * i32::from(factor.s[c]);
        }
        out.extend(sums);
    }
    out
}
