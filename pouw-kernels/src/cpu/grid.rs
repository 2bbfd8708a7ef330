//! The grid of tiles: cut into blocks, one block a step, steps on all threads.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use labora_pouw::{Hash, TILE, WORDS};
use parking_lot::Mutex;
use rayon::prelude::*;

use super::MAX_WINNERS;
use super::tickets::Tickets;
use crate::isa::Isa;
use crate::layout::{Call, Entries, Fix, Out, fix_words, panel_bytes};

/// Strips of a block: 128 rows (256 KB at k = 2,048) stay in the second-level cache while the block's panels come by, and
/// a panel is read once from farther away for all of them.
const BLOCK_STRIPS: usize = 8;
/// Panels of a block: 192 columns. With k = 16,384 a block is 400 million MACs, some 80 ms where there is no vector code
/// and a few where there is:
/// a step's length is how late a cancellation is seen.
const BLOCK_PANELS: usize = 12;

/// How a grid goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Go {
    /// With tickets, if there are to be any.
    On,
    /// Without tickets: what is left of a product is finished.
    WithoutTickets,
    /// Not at all.
    Nowhere,
}

/// A ticket that wins: its digest, then its tile's row and column.
pub(super) type Ticket = (Hash, u32, u32);

/// The lowest tickets, sorted. What is kept does not depend on the order in which they come.
#[derive(Default)]
pub(super) struct Lowest(Vec<Ticket>);

impl Lowest {
    fn insert(&mut self, ticket: Ticket) {
        let at = self.0.partition_point(|other| *other < ticket);
        if at < MAX_WINNERS {
            self.0.truncate(MAX_WINNERS - 1);
            self.0.insert(at, ticket);
        }
    }

    pub(super) fn into_sorted(self) -> Vec<Ticket> {
        self.0
    }
}

/// Packed operands and what is to be done with them.
pub(super) struct Grid<'a> {
    pub isa: Isa,
    pub entries: Entries,
    pub k: usize,
    /// Packed strips.
    pub a: &'a [u8],
    /// Packed panels.
    pub b: &'a [u8],
    /// The correction, both sides whole.
    pub fix: Option<Fix<'a>>,
    pub tickets: Option<Tickets>,
}

/// Where C goes. Blocks write parts that do not overlap.
struct Product {
    first: *mut i32,
    stride: usize,
}

// SAFETY: the pointer is only used by `Grid::run`, for entries of a tile that one block owns.
unsafe impl Sync for Product {}

/// What came of a grid.
pub(super) struct Done {
    pub lowest: Vec<Ticket>,
    pub macs: u64,
    /// Whether all tiles got a ticket.
    pub ticketed: bool,
}

impl Grid<'_> {
    /// Works through all blocks, asking before each how to go on.
    pub(super) fn run(&self, product: Option<&mut [i32]>, go: impl Fn() -> Go + Sync) -> Done {
        let strips = self.a.len() / self.isa.strip_bytes(self.entries, self.k);
        let panels = self.b.len() / panel_bytes(self.k);
        let out = product.map(|product| {
            assert_eq!(product.len(), strips * panels * TILE * TILE);
            Product {
                first: product.as_mut_ptr(),
                stride: panels * TILE,
            }
        });
        let (lowest, macs, unticketed) = (
            Mutex::new(Lowest::default()),
            AtomicU64::new(0),
            AtomicU64::new(0),
        );
        let across = panels.div_ceil(BLOCK_PANELS);
        (0..strips.div_ceil(BLOCK_STRIPS) * across)
            .into_par_iter()
            .with_max_len(1)
            .for_each(|block| {
                let (row, column) = (block / across * BLOCK_STRIPS, block % across * BLOCK_PANELS);
                let rows = row..strips.min(row + BLOCK_STRIPS);
                let columns = column..panels.min(column + BLOCK_PANELS);
                let go = go();
                let tickets = self.tickets.as_ref().filter(|_| go == Go::On);
                if tickets.is_none() {
                    unticketed.fetch_add(1, Ordering::Relaxed);
                    if go == Go::Nowhere || out.is_none() {
                        return;
                    }
                }
                let work = rows.len() * columns.len() * TILE * TILE * self.k;
                self.block(rows, columns, out.as_ref(), tickets, &lowest);
                macs.fetch_add(work as u64, Ordering::Relaxed);
            });
        Done {
            lowest: lowest.into_inner().into_sorted(),
            macs: macs.into_inner(),
            ticketed: self.tickets.is_some() && unticketed.into_inner() == 0,
        }
    }

    /// All tiles of some strips and panels: their part of C, and their tickets.
    fn block(
        &self,
        strips: Range<usize>,
        panels: Range<usize>,
        out: Option<&Product>,
        tickets: Option<&Tickets>,
        lowest: &Mutex<Lowest>,
    ) {
        // Strip by strip.
        let mut states = [[0; WORDS]; BLOCK_STRIPS * BLOCK_PANELS];
        let states = &mut states[..strips.len() * panels.len()];
        for first in panels.clone().step_by(self.isa.panels()) {
            let together = first..panels.end.min(first + self.isa.panels());
            for (row, strip) in strips.clone().enumerate() {
                let at = row * panels.len() + first - panels.start;
                let call = self.call(strip, together.clone(), out);
                let fold = tickets.map(|_| &mut states[at..at + together.len()]);
                // SAFETY: the output is these tiles' part of the product, and only this block has these tiles.
                unsafe { self.isa.multiply(self.entries, &call, fold) };
            }
        }
        let Some(tickets) = tickets else { return };
        tickets.draw(states, |at, ticket| {
            let (row, column) = (
                strips.start + at / panels.len(),
                panels.start + at % panels.len(),
            );
            lowest.lock().insert((ticket, row as u32, column as u32));
        });
    }

    fn call(&self, strip: usize, panels: Range<usize>, out: Option<&Product>) -> Call<'_> {
        let (strip_bytes, words) = (
            self.isa.strip_bytes(self.entries, self.k),
            fix_words(self.k),
        );
        let panel = panel_bytes(self.k);
        Call {
            k: self.k,
            a: &self.a[strip * strip_bytes..][..strip_bytes],
            b: &self.b[panels.start * panel..panels.end * panel],
            panels: panels.len(),
            fix: self.fix.map(|fix| Fix {
                left: &fix.left[strip * words..][..words],
                right: &fix.right[panels.start * words..panels.end * words],
            }),
            out: out.map(|out| Out {
                // SAFETY: the product has strips·16 rows of panels·16 entries, and strip and panels lie within.
                first: unsafe {
                    out.first
                        .add(strip * TILE * out.stride + panels.start * TILE)
                },
                stride: out.stride,
            }),
        }
    }
}
