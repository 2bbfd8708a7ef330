//! AVX-VNNI: `vpdpbusd` on 256 bits, for CPUs without AVX-512 (Alder Lake and later clients, Sierra Forest).
//!
//! As in `avx512.rs`, A is stored plus 128 and a panel's bias is -128 times the sums of its columns. A strip is three groups
//! of 6, 5 and 5 rows, each `[step][row][4]`: with 16 columns in two registers that makes ten or twelve sums, as many as
//! two multiplies a cycle of five cycles' latency need, and as the sixteen registers hold beside a line and one broadcast.

// Indices say which register is which; an iterator over them hides it from the reader and from the compiler.
#![allow(clippy::needless_range_loop)]

use core::arch::x86_64::*;

use labora_pouw::{TILE, WORDS};

use super::Rows;
use super::avx2::join;
use crate::layout::{
    Call, Fix, LINE, Out, STEP, STEPS, State, WINDOW, fix_ranks, fix_words, panel_bytes,
};

/// Lines of a panel that are fetched ahead of use: some fifty cycles, where the second-level cache takes fifteen.
const AHEAD: usize = 8;
/// First row of each group.
const SIX: usize = 0;
const FIVE: usize = 6;
const LAST_FIVE: usize = 11;

/// What a panel's bias is per unit of its columns' sums.
pub(super) const BIAS: i32 = -128;

/// Lanes of a transcript before they are joined.
type Lanes = [__m256i; WORDS];

/// # Safety
/// As [`super::Isa::multiply`], `call` checked, on a CPU with these features.
#[target_feature(enable = "avx2,avxvnni")]
pub(super) unsafe fn multiply(call: &Call<'_>, mut states: Option<&mut [State]>) {
    for panel in 0..call.panels {
        let mut lanes = [_mm256_setzero_si256(); WORDS];
        // SAFETY: passed on; the groups start where `pack_strip` has them.
        unsafe {
            match &mut states {
                Some(states) => {
                    rows::<6, true>(call, panel, SIX, &mut lanes);
                    rows::<5, true>(call, panel, FIVE, &mut lanes);
                    rows::<5, true>(call, panel, LAST_FIVE, &mut lanes);
                    join(&lanes, &mut states[panel]);
                }
                None => {
                    rows::<6, false>(call, panel, SIX, &mut lanes);
                    rows::<5, false>(call, panel, FIVE, &mut lanes);
                    rows::<5, false>(call, panel, LAST_FIVE, &mut lanes);
                }
            }
        }
    }
}

/// R rows × 16 columns over all of k; adds their transcript to `joined`.
///
/// # Safety
/// As [`multiply`], with `panel < call.panels` and a group of R rows at `first`.
#[target_feature(enable = "avx2,avxvnni")]
#[inline]
unsafe fn rows<const R: usize, const FOLD: bool>(
    call: &Call<'_>,
    panel: usize,
    first: usize,
    joined: &mut Lanes,
) {
    let k = call.k;
    let mut lanes = [_mm256_setzero_si256(); WORDS];
    // Loops over it have constant bounds and plain indices: anything that takes a slice of it ends up in memory.
    let mut acc = [[_mm256_setzero_si256(); 2]; R];
    // SAFETY: `Call::check` saw `a` hold 16·k bytes and `b` the panels of `panel_bytes(k)`, 64-aligned; the loop below
    // reads each window once. `word` stays below 12.
    unsafe {
        let mut a = call.a.as_ptr().add(first * k).cast::<i32>();
        let mut b = call.b.as_ptr().add(panel * panel_bytes(k));
        if !FOLD {
            add_bias(b, &mut acc);
        }
        b = b.add(LINE);
        let mut word = 0;
        for window in 0..k / WINDOW {
            if let Some(out) = call.out.filter(|_| window < R) {
                out.fetch(first + window, panel, 1);
            }
            // Unrolled by four: the loop's own additions would take the ports that multiply.
            for _ in 0..STEPS / 4 {
                for line in 0..4 {
                    _mm_prefetch::<_MM_HINT_T0>(b.wrapping_add((AHEAD + line) * LINE).cast());
                }
                step(a, b, &mut acc);
                step(a.add(R), b.add(LINE), &mut acc);
                step(a.add(2 * R), b.add(2 * LINE), &mut acc);
                step(a.add(3 * R), b.add(3 * LINE), &mut acc);
                a = a.add(4 * R);
                b = b.add(4 * LINE);
            }
            if FOLD {
                add_bias(b, &mut acc);
                let last = lanes[word];
                let mut fold =
                    _mm256_or_si256(_mm256_slli_epi32::<13>(last), _mm256_srli_epi32::<19>(last));
                for r in 0..R {
                    fold = _mm256_xor_si256(fold, _mm256_xor_si256(acc[r][0], acc[r][1]));
                }
                lanes[word] = fold;
                word = if word + 1 == WORDS { 0 } else { word + 1 };
            }
            b = b.add(LINE);
        }
        if let Some(fix) = call.fix {
            correct(k, fix, panel, first, &mut acc);
        }
        if let Some(out) = call.out {
            store(out, panel, first, &acc);
        }
    }
    for (joined, lanes) in joined.iter_mut().zip(lanes) {
        *joined = _mm256_xor_si256(*joined, lanes);
    }
}

/// # Safety
/// `a` points to a step of R rows, `b` to a step of a panel.
#[target_feature(enable = "avx2,avxvnni")]
#[inline]
unsafe fn step<const R: usize>(a: *const i32, b: *const u8, acc: &mut [[__m256i; 2]; R]) {
    // SAFETY: the caller vouches for 4·R bytes of A and a line of B.
    unsafe {
        let line = b.cast::<__m256i>();
        let line = [_mm256_load_si256(line), _mm256_load_si256(line.add(1))];
        for r in 0..R {
            let four = _mm256_set1_epi32(a.add(r).read_unaligned());
            for half in 0..2 {
                acc[r][half] = _mm256_dpbusd_avx_epi32(acc[r][half], four, line[half]);
            }
        }
    }
}

/// # Safety
/// `bias` points to an aligned line.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn add_bias<const R: usize>(bias: *const u8, acc: &mut [[__m256i; 2]; R]) {
    for half in 0..2 {
        // SAFETY: two registers make a line.
        let bias = unsafe { _mm256_load_si256(bias.add(32 * half).cast()) };
        for r in 0..R {
            acc[r][half] = _mm256_add_epi32(acc[r][half], bias);
        }
    }
}

/// Adds the correction: left `[16 rows][pair][2]`, right `[pair][16 columns][2]` per panel.
///
/// # Safety
/// `fix` holds sixteen rows and more panels than `panel`, of the words that `k` asks for; R rows from `first` on are
/// within the sixteen.
#[target_feature(enable = "avx2,avxvnni")]
#[inline]
unsafe fn correct<const R: usize>(
    k: usize,
    fix: Fix<'_>,
    panel: usize,
    first: usize,
    acc: &mut [[__m256i; 2]; R],
) {
    let pairs = fix_ranks(k) / 2;
    // SAFETY: `Call::check` saw the lengths.
    unsafe {
        let left = fix.left.as_ptr().cast::<i32>().add(first * pairs);
        let right = fix.right.as_ptr().add(panel * fix_words(k));
        let right = right.cast::<__m256i>();
        for pair in 0..pairs {
            let line = [
                _mm256_loadu_si256(right.add(2 * pair)),
                _mm256_loadu_si256(right.add(2 * pair + 1)),
            ];
            for r in 0..R {
                let two = _mm256_set1_epi32(left.add(r * pairs + pair).read_unaligned());
                for half in 0..2 {
                    acc[r][half] = _mm256_dpwssd_avx_epi32(acc[r][half], two, line[half]);
                }
            }
        }
    }
}

/// # Safety
/// `out` takes 16 rows of 16 entries a panel, and R rows from `first` on are within the sixteen.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn store<const R: usize>(out: Out, panel: usize, first: usize, acc: &[[__m256i; 2]; R]) {
    for r in 0..R {
        // SAFETY: the caller vouches for the row, and the panel is one of the call's.
        unsafe {
            let to = out.first.add((first + r) * out.stride + panel * TILE);
            _mm256_storeu_si256(to.cast(), acc[r][0]);
            _mm256_storeu_si256(to.cast::<__m256i>().add(1), acc[r][1]);
        }
    }
}

/// Three groups of rows, each `[step][row][4]`, plus 128. Panics unless `to` takes 16·k bytes.
pub(super) fn pack_strip(rows: Rows<'_>, to: &mut [u8]) {
    let (six, fives) = to.split_at_mut(FIVE * rows.k);
    let (five, last_five) = fives.split_at_mut((LAST_FIVE - FIVE) * rows.k);
    pack_group::<6>(rows, SIX, six);
    pack_group::<5>(rows, FIVE, five);
    pack_group::<5>(rows, LAST_FIVE, last_five);
}

fn pack_group<const R: usize>(rows: Rows<'_>, first: usize, to: &mut [u8]) {
    let from: [&[[i8; STEP]]; R] = core::array::from_fn(|r| rows.row(first + r).as_chunks().0);
    let steps = to.as_chunks_mut::<STEP>().0.as_chunks_mut::<R>().0;
    for (step, to) in steps.iter_mut().enumerate() {
        for (from, to) in from.iter().zip(to) {
            *to = from[step].map(|entry| entry as u8 ^ 0x80);
        }
    }
}
