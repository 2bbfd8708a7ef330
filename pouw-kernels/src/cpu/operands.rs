//! Brings operands into the form that kernels read, on all threads: noise, packing, and the factors of the correction.

use labora_pouw::noise::dense_factor;
use labora_pouw::{Hash, RANK, TILE};
use parking_lot::Mutex;
use rayon::prelude::*;

use crate::isa::{Isa, Rows};
use crate::layout::{Entries, MAX_SUMMED_WINDOWS, WINDOW, fix_ranks, fix_words, panel_bytes};
use crate::noise::Sparse;

/// Entries by which noised rows are set apart beyond their length, so that sixteen of them do not fall into one cache set.
const GAP: usize = 64;

/// What one thread needs while it works on sixteen rows.
#[derive(Default)]
pub(super) struct Scratch {
    rows: Vec<i8>,
    dense: Vec<i8>,
    part: Vec<i16>,
}

impl Scratch {
    fn fit(&mut self, k: usize) {
        self.rows.resize(TILE * (k + GAP), 0);
        self.dense.resize(TILE * RANK, 0);
        self.part.resize(TILE * RANK, 0);
    }
}

/// One scratch a thread.
pub(super) struct Scratches(Vec<Mutex<Scratch>>);

impl Scratches {
    pub(super) fn new(threads: usize) -> Self {
        Scratches((0..threads).map(|_| Mutex::default()).collect())
    }

    /// Runs `work` with the scratch of the pool's thread that asks. Never waits: a thread has one piece of work at a time.
    fn with(&self, k: usize, work: impl FnOnce(&mut Scratch)) {
        let thread = rayon::current_thread_index().unwrap_or(0);
        let mut scratch = self.0[thread].lock();
        scratch.fit(k);
        work(&mut scratch);
    }
}

/// A matrix and the noise on it.
#[derive(Clone, Copy)]
pub(super) struct Noised<'a> {
    pub data: &'a [i8],
    pub k: usize,
    pub seed: &'a Hash,
    pub sparse: &'a Sparse,
}

impl<'a> Noised<'a> {
    fn rows(&self, index: usize) -> Rows<'a> {
        Rows::new(
            &self.data[index * TILE * self.k..][..TILE * self.k],
            self.k,
            self.k,
        )
    }

    fn dense(&self, index: usize, to: &mut [i8]) {
        dense_factor(self.seed, (index * TILE) as u64, TILE, to);
    }

    /// Sixteen rows with their noise.
    fn noised<'s>(&self, isa: Isa, index: usize, rows: &'s mut [i8], dense: &mut [i8]) -> Rows<'s> {
        self.dense(index, dense);
        isa.add_noise(self.rows(index), dense, self.sparse, rows, self.k + GAP);
        Rows::new(rows, self.k + GAP, self.k)
    }
}

/// How one operand becomes packed: as it is, or with its noise.
#[derive(Clone, Copy)]
pub(super) struct Packer<'a> {
    pub isa: Isa,
    pub scratches: &'a Scratches,
}

impl Packer<'_> {
    /// Strips of A as it is.
    pub(super) fn plain_strips(self, entries: Entries, a: &[i8], k: usize, to: &mut [u8]) {
        let rows = a
            .par_chunks(TILE * k)
            .zip(to.par_chunks_mut(self.isa.strip_bytes(entries, k)));
        rows.for_each(|(rows, to)| self.isa.pack_strip(entries, Rows::new(rows, k, k), to));
    }

    /// Panels of Bt as it is.
    pub(super) fn plain_panels(self, entries: Entries, bt: &[i8], k: usize, to: &mut [u8]) {
        let rows = bt
            .par_chunks(TILE * k)
            .zip(to.par_chunks_mut(panel_bytes(k)));
        rows.for_each(|(rows, to)| self.isa.pack_panel(entries, Rows::new(rows, k, k), to));
    }

    /// Strips of A with noise; with `left` also the correction's left side, by strips: minus A times Bt's sparse factor,
    /// then minus A's dense factor once for each half of the right side's sums.
    pub(super) fn noised_strips(
        self,
        a: Noised<'_>,
        bt: Noised<'_>,
        to: &mut [u8],
        left: Option<&mut [i16]>,
    ) {
        let strip = |index: usize, to: &mut [u8], left: &mut [i16]| {
            self.scratches.with(a.k, |Scratch { rows, dense, part }| {
                self.isa
                    .pack_strip(Entries::Full, a.noised(self.isa, index, rows, dense), to);
                if left.is_empty() {
                    return;
                }
                let (ranks, side) = (fix_ranks(a.k), self.isa.interleave());
                // At most 256 windows of 63 + 63: 32,256 fits an int16.
                self.isa
                    .onto_factor(a.rows(index), bt.sparse, 0..a.k / WINDOW, part);
                part.iter_mut().for_each(|sum| *sum = sum.wrapping_neg());
                interleave(part, 0, ranks, side, left);
                for (part, &entry) in part.iter_mut().zip(dense.iter()) {
                    *part = i16::from(entry).wrapping_neg();
                }
                for rank in (RANK..ranks).step_by(RANK) {
                    interleave(part, rank, ranks, side, left);
                }
            });
        };
        let strips = to
            .par_chunks_mut(self.isa.strip_bytes(Entries::Full, a.k))
            .enumerate();
        match left {
            Some(left) => strips
                .zip(left.par_chunks_mut(fix_words(a.k)))
                .for_each(|((index, to), left)| strip(index, to, left)),
            None => strips.for_each(|(index, to)| strip(index, to, &mut [])),
        }
    }

    /// Panels of Bt with noise; with `right` also the correction's right side.
    pub(super) fn noised_panels(
        self,
        a: Noised<'_>,
        bt: Noised<'_>,
        to: &mut [u8],
        right: Option<&mut [i16]>,
    ) {
        let panel = |index: usize, to: &mut [u8], right: &mut [i16]| {
            self.scratches.with(bt.k, |Scratch { rows, dense, part }| {
                let noised = bt.noised(self.isa, index, rows, dense);
                self.isa.pack_panel(Entries::Full, noised, to);
                if !right.is_empty() {
                    self.right_panel(a, noised, dense, part, right);
                }
            });
        };
        let panels = to.par_chunks_mut(panel_bytes(bt.k)).enumerate();
        match right {
            Some(right) => panels
                .zip(right.par_chunks_mut(fix_words(bt.k)))
                .for_each(|((index, to), right)| panel(index, to, right)),
            None => panels.for_each(|(index, to)| panel(index, to, &mut [])),
        }
    }

    /// The correction's right side alone, where the packed panels are at hand.
    pub(super) fn fix_right(self, a: Noised<'_>, bt: Noised<'_>, right: &mut [i16]) {
        right
            .par_chunks_mut(fix_words(bt.k))
            .enumerate()
            .for_each(|(index, right)| {
                self.scratches.with(bt.k, |Scratch { rows, dense, part }| {
                    let noised = bt.noised(self.isa, index, rows, dense);
                    self.right_panel(a, noised, dense, part, right);
                });
            });
    }

    /// One panel of the right side: Bt's dense factor, then noised Bt times A's sparse factor in one or two halves of
    /// the windows.
    fn right_panel(
        self,
        a: Noised<'_>,
        noised: Rows<'_>,
        dense: &[i8],
        part: &mut [i16],
        right: &mut [i16],
    ) {
        let (ranks, windows) = (fix_ranks(a.k), a.k / WINDOW);
        for (part, &entry) in part.iter_mut().zip(dense) {
            *part = i16::from(entry);
        }
        interleave(part, 0, ranks, TILE, right);
        for (half, rank) in (RANK..ranks).step_by(RANK).enumerate() {
            let first = half * MAX_SUMMED_WINDOWS;
            self.isa.onto_factor(
                noised,
                a.sparse,
                first..windows.min(first + MAX_SUMMED_WINDOWS),
                part,
            );
            interleave(part, rank, ranks, TILE, right);
        }
    }
}

/// Writes columns `rank` to `rank` + 63 of sixteen rows of the correction, `side` rows side by side:
/// `[16 / side][pair][side rows][2]`.
fn interleave(part: &[i16], rank: usize, ranks: usize, side: usize, to: &mut [i16]) {
    let (from, to) = (part.as_chunks::<2>().0, to.as_chunks_mut::<2>().0);
    for group in 0..TILE / side {
        let from = &from[group * side * RANK / 2..][..side * RANK / 2];
        let to = &mut to[(group * ranks + rank) * side / 2..][..side * RANK / 2];
        for (pair, to) in to.chunks_exact_mut(side).enumerate() {
            for (row, two) in to.iter_mut().enumerate() {
                *two = from[row * RANK / 2 + pair];
            }
        }
    }
}
