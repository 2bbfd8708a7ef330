//! AVX-512: packing operands for VNNI, and with VBMI (one `vpermb` looks 64 entries up) noise and its factor sums.

use core::arch::x86_64::*;
use core::ops::Range;

use labora_pouw::TILE;

use super::Rows;
use super::avx2_pack::transpose_8x8;
use crate::layout::{LINE, PANEL_WINDOW, STEPS, WINDOW};
use crate::noise::Sparse;

/// # Safety
/// The CPU must have these features; lengths as [`super::Isa::add_noise`] checks them.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
pub(super) unsafe fn add_noise(
    rows: Rows<'_>,
    dense: &[i8],
    sparse: &Sparse,
    to: &mut [i8],
    stride: usize,
) {
    for r in 0..TILE {
        // SAFETY: `dense` holds 16 rows of 64, `rows` and `to` sixteen rows of k, the tables k/64 windows.
        unsafe {
            let table = _mm512_loadu_si512(dense.as_ptr().add(r * WINDOW).cast());
            let (from, to) = (rows.row(r).as_ptr(), to.as_mut_ptr().add(r * stride));
            for (w, lookup) in sparse.by_column.iter().enumerate() {
                let x =
                    _mm512_permutexvar_epi8(_mm512_loadu_si512(lookup.p.as_ptr().cast()), table);
                let y =
                    _mm512_permutexvar_epi8(_mm512_loadu_si512(lookup.q.as_ptr().cast()), table);
                let sum = _mm512_add_epi8(_mm512_loadu_si512(from.add(w * WINDOW).cast()), x);
                let plus = _mm512_add_epi8(sum, y);
                let noised = _mm512_mask_sub_epi8(plus, lookup.negative, sum, y);
                _mm512_storeu_si512(to.add(w * WINDOW).cast(), noised);
            }
        }
    }
}

/// # Safety
/// The CPU must have these features; lengths as [`super::Isa::onto_factor`] checks them.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
pub(super) unsafe fn onto_factor(
    rows: Rows<'_>,
    sparse: &Sparse,
    windows: Range<usize>,
    to: &mut [i16],
) {
    let (even, odd) = (_mm512_set1_epi16(0x0001), _mm512_set1_epi16(0x0100));
    let mut order = [0_i16; 64];
    for (at, order) in order.iter_mut().enumerate() {
        // Entry `at` stands in the first or the second operand's word at/2.
        *order = (at / 2 + at % 2 * 32) as i16;
    }
    // SAFETY: both halves of the 64 words.
    let (first, second) = unsafe {
        (
            _mm512_loadu_si512(order.as_ptr().cast()),
            _mm512_loadu_si512(order.as_ptr().add(32).cast()),
        )
    };
    for r in 0..TILE {
        let mut sums = [_mm512_setzero_si512(); 2];
        // SAFETY: `rows` holds sixteen rows of k, the windows lie within k, `to` takes 16 rows of 64.
        unsafe {
            let from = rows.row(r).as_ptr();
            for w in windows.clone() {
                let lookup = sparse.by_row.get_unchecked(w);
                let x = _mm512_loadu_si512(from.add(w * WINDOW).cast());
                let y = _mm512_permutexvar_epi8(_mm512_loadu_si512(lookup.q.as_ptr().cast()), x);
                let x = _mm512_permutexvar_epi8(_mm512_loadu_si512(lookup.p.as_ptr().cast()), x);
                // No entry is -128, so its negative is an int8 too.
                let y = _mm512_mask_sub_epi8(y, lookup.negative, _mm512_setzero_si512(), y);
                // Widening by multiplying with 1 and 0 leaves the port alone that permutes.
                for (sums, one) in sums.iter_mut().zip([even, odd]) {
                    let pair = _mm512_add_epi16(
                        _mm512_maddubs_epi16(one, x),
                        _mm512_maddubs_epi16(one, y),
                    );
                    *sums = _mm512_add_epi16(*sums, pair);
                }
            }
            // Even and odd entries, brought together again.
            let to = to.as_mut_ptr().add(r * WINDOW);
            _mm512_storeu_si512(
                to.cast(),
                _mm512_permutex2var_epi16(sums[0], first, sums[1]),
            );
            _mm512_storeu_si512(
                to.add(32).cast(),
                _mm512_permutex2var_epi16(sums[0], second, sums[1]),
            );
        }
    }
}

/// Two halves of 8 rows, each `[step][row][4]`, plus 128.
///
/// # Safety
/// The CPU must have AVX2; lengths as [`super::Isa::pack_strip`] checks them.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn pack_strip(rows: Rows<'_>, to: &mut [u8]) {
    let flip = _mm256_set1_epi8(-128);
    // SAFETY: 32 bytes at a time of rows that are multiples of 64 long; `to` takes 16·k bytes.
    unsafe {
        for half in 0..2 {
            let mut to = to.as_mut_ptr().add(half * 8 * rows.k);
            for column in (0..rows.k).step_by(32) {
                let mut lines = [_mm256_setzero_si256(); 8];
                for (r, line) in lines.iter_mut().enumerate() {
                    *line = _mm256_loadu_si256(rows.row(half * 8 + r).as_ptr().add(column).cast());
                }
                for line in transpose_8x8(lines) {
                    _mm256_storeu_si256(to.cast(), _mm256_xor_si256(line, flip));
                    to = to.add(32);
                }
            }
        }
    }
}

/// # Safety
/// The CPU must have these features; lengths and alignment as [`super::Isa::pack_panel`] checks them.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) unsafe fn pack_panel(rows: Rows<'_>, to: &mut [u8]) {
    let ones = _mm512_set1_epi8(1);
    let mut total = _mm512_setzero_si512();
    // SAFETY: one window of 64 bytes of sixteen rows at a time; `to` is a panel, 64-aligned.
    unsafe {
        let mut line = to.as_mut_ptr().add(LINE);
        for w in 0..rows.k / WINDOW {
            let mut lines = [_mm512_setzero_si512(); TILE];
            for (column, line) in lines.iter_mut().enumerate() {
                *line = _mm512_loadu_si512(rows.row(column).as_ptr().add(w * WINDOW).cast());
            }
            let mut sums = _mm512_setzero_si512();
            for (step, &entries) in transpose_16x16(lines).iter().enumerate() {
                _mm512_store_si512(line.add(step * LINE).cast(), entries);
                sums = _mm512_dpbusd_epi32(sums, ones, entries);
            }
            let bias = _mm512_slli_epi32::<7>(_mm512_sub_epi32(_mm512_setzero_si512(), sums));
            _mm512_store_si512(line.add(STEPS * LINE).cast(), bias);
            total = _mm512_add_epi32(total, bias);
            line = line.add(PANEL_WINDOW);
        }
        _mm512_store_si512(to.as_mut_ptr().cast(), total);
    }
}

/// Transposes 16 rows of 16 int32.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn transpose_16x16(rows: [__m512i; 16]) -> [__m512i; 16] {
    let mut t = rows;
    for i in 0..8 {
        t[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
    }
    // u[4q + c]: column c of each 128-bit lane, of rows 4q to 4q + 3.
    let mut u = t;
    for q in 0..4 {
        u[4 * q] = _mm512_unpacklo_epi64(t[4 * q], t[4 * q + 2]);
        u[4 * q + 1] = _mm512_unpackhi_epi64(t[4 * q], t[4 * q + 2]);
        u[4 * q + 2] = _mm512_unpacklo_epi64(t[4 * q + 1], t[4 * q + 3]);
        u[4 * q + 3] = _mm512_unpackhi_epi64(t[4 * q + 1], t[4 * q + 3]);
    }
    // Then a 4×4 transposition of whole lanes.
    let mut out = u;
    for c in 0..4 {
        let (low, high) = (
            _mm512_shuffle_i32x4::<0x88>(u[c], u[4 + c]),
            _mm512_shuffle_i32x4::<0x88>(u[8 + c], u[12 + c]),
        );
        out[c] = _mm512_shuffle_i32x4::<0x88>(low, high);
        out[8 + c] = _mm512_shuffle_i32x4::<0xdd>(low, high);
        let (low, high) = (
            _mm512_shuffle_i32x4::<0xdd>(u[c], u[4 + c]),
            _mm512_shuffle_i32x4::<0xdd>(u[8 + c], u[12 + c]),
        );
        out[4 + c] = _mm512_shuffle_i32x4::<0x88>(low, high);
        out[12 + c] = _mm512_shuffle_i32x4::<0xdd>(low, high);
    }
    out
}
