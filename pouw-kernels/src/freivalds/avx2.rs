//! Sums of matrix entries times elements of the field, with AVX2.
//!
//! Of int8 entries: an element is cut into four digits of 16 bits with a sign, so that an entry times a digit is a product of
//! int16, of which `vpmaddwd` makes sixteen and adds them in pairs. Of int32 entries: into three limbs of 21 bits, so that
//! `vpmuldq` gives products of 52 bits, which leave room for a thousand of them in an int64.

use core::arch::x86_64::*;

use labora_pouw::{TILE, freivalds::Element};

/// Digits of an element beside int8.
const DIGITS: usize = 4;

/// Limbs of an element beside int32, and the bits of each.
const LIMBS: usize = 3;
const LIMB: u32 = 21;

/// Entries of a register of int16.
const WIDE: usize = 16;

/// Registers of a row whose sums stay in an int32: a pair of products is at most 2^23, and each register adds one.
const STEPS: usize = 128;

/// Rows that are summed together: the digits of a vector fill the cache next to the CPU, and are read for all of them at once.
const TOGETHER: usize = 2;

/// Rows that columns are read by: four pairs, of at most 2^23 each.
const ROWS: usize = 8;

/// Times so many rows whose sums stay in an int32.
const GROUPS: usize = 32;

/// Tiles beside each other whose sums stay in an int64, all lanes together: sixteen products of 2^52 of each.
const TILES: usize = 64;

/// An element as Σ digit·2^(16·at), each digit in -2^15..2^15. The last is at most 2^13, since elements are below 2^61.
pub(super) fn digits(element: Element) -> [i16; DIGITS] {
    let mut rest = element.get();
    [(); DIGITS].map(|()| {
        // The low 16 bits, as they are meant with a sign.
        let digit = rest as i16;
        rest = rest.wrapping_sub(digit as u64) >> 16;
        digit
    })
}

/// Σ sum·2^(bits·at), of sums below 2^63.
pub(super) fn joined<const N: usize>(sums: [i64; N], bits: u32) -> Element {
    let all = sums.iter().rev();
    Element::from_i128(all.fold(0_i128, |all, sum| (all << bits) + i128::from(*sum)))
}

fn sum_of_lanes(sums: __m256i) -> i64 {
    // SAFETY: both are 32 plain bytes.
    let lanes: [i32; 8] = unsafe { core::mem::transmute(sums) };
    lanes.map(i64::from).iter().sum()
}

fn wide_lanes(sums: __m256i) -> i64 {
    // SAFETY: both are 32 plain bytes.
    let lanes: [i64; 4] = unsafe { core::mem::transmute(sums) };
    lanes.iter().sum()
}

/// For each row of `matrix`, as long as `v`, the sum of its entries times `v`'s elements.
///
/// # Safety
/// The CPU must have AVX2; `v`'s length must be a multiple of 16, and the number of rows one of [`TOGETHER`].
#[target_feature(enable = "avx2")]
pub(super) unsafe fn of_rows(matrix: &[i8], v: &[Element]) -> Vec<Element> {
    let steps: Vec<[__m256i; DIGITS]> = v.as_chunks().0.iter().map(|of| step(of)).collect();
    let mut out = Vec::with_capacity(matrix.len() / v.len().max(1));
    for rows in matrix.chunks_exact(TOGETHER * v.len()) {
        let mut sums = [[0_i64; DIGITS]; TOGETHER];
        for (at, steps) in steps.chunks(STEPS).enumerate() {
            let mut parts = [[_mm256_setzero_si256(); DIGITS]; TOGETHER];
            for (step_at, step) in steps.iter().enumerate() {
                let from = (at * STEPS + step_at) * WIDE;
                for (row, parts) in parts.iter_mut().enumerate() {
                    // SAFETY: sixteen bytes of this row, which is as long as there are steps.
                    let bytes =
                        unsafe { _mm_loadu_si128(rows.as_ptr().add(row * v.len() + from).cast()) };
                    let entries = _mm256_cvtepi8_epi16(bytes);
                    for (part, digits) in parts.iter_mut().zip(step) {
                        *part = _mm256_add_epi32(*part, _mm256_madd_epi16(entries, *digits));
                    }
                }
            }
            for (sums, parts) in sums.iter_mut().zip(parts) {
                for (sum, part) in sums.iter_mut().zip(parts) {
                    *sum += sum_of_lanes(part);
                }
            }
        }
        out.extend(sums.map(|sums| joined(sums, 16)));
    }
    out
}

/// Of each digit of sixteen elements, a register.
#[target_feature(enable = "avx2")]
fn step(elements: &[Element; WIDE]) -> [__m256i; DIGITS] {
    let all = elements.map(digits);
    let mut out = [_mm256_setzero_si256(); DIGITS];
    for (digit, out) in out.iter_mut().enumerate() {
        let of = all.map(|digits| digits[digit]);
        // SAFETY: sixteen int16 are 32 bytes.
        *out = unsafe { _mm256_loadu_si256(of.as_ptr().cast()) };
    }
    out
}

/// Sums of sixteen columns: of each digit, eight and eight.
type Columns = [[__m256i; 2]; DIGITS];

/// For each of `columns` columns of `matrix`, as high as `v` is long, the sum of its entries times `v`'s elements.
///
/// # Safety
/// The CPU must have AVX2; `columns` must be a multiple of 16 and `v`'s length one of 8.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn of_columns(matrix: &[i8], v: &[Element], columns: usize) -> Vec<Element> {
    let mut sums = vec![[0_i64; DIGITS]; columns];
    let mut parts: Vec<Columns> = vec![[[_mm256_setzero_si256(); 2]; DIGITS]; columns / WIDE];
    let rows = matrix.chunks(columns * ROWS * GROUPS);
    for (rows, v) in rows.zip(v.chunks(ROWS * GROUPS)) {
        let groups = rows.chunks_exact(columns * ROWS);
        for (rows, v) in groups.zip(v.as_chunks::<ROWS>().0) {
            // SAFETY: so many rows of so many columns.
            unsafe { add_rows(&mut parts, rows, columns, v) };
        }
        flush(&mut parts, &mut sums);
    }
    sums.into_iter().map(|sums| joined(sums, 16)).collect()
}

/// # Safety
/// The CPU must have AVX2, and `rows` must hold eight rows of `columns` entries, sixteen for each of `parts`.
#[target_feature(enable = "avx2")]
unsafe fn add_rows(parts: &mut [Columns], rows: &[i8], columns: usize, v: &[Element; ROWS]) {
    debug_assert!(rows.len() == ROWS * columns && columns == WIDE * parts.len());
    let v = v.map(digits);
    let mut factors = [[_mm256_setzero_si256(); ROWS / 2]; DIGITS];
    for (digit, factors) in factors.iter_mut().enumerate() {
        for (factor, pair) in factors.iter_mut().zip(v.as_chunks::<2>().0) {
            let [low, high] = [pair[0][digit], pair[1][digit]].map(|digit| u32::from(digit as u16));
            *factor = _mm256_set1_epi32((low | high << 16) as i32);
        }
    }
    for (at, parts) in parts.iter_mut().enumerate() {
        let mut pairs = [[_mm256_setzero_si256(); 2]; ROWS / 2];
        for (pair, out) in pairs.iter_mut().enumerate() {
            let from = 2 * pair * columns + at * WIDE;
            // SAFETY: sixteen entries of a row and of the one after it, by what the caller vouches for.
            let (first, second) = unsafe {
                let first = rows.as_ptr().add(from);
                (
                    _mm_loadu_si128(first.cast()),
                    _mm_loadu_si128(first.add(columns).cast()),
                )
            };
            *out = [
                _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(first, second)),
                _mm256_cvtepi8_epi16(_mm_unpackhi_epi8(first, second)),
            ];
        }
        for (part, factors) in parts.iter_mut().zip(&factors) {
            for (pair, factor) in pairs.iter().zip(factors) {
                part[0] = _mm256_add_epi32(part[0], _mm256_madd_epi16(pair[0], *factor));
                part[1] = _mm256_add_epi32(part[1], _mm256_madd_epi16(pair[1], *factor));
            }
        }
    }
}

/// Moves sums of int32 into those of int64.
#[target_feature(enable = "avx2")]
fn flush(parts: &mut [Columns], sums: &mut [[i64; DIGITS]]) {
    for (parts, sums) in parts.iter_mut().zip(sums.as_chunks_mut::<WIDE>().0) {
        for (digit, part) in parts.iter_mut().enumerate() {
            // SAFETY: both are 64 plain bytes.
            let lanes: [i32; WIDE] = unsafe { core::mem::transmute(*part) };
            for (sum, more) in sums.iter_mut().zip(lanes) {
                sum[digit] += i64::from(more);
            }
            *part = [_mm256_setzero_si256(); 2];
        }
    }
}

/// C·r of `c`, tile-major of `n` columns.
///
/// # Safety
/// The CPU must have AVX2; `c` must hold whole rows of tiles, and `r` n elements.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn of_result(c: &[i32], r: &[Element], n: usize) -> Vec<Element> {
    let limbs: Vec<[[__m256i; TILE / 4]; LIMBS]> =
        r.as_chunks().0.iter().map(|of| limbs_of(of)).collect();
    let mut out = Vec::with_capacity(c.len() / n.max(1));
    for tiles in c.chunks_exact(TILE * n) {
        let mut sums = [[0_i128; LIMBS]; TILE];
        let tiles = tiles.as_chunks::<{ TILE * TILE }>().0;
        for (tiles, limbs) in tiles.chunks(TILES).zip(limbs.chunks(TILES)) {
            let mut parts = [[_mm256_setzero_si256(); LIMBS]; TILE];
            for (tile, limbs) in tiles.iter().zip(limbs) {
                ahead(tile.as_ptr().cast(), size_of_val(tile));
                add_tile(&mut parts, tile, limbs);
            }
            for (sums, parts) in sums.iter_mut().zip(parts) {
                for (sum, part) in sums.iter_mut().zip(parts) {
                    *sum += i128::from(wide_lanes(part));
                }
            }
        }
        out.extend(sums.map(|[low, middle, high]| {
            Element::from_i128(low + (middle << LIMB) + (high << (2 * LIMB)))
        }));
    }
    out
}

/// Bytes that are asked of memory before their turn: caches that look ahead by themselves stop at the end of each page.
const AHEAD: usize = 4096;

/// Asks memory for what comes `AHEAD` after so many bytes, which may be beyond the end.
fn ahead(from: *const i8, bytes: usize) {
    for line in (0..bytes).step_by(64) {
        // SAFETY: a hint, which touches nothing.
        unsafe { _mm_prefetch(from.wrapping_add(AHEAD + line), _MM_HINT_T0) };
    }
}

#[target_feature(enable = "avx2")]
fn add_tile(
    parts: &mut [[__m256i; LIMBS]; TILE],
    tile: &[i32; TILE * TILE],
    limbs: &[[__m256i; TILE / 4]; LIMBS],
) {
    for (row, part) in tile.as_chunks::<TILE>().0.iter().zip(parts) {
        for (at, entries) in row.as_chunks::<4>().0.iter().enumerate() {
            // SAFETY: four int32 are sixteen bytes.
            let entries = unsafe { _mm_loadu_si128(entries.as_ptr().cast()) };
            let entries = _mm256_cvtepi32_epi64(entries);
            for (part, limb) in part.iter_mut().zip(limbs) {
                *part = _mm256_add_epi64(*part, _mm256_mul_epi32(entries, limb[at]));
            }
        }
    }
}

/// Of each limb of sixteen elements, four registers.
#[target_feature(enable = "avx2")]
fn limbs_of(elements: &[Element; TILE]) -> [[__m256i; TILE / 4]; LIMBS] {
    let mut out = [[_mm256_setzero_si256(); TILE / 4]; LIMBS];
    for (limb, out) in out.iter_mut().enumerate() {
        let shift = LIMB * limb as u32;
        let of = elements.map(|element| element.get() >> shift & ((1 << LIMB) - 1));
        for (at, out) in out.iter_mut().enumerate() {
            // SAFETY: four u64 of sixteen.
            *out = unsafe { _mm256_loadu_si256(of.as_ptr().add(4 * at).cast()) };
        }
    }
    out
}
