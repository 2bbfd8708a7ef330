//! One opened GPU: jobs in flight, at most two, so that one's copies run beside the other's kernels.
//!
//! Nothing here waits for the device but where there is nothing else to do: each job goes through its stages in short
//! steps, taken in turn.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};

use super::admission::Admission;
use super::driver::{Driver, Event, Fault, Pinned, hung};
use super::flight::{Flight, Stage, Step};
use super::grid::ways;
use super::memory::Memory;
use super::multiply::{Speed, Way};
use super::plan::{PARAMS_BYTES, RESULT_BYTES};
use super::winners::answer;
use super::{Ask, Settings, Shared};

/// Jobs in flight: one whose kernels run, one whose operands or product are copied.
pub(super) const SLOTS: usize = 2;
/// How often a running job is looked after while another one may come.
const POLL: Duration = Duration::from_micros(200);
/// How often the end of the device is looked for while a job runs.
const SLICE: Duration = Duration::from_millis(100);

/// What belongs to a place for a job in flight.
pub(super) struct Slot {
    /// The job's parameters, then the chunk by which a matrix of a family differs.
    pub sent: Pinned,
    pub fetched: Pinned,
    pub uploaded: Event,
    pub banded: [Event; 2],
    pub done: Event,
    pub free: bool,
}

/// The GPU and all that is on it, less the jobs.
pub(super) struct Gpu<'a> {
    pub driver: Box<dyn Driver>,
    pub memory: Memory,
    /// One at least.
    pub ways: Vec<Way>,
    pub slots: Vec<Slot>,
    /// Staging for large copies, two each way.
    pub up: [Pinned; 2],
    pub down: [Pinned; 2],
    pub turn: usize,
    pub settings: &'a Settings,
    pub shared: &'a Shared,
}

/// The GPU with its jobs. Whatever happens, each job that was taken from the queue is in here until it is answered.
pub(super) struct Machine<'a> {
    gpu: Gpu<'a>,
    flights: VecDeque<Flight>,
    waiting: Option<Ask>,
    /// When anything last came of what is in flight.
    moved: Instant,
}

/// Why a machine stopped.
pub(super) enum End {
    /// The device is being dropped.
    Closed,
    Lost(String),
}

impl<'a> Machine<'a> {
    /// Prepares an opened driver for jobs.
    pub(super) fn new(
        mut driver: Box<dyn Driver>,
        budget: u64,
        speeds: &[Speed],
        settings: &'a Settings,
        shared: &'a Shared,
    ) -> Result<Self, Fault> {
        let mut slots = Vec::with_capacity(SLOTS);
        for _ in 0..SLOTS {
            slots.push(Slot {
                sent: driver.pin(PARAMS_BYTES + labora_pouw::tree::CHUNK)?,
                fetched: driver.pin(RESULT_BYTES)?,
                uploaded: driver.event()?,
                banded: [driver.event()?, driver.event()?],
                done: driver.event()?,
                free: true,
            });
        }
        let up = [
            driver.pin(settings.piece_bytes)?,
            driver.pin(settings.piece_bytes)?,
        ];
        let down = [
            driver.pin(settings.piece_bytes)?,
            driver.pin(settings.piece_bytes)?,
        ];
        let ways = ways(&mut *driver, speeds)?;
        Ok(Machine {
            gpu: Gpu {
                driver,
                memory: Memory::new(budget),
                ways,
                slots,
                up,
                down,
                turn: 0,
                settings,
                shared,
            },
            flights: VecDeque::with_capacity(SLOTS),
            waiting: None,
            moved: Instant::now(),
        })
    }

    /// Does jobs until the queue is closed or the device fails.
    pub(super) fn run(&mut self, asks: &Receiver<Ask>) -> End {
        match self.run_until_fault(asks) {
            Ok(()) => End::Closed,
            Err(Fault::Lost(why)) => End::Lost(why),
            // Only blocks for jobs may be refused; this came from a launch or a copy.
            Err(Fault::OutOfMemory { needs }) => {
                End::Lost(format!("out of memory on the way, {needs} bytes"))
            }
        }
    }

    /// The jobs that were taken and not answered.
    pub(super) fn unanswered(&mut self) -> Vec<Ask> {
        let flights = self.flights.drain(..).map(Flight::into_ask);
        flights.chain(self.waiting.take()).collect()
    }

    fn run_until_fault(&mut self, asks: &Receiver<Ask>) -> Result<(), Fault> {
        loop {
            if self.gpu.shared.ending.is_cancelled() {
                return Ok(());
            }
            if self.waiting.is_none() && self.has_place() {
                match asks.try_recv() {
                    Ok(ask) => self.waiting = Some(ask),
                    Err(TryRecvError::Disconnected) if self.flights.is_empty() => return Ok(()),
                    Err(_) => {}
                }
            }
            let mut moved = self.has_place() && self.admit_waiting()?;
            for at in 0..self.flights.len() {
                moved |= match self.step(at)? {
                    Step::Moved => true,
                    Step::Waiting => false,
                    Step::Done => {
                        self.finish()?;
                        true
                    }
                };
            }
            if moved {
                self.moved = Instant::now();
                continue;
            }
            self.check_that_it_moves()?;
            if self.waiting.is_none() && self.has_place() {
                let next = if self.flights.is_empty() {
                    self.rest(asks)?
                } else {
                    asks.recv_timeout(POLL)
                };
                match next {
                    Ok(ask) => {
                        if self.flights.is_empty() {
                            self.moved = Instant::now();
                        }
                        self.waiting = Some(ask);
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) if self.flights.is_empty() => return Ok(()),
                    // The flag of the end is raised before the queue is closed.
                    Err(RecvTimeoutError::Disconnected) => {}
                }
            } else if let Some(event) = self
                .flights
                .front()
                .and_then(|flight| flight.awaited(&self.gpu))
            {
                // What came of it is seen by the steps.
                let _ = self.gpu.driver.wait(event, SLICE)?;
            }
        }
    }

    /// A device of whose launches none ends, in a time by which several should have, is lost.
    fn check_that_it_moves(&mut self) -> Result<(), Fault> {
        let slowest = self.flights.iter().map(Flight::band_ms).max();
        let Some(band_ms) = slowest else {
            return Ok(());
        };
        let limit = self.gpu.settings.hang + Duration::from_millis(band_ms.saturating_mul(100));
        if self.moved.elapsed() < limit {
            return Ok(());
        }
        self.gpu.driver.give_up();
        Err(hung(limit))
    }

    /// Waits for a job. One that does not come soon finds the memory given back, for others to use.
    fn rest(&mut self, asks: &Receiver<Ask>) -> Result<Result<Ask, RecvTimeoutError>, Fault> {
        match asks.recv_timeout(self.gpu.settings.keep) {
            Err(RecvTimeoutError::Timeout) => {}
            next => return Ok(next),
        }
        self.gpu.memory.empty(&mut *self.gpu.driver)?;
        Ok(asks.recv().map_err(|_| RecvTimeoutError::Disconnected))
    }

    /// Whether another job may start: operands are sent for one at a time, and what it keeps is found by the next.
    fn has_place(&self) -> bool {
        self.flights.len() < SLOTS && self.flights.iter().all(|flight| flight.stage.is_launched())
    }

    /// Looks at the job that waits; whether anything came of it.
    fn admit_waiting(&mut self) -> Result<bool, Fault> {
        let Some(ask) = &self.waiting else {
            return Ok(false);
        };
        let admission = self.gpu.admit(ask, self.flights.is_empty())?;
        if matches!(admission, Admission::Later) {
            return Ok(false);
        }
        if let Some(ask) = self.waiting.take() {
            match admission {
                Admission::Taken(start) => {
                    self.flights.push_back(Flight::new(ask, *start, &self.gpu));
                }
                Admission::Answered(outcome) => ask.answer(outcome),
                Admission::Later => {}
            }
        }
        Ok(true)
    }

    /// Takes one step with a job in flight.
    fn step(&mut self, at: usize) -> Result<Step, Fault> {
        let may_launch = self
            .flights
            .iter()
            .take(at)
            .all(|flight| flight.stage.is_launched());
        let (gpu, Some(flight)) = (&mut self.gpu, self.flights.get_mut(at)) else {
            return Ok(Step::Waiting);
        };
        match flight.stage {
            Stage::Upload { .. } => flight.upload(gpu),
            Stage::Ready if may_launch => flight.prepare(gpu),
            Stage::Bands { .. } if may_launch => flight.launch_band(gpu),
            // Answers come in the order of the questions.
            Stage::Running if at == 0 => flight.look(gpu),
            Stage::Fetch { .. } if at == 0 => flight.fetch(gpu),
            _ => Ok(Step::Waiting),
        }
    }

    /// Answers the first job.
    fn finish(&mut self) -> Result<(), Fault> {
        let Some(flight) = self.flights.front_mut() else {
            return Ok(());
        };
        let (outcome, tickets) = flight.finish(&mut self.gpu)?;
        if let Some(flight) = self.flights.pop_front() {
            let ask = flight.into_ask();
            self.gpu.memory.tidy();
            self.gpu.shared.succeeded();
            answer(ask, outcome, tickets, &self.gpu.shared.opening);
        }
        Ok(())
    }
}
