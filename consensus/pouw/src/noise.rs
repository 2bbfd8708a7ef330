//! The noise: E = dense·sparse has rank 64, comes from a seed, and keeps int8 from wrapping.
//!
//! The dense factor is rows×64, uniform in [-32, 31]. The sparse factor is 64×k: in each window of
//! 64 columns, column c has a 1 in row p(c) and ±1 in row q(c), p and q being random permutations.
//! So column c of the noise is column p(c) of the dense factor plus or minus its column q(c), in
//! [-64, 63], and each window has rank about 62.

use alloc::{vec, vec::Vec};

use blake3::{Hasher, OutputReader};
use zerocopy::IntoBytes;

use crate::{Hash, RANK, TILE};

/// Bytes of XOF output that a window of the sparse factor is assigned.
const WINDOW_STRIDE: u64 = 1024;
/// Of which it uses two lists of draws and one word of signs. The rest is never computed.
const WINDOW_USED: usize = 2 * DRAWS + 8;
/// Bytes of draws for one permutation: 63 words, and one that is not used.
const DRAWS: usize = 4 * RANK;

fn xof(seed: &Hash, label: &[u8]) -> OutputReader {
    let mut hasher = Hasher::new_keyed(seed);
    hasher.update(label);
    hasher.finalize_xof()
}

/// Writes `rows` rows, from row `first_row`, of the dense factor to the start of `out`: rows×64,
/// row-major.
///
/// Writes no more than `out` holds; `out` should be rows·64 long. `first_row` below 2^58.
pub fn dense_factor(seed: &Hash, first_row: u64, rows: usize, out: &mut [i8]) {
    let len = rows.saturating_mul(RANK).min(out.len());
    let out = &mut out[..len];
    let mut reader = xof(seed, b"dense");
    reader.set_position(first_row.wrapping_mul(RANK as u64));
    reader.fill(out.as_mut_bytes());
    for entry in out {
        *entry = (*entry & 63).wrapping_sub(32);
    }
}

/// The sparse factor, by columns: column c of the noise is `dense[p[c]] + s[c]·dense[q[c]]`, where
/// dense is taken by columns.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SparseFactor {
    /// First row of each column, in 0..64; k long; a permutation in each window of 64.
    pub p: Vec<u8>,
    /// Second row of each column, in 0..64; k long; a permutation in each window of 64.
    pub q: Vec<u8>,
    /// Sign of the second: 1 or -1; k long.
    pub s: Vec<i8>,
}

impl SparseFactor {
    /// Columns.
    pub fn k(&self) -> usize {
        self.p.len()
    }
}

/// The sparse factor for `k` columns, rounded down to whole windows of 64.
///
/// Allocates 3·k bytes.
pub fn sparse_factor(seed: &Hash, k: usize) -> SparseFactor {
    let windows = k / RANK;
    let len = windows * RANK;
    let mut factor = SparseFactor {
        p: vec![0; len],
        q: vec![0; len],
        s: vec![1; len],
    };
    let mut reader = xof(seed, b"sparse");
    let columns = factor
        .p
        .as_chunks_mut()
        .0
        .iter_mut()
        .zip(factor.q.as_chunks_mut().0)
        .zip(factor.s.as_chunks_mut().0);
    for (window, ((p, q), s)) in columns.enumerate() {
        let mut raw = [0; WINDOW_USED];
        reader.set_position(window as u64 * WINDOW_STRIDE);
        reader.fill(&mut raw);
        shuffle(&raw[..DRAWS], p);
        shuffle(&raw[DRAWS..2 * DRAWS], q);
        signs(&raw[2 * DRAWS..], s);
    }
    factor
}

/// Fisher–Yates over 0..64 from little-endian u32 draws, from the last position down. A draw d
/// picks (d·(i+1)) >> 32.
fn shuffle(draws: &[u8], out: &mut [u8; RANK]) {
    for (i, entry) in out.iter_mut().enumerate() {
        *entry = i as u8;
    }
    for (draw, i) in draws.as_chunks::<4>().0.iter().zip((1..RANK).rev()) {
        let pick = (u64::from(u32::from_le_bytes(*draw)) * (i as u64 + 1)) >> 32;
        out.swap(i, pick as usize);
    }
}

/// One sign a column from the bits of a little-endian word, lowest first: a set bit is -1.
fn signs(word: &[u8], out: &mut [i8; RANK]) {
    for (c, sign) in out.iter_mut().enumerate() {
        let bit = word[c / 8] >> (c % 8) & 1;
        *sign = 1 - 2 * bit as i8;
    }
}

/// Rows of a matrix plus noise: `rows` is ·×k row-major with k = `factor.k()`, its first row being
/// row `first_row` of the whole matrix. Entries in [-63, 63] give entries in [-127, 126]; others
/// wrap.
///
/// `factor` must be `sparse_factor(seed, k)`. A last row that is not whole is left out.
pub fn add_noise(rows: &[i8], seed: &Hash, factor: &SparseFactor, first_row: u64) -> Vec<i8> {
    let k = factor.k();
    if k == 0 {
        return Vec::new();
    }
    let mut out = rows[..rows.len() / k * k].to_vec();
    for (band, rows) in out.chunks_mut(TILE * k).enumerate() {
        let dense = columns_of_dense(seed, first_row.wrapping_add((band * TILE) as u64));
        for window in 0..k / RANK {
            add_window(rows, k, window, &window_noise(&dense, factor, window));
        }
    }
    out
}

/// 64 columns of 16 rows: a row of the noise needs bytes from all over, a column of it two whole
/// columns.
type Columns = [[i8; TILE]; RANK];

/// Sixteen rows, from `first_row`, of the dense factor, by columns.
fn columns_of_dense(seed: &Hash, first_row: u64) -> Columns {
    let mut rows = [[0; RANK]; TILE];
    dense_factor(seed, first_row, TILE, rows.as_flattened_mut());
    core::array::from_fn(|c| core::array::from_fn(|r| rows[r][c]))
}

/// The noise of sixteen rows in one window, by columns.
fn window_noise(dense: &Columns, factor: &SparseFactor, window: usize) -> Columns {
    core::array::from_fn(|c| {
        let at = window * RANK + c;
        // Indices are below 64 already; the mask says so to the compiler.
        let first = &dense[usize::from(factor.p[at] & 63)];
        let second = &dense[usize::from(factor.q[at] & 63)];
        // -x is !x + 1: with all bits set where the sign is negative, (x ^ bits) - bits multiplies by it.
        let bits = factor.s[at] >> 7;
        core::array::from_fn(|r| first[r].wrapping_add((second[r] ^ bits).wrapping_sub(bits)))
    })
}

fn add_window(rows: &mut [i8], k: usize, window: usize, noise: &Columns) {
    for (r, row) in rows.chunks_exact_mut(k).enumerate().take(TILE) {
        for (entry, noise) in row[window * RANK..(window + 1) * RANK]
            .iter_mut()
            .zip(noise)
        {
            *entry = entry.wrapping_add(noise[r]);
        }
    }
}
