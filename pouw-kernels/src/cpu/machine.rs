//! One job at a time, from matrices to outcome, with buffers that stay from one job to the next.

use std::sync::Arc;

use labora_pouw::{Hash, Seal, Shape, TILE, reference, seeds};
use parking_lot::Mutex;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::MAX_PANEL_CACHE_BYTES;
use super::cache::{Key, PanelCache};
use super::grid::{Done, Go, Grid, Ticket};
use super::operands::{Noised, Packer, Scratches};
use super::tickets::Tickets;
use crate::device::{Cancel, Job, Outcome, Template, Want, Winner};
use crate::error::DeviceError;
use crate::isa::Isa;
use crate::layout::{Buffer, Entries, Fix, fix_words, panel_bytes};
use crate::noise::Sparse;

/// The threads of a device and all memory that they work in.
pub(crate) struct Machine {
    isa: Isa,
    pool: ThreadPool,
    scratches: Scratches,
    strips: Buffer,
    /// Panels of products that are not mined.
    panels: Buffer,
    cache: PanelCache,
    left: Vec<i16>,
    right: Vec<i16>,
    spare: Arc<Mutex<Vec<Vec<i32>>>>,
    ending: Cancel,
}

/// Operands of a product that is not mined, both row-major.
#[derive(Clone, Copy)]
pub(crate) struct Plain<'a> {
    pub entries: Entries,
    pub a: &'a [i8],
    pub bt: &'a [i8],
    pub k: usize,
}

impl Machine {
    pub(crate) fn new(
        threads: usize,
        isa: Isa,
        spare: Arc<Mutex<Vec<Vec<i32>>>>,
        ending: Cancel,
    ) -> Result<Self, DeviceError> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("labora-cpu-{index}"))
            .build()
            .map_err(|error| DeviceError::Spawn(error.to_string()))?;
        Ok(Machine {
            isa,
            pool,
            scratches: Scratches::new(threads),
            strips: Buffer::default(),
            panels: Buffer::default(),
            cache: PanelCache::new(MAX_PANEL_CACHE_BYTES),
            left: Vec::new(),
            right: Vec::new(),
            spare,
            ending,
        })
    }

    /// Whether the device is being dropped.
    pub(super) fn is_ending(&self) -> bool {
        self.ending.is_cancelled()
    }

    /// Forgets what was computed, after a panic.
    pub(super) fn forget(&mut self) {
        self.cache.forget();
    }

    /// Does one job. Shapes have been checked when it was queued.
    pub(crate) fn work(&mut self, job: &Job, cancel: &Cancel) -> Result<Outcome, DeviceError> {
        let outcome = self.work_unless_ending(job, cancel)?;
        // A product that was left off is not to be seen.
        if self.is_ending() {
            Err(DeviceError::Gone)
        } else {
            Ok(outcome)
        }
    }

    fn work_unless_ending(&mut self, job: &Job, cancel: &Cancel) -> Result<Outcome, DeviceError> {
        let (m, n, k) = (job.a.rows(), job.bt.rows(), job.a.k());
        let mut product = match job.want {
            Want::TicketsOnly => None,
            Want::ExactProduct => Some(self.take_spare(m as usize * n as usize)),
        };
        if let Some(template) = job.template.filter(|_| !cancel.is_cancelled()) {
            let shape = Shape::new(m, n, k)?;
            return Ok(self.mine(job, template, shape, cancel, product));
        }
        let macs = match &mut product {
            None => 0,
            Some(product) => {
                let plain = Plain {
                    entries: Entries::Narrow,
                    a: job.a.data(),
                    bt: job.bt.data(),
                    k: k as usize,
                };
                self.plain(plain, product)
            }
        };
        Ok(Outcome {
            winners: Vec::new(),
            product,
            macs,
            mined: false,
        })
    }

    /// A product without mining; returns its MACs.
    pub(crate) fn plain(
        &mut self,
        Plain { entries, a, bt, k }: Plain<'_>,
        product: &mut [i32],
    ) -> u64 {
        let isa = self.isa;
        self.strips
            .resize(a.len() / (TILE * k) * isa.strip_bytes(entries, k));
        self.panels.resize(bt.len() / (TILE * k) * panel_bytes(k));
        let Machine {
            pool,
            scratches,
            strips,
            panels,
            ending,
            ..
        } = self;
        pool.install(|| {
            let packer = Packer { isa, scratches };
            packer.plain_strips(entries, a, k, strips.bytes_mut());
            packer.plain_panels(entries, bt, k, panels.bytes_mut());
            let grid = Grid {
                isa,
                entries,
                k,
                a: strips.bytes(),
                b: panels.bytes(),
                fix: None,
                tickets: None,
            };
            grid.run(Some(product), || {
                if ending.is_cancelled() {
                    Go::Nowhere
                } else {
                    Go::WithoutTickets
                }
            })
            .macs
        })
    }

    fn mine(
        &mut self,
        job: &Job,
        template: Template,
        shape: Shape,
        cancel: &Cancel,
        mut product: Option<Vec<i32>>,
    ) -> Outcome {
        let Machine {
            isa,
            pool,
            scratches,
            strips,
            cache,
            left,
            right,
            ending,
            ..
        } = self;
        let (isa, k) = (*isa, shape.k() as usize);
        let go = || match (ending.is_cancelled(), cancel.is_cancelled()) {
            (true, _) => Go::Nowhere,
            (false, true) => Go::WithoutTickets,
            (false, false) => Go::On,
        };
        pool.install(|| {
            let packer = Packer { isa, scratches };
            let seeds = seeds(&template.pre_hash, &job.a.root(), &job.bt.root(), shape);
            let sparse = (Sparse::new(&seeds.a, k), Sparse::new(&seeds.b, k));
            let a = Noised {
                data: job.a.data(),
                k,
                seed: &seeds.a,
                sparse: &sparse.0,
            };
            let bt = Noised {
                data: job.bt.data(),
                k,
                seed: &seeds.b,
                sparse: &sparse.1,
            };
            let key = Key::new(template.pre_hash, job.bt.root(), shape);
            let panel_bytes = shape.tile_columns() as usize * panel_bytes(k);
            let mut fix = product.is_some().then(|| {
                left.resize(shape.tile_rows() as usize * fix_words(k), 0);
                right.resize(shape.tile_columns() as usize * fix_words(k), 0);
                (left.as_mut_slice(), right.as_mut_slice())
            });
            let mut fixed_right = false;
            let panels = cache.get_or_make(key, panel_bytes, |to| {
                let right = fix.as_mut().map(|(_, right)| &mut **right);
                fixed_right = right.is_some();
                packer.noised_panels(a, bt, to, right);
            });
            strips.resize(shape.tile_rows() as usize * isa.strip_bytes(Entries::Full, k));
            packer.noised_strips(
                a,
                bt,
                strips.bytes_mut(),
                fix.as_mut().map(|(left, _)| &mut **left),
            );
            let fix = fix.map(|(left, right)| {
                if !fixed_right {
                    packer.fix_right(a, bt, right);
                }
                Fix { left, right }
            });
            let tickets = Some(Tickets::new(
                isa,
                &seeds.a,
                template.difficulty.target(shape.k()),
            ));
            let grid = Grid {
                isa,
                entries: Entries::Full,
                k,
                a: strips.bytes(),
                b: panels,
                fix,
                tickets,
            };
            let Done {
                lowest,
                macs,
                ticketed,
            } = grid.run(product.as_deref_mut(), go);
            let winners = if ticketed {
                open(job, shape, lowest)
            } else {
                Vec::new()
            };
            Outcome {
                winners,
                product,
                macs,
                mined: ticketed,
            }
        })
    }

    /// Memory for a product: handed back by somebody, or fresh.
    fn take_spare(&self, len: usize) -> Vec<i32> {
        let mut spare = self.spare.lock();
        match spare.iter().position(|product| product.capacity() >= len) {
            Some(at) => {
                let mut product = spare.swap_remove(at);
                // Every entry is written by the grid, so what is left over does not matter.
                product.resize(len, 0);
                product
            }
            None => vec![0; len],
        }
    }
}

/// Puts the winners' seals and proofs together.
fn open(job: &Job, shape: Shape, tickets: Vec<Ticket>) -> Vec<Winner> {
    let roots: (Hash, Hash) = (job.a.root(), job.bt.root());
    let winner = |(ticket, row, column): Ticket| {
        let seal = Seal::new(shape, roots.0, roots.1, row, column).ok()?;
        let proof = reference::open(job.a.data(), job.bt.data(), &seal)?;
        Some(Winner {
            seal,
            proof,
            ticket,
        })
    };
    // Tiles of the grid are tiles of the shape, so none is lost here.
    tickets.into_par_iter().filter_map(winner).collect()
}
