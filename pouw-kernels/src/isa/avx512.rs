//! AVX-512 with VNNI: the multiplying kernel.
//!
//! `vpdpbusd` multiplies unsigned by signed, so A is stored plus 128 and a panel's bias is -128 times the sums of its
//! columns: per window when windows are folded (the transcript wants exact sums after each), for all of k otherwise.
//! A strip is two halves of 8 rows, each `[step][row][4]`: 8 rows × 48 columns are 24 accumulators, which with three
//! panels' lines and one broadcast fill the registers, at 11 loads for 24 multiplies. Sums stay in registers for all of k.

use core::arch::x86_64::*;

use labora_pouw::WORDS;

use crate::layout::{
    Call, Fix, LINE, Out, PANEL_WINDOW, STEP, STEPS, State, WINDOW, fix_ranks, fix_words,
    panel_bytes,
};

/// Rows of a half strip.
const ROWS: usize = 8;

/// A transcript before its lanes are XORed together. Rotation and XOR are linear, so lanes (and halves) may be folded
/// apart through all windows and joined once at the end.
type Lanes<const P: usize> = [[__m512i; P]; WORDS];

/// # Safety
/// As [`super::Isa::multiply`], `call` checked, on a CPU with these features.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) unsafe fn multiply(call: &Call<'_>, states: Option<&mut [State]>) {
    // SAFETY: passed on.
    unsafe {
        match call.panels {
            1 => panels::<1>(call, states),
            2 => panels::<2>(call, states),
            _ => panels::<3>(call, states),
        }
    }
}

/// # Safety
/// As [`multiply`], with `P == call.panels`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn panels<const P: usize>(call: &Call<'_>, states: Option<&mut [State]>) {
    let mut lanes = [[[_mm512_setzero_si512(); P]; WORDS]; 2];
    for (half, lanes) in lanes.iter_mut().enumerate() {
        // SAFETY: passed on; there are two halves.
        unsafe {
            if states.is_some() {
                rows::<P, true>(call, half, lanes);
            } else {
                rows::<P, false>(call, half, lanes);
            }
        }
    }
    if let Some(states) = states {
        for (p, state) in states.iter_mut().enumerate() {
            for group in 0..WORDS / 4 {
                let mut w = [_mm512_setzero_si512(); 4];
                for (i, w) in w.iter_mut().enumerate() {
                    *w = _mm512_xor_si512(lanes[0][4 * group + i][p], lanes[1][4 * group + i][p]);
                }
                // A 4×4 transposition that XORs as it goes, in each 128-bit lane, then the four lanes together.
                let x = _mm512_xor_si512(
                    _mm512_unpacklo_epi32(w[0], w[1]),
                    _mm512_unpackhi_epi32(w[0], w[1]),
                );
                let y = _mm512_xor_si512(
                    _mm512_unpacklo_epi32(w[2], w[3]),
                    _mm512_unpackhi_epi32(w[2], w[3]),
                );
                let z = _mm512_xor_si512(_mm512_unpacklo_epi64(x, y), _mm512_unpackhi_epi64(x, y));
                let z =
                    _mm256_xor_si256(_mm512_castsi512_si256(z), _mm512_extracti64x4_epi64::<1>(z));
                let z = _mm_xor_si128(_mm256_castsi256_si128(z), _mm256_extracti128_si256::<1>(z));
                // SAFETY: four words from 4·group on lie within the twelve.
                unsafe { _mm_storeu_si128(state.as_mut_ptr().add(4 * group).cast(), z) };
            }
        }
    }
}

/// 8 rows × 16·P columns over all of k.
///
/// # Safety
/// As [`multiply`], with `P == call.panels` and `half` 0 or 1.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
unsafe fn rows<const P: usize, const FOLD: bool>(
    call: &Call<'_>,
    half: usize,
    lanes: &mut Lanes<P>,
) {
    let k = call.k;
    let mut acc = [[_mm512_setzero_si512(); P]; ROWS];
    // SAFETY: `Call::check` saw `a` hold two halves of 8·k bytes and `b` P panels of `panel_bytes(k)`, 64-aligned; the
    // loops below read each window once.
    unsafe {
        let mut a = call.a.as_ptr().add(half * ROWS * k);
        let mut b = call.b.as_ptr();
        let panel = panel_bytes(k);
        if !FOLD {
            for p in 0..P {
                let bias = _mm512_load_si512(b.add(p * panel).cast());
                for row in &mut acc {
                    row[p] = bias;
                }
            }
        }
        b = b.add(LINE);
        let mut word = 0;
        for _ in 0..k / WINDOW {
            for step in 0..STEPS {
                let mut line = [_mm512_setzero_si512(); P];
                for (p, line) in line.iter_mut().enumerate() {
                    *line = _mm512_load_si512(b.add(p * panel + step * LINE).cast());
                }
                for (r, row) in acc.iter_mut().enumerate() {
                    let four = a
                        .add((step * ROWS + r) * STEP)
                        .cast::<i32>()
                        .read_unaligned();
                    let four = _mm512_set1_epi32(four);
                    for p in 0..P {
                        row[p] = _mm512_dpbusd_epi32(row[p], four, line[p]);
                    }
                }
            }
            if FOLD {
                for p in 0..P {
                    let bias = _mm512_load_si512(b.add(p * panel + STEPS * LINE).cast());
                    let mut fold = _mm512_rol_epi32::<13>(lanes[word][p]);
                    for row in &mut acc {
                        row[p] = _mm512_add_epi32(row[p], bias);
                    }
                    for pair in acc.chunks_exact(2) {
                        fold = _mm512_ternarylogic_epi32::<0x96>(fold, pair[0][p], pair[1][p]);
                    }
                    lanes[word][p] = fold;
                }
                word = if word + 1 == WORDS { 0 } else { word + 1 };
            }
            a = a.add(ROWS * WINDOW);
            b = b.add(PANEL_WINDOW);
        }
        if let Some(fix) = call.fix {
            correct(k, fix, half, &mut acc);
        }
        if let Some(out) = call.out {
            store(out, half, &acc);
        }
    }
}

/// Adds the correction: left `[half][pair][8 rows][2]`, right `[pair][16 columns][2]` per panel.
///
/// # Safety
/// `fix` holds two halves and P panels of the words that `k` asks for.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
unsafe fn correct<const P: usize>(
    k: usize,
    fix: Fix<'_>,
    half: usize,
    acc: &mut [[__m512i; P]; ROWS],
) {
    let ranks = fix_ranks(k);
    // SAFETY: `Call::check` saw the lengths.
    unsafe {
        let left = fix.left.as_ptr().add(half * ROWS * ranks).cast::<i32>();
        let right = fix.right.as_ptr().cast::<u8>();
        for pair in 0..ranks / 2 {
            let mut line = [_mm512_setzero_si512(); P];
            for (p, line) in line.iter_mut().enumerate() {
                *line = _mm512_loadu_si512(right.add(2 * p * fix_words(k) + pair * LINE).cast());
            }
            for (r, row) in acc.iter_mut().enumerate() {
                let two = _mm512_set1_epi32(left.add(pair * ROWS + r).read_unaligned());
                for p in 0..P {
                    row[p] = _mm512_dpwssd_epi32(row[p], two, line[p]);
                }
            }
        }
    }
}

/// # Safety
/// `out` takes 16 rows of 16·P entries.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
unsafe fn store<const P: usize>(out: Out, half: usize, acc: &[[__m512i; P]; ROWS]) {
    for (r, row) in acc.iter().enumerate() {
        for (p, &sums) in row.iter().enumerate() {
            // SAFETY: row 8·half + r < 16 and column 16·p + 15 < 16·P.
            unsafe {
                _mm512_storeu_si512(
                    out.first
                        .add((half * ROWS + r) * out.stride + 16 * p)
                        .cast(),
                    sums,
                )
            };
        }
    }
}
