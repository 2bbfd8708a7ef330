//! The grid of tiles: cut into blocks, one block a step, steps on all threads.

use std::sync::atomic::{AtomicU64, Ordering};

use labora_pouw::transcript::TicketMidstate;
use labora_pouw::{Hash, TILE, U256, WORDS};
use parking_lot::Mutex;
use rayon::prelude::*;

use super::MAX_WINNERS;
use crate::isa::Isa;
use crate::layout::{Call, Entries, Fix, MAX_PANELS, Out, fix_words, panel_bytes};

/// Strips of a block: 64 rows stay in the second-level cache while the block's panels come by.
const BLOCK_STRIPS: usize = 4;
/// Panels of a block: 192 columns. With k = 16,384 a block is 200 million MACs, some 50 ms where there is no vector code:
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

/// What it takes to draw tickets.
pub(super) struct Tickets {
    pub midstate: TicketMidstate,
    /// The highest digest that wins.
    pub target: U256,
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
                for first in columns.clone().step_by(self.isa.panels()) {
                    for strip in rows.clone() {
                        let count = self.isa.panels().min(columns.end - first);
                        self.call(strip, first, count, out.as_ref(), tickets, &lowest);
                    }
                }
                macs.fetch_add(work as u64, Ordering::Relaxed);
            });
        Done {
            lowest: lowest.into_inner().into_sorted(),
            macs: macs.into_inner(),
            ticketed: self.tickets.is_some() && unticketed.into_inner() == 0,
        }
    }

    /// One strip by `count` panels from `first` on.
    fn call(
        &self,
        strip: usize,
        first: usize,
        count: usize,
        out: Option<&Product>,
        tickets: Option<&Tickets>,
        lowest: &Mutex<Lowest>,
    ) {
        let (strip_bytes, panel, words) = (
            self.isa.strip_bytes(self.entries, self.k),
            panel_bytes(self.k),
            fix_words(self.k),
        );
        let call = Call {
            k: self.k,
            a: &self.a[strip * strip_bytes..][..strip_bytes],
            b: &self.b[first * panel..][..count * panel],
            panels: count,
            fix: self.fix.map(|fix| Fix {
                left: &fix.left[strip * words..][..words],
                right: &fix.right[first * words..][..count * words],
            }),
            // SAFETY: the product has strips·16 rows of panels·16 entries, and strip and panels lie within.
            out: out.map(|out| Out {
                first: unsafe { out.first.add(strip * TILE * out.stride + first * TILE) },
                stride: out.stride,
            }),
        };
        let mut states = [[0; WORDS]; MAX_PANELS];
        let states = &mut states[..count];
        let fold = tickets.is_some().then_some(&mut *states);
        // SAFETY: the output is these tiles' part of the product, and only this block has these tiles.
        unsafe { self.isa.multiply(self.entries, &call, fold) };
        let Some(Tickets { midstate, target }) = tickets else {
            return;
        };
        for (panel, state) in states.iter().enumerate() {
            let ticket = midstate.ticket(state);
            if U256::from_big_endian(&ticket) <= *target {
                lowest
                    .lock()
                    .insert((ticket, strip as u32, (first + panel) as u32));
            }
        }
    }
}
