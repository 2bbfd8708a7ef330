//! One job on its way through the device: sent, prepared, multiplied band by band, fetched.

mod prepare;

use std::collections::VecDeque;

use labora_pouw::TILE;
use zerocopy::IntoBytes;

use super::Ask;
use super::admission::{Places, Start, unmined};
use super::driver::{Address, Copied, Event, Fault, Stream};
use super::grid::how;
use super::kernels::{self, CORRECTION, Mode, Product};
use super::machine::Gpu;
use super::memory::Block;
use super::multiply::Way;
use super::plan::{
    LIST_STRIDE, Layout, PARAMS_BYTES, Panels, Plan, ROOT_A, ROOT_B, TARGET, band_rows,
};
use super::winners::{Ticket, listed};
use crate::cpu::MAX_WINNERS;
use crate::device::{Outcome, Want};
use crate::matrix::Matrix;

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Moved,
    /// For the device.
    Waiting,
    Done,
}

/// How far a job is.
pub(super) enum Stage {
    /// Operands yet to be sent, and how far the first of them is.
    Upload {
        rest: VecDeque<(Matrix, Address)>,
        offset: usize,
    },
    /// Sent.
    Ready,
    /// Bands launched so far.
    Bands { launched: u32 },
    /// All launched.
    Running,
    /// The product's pieces, asked for and come.
    Fetch { asked: usize, come: usize },
}

impl Stage {
    pub(super) fn is_launched(&self) -> bool {
        matches!(self, Stage::Running | Stage::Fetch { .. })
    }
}

/// A job in flight.
pub(super) struct Flight {
    ask: Ask,
    pub stage: Stage,
    plan: Plan,
    layout: Layout,
    panels: Panels,
    slot: usize,
    arena: Block,
    places: Places,
    way: Way,
    /// Rows of one launch, and launches.
    band: u32,
    bands: u32,
    /// Launches that were left out, the job being cancelled.
    left_out: u32,
    /// Whether the cancellation was seen before the last launch.
    cancelled: bool,
    product: Option<Vec<i32>>,
}

impl Flight {
    pub(super) fn new(ask: Ask, start: Start, gpu: &Gpu<'_>) -> Self {
        let Start {
            plan,
            slot,
            arena,
            places,
        } = start;
        let layout = plan.layout();
        let mut rest = VecDeque::new();
        if plan.own_a {
            rest.push_back((ask.job.a.clone(), arena.at + layout.a));
        } else if let (true, Some(kept)) = (places.fresh_a, &places.a) {
            rest.push_back((ask.job.a.clone(), kept.block.at));
        }
        if plan.send_bt {
            rest.push_back((ask.job.bt.clone(), arena.at + layout.bt));
        }
        let way = gpu.way((plan.m, plan.n), plan.mode);
        let tiling = &way.tiling;
        // Four rounds of blocks, so that the last one's idle multiprocessors hardly count.
        let across = plan.n.div_ceil(tiling.columns).max(1);
        let grid = way.grids[plan.mode as usize];
        let least = grid
            .saturating_mul(4)
            .div_ceil(across)
            .saturating_mul(tiling.rows);
        let least = least.min(gpu.settings.least_band_rows.unwrap_or(u32::MAX));
        let band = band_rows(
            (plan.m, plan.n, plan.k),
            way.speed.macs_per_ms,
            gpu.settings.band_ms,
            least,
            tiling.rows,
        );
        Flight {
            panels: Panels::new(plan.n, plan.k),
            product: (plan.mode != Mode::Tickets)
                .then(|| gpu.shared.take_spare(plan.m as usize * plan.n as usize)),
            bands: plan.m.div_ceil(band),
            way,
            ask,
            stage: Stage::Upload { rest, offset: 0 },
            plan,
            layout,
            slot,
            arena,
            places,
            band,
            left_out: 0,
            cancelled: false,
        }
    }

    /// What one of its launches should take.
    pub(super) fn band_ms(&self) -> u64 {
        let macs = u64::from(self.band) * u64::from(self.plan.n) * u64::from(self.plan.k);
        macs.div_ceil(self.way.speed.macs_per_ms)
    }

    pub(super) fn into_ask(self) -> Ask {
        self.ask
    }

    /// What the first job in flight waits for.
    pub(super) fn awaited(&self, gpu: &Gpu<'_>) -> Option<Event> {
        let slot = &gpu.slots[self.slot];
        match self.stage {
            Stage::Bands { launched } => Some(slot.banded[launched as usize % 2]),
            Stage::Running => Some(slot.done),
            Stage::Upload { .. } | Stage::Ready | Stage::Fetch { .. } => None,
        }
    }

    /// Address of a part of the arena.
    fn at(&self, offset: u64) -> Address {
        self.arena.at + offset
    }

    fn param(&self, offset: usize) -> Address {
        self.at(self.layout.params) + offset as u64
    }

    /// Address of A's entries.
    fn a(&self) -> Address {
        match &self.places.a {
            Some(kept) => kept.block.at,
            None => self.at(self.layout.a),
        }
    }

    /// Address of a part of noised Bt's block; 0 where nothing is mined.
    fn panel(&self, offset: u64) -> Address {
        self.places
            .panels
            .as_ref()
            .map_or(0, |kept| kept.block.at + offset)
    }

    /// Sends a piece of the operands.
    pub(super) fn upload(&mut self, gpu: &mut Gpu<'_>) -> Result<Step, Fault> {
        let Stage::Upload { rest, offset } = &mut self.stage else {
            return Ok(Step::Waiting);
        };
        let Some((matrix, to)) = rest.front() else {
            gpu.driver
                .record(gpu.slots[self.slot].uploaded, Stream::Up)?;
            self.stage = Stage::Ready;
            return Ok(Step::Moved);
        };
        let data = &matrix.data().as_bytes()[*offset..];
        let piece = &data[..data.len().min(gpu.settings.piece_bytes)];
        let staging = gpu.up[gpu.turn];
        gpu.turn = (gpu.turn + 1) % gpu.up.len();
        gpu.driver.write(staging, 0, piece)?;
        gpu.driver.upload(Copied {
            stream: Stream::Up,
            host: staging,
            offset: 0,
            device: to + *offset as u64,
            bytes: piece.len(),
        })?;
        if piece.len() == data.len() {
            rest.pop_front();
            *offset = 0;
        } else {
            *offset += piece.len();
        }
        Ok(Step::Moved)
    }

    /// Queues the next rows of the product, no more than two launches ahead of the device.
    pub(super) fn launch_band(&mut self, gpu: &mut Gpu<'_>) -> Result<Step, Fault> {
        let Stage::Bands { launched } = self.stage else {
            return Ok(Step::Waiting);
        };
        self.cancelled |= self.ask.cancel.is_cancelled();
        if self.cancelled && self.ask.job.want == Want::TicketsOnly {
            self.left_out = self.bands - launched;
            return self.close(gpu);
        }
        let banded = gpu.slots[self.slot].banded[launched as usize % 2];
        if launched >= 2 && !gpu.driver.is_done(banded)? {
            return Ok(Step::Waiting);
        }
        let first = launched * self.band;
        let rows = self.band.min(self.plan.m - first);
        let launch = self.product(gpu, first, rows, launched)?;
        gpu.driver.launch(&launch)?;
        gpu.driver.record(banded, Stream::Compute)?;
        self.stage = Stage::Bands {
            launched: launched + 1,
        };
        if launched + 1 == self.bands {
            return self.close(gpu);
        }
        Ok(Step::Moved)
    }

    /// The launch of rows `first..first + rows`.
    fn product(
        &self,
        gpu: &mut Gpu<'_>,
        first: u32,
        rows: u32,
        band: u32,
    ) -> Result<kernels::Launch, Fault> {
        let Plan { n, k, mode, .. } = self.plan;
        let mined = mode != Mode::Plain;
        let (row, n64, k64) = (u64::from(first), u64::from(n), u64::from(k));
        let (a, b) = if mined {
            (
                self.at(self.layout.noised_a),
                self.panel(self.panels.noised),
            )
        } else {
            (self.a(), self.at(self.layout.bt))
        };
        let product = Product {
            a: a + row * k64,
            b,
            c: self.at(self.layout.product) + 4 * row * n64,
            left: self.at(self.layout.left) + row * u64::from(CORRECTION),
            right: self.at(self.layout.right),
            midstate: self.at(self.layout.seeds) + 64,
            target: self.param(TARGET),
            winners: self.at(self.layout.winners) + u64::from(band) * LIST_STRIDE as u64,
            m: rows,
            n,
            k,
        };
        let how = how(gpu, &self.way, &product, mode)?;
        Ok(kernels::product(&product, mode, &how))
    }

    /// After the last launch: has the lists fetched, and marks the end.
    fn close(&mut self, gpu: &mut Gpu<'_>) -> Result<Step, Fault> {
        let slot = &gpu.slots[self.slot];
        if self.plan.mode != Mode::Plain && self.left_out == 0 {
            gpu.driver.download(Copied {
                stream: Stream::Compute,
                host: slot.fetched,
                offset: 0,
                device: self.param(0),
                bytes: PARAMS_BYTES + self.bands as usize * LIST_STRIDE,
            })?;
        }
        gpu.driver.record(slot.done, Stream::Compute)?;
        self.stage = Stage::Running;
        Ok(Step::Moved)
    }

    /// Whether the kernels are through.
    pub(super) fn look(&mut self, gpu: &mut Gpu<'_>) -> Result<Step, Fault> {
        if !gpu.driver.is_done(gpu.slots[self.slot].done)? {
            return Ok(Step::Waiting);
        }
        if self.product.is_none() {
            return Ok(Step::Done);
        }
        self.stage = Stage::Fetch { asked: 0, come: 0 };
        Ok(Step::Moved)
    }

    /// Fetches the product by pieces, two ahead.
    pub(super) fn fetch(&mut self, gpu: &mut Gpu<'_>) -> Result<Step, Fault> {
        let (Stage::Fetch { asked, come }, Some(product)) = (&mut self.stage, &mut self.product)
        else {
            return Ok(Step::Waiting);
        };
        let piece = gpu.settings.piece_bytes;
        let bytes = product.as_mut_bytes();
        let pieces = bytes.len().div_ceil(piece);
        let length = |at: usize| piece.min(bytes.len() - at * piece);
        if *asked < pieces && *asked < *come + gpu.down.len() {
            gpu.driver.download(Copied {
                stream: Stream::Down,
                host: gpu.down[*asked % 2],
                offset: 0,
                device: self.arena.at + self.layout.product + (*asked * piece) as u64,
                bytes: length(*asked),
            })?;
            *asked += 1;
            return Ok(Step::Moved);
        }
        let (staging, from, length) = (gpu.down[*come % 2], *come * piece, length(*come));
        gpu.driver
            .read(staging, 0, &mut bytes[from..from + length])?;
        *come += 1;
        Ok(if *come == pieces {
            Step::Done
        } else {
            Step::Moved
        })
    }

    /// Puts the outcome together, and gives back what was this job's alone. The winners are still to be opened.
    pub(super) fn finish(&mut self, gpu: &mut Gpu<'_>) -> Result<(Outcome, Vec<Ticket>), Fault> {
        let product = self.product.take();
        let Plan { m, n, k, mode, .. } = self.plan;
        let rows = (self.bands - self.left_out)
            .saturating_mul(self.band)
            .min(m);
        let macs = u64::from(rows) * u64::from(n) * u64::from(k);
        let tickets = if mode == Mode::Plain || self.left_out > 0 {
            None
        } else {
            Some(self.tickets(gpu)?)
        };
        gpu.slots[self.slot].free = true;
        gpu.memory.give_back(self.arena);
        // Cancelled before its last launch: the product is exact, and the template no longer stands.
        let tickets = tickets.filter(|_| !self.cancelled);
        let Some(tickets) = tickets else {
            return Ok((unmined(macs, product), Vec::new()));
        };
        let outcome = Outcome {
            winners: Vec::new(),
            product,
            macs,
            mined: true,
        };
        Ok((outcome, tickets))
    }

    /// Reads what was fetched: commitments made on the device, and the lowest tickets that win.
    fn tickets(&self, gpu: &mut Gpu<'_>) -> Result<Vec<Ticket>, Fault> {
        let mut fetched = vec![0; PARAMS_BYTES + self.bands as usize * LIST_STRIDE];
        gpu.driver
            .read(gpu.slots[self.slot].fetched, 0, &mut fetched)?;
        let root = |offset: usize| fetched.get(offset..offset + 32)?.try_into().ok();
        if let (None, Some(root)) = (self.plan.root_a, root(ROOT_A)) {
            self.ask.job.a.set_root(root);
        }
        if let (None, Some(root)) = (self.plan.root_b, root(ROOT_B)) {
            self.ask.job.bt.set_root(root);
            self.name_panels(gpu, root);
        }
        let lists = fetched[PARAMS_BYTES..]
            .chunks_exact(LIST_STRIDE)
            .enumerate();
        let mut tickets: Vec<Ticket> = lists
            .flat_map(|(band, list)| listed(list, band as u32 * self.band / TILE as u32))
            .collect();
        tickets.sort_unstable();
        tickets.truncate(MAX_WINNERS);
        Ok(tickets)
    }
}
