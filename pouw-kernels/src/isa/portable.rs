//! Plain Rust: the twin that every other path is checked against, and the path of CPUs without one.
//!
//! A strip is four quarters of 4 rows, each `[step][row][4]`; a panel's bias is zero, since int8 multiplies as it is.

use core::ops::Range;

use labora_pouw::{TILE, WORDS};
use zerocopy::IntoBytes;

use super::Rows;
use crate::layout::{
    Call, LINE, PANEL_WINDOW, STEP, STEPS, State, WINDOW, fix_ranks, fix_words, panel_bytes,
};
use crate::noise::Sparse;

/// Rows of a quarter of a strip.
const ROWS: usize = 4;

pub(super) fn add_noise(
    rows: Rows<'_>,
    dense: &[i8],
    sparse: &Sparse,
    to: &mut [i8],
    stride: usize,
) {
    for r in 0..TILE {
        let dense = &dense[r * WINDOW..][..WINDOW];
        let windows = rows
            .row(r)
            .chunks_exact(WINDOW)
            .zip(to[r * stride..][..rows.k].chunks_exact_mut(WINDOW));
        for ((from, to), lookup) in windows.zip(&sparse.by_column) {
            for c in 0..WINDOW {
                let (x, y) = (
                    dense[usize::from(lookup.p[c])],
                    dense[usize::from(lookup.q[c])],
                );
                // |entry| ≤ 63 and the noise is within [-64, 62] (or [-63, 63]): the sum never leaves int8.
                to[c] = from[c]
                    .wrapping_add(x)
                    .wrapping_add(lookup.s[c].wrapping_mul(y));
            }
        }
    }
}

pub(super) fn onto_factor(rows: Rows<'_>, sparse: &Sparse, windows: Range<usize>, to: &mut [i16]) {
    to.fill(0);
    for (r, sums) in to.chunks_exact_mut(WINDOW).enumerate() {
        for w in windows.clone() {
            let (x, lookup) = (&rows.row(r)[w * WINDOW..][..WINDOW], &sparse.by_row[w]);
            for c in 0..WINDOW {
                let (p, q) = (
                    i16::from(x[usize::from(lookup.p[c])]),
                    i16::from(x[usize::from(lookup.q[c])]),
                );
                sums[c] = sums[c]
                    .wrapping_add(p)
                    .wrapping_add(i16::from(lookup.s[c]).wrapping_mul(q));
            }
        }
    }
}

pub(super) fn pack_strip(rows: Rows<'_>, to: &mut [u8]) {
    for (quarter, to) in to.chunks_exact_mut(ROWS * rows.k).enumerate() {
        for r in 0..ROWS {
            let row = rows.row(quarter * ROWS + r).as_bytes();
            for (step, four) in row.chunks_exact(STEP).enumerate() {
                to[(step * ROWS + r) * STEP..][..STEP].copy_from_slice(four);
            }
        }
    }
}

pub(super) fn pack_panel(rows: Rows<'_>, to: &mut [u8]) {
    to[..LINE].fill(0);
    for (w, to) in to[LINE..].chunks_exact_mut(PANEL_WINDOW).enumerate() {
        let (entries, bias) = to.split_at_mut(STEPS * LINE);
        bias.fill(0);
        for column in 0..TILE {
            let window = rows.row(column)[w * WINDOW..][..WINDOW].as_bytes();
            for (step, four) in window.chunks_exact(STEP).enumerate() {
                entries[step * LINE + column * STEP..][..STEP].copy_from_slice(four);
            }
        }
    }
}

/// # Safety
/// As [`super::Isa::multiply`], and `call` checked.
pub(super) unsafe fn multiply(call: &Call<'_>, mut states: Option<&mut [State]>) {
    for panel in 0..call.panels {
        let b = &call.b[panel * panel_bytes(call.k)..][..panel_bytes(call.k)];
        let mut state = [0u32; WORDS];
        for quarter in 0..TILE / ROWS {
            let mut sums = [[0i32; TILE]; ROWS];
            let a = &call.a[quarter * ROWS * call.k..][..ROWS * call.k];
            let mut part = [0u32; WORDS];
            let windows = a
                .chunks_exact(ROWS * WINDOW)
                .zip(b[LINE..].chunks_exact(PANEL_WINDOW));
            for (w, (a, b)) in windows.enumerate() {
                window(a, b, &mut sums);
                if states.is_some() {
                    let fold = sums
                        .as_flattened()
                        .iter()
                        .fold(0, |fold, &sum| fold ^ sum as u32);
                    part[w % WORDS] = part[w % WORDS].rotate_left(13) ^ fold;
                }
            }
            for (word, part) in state.iter_mut().zip(part) {
                *word ^= part;
            }
            if let Some(fix) = call.fix {
                let words = ROWS * fix_ranks(call.k);
                let right = &fix.right[panel * fix_words(call.k)..][..fix_words(call.k)];
                correct(&fix.left[quarter * words..][..words], right, &mut sums);
            }
            if let Some(out) = call.out {
                for (r, sums) in sums.iter().enumerate() {
                    // SAFETY: the caller gave 16 rows of 16·panels entries from `first` on, for this call alone.
                    unsafe {
                        let to = out
                            .first
                            .add((quarter * ROWS + r) * out.stride + panel * TILE);
                        to.copy_from_nonoverlapping(sums.as_ptr(), TILE);
                    }
                }
            }
        }
        if let Some(states) = &mut states {
            states[panel] = state;
        }
    }
}

/// Adds one window: 4 rows × 64 by 64 × 16 columns.
fn window(a: &[u8], b: &[u8], sums: &mut [[i32; TILE]; ROWS]) {
    for (a, b) in a
        .chunks_exact(ROWS * STEP)
        .zip(b[..STEPS * LINE].chunks_exact(LINE))
    {
        // Widened once and used for four rows; adjacent products of int16 are what compilers turn into `pmaddwd`.
        let mut wide = [0i16; LINE];
        for (wide, &b) in wide.iter_mut().zip(b) {
            *wide = i16::from(b as i8);
        }
        for (r, sums) in sums.iter_mut().enumerate() {
            let a: [i32; STEP] = core::array::from_fn(|i| i32::from(a[r * STEP + i] as i8));
            for (sum, b) in sums.iter_mut().zip(wide.chunks_exact(STEP)) {
                let low = a[0]
                    .wrapping_mul(b[0].into())
                    .wrapping_add(a[1].wrapping_mul(b[1].into()));
                let high = a[2]
                    .wrapping_mul(b[2].into())
                    .wrapping_add(a[3].wrapping_mul(b[3].into()));
                *sum = sum.wrapping_add(low.wrapping_add(high));
            }
        }
    }
}

/// Adds the correction: left `[pair][4 rows][2]`, right `[pair][16 columns][2]`.
fn correct(left: &[i16], right: &[i16], sums: &mut [[i32; TILE]; ROWS]) {
    for (left, right) in left
        .chunks_exact(2 * ROWS)
        .zip(right.chunks_exact(2 * TILE))
    {
        for (sums, left) in sums.iter_mut().zip(left.chunks_exact(2)) {
            for (sum, right) in sums.iter_mut().zip(right.chunks_exact(2)) {
                let x = i32::from(left[0]).wrapping_mul(right[0].into());
                let y = i32::from(left[1]).wrapping_mul(right[1].into());
                *sum = sum.wrapping_add(x.wrapping_add(y));
            }
        }
    }
}
