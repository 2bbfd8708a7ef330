//! AVX-512 with VNNI: the multiplying kernel.
//!
//! `vpdpbusd` multiplies unsigned by signed, so A is stored plus 128 and a panel's bias is -128 times the sums of its
//! columns: per window when windows are folded (the transcript wants exact sums after each), for all of k otherwise.
//! A strip is two halves of 8 rows, each `[step][row][4]`: 8 rows × 48 columns are 24 accumulators, which with three
//! panels' lines and one broadcast fill the registers, at 11 loads for 24 multiplies. Sums stay in registers for all of k.

// Indices say which register is which; an iterator over them hides it from the reader and from the compiler.
#![allow(clippy::needless_range_loop)]

use core::arch::x86_64::*;
use core::mem::MaybeUninit;

use labora_pouw::{TILE, WORDS};

use crate::layout::{
    Call, Fix, LINE, Out, STEPS, State, WINDOW, fix_ranks, fix_words, panel_bytes,
};

/// Rows of a half strip.
const ROWS: usize = 8;
/// Lines of a panel that are fetched ahead of use: about a hundred cycles, where the second-level cache takes fifteen and
/// the third some seventy.
const AHEAD: usize = 8;

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

/// Transcripts before their lanes are joined: by half, word and panel. Rotation and XOR are linear, so lanes and halves
/// may be folded apart through all windows. Zeroing them would cost as much as a window of multiplying.
type Lanes<const P: usize> = [[MaybeUninit<[__m512i; P]>; WORDS]; 2];

/// # Safety
/// As [`multiply`], with `P == call.panels`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn panels<const P: usize>(call: &Call<'_>, states: Option<&mut [State]>) {
    let mut lanes: Lanes<P> = [const { [const { MaybeUninit::uninit() }; WORDS] }; 2];
    for (half, lanes) in lanes.iter_mut().enumerate() {
        // SAFETY: passed on; there are two halves.
        unsafe {
            match states {
                Some(_) => rows::<P, true>(call, half, lanes),
                None => rows::<P, false>(call, half, lanes),
            }
        }
    }
    for (p, state) in states.into_iter().flatten().enumerate() {
        // SAFETY: all windows of both halves have been folded; there are P states.
        unsafe { join(call.k / WINDOW, &lanes, p, state) };
    }
}

/// Joins the lanes of one panel.
///
/// # Safety
/// `windows` windows have been folded into `lanes`, and `p < P`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
unsafe fn join<const P: usize>(windows: usize, lanes: &Lanes<P>, p: usize, state: &mut State) {
    for group in 0..WORDS / 4 {
        let mut w = [_mm512_setzero_si512(); 4];
        for i in 0..4 {
            let word = 4 * group + i;
            // Words that no window reached were never written.
            if word < windows {
                // SAFETY: window number `word` wrote it, in both halves.
                let of = |half: usize| unsafe { lanes[half][word].assume_init_ref()[p] };
                w[i] = _mm512_xor_si512(of(0), of(1));
            }
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
        let z = _mm256_xor_si256(_mm512_castsi512_si256(z), _mm512_extracti64x4_epi64::<1>(z));
        let z = _mm_xor_si128(_mm256_castsi256_si128(z), _mm256_extracti128_si256::<1>(z));
        // SAFETY: four words from 4·group on lie within the twelve.
        unsafe { _mm_storeu_si128(state.as_mut_ptr().add(4 * group).cast(), z) };
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
    lanes: &mut [MaybeUninit<[__m512i; P]>; WORDS],
) {
    let k = call.k;
    // Loops over it have constant bounds and plain indices: anything that takes a slice of it ends up in memory.
    let mut acc = [[_mm512_setzero_si512(); P]; ROWS];
    // SAFETY: `Call::check` saw `a` hold two halves of 8·k bytes and `b` P panels of `panel_bytes(k)`, 64-aligned; the
    // loop below reads each window once. `word` stays below 12, and a word is read from the second time on.
    unsafe {
        let mut a = call.a.as_ptr().add(half * ROWS * k).cast::<i32>();
        let mut b = [call.b.as_ptr().cast::<__m512i>(); P];
        let lanes = lanes.as_mut_ptr().cast::<__m512i>();
        for p in 0..P {
            b[p] = b[p].byte_add(p * panel_bytes(k));
            if !FOLD {
                for r in 0..ROWS {
                    acc[r][p] = _mm512_load_si512(b[p]);
                }
            }
            b[p] = b[p].add(1);
        }
        let mut word = 0;
        for window in 0..k / WINDOW {
            if let Some(out) = call.out.filter(|_| window < ROWS) {
                out.fetch(half * ROWS + window, 0, P);
            }
            for _ in 0..STEPS {
                let mut line = [_mm512_setzero_si512(); P];
                for p in 0..P {
                    line[p] = _mm512_load_si512(b[p]);
                    _mm_prefetch::<_MM_HINT_T0>(b[p].wrapping_add(AHEAD).cast());
                    b[p] = b[p].add(1);
                }
                for r in 0..ROWS {
                    let four = _mm512_set1_epi32(a.add(r).read_unaligned());
                    for p in 0..P {
                        acc[r][p] = _mm512_dpbusd_epi32(acc[r][p], four, line[p]);
                    }
                }
                a = a.add(ROWS);
            }
            for p in 0..P {
                if FOLD {
                    let bias = _mm512_load_si512(b[p]);
                    for r in 0..ROWS {
                        acc[r][p] = _mm512_add_epi32(acc[r][p], bias);
                    }
                    let lane = lanes.add(word * P + p);
                    let mut fold = _mm512_setzero_si512();
                    if window >= WORDS {
                        fold = _mm512_rol_epi32::<13>(_mm512_load_si512(lane));
                    }
                    for r in (0..ROWS).step_by(2) {
                        fold = _mm512_ternarylogic_epi32::<0x96>(fold, acc[r][p], acc[r + 1][p]);
                    }
                    _mm512_store_si512(lane, fold);
                }
                b[p] = b[p].add(1);
            }
            word = if word == WORDS - 1 { 0 } else { word + 1 };
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
        let mut left = fix.left.as_ptr().add(half * ROWS * ranks).cast::<i32>();
        let mut right = [fix.right.as_ptr(); P];
        for p in 0..P {
            right[p] = right[p].add(p * fix_words(k));
        }
        for _ in 0..ranks / 2 {
            let mut line = [_mm512_setzero_si512(); P];
            for p in 0..P {
                line[p] = _mm512_loadu_si512(right[p].cast());
                _mm_prefetch::<_MM_HINT_T0>(right[p].wrapping_byte_add(AHEAD * LINE).cast());
                right[p] = right[p].byte_add(LINE);
            }
            for r in 0..ROWS {
                let two = _mm512_set1_epi32(left.add(r).read_unaligned());
                for p in 0..P {
                    acc[r][p] = _mm512_dpwssd_epi32(acc[r][p], two, line[p]);
                }
            }
            left = left.add(ROWS);
        }
    }
}

/// Writes the sums, whole cache lines at a time wherever C starts: large allocations rarely start with a line, and stores
/// that straddle two lines cost a product 3%.
///
/// # Safety
/// `out` takes 16 rows of 16·P entries.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
unsafe fn store<const P: usize>(out: Out, half: usize, acc: &[[__m512i; P]; ROWS]) {
    // Entries by which lines start later than panels.
    let late = out.first.align_offset(LINE) % TILE;
    let to = out
        .first
        .wrapping_add((half * ROWS).wrapping_mul(out.stride));
    let at = |r: usize| to.wrapping_add(r.wrapping_mul(out.stride));
    // SAFETY: passed on, row by row. Written out, since a loop of this size is not unrolled, and an index that is not a
    // constant would keep the sums in memory all the while.
    unsafe {
        store_row(at(0), late, acc[0]);
        store_row(at(1), late, acc[1]);
        store_row(at(2), late, acc[2]);
        store_row(at(3), late, acc[3]);
        store_row(at(4), late, acc[4]);
        store_row(at(5), late, acc[5]);
        store_row(at(6), late, acc[6]);
        store_row(at(7), late, acc[7]);
    }
}

/// Writes a row that starts `late` entries before a line does; any other `late` below 16 is slower and as right.
///
/// # Safety
/// `to` takes 16·P entries, and `late < 16`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
unsafe fn store_row<const P: usize>(to: *mut i32, late: usize, row: [__m512i; P]) {
    let lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    let turn = _mm512_add_epi32(lanes, _mm512_set1_epi32(late as i32));
    let tail = 0xffff_u16 >> late;
    let line = to.wrapping_add(late);
    // SAFETY: the first `late` entries, then P - 1 lines, then what is left of the last panel: 16·P entries. What the
    // masks leave out is not touched, wherever it lies.
    unsafe {
        _mm512_mask_storeu_epi32(
            line.wrapping_sub(TILE),
            !tail,
            _mm512_permutexvar_epi32(turn, row[0]),
        );
        for p in 0..P - 1 {
            let both = _mm512_permutex2var_epi32(row[p], turn, row[p + 1]);
            _mm512_storeu_si512(line.wrapping_add(TILE * p).cast(), both);
        }
        let last = _mm512_permutexvar_epi32(turn, row[P - 1]);
        _mm512_mask_storeu_epi32(line.wrapping_add(TILE * (P - 1)), tail, last);
    }
}
