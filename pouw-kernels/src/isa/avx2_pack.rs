//! AVX2: packing operands, noise, and its factor sums. Four `vpshufb` look 64 entries up.

use core::arch::x86_64::*;
use core::ops::Range;

use labora_pouw::TILE;

use super::Rows;
use super::avx2::{NARROW_BIAS, ROWS};
use crate::layout::{Entries, LINE, PANEL_WINDOW, STEPS, WINDOW};
use crate::noise::{Lookup, Sparse};

/// 32 indices into a table of 64, one vector for each quarter of the table: the low four bits where the index falls into
/// that quarter, the top bit (for which `vpshufb` gives zero) where it does not.
type Indices = [__m256i; 4];

#[target_feature(enable = "avx2")]
#[inline]
fn indices(of: &[u8; WINDOW], half: usize) -> Indices {
    // SAFETY: `of` is two registers long.
    let index = unsafe { _mm256_loadu_si256(of.as_ptr().add(32 * half).cast()) };
    let mut out = [index; 4];
    for (quarter, out) in out.iter_mut().enumerate() {
        let within = _mm256_xor_si256(index, _mm256_set1_epi8((quarter << 4) as i8));
        *out = _mm256_adds_epu8(within, _mm256_set1_epi8(0x70));
    }
    out
}

/// The table whose 64 entries start at `from`.
///
/// # Safety
/// 64 bytes must be readable there.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn table(from: *const i8) -> [__m256i; 4] {
    let mut out = [_mm256_setzero_si256(); 4];
    for (quarter, out) in out.iter_mut().enumerate() {
        // SAFETY: the caller vouches for 64 bytes.
        *out =
            _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(from.add(16 * quarter).cast()) });
    }
    out
}

#[target_feature(enable = "avx2")]
#[inline]
fn look_up(table: &[__m256i; 4], at: &Indices) -> __m256i {
    let x = _mm256_or_si256(
        _mm256_shuffle_epi8(table[0], at[0]),
        _mm256_shuffle_epi8(table[1], at[1]),
    );
    let y = _mm256_or_si256(
        _mm256_shuffle_epi8(table[2], at[2]),
        _mm256_shuffle_epi8(table[3], at[3]),
    );
    _mm256_or_si256(x, y)
}

#[target_feature(enable = "avx2")]
#[inline]
fn signs(of: &Lookup, half: usize) -> __m256i {
    // SAFETY: the signs are two registers long.
    unsafe { _mm256_loadu_si256(of.s.as_ptr().add(32 * half).cast()) }
}

/// # Safety
/// The CPU must have AVX2; lengths as [`super::Isa::add_noise`] checks them.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn add_noise(
    rows: Rows<'_>,
    dense: &[i8],
    sparse: &Sparse,
    to: &mut [i8],
    stride: usize,
) {
    for (w, lookup) in sparse.by_column.iter().enumerate() {
        for half in 0..2 {
            let (p, q, s) = (
                indices(&lookup.p, half),
                indices(&lookup.q, half),
                signs(lookup, half),
            );
            for r in 0..TILE {
                let column = w * WINDOW + 32 * half;
                // SAFETY: `dense` holds 16 rows of 64, `rows` and `to` sixteen rows of k, and `column` + 32 ≤ k.
                unsafe {
                    let table = table(dense.as_ptr().add(r * WINDOW));
                    let from = _mm256_loadu_si256(rows.row(r).as_ptr().add(column).cast());
                    let noise = _mm256_add_epi8(
                        look_up(&table, &p),
                        _mm256_sign_epi8(look_up(&table, &q), s),
                    );
                    let to = to.as_mut_ptr().add(r * stride + column);
                    _mm256_storeu_si256(to.cast(), _mm256_add_epi8(from, noise));
                }
            }
        }
    }
}

/// # Safety
/// The CPU must have AVX2; lengths as [`super::Isa::onto_factor`] checks them.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn onto_factor(
    rows: Rows<'_>,
    sparse: &Sparse,
    windows: Range<usize>,
    to: &mut [i16],
) {
    to.fill(0);
    for w in windows {
        let lookup = &sparse.by_row[w];
        for half in 0..2 {
            let (p, q, s) = (
                indices(&lookup.p, half),
                indices(&lookup.q, half),
                signs(lookup, half),
            );
            for r in 0..TILE {
                // SAFETY: `rows` holds sixteen rows of k, the window lies within k, `to` takes 16 rows of 64.
                unsafe {
                    let table = table(rows.row(r).as_ptr().add(w * WINDOW));
                    let x = look_up(&table, &p);
                    // No entry is -128, so its negative is an int8 too.
                    let y = _mm256_sign_epi8(look_up(&table, &q), s);
                    let to = to
                        .as_mut_ptr()
                        .add(r * WINDOW + 32 * half)
                        .cast::<__m256i>();
                    let low = _mm256_add_epi16(
                        _mm256_cvtepi8_epi16(_mm256_castsi256_si128(x)),
                        _mm256_cvtepi8_epi16(_mm256_castsi256_si128(y)),
                    );
                    let high = _mm256_add_epi16(
                        _mm256_cvtepi8_epi16(_mm256_extracti128_si256::<1>(x)),
                        _mm256_cvtepi8_epi16(_mm256_extracti128_si256::<1>(y)),
                    );
                    _mm256_storeu_si256(to, _mm256_add_epi16(_mm256_loadu_si256(to), low));
                    _mm256_storeu_si256(
                        to.add(1),
                        _mm256_add_epi16(_mm256_loadu_si256(to.add(1)), high),
                    );
                }
            }
        }
    }
}

/// Four quarters of 4 rows, as `avx2.rs` describes them.
///
/// # Safety
/// The CPU must have AVX2; lengths as [`super::Isa::pack_strip`] checks them.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn pack_strip(entries: Entries, rows: Rows<'_>, to: &mut [u8]) {
    let (bias, zero) = (_mm_set1_epi8(NARROW_BIAS), _mm_setzero_si128());
    let ones = (_mm_set1_epi8(1), _mm_set1_epi16(1));
    let mut to = to.as_mut_ptr().cast::<__m128i>();
    // SAFETY: 16 bytes at a time of rows that are multiples of 64 long; `to` takes `strip_bytes(entries, k)`, which is
    // what is written: 16 bytes a step, full 32 a step and 16 of biases a window and a quarter.
    unsafe {
        for quarter in 0..TILE / ROWS {
            let (head, mut total) = (to, zero);
            if entries == Entries::Full {
                to = to.add(1);
            }
            for column in (0..rows.k).step_by(WINDOW) {
                let mut negatives = zero;
                for column in (column..column + WINDOW).step_by(16) {
                    for step in steps(rows, quarter, column) {
                        match entries {
                            Entries::Narrow => {
                                _mm_storeu_si128(to, _mm_add_epi8(step, bias));
                                to = to.add(1);
                            }
                            Entries::Full => {
                                let (size, mask) = (_mm_abs_epi8(step), _mm_cmpgt_epi8(zero, step));
                                _mm_storeu_si128(to, size);
                                _mm_storeu_si128(to.add(1), mask);
                                to = to.add(2);
                                let pairs = _mm_maddubs_epi16(_mm_and_si128(size, mask), ones.0);
                                negatives = _mm_add_epi32(negatives, _mm_madd_epi16(pairs, ones.1));
                            }
                        }
                    }
                }
                if entries == Entries::Full {
                    _mm_storeu_si128(to, negatives);
                    to = to.add(1);
                    total = _mm_add_epi32(total, negatives);
                }
            }
            if entries == Entries::Full {
                _mm_storeu_si128(head, total);
            }
        }
    }
}

/// Four steps of a quarter: 16 columns of 4 rows, transposed by four bytes.
///
/// # Safety
/// `quarter < 4`, and 16 columns from `column` on are within the rows.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn steps(rows: Rows<'_>, quarter: usize, column: usize) -> [__m128i; 4] {
    let mut r = [_mm_setzero_si128(); ROWS];
    for (at, r) in r.iter_mut().enumerate() {
        // SAFETY: the caller vouches for the columns.
        *r = unsafe { _mm_loadu_si128(rows.row(quarter * ROWS + at).as_ptr().add(column).cast()) };
    }
    let (x, y) = (
        _mm_unpacklo_epi32(r[0], r[1]),
        _mm_unpackhi_epi32(r[0], r[1]),
    );
    let (z, w) = (
        _mm_unpacklo_epi32(r[2], r[3]),
        _mm_unpackhi_epi32(r[2], r[3]),
    );
    [
        _mm_unpacklo_epi64(x, z),
        _mm_unpackhi_epi64(x, z),
        _mm_unpacklo_epi64(y, w),
        _mm_unpackhi_epi64(y, w),
    ]
}

/// A panel whose bias is `bias` times the sums of its columns.
///
/// # Safety
/// The CPU must have AVX2; lengths and alignment as [`super::Isa::pack_panel`] checks them.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn pack_panel(bias: i32, rows: Rows<'_>, to: &mut [u8]) {
    let ones = (_mm256_set1_epi8(1), _mm256_set1_epi16(1));
    let bias = _mm256_set1_epi32(bias);
    // SAFETY: 32 bytes of eight rows at a time; `to` is a panel, 64-aligned.
    unsafe {
        for half in 0..2 {
            let mut total = _mm256_setzero_si256();
            let mut line = to.as_mut_ptr().add(LINE + 32 * half);
            for w in 0..rows.k / WINDOW {
                let mut sums = _mm256_setzero_si256();
                for part in 0..2 {
                    let mut lines = [_mm256_setzero_si256(); 8];
                    for (c, line) in lines.iter_mut().enumerate() {
                        let row = rows.row(half * 8 + c).as_ptr();
                        *line = _mm256_loadu_si256(row.add(w * WINDOW + 32 * part).cast());
                    }
                    for (step, entries) in transpose_8x8(lines).into_iter().enumerate() {
                        _mm256_store_si256(line.add((part * 8 + step) * LINE).cast(), entries);
                        let pairs = _mm256_maddubs_epi16(ones.0, entries);
                        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, ones.1));
                    }
                }
                let sums = _mm256_mullo_epi32(sums, bias);
                _mm256_store_si256(line.add(STEPS * LINE).cast(), sums);
                total = _mm256_add_epi32(total, sums);
                line = line.add(PANEL_WINDOW);
            }
            _mm256_store_si256(to.as_mut_ptr().add(32 * half).cast(), total);
        }
    }
}

/// Transposes 8 rows of 8 int32.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn transpose_8x8(r: [__m256i; 8]) -> [__m256i; 8] {
    let mut t = r;
    for i in 0..4 {
        t[2 * i] = _mm256_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    // u[4q + c]: column c of each 128-bit lane, of rows 4q to 4q + 3.
    let mut u = t;
    for q in 0..2 {
        u[4 * q] = _mm256_unpacklo_epi64(t[4 * q], t[4 * q + 2]);
        u[4 * q + 1] = _mm256_unpackhi_epi64(t[4 * q], t[4 * q + 2]);
        u[4 * q + 2] = _mm256_unpacklo_epi64(t[4 * q + 1], t[4 * q + 3]);
        u[4 * q + 3] = _mm256_unpackhi_epi64(t[4 * q + 1], t[4 * q + 3]);
    }
    let mut out = u;
    for c in 0..4 {
        out[c] = _mm256_permute2x128_si256::<0x20>(u[c], u[4 + c]);
        out[4 + c] = _mm256_permute2x128_si256::<0x31>(u[c], u[4 + c]);
    }
    out
}
