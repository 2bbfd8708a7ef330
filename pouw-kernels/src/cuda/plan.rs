//! What a job takes on the device: its mode, and where in the device's memory everything of it lies.

use labora_pouw::Hash;

use super::kernels::{CORRECTION, Mode, SEEDS_BYTES, SPARSE_BYTES, TREE_VALUES, WINNERS_BYTES};
use crate::device::{Job, Template, Want};

/// Launches of one product at most: its rows are cut into bands so that a cancellation is seen between them.
pub(super) const MAX_BANDS: u32 = 64;
/// Every part of an arena starts at a multiple of this.
const ALIGNMENT: u64 = 256;
/// Bytes of a list of winners, padded.
pub(super) const LIST_STRIDE: usize = WINNERS_BYTES.next_multiple_of(ALIGNMENT as usize);

/// Offsets within what is sent for each job: root of A, root of Bt, header hash, target.
pub(super) const ROOT_A: usize = 0;
pub(super) const ROOT_B: usize = 32;
pub(super) const PRE_HASH: usize = 64;
pub(super) const TARGET: usize = 96;
pub(super) const PARAMS_BYTES: usize = 256;
/// What is fetched of each job: its parameters (roots among them), and the lists of winners.
pub(super) const RESULT_BYTES: usize = PARAMS_BYTES + MAX_BANDS as usize * LIST_STRIDE;

/// What is to be done, and which parts are there already.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub m: u32,
    pub n: u32,
    pub k: u32,
    pub mode: Mode,
    /// What is mined on; `None` in the plain mode alone.
    pub template: Option<Template>,
    /// A's entries lie in the arena, not in its family's block.
    pub own_a: bool,
    /// Bt's entries are sent: noised Bt is not there, or none is needed.
    pub send_bt: bool,
    /// Commitments, as they were known when the plan was made; `None`: the device makes them.
    pub root_a: Option<Hash>,
    pub root_b: Option<Hash>,
}

/// Offsets of a job's parts in its arena; those that its plan does not need have no bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    pub params: u64,
    pub winners: u64,
    pub seeds: u64,
    pub a: u64,
    pub bt: u64,
    pub noised_a: u64,
    pub dense_a: u64,
    pub sparse_a: u64,
    pub left: u64,
    pub right: u64,
    pub product: u64,
    /// Chaining values, two stages of the tree in turn.
    pub values: [u64; 2],
    pub bytes: u64,
}

/// Offsets of what is kept of a noised Bt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Panels {
    pub noised: u64,
    pub dense: u64,
    pub sparse: u64,
    pub bytes: u64,
}

/// Hands out offsets one after the other.
#[derive(Default)]
struct Bump(u64);

impl Bump {
    fn take(&mut self, bytes: u64) -> u64 {
        let at = self.0;
        self.0 = (at + bytes).next_multiple_of(ALIGNMENT);
        at
    }

    fn take_if(&mut self, needed: bool, bytes: u64) -> u64 {
        self.take(if needed { bytes } else { 0 })
    }
}

impl Panels {
    /// n rows of k, with their factors.
    pub(super) fn new(n: u32, k: u32) -> Self {
        let (n, k) = (u64::from(n), u64::from(k));
        let mut at = Bump::default();
        Panels {
            noised: at.take(n * k),
            dense: at.take(n * 64),
            sparse: at.take(k / 64 * SPARSE_BYTES),
            bytes: at.0,
        }
    }
}

impl Plan {
    /// The plan of a job of which nothing is there yet, on `template` if it is to be mined.
    pub(super) fn new(job: &Job, template: Option<Template>) -> Self {
        let mode = match (template, job.want) {
            (None, _) => Mode::Plain,
            (Some(_), Want::TicketsOnly) => Mode::Tickets,
            (Some(_), Want::ExactProduct) => Mode::Exact,
        };
        Plan {
            m: job.a.rows(),
            n: job.bt.rows(),
            k: job.a.k(),
            mode,
            template,
            own_a: true,
            send_bt: true,
            root_a: job.a.known_root(),
            root_b: job.bt.known_root(),
        }
    }

    pub(super) fn layout(&self) -> Layout {
        let (m, n, k) = (u64::from(self.m), u64::from(self.n), u64::from(self.k));
        let mined = self.mode != Mode::Plain;
        let exact = self.mode == Mode::Exact;
        let correction = u64::from(CORRECTION);
        let hashed = |root: Option<Hash>, rows| match root {
            None if mined => rows * k,
            _ => 0,
        };
        let hashed = hashed(self.root_a, m).max(hashed(self.root_b, n));
        let mut at = Bump::default();
        let mut layout = Layout {
            // Side by side, so that one copy fetches both.
            params: at.take(PARAMS_BYTES as u64),
            winners: at.take_if(mined, u64::from(MAX_BANDS) * LIST_STRIDE as u64),
            seeds: at.take_if(mined, SEEDS_BYTES),
            a: at.take_if(self.own_a, m * k),
            bt: at.take_if(self.send_bt, n * k),
            noised_a: at.take_if(mined, m * k),
            dense_a: at.take_if(exact, m * 64),
            sparse_a: at.take_if(mined, k / 64 * SPARSE_BYTES),
            left: at.take_if(exact, m * correction),
            right: at.take_if(exact, n * correction),
            product: at.take_if(self.mode != Mode::Tickets, 4 * m * n),
            // 32 bytes a chunk, then a 256th as many.
            values: [
                at.take(hashed.div_ceil(1024) * 32),
                at.take(hashed.div_ceil(1024 * u64::from(TREE_VALUES)) * 32),
            ],
            bytes: 0,
        };
        layout.bytes = at.0;
        layout
    }

    /// Bytes that the job takes at most, with all that is kept from one job to the next.
    pub(super) fn most_bytes(job: &Job) -> u64 {
        let plan = Plan::new(job, job.template);
        // Matrices of a family keep theirs beside the arena, which then has none.
        let panels = match plan.template {
            Some(_) => Panels::new(plan.n, plan.k).bytes,
            None => 0,
        };
        plan.layout().bytes + panels + ALIGNMENT
    }
}

/// Rows of one launch of `m` rows by `n` columns by `k`: what takes about `band_ms`, but no fewer than `least` rows, all of
/// them where that is nearly all, and [`MAX_BANDS`] launches at most. A multiple of `tile_rows`.
pub(super) fn band_rows(
    (m, n, k): (u32, u32, u32),
    macs_per_ms: u64,
    band_ms: u64,
    least: u32,
    tile_rows: u32,
) -> u32 {
    let row = u64::from(n) * u64::from(k);
    let rows = (macs_per_ms.saturating_mul(band_ms) / row)
        .max(u64::from(least))
        .max(u64::from(m.div_ceil(MAX_BANDS)))
        .max(1);
    let rows = rows.next_multiple_of(u64::from(tile_rows));
    if rows + rows / 2 >= u64::from(m) {
        m
    } else {
        // Below m, which is a u32.
        rows as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_cover_all_rows_in_few_launches_each_as_long_as_asked() {
        // 1 GMAC a millisecond, 20 ms: 20 GMAC are 1,220 rows of 4,096 by 4,096, and a tile is 128.
        let rows = band_rows((16384, 4096, 4096), 1_000_000_000, 20, 128, 128);
        assert_eq!(rows, 1280);
        assert_eq!(
            band_rows((1280, 4096, 4096), 1_000_000_000, 20, 128, 128),
            1280
        );
        // Three halves of a band are not cut.
        assert_eq!(
            band_rows((1920, 4096, 4096), 1_000_000_000, 20, 128, 128),
            1920
        );
        assert_eq!(
            band_rows((1936, 4096, 4096), 1_000_000_000, 20, 128, 128),
            1280
        );
        // However slow, no more launches than there are lists for.
        let rows = band_rows((1 << 20, 1 << 20, 16384), 1, 1, 128, 128);
        assert!((1_u32 << 20).div_ceil(rows) <= MAX_BANDS);
        assert_eq!(band_rows((16, 16, 64), 1, 1, 128, 128), 16);
    }

    #[test]
    fn parts_of_an_arena_do_not_overlap_and_none_is_larger_than_its_plan() {
        let shape = labora_pouw::Shape::new(48, 80, 320).unwrap();
        let (a, bt) = labora_pouw::reference::matrices("layout", shape);
        let job = Job {
            template: Some(Template {
                pre_hash: [0; 32],
                difficulty: labora_pouw::Difficulty::new(1.into()).unwrap(),
            }),
            a: crate::Matrix::new(48, 320, a).unwrap(),
            bt: crate::Matrix::new(80, 320, bt).unwrap(),
            want: Want::ExactProduct,
        };
        let plan = Plan::new(&job, job.template);
        let layout = plan.layout();
        let ends = [
            (layout.params, PARAMS_BYTES as u64),
            (layout.winners, WINNERS_BYTES as u64),
            (layout.seeds, 96),
            (layout.a, 48 * 320),
            (layout.bt, 80 * 320),
            (layout.noised_a, 48 * 320),
            (layout.dense_a, 48 * 64),
            (layout.sparse_a, 5 * 272),
            (layout.left, 48 * 320),
            (layout.right, 80 * 320),
            (layout.product, 4 * 48 * 80),
            (layout.values[0], 25 * 32),
            (layout.values[1], 32),
            (layout.bytes, 0),
        ];
        for (one, next) in ends.iter().zip(&ends[1..]) {
            assert!(one.0 + one.1 <= next.0 && next.0 % 256 == 0, "{layout:?}");
        }
        let plain = Plan::new(&job, None).layout();
        assert!(plain.bytes < layout.bytes && plain.product + 4 * 48 * 80 <= plain.bytes);
        assert!(Plan::most_bytes(&job) > layout.bytes + 80 * 384);
    }
}
