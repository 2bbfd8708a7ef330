//! Any device, as the node uses it: jobs through its queue, transfers and commitments included.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use labora_kernels::{Cancel, Device, DeviceError, Filler, Job, Matrix, Pending, Template, Want};
use labora_pouw::{Difficulty, Shape};
use sp_core::U256;

/// Jobs in flight, as the node's own feeder has them.
const DEPTH: usize = 2;
/// How long one round of one kind takes at least, so that filling and emptying the queue counts little.
const ROUND: Duration = Duration::from_millis(200);
/// Jobs of one round at most: a tenth of a millisecond each is faster than any device takes them.
const MAX_JOBS: u32 = 2_000;

/// Median times of one job.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// The plain product, with C brought back.
    pub plain: Duration,
    /// Mined filler: a fresh commitment each, no C.
    pub filler: Duration,
    /// Mined with exact C, of an A never seen before and a Bt that stays, as a model's weights do.
    pub exact: Duration,
}

#[derive(Clone, Copy)]
enum Kind {
    Plain,
    Filler,
    Exact,
}

const KINDS: [Kind; 3] = [Kind::Plain, Kind::Filler, Kind::Exact];

/// Runs jobs of each kind in turn, `rounds` times.
pub fn measure(device: &dyn Device, shape: Shape, rounds: usize) -> Result<Times, DeviceError> {
    let mut bench = Bench {
        device,
        filler: Filler::with_seed(shape, [1; 32]),
        // So hard that nothing wins: a winner's proof is rare on a real chain and not part of these figures.
        template: Difficulty::new(U256::MAX).ok().map(|difficulty| Template {
            pre_hash: [7; 32],
            difficulty,
        }),
    };
    let mut counts = [1u32; KINDS.len()];
    for (kind, count) in KINDS.into_iter().zip(&mut counts) {
        // Twice: the first job of a kind allocates, notes Bt, and starts threads.
        bench.run(kind, 2)?;
        let one = bench.run(kind, 2)?.as_secs_f64() / 2.0;
        *count = ((ROUND.as_secs_f64() / one.max(1e-9)).ceil() as u32).clamp(2, MAX_JOBS);
    }
    let mut times = [const { Vec::new() }; KINDS.len()];
    for _ in 0..rounds.max(1) {
        for ((kind, count), times) in KINDS.into_iter().zip(counts).zip(&mut times) {
            times.push(bench.run(kind, count)? / count);
        }
    }
    let [plain, filler, exact] = times.map(|mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    });
    Ok(Times {
        plain,
        filler,
        exact,
    })
}

struct Bench<'a> {
    device: &'a dyn Device,
    filler: Filler,
    template: Option<Template>,
}

impl Bench<'_> {
    /// So many jobs, from the first one's start to the last one's end.
    fn run(&mut self, kind: Kind, count: u32) -> Result<Duration, DeviceError> {
        let mut in_flight = VecDeque::with_capacity(DEPTH);
        let start = Instant::now();
        for _ in 0..count {
            if in_flight.len() == DEPTH {
                self.settle(in_flight.pop_front())?;
            }
            in_flight.push_back(self.start(kind)?);
        }
        while !in_flight.is_empty() {
            self.settle(in_flight.pop_front())?;
        }
        Ok(start.elapsed())
    }

    fn start(&mut self, kind: Kind) -> Result<Pending, DeviceError> {
        let (a, bt) = self.filler.next();
        let (template, want) = match kind {
            Kind::Plain => (None, Want::ExactProduct),
            Kind::Filler => (self.template, Want::TicketsOnly),
            Kind::Exact => (self.template, Want::ExactProduct),
        };
        // Filler's own shortcuts are not for what somebody asks for: an A of which nothing is known.
        let a = match kind {
            Kind::Exact => fresh(&a),
            Kind::Plain | Kind::Filler => a,
        };
        let job = Job {
            template,
            a,
            bt,
            want,
        };
        self.device.run(job, &Cancel::new())
    }

    fn settle(&self, pending: Option<Pending>) -> Result<(), DeviceError> {
        if let Some(pending) = pending
            && let Some(product) = pending.wait()?.product
        {
            self.device.recycle(product);
        }
        Ok(())
    }
}

/// The same entries without their known root.
fn fresh(a: &Matrix) -> Matrix {
    match Matrix::new(a.rows(), a.k(), a.data().to_vec()) {
        Ok(fresh) => fresh,
        // They made a matrix before.
        Err(error) => unreachable!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use labora_kernels::{CpuDevice, Isa};

    use super::*;

    #[test]
    fn every_kind_takes_its_time_on_a_device() {
        let device = CpuDevice::new(NonZeroUsize::MIN, Isa::detect()).expect("one thread");
        let shape = Shape::new(256, 256, 256).expect("a valid shape");
        let times = measure(&device, shape, 1).expect("the device is there");
        for time in [times.plain, times.filler, times.exact] {
            assert!(time > Duration::ZERO);
        }
    }
}
