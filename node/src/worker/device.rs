//! One thread per device: takes work from the queue, keeps the device's own queue filled, and hands results on.
//!
//! Two products are in flight, so that the device computes one while this thread packs or puts together the other.

mod loss;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use labora_kernels::{Cancel, Device, DeviceError, Filler, Job, Matrix, Outcome, Pending, Want};
use tokio::sync::mpsc;

use super::{
    MultiplyError,
    queue::{Purpose, Queue, Take, Work},
    request::Active,
    stats::Stats,
    submit::Found,
};
use crate::gemm::Piece;
use loss::Presence;

/// Products in flight on a device.
const DEPTH: usize = 2;

/// How long a device waits for the next product before it takes up filler again, after it answered one. A round trip on
/// a Unix socket with a megabyte each way takes about this long; it costs filler as much once per burst.
const LINGER: Duration = Duration::from_millis(3);

/// What people call a device.
pub(super) fn name(device: &dyn Device) -> String {
    device.info().to_string()
}

/// Feeds one device.
pub(super) struct Feeder {
    /// Its place among the worker's devices.
    index: usize,
    device: Arc<dyn Device>,
    name: Arc<str>,
    queue: Arc<Queue>,
    stats: Arc<Stats>,
    winners: mpsc::Sender<Found>,
    /// Made when it is first needed: what stands by may never be.
    filler: Option<Filler>,
    in_flight: VecDeque<InFlight>,
    /// Products whose pieces are in flight or still to be started.
    active: HashMap<u64, Active>,
    /// The one of them whose pieces are being started.
    current: Option<u64>,
    next_active: u64,
    filler_after: Option<Instant>,
    presence: Presence,
}

struct InFlight {
    run: u64,
    pre_hash: Option<[u8; 32]>,
    outcome: Pending,
    what: What,
}

enum What {
    Filler,
    Piece {
        active: u64,
        piece: Piece,
        operands: (Matrix, Matrix),
    },
}

/// What [`Feeder::start_next`] found.
enum Started {
    Something,
    Nothing,
    Stop,
}

impl Feeder {
    pub fn new(
        index: usize,
        device: Arc<dyn Device>,
        queue: Arc<Queue>,
        stats: Arc<Stats>,
        winners: mpsc::Sender<Found>,
    ) -> Self {
        Self {
            index,
            name: name(device.as_ref()).into(),
            filler: None,
            device,
            queue,
            stats,
            winners,
            in_flight: VecDeque::with_capacity(DEPTH),
            active: HashMap::new(),
            current: None,
            next_active: 0,
            filler_after: None,
            presence: Presence::Here,
        }
    }

    /// Runs until the queue is closed and empty.
    pub fn run(mut self) {
        // Also when this thread panics: those who wait must be told.
        let _gone = Gone(Arc::clone(&self.queue), self.index);
        loop {
            if self.presence == Presence::JustLost {
                self.sit_out();
            }
            let mut started = Started::Something;
            while self.in_flight.len() < DEPTH
                && matches!(started, Started::Something)
                && self.presence != Presence::JustLost
            {
                started = self.start_next();
            }
            match (self.in_flight.pop_front(), started) {
                (Some(first), _) => self.settle(first),
                (None, Started::Stop) => return,
                (None, _) => {}
            }
        }
    }

    fn start_next(&mut self) -> Started {
        if let Some(key) = self.current {
            return self.start_piece(key);
        }
        let take = if self.in_flight.is_empty() {
            Take::Wait {
                filler_after: self.filler_after.take(),
            }
        } else if self
            .in_flight
            .iter()
            .all(|flight| matches!(flight.what, What::Filler))
        {
            Take::Now
        } else {
            // Filler behind a product would only be in the way of the next one.
            Take::RequestNow
        };
        match self.queue.next(self.index, take) {
            Work::Request(request) => self.begin(Active::new(request)),
            Work::Resume(active) => self.begin(*active),
            Work::Filler => self.start_filler(),
            Work::Nothing => Started::Nothing,
            Work::Stop => Started::Stop,
        }
    }

    fn begin(&mut self, active: Active) -> Started {
        let key = self.next_active;
        self.next_active += 1;
        self.active.insert(key, active);
        self.current = Some(key);
        self.start_piece(key)
    }

    fn start_piece(&mut self, key: u64) -> Started {
        let Some(active) = self.active.get_mut(&key) else {
            self.current = None;
            return Started::Something;
        };
        if active.is_given_up() {
            self.give_up(key, MultiplyError::Lost);
            return Started::Something;
        }
        let (piece, a, bt) = match active.start_piece() {
            Ok(Some(piece)) => piece,
            Ok(None) => {
                self.current = None;
                return Started::Something;
            }
            Err(error) => {
                self.give_up(key, error);
                return Started::Something;
            }
        };
        let operands = (a.clone(), bt.clone());
        let what = What::Piece {
            active: key,
            piece,
            operands,
        };
        match self.start(Purpose::Request, a, bt, what) {
            Ok(()) => {}
            Err(error) => self.piece_failed(key, piece, error),
        }
        Started::Something
    }

    fn start_filler(&mut self) -> Started {
        let filler = self
            .filler
            .get_or_insert_with(|| Filler::new(self.device.as_ref()));
        let (a, bt) = filler.next();
        match self.start(Purpose::Filler, a, bt, What::Filler) {
            Ok(()) => Started::Something,
            Err(error) => {
                self.filler_failed(&error);
                Started::Nothing
            }
        }
    }

    fn start(
        &mut self,
        purpose: Purpose,
        a: Matrix,
        bt: Matrix,
        what: What,
    ) -> Result<(), DeviceError> {
        let cancel = Cancel::new();
        let (run, template) = self.queue.runs(self.index, purpose, &cancel);
        if purpose == Purpose::Filler && template.is_none() {
            // It was sealed, or mining stopped, since filler was chosen.
            self.queue.ran(run);
            return Ok(());
        }
        let pre_hash = template.as_ref().map(|template| template.pre_hash);
        let want = match purpose {
            Purpose::Request => Want::ExactProduct,
            Purpose::Filler => Want::TicketsOnly,
        };
        match self.device.run(
            Job {
                template,
                a,
                bt,
                want,
            },
            &cancel,
        ) {
            Ok(outcome) => {
                self.in_flight.push_back(InFlight {
                    run,
                    pre_hash,
                    outcome,
                    what,
                });
                Ok(())
            }
            Err(error) => {
                self.queue.ran(run);
                Err(error)
            }
        }
    }

    fn settle(&mut self, flight: InFlight) {
        let outcome = flight.outcome.wait();
        self.queue.ran(flight.run);
        if outcome.is_ok() {
            self.is_here();
        }
        match (outcome, flight.what) {
            (Ok(mut outcome), What::Filler) => {
                self.settle_mining(Purpose::Filler, flight.pre_hash, &mut outcome);
            }
            (
                Ok(mut outcome),
                What::Piece {
                    active,
                    piece,
                    operands,
                },
            ) => {
                self.settle_mining(Purpose::Request, flight.pre_hash, &mut outcome);
                self.settle_piece(active, piece, &operands, outcome);
            }
            (Err(error), What::Piece { active, piece, .. }) => {
                self.piece_failed(active, piece, error)
            }
            (Err(error), What::Filler) => self.filler_failed(&error),
        }
    }

    /// Counts, and hands winners on. Before the product is put together: a block cannot wait, and whoever has an answer
    /// finds it counted.
    fn settle_mining(&self, purpose: Purpose, pre_hash: Option<[u8; 32]>, outcome: &mut Outcome) {
        self.stats
            .macs(self.index, purpose, outcome.macs, outcome.mined);
        let Some(pre_hash) = pre_hash else { return };
        for winner in outcome.winners.drain(..) {
            let device = Arc::clone(&self.name);
            // Waits while the engine is busy. It fails only when the runtime is gone, and the chain with it.
            if self
                .winners
                .blocking_send(Found {
                    pre_hash,
                    winner,
                    purpose,
                    device,
                })
                .is_err()
            {
                return;
            }
        }
    }

    fn settle_piece(
        &mut self,
        key: u64,
        piece: Piece,
        operands: &(Matrix, Matrix),
        outcome: Outcome,
    ) {
        // None: an earlier piece failed, and the asker knows.
        let Some(active) = self.active.get_mut(&key) else {
            return;
        };
        match active.settle_piece(piece, operands, outcome) {
            Ok(Some(spare)) => self.device.recycle(spare),
            Ok(None) => {}
            Err(error) => return self.give_up(key, error),
        }
        if active.is_done() {
            if let Some(active) = self.active.remove(&key) {
                self.stats.product();
                active.finish();
            }
            self.filler_after = Some(Instant::now() + LINGER);
        }
    }

    fn give_up(&mut self, key: u64, error: MultiplyError) {
        if self.current == Some(key) {
            self.current = None;
        }
        if let Some(active) = self.active.remove(&key) {
            if !active.is_given_up() {
                self.stats.failed();
                tracing::warn!(target: "labora", device = %self.name, %error, "a product failed");
            }
            active.fail(error);
        }
    }
}

/// Tells the queue that its device is gone.
struct Gone(Arc<Queue>, usize);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.device_gone(self.1);
    }
}
