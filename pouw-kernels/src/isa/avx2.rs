//! AVX2: the multiplying kernels, 4 rows × 16 columns in eight accumulators.
//!
//! There is no instruction that sums four int8 products, so how many may be added in int16 decides the cost.
//! *Full* entries ([-127, 127]): the sign moves to one side, |a|·(±b), and a pair is at most 2·127·128 = 32,512. A strip
//! holds |a| and the mask of a's sign (`[step][4 rows |a|, 4 rows mask][4]`). b XOR mask is -b - 1 where a is negative,
//! so |a| too little is summed there: what that makes up, a row's *bias*, stands behind each window of the strip, and all
//! of it at a quarter's head. (`vpsignb` would do without, but it takes the ports that multiply; XOR has more to choose from.)
//! *Narrow* entries ([-63, 63]): A is stored plus 63, a pair is at most 2·126·63 = 15,876, so two pairs add up to 31,752
//! in int16 before they are widened; -63 times the sums of the columns is a panel's bias.

use core::arch::x86_64::*;

use labora_pouw::{TILE, WORDS};

use crate::layout::{
    Call, Entries, Fix, LINE, Out, PANEL_WINDOW, STEP, STEPS, State, WINDOW, fix_ranks, fix_words,
    panel_bytes,
};

/// Rows of a quarter of a strip.
pub(super) const ROWS: usize = 4;
/// What is added to narrow entries of A.
pub(super) const NARROW_BIAS: i8 = 63;

/// What a panel's bias is per unit of its columns' sums.
pub(super) const fn bias(entries: Entries) -> i32 {
    match entries {
        Entries::Narrow => -(NARROW_BIAS as i32),
        Entries::Full => 0,
    }
}

/// Lines of a panel that are fetched ahead of use: some eighty cycles, where the second-level cache takes fifteen.
const AHEAD: usize = 8;
/// Bytes of four rows' biases.
pub(super) const ROW_BIAS: usize = 4 * ROWS;
/// Bytes of a quarter's window, without and with biases.
const NARROW_WINDOW: usize = ROWS * WINDOW;
const FULL_WINDOW: usize = 2 * ROWS * WINDOW + ROW_BIAS;

/// Bytes of a packed strip of 16 rows × k.
pub(super) const fn strip_bytes(entries: Entries, k: usize) -> usize {
    TILE / ROWS
        * match entries {
            Entries::Narrow => k / WINDOW * NARROW_WINDOW,
            Entries::Full => ROW_BIAS + k / WINDOW * FULL_WINDOW,
        }
}

/// Sums of 4 rows × 2 registers of 8 columns.
type Sums = [[__m256i; 2]; ROWS];

/// # Safety
/// As [`super::Isa::multiply`], `call` checked, on a CPU with AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn multiply(entries: Entries, call: &Call<'_>, mut states: Option<&mut [State]>) {
    for panel in 0..call.panels {
        // As in `avx512.rs`: lanes and quarters are folded apart and joined at the end.
        let mut joined = [_mm256_setzero_si256(); WORDS];
        for quarter in 0..TILE / ROWS {
            let mut lanes = [_mm256_setzero_si256(); WORDS];
            // SAFETY: passed on; there are four quarters.
            unsafe {
                match (entries, states.is_some()) {
                    (Entries::Full, true) => rows::<true, true>(call, panel, quarter, &mut lanes),
                    (Entries::Full, false) => rows::<true, false>(call, panel, quarter, &mut lanes),
                    (Entries::Narrow, true) => {
                        rows::<false, true>(call, panel, quarter, &mut lanes)
                    }
                    (Entries::Narrow, false) => {
                        rows::<false, false>(call, panel, quarter, &mut lanes)
                    }
                }
            }
            for (joined, lanes) in joined.iter_mut().zip(lanes) {
                *joined = _mm256_xor_si256(*joined, lanes);
            }
        }
        if let Some(states) = &mut states {
            join(&joined, &mut states[panel]);
        }
    }
}

/// Joins the lanes of a panel's transcript.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn join(lanes: &[__m256i; WORDS], state: &mut State) {
    for (w, to) in lanes.chunks_exact(4).zip(state.chunks_exact_mut(4)) {
        let x = _mm256_xor_si256(
            _mm256_unpacklo_epi32(w[0], w[1]),
            _mm256_unpackhi_epi32(w[0], w[1]),
        );
        let y = _mm256_xor_si256(
            _mm256_unpacklo_epi32(w[2], w[3]),
            _mm256_unpackhi_epi32(w[2], w[3]),
        );
        let z = _mm256_xor_si256(_mm256_unpacklo_epi64(x, y), _mm256_unpackhi_epi64(x, y));
        let z = _mm_xor_si128(_mm256_castsi256_si128(z), _mm256_extracti128_si256::<1>(z));
        // SAFETY: `to` is four words.
        unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), z) };
    }
}

/// 4 rows × 16 columns over all of k.
///
/// # Safety
/// As [`multiply`], with `panel < call.panels` and `quarter < 4`.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn rows<const FULL: bool, const FOLD: bool>(
    call: &Call<'_>,
    panel: usize,
    quarter: usize,
    lanes: &mut [__m256i; WORDS],
) {
    let k = call.k;
    let entries = if FULL { Entries::Full } else { Entries::Narrow };
    let mut sums = [[_mm256_setzero_si256(); 2]; ROWS];
    // SAFETY: `Call::check` saw `a` hold four quarters and `b` the panels of `panel_bytes(k)`,
    // 64-aligned; the loops below read each window once.
    unsafe {
        let mut a = call
            .a
            .as_ptr()
            .add(quarter * (strip_bytes(entries, k) / (TILE / ROWS)));
        let mut b = call.b.as_ptr().add(panel * panel_bytes(k));
        if FULL {
            if !FOLD {
                add_row_bias(a, &mut sums);
            }
            a = a.add(ROW_BIAS);
        } else if !FOLD {
            add_bias(b, &mut sums);
        }
        b = b.add(LINE);
        let mut word = 0;
        for window in 0..k / WINDOW {
            if let Some(out) = call.out.filter(|_| window < ROWS) {
                out.fetch(quarter * ROWS + window, panel, 1);
            }
            if FULL {
                full_window(a, b, &mut sums);
            } else {
                narrow_window(a, b, &mut sums);
            }
            if FOLD {
                if FULL {
                    add_row_bias(a.add(FULL_WINDOW - ROW_BIAS), &mut sums);
                } else {
                    add_bias(b.add(STEPS * LINE), &mut sums);
                }
                let last = lanes[word];
                let mut fold =
                    _mm256_or_si256(_mm256_slli_epi32::<13>(last), _mm256_srli_epi32::<19>(last));
                for row in &sums {
                    fold = _mm256_xor_si256(fold, _mm256_xor_si256(row[0], row[1]));
                }
                lanes[word] = fold;
                word = if word + 1 == WORDS { 0 } else { word + 1 };
            }
            a = a.add(if FULL { FULL_WINDOW } else { NARROW_WINDOW });
            b = b.add(PANEL_WINDOW);
        }
        if let Some(fix) = call.fix {
            correct(k, fix, panel, quarter, &mut sums);
        }
        if let Some(out) = call.out {
            store(out, panel, quarter, &sums);
        }
    }
}

/// # Safety
/// `bias` points to an aligned line.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn add_bias(bias: *const u8, sums: &mut Sums) {
    for half in 0..2 {
        // SAFETY: two registers make a line.
        let bias = unsafe { _mm256_load_si256(bias.add(32 * half).cast()) };
        for row in &mut *sums {
            row[half] = _mm256_add_epi32(row[half], bias);
        }
    }
}

/// # Safety
/// `bias` points to four int32.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn add_row_bias(bias: *const u8, sums: &mut Sums) {
    for (r, row) in sums.iter_mut().enumerate() {
        // SAFETY: one of the four.
        let bias = _mm256_set1_epi32(unsafe { bias.cast::<i32>().add(r).read_unaligned() });
        for half in &mut *row {
            *half = _mm256_add_epi32(*half, bias);
        }
    }
}

/// One window of entries in [-127, 127], without its rows' bias.
///
/// # Safety
/// `a` points to a quarter's window in the full layout, `b` to a panel's.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn full_window(a: *const u8, b: *const u8, sums: &mut Sums) {
    // Unrolled by four: the loop's own additions would take the ports that multiply.
    for steps in (0..STEPS).step_by(4) {
        // SAFETY: 32 bytes of A and 64 of B a step.
        unsafe {
            let (a, b) = (a.add(steps * 2 * ROWS * STEP), b.add(steps * LINE));
            for line in 0..4 {
                _mm_prefetch::<_MM_HINT_T0>(b.wrapping_add((AHEAD + line) * LINE).cast());
            }
            full_step(a, b, sums);
            full_step(a.add(2 * ROWS * STEP), b.add(LINE), sums);
            full_step(a.add(4 * ROWS * STEP), b.add(2 * LINE), sums);
            full_step(a.add(6 * ROWS * STEP), b.add(3 * LINE), sums);
        }
    }
}

/// One step of such a window.
///
/// # Safety
/// `a` points to a step of a quarter in the full layout, `b` to a panel's.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn full_step(a: *const u8, b: *const u8, sums: &mut Sums) {
    let ones = _mm256_set1_epi16(1);
    // SAFETY: the caller vouches for 32 bytes of A and 64 of B.
    unsafe {
        let (a, b) = (a.cast::<i32>(), b.cast::<__m256i>());
        let b = [_mm256_load_si256(b), _mm256_load_si256(b.add(1))];
        for (r, row) in sums.iter_mut().enumerate() {
            let size = _mm256_set1_epi32(a.add(r).read_unaligned());
            let mask = _mm256_set1_epi32(a.add(ROWS + r).read_unaligned());
            for half in 0..2 {
                let pairs = _mm256_maddubs_epi16(size, _mm256_xor_si256(b[half], mask));
                row[half] = _mm256_add_epi32(row[half], _mm256_madd_epi16(pairs, ones));
            }
        }
    }
}

/// One window of entries in [-63, 63].
///
/// # Safety
/// `a` points to a quarter's window in the narrow layout, `b` to a panel's.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn narrow_window(a: *const u8, b: *const u8, sums: &mut Sums) {
    // Unrolled like the other.
    for steps in (0..STEPS).step_by(4) {
        // SAFETY: 16 bytes of A and 64 of B a step.
        unsafe {
            let (a, b) = (a.add(steps * ROWS * STEP), b.add(steps * LINE));
            for line in 0..4 {
                _mm_prefetch::<_MM_HINT_T0>(b.wrapping_add((AHEAD + line) * LINE).cast());
            }
            narrow_steps(a, b, sums);
            narrow_steps(a.add(2 * ROWS * STEP), b.add(2 * LINE), sums);
        }
    }
}

/// Two steps of such a window.
///
/// # Safety
/// `a` points to two steps of a quarter in the narrow layout, `b` to a panel's.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn narrow_steps(a: *const u8, b: *const u8, sums: &mut Sums) {
    let ones = _mm256_set1_epi16(1);
    // SAFETY: the caller vouches for 32 bytes of A and 128 of B.
    unsafe {
        let (a, b) = (a.cast::<i32>(), b.cast::<__m256i>());
        let b = [
            [_mm256_load_si256(b), _mm256_load_si256(b.add(1))],
            [_mm256_load_si256(b.add(2)), _mm256_load_si256(b.add(3))],
        ];
        for (r, row) in sums.iter_mut().enumerate() {
            let first = _mm256_set1_epi32(a.add(r).read_unaligned());
            let second = _mm256_set1_epi32(a.add(ROWS + r).read_unaligned());
            for half in 0..2 {
                let pairs = _mm256_add_epi16(
                    _mm256_maddubs_epi16(first, b[0][half]),
                    _mm256_maddubs_epi16(second, b[1][half]),
                );
                row[half] = _mm256_add_epi32(row[half], _mm256_madd_epi16(pairs, ones));
            }
        }
    }
}

/// Adds the correction: left `[quarter][pair][4 rows][2]`, right `[pair][16 columns][2]` per panel.
///
/// # Safety
/// `fix` holds four quarters and more panels than `panel`, of the words that `k` asks for.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn correct(k: usize, fix: Fix<'_>, panel: usize, quarter: usize, sums: &mut Sums) {
    let ranks = fix_ranks(k);
    // SAFETY: `Call::check` saw the lengths.
    unsafe {
        let left = fix.left.as_ptr().add(quarter * ROWS * ranks).cast::<i32>();
        let right = fix
            .right
            .as_ptr()
            .add(panel * fix_words(k))
            .cast::<__m256i>();
        for pair in 0..ranks / 2 {
            let b = [
                _mm256_loadu_si256(right.add(2 * pair)),
                _mm256_loadu_si256(right.add(2 * pair + 1)),
            ];
            for (r, row) in sums.iter_mut().enumerate() {
                let two = _mm256_set1_epi32(left.add(pair * ROWS + r).read_unaligned());
                for half in 0..2 {
                    row[half] = _mm256_add_epi32(row[half], _mm256_madd_epi16(two, b[half]));
                }
            }
        }
    }
}

/// # Safety
/// `out` takes 16 rows of 16 entries a panel.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn store(out: Out, panel: usize, quarter: usize, sums: &Sums) {
    for (r, row) in sums.iter().enumerate() {
        // SAFETY: row 4·quarter + r < 16, and the panel is one of the call's.
        unsafe {
            let to = out
                .first
                .add((quarter * ROWS + r) * out.stride + panel * TILE)
                .cast::<__m256i>();
            _mm256_storeu_si256(to, row[0]);
            _mm256_storeu_si256(to.add(1), row[1]);
        }
    }
}
