//! What mining costs beside plain products, measured on the machine at hand.
//!
//! Kinds of products are run in turn, round by round, and medians are compared: what disturbs a shared machine then
//! disturbs all of them alike.

use std::sync::Arc;
use std::time::{Duration, Instant};

use labora_pouw::{Difficulty, Shape, U256};

use crate::cpu::{Machine, Plain};
use crate::device::{Cancel, Job, Outcome, Template, Want};
use crate::error::DeviceError;
use crate::filler::Filler;
use crate::isa::Isa;
use crate::layout::Entries;
use crate::matrix::Matrix;

/// What one run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The plain product of matrices with entries in [-63, 63].
    Plain7,
    /// The plain product of matrices with entries in [-127, 127]: the same kernel as mining, without it.
    Plain8,
    /// Mined filler: a fresh commitment of A and fresh noise on it, tickets; no C. Bt stays, noised once a template.
    Filler,
    /// A mined product with nothing known before: commitments of A and Bt, noise on both, tickets, exact C.
    Exact,
    /// As [`Kind::Exact`], of a Bt met before under the same template, as a model's weights are.
    ExactKnownBt,
}

impl Kind {
    /// All kinds, in the order in which they are run.
    pub const ALL: [Kind; 5] = [
        Kind::Plain7,
        Kind::Plain8,
        Kind::Filler,
        Kind::Exact,
        Kind::ExactKnownBt,
    ];

    /// For people and for benches' names.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Plain7 => "gemm::plain7",
            Kind::Plain8 => "gemm::plain8",
            Kind::Filler => "mine::filler",
            Kind::Exact => "mine::exact",
            Kind::ExactKnownBt => "mine::exact_known_bt",
        }
    }
}

/// One device's machinery with operands of one shape, without the queue in front of it.
pub struct Rig {
    machine: Machine,
    shape: Shape,
    wide: (Vec<i8>, Vec<i8>),
    narrow: (Matrix, Matrix),
    filler: Filler,
    product: Vec<i32>,
    spare: Arc<parking_lot::Mutex<Vec<Vec<i32>>>>,
    runs: u64,
    clock: Clock,
}

/// What time is read from. On a machine that does other things too, the CPU time of the process says more of a single
/// thread's work than the clock on the wall.
pub type Clock = fn() -> Duration;

/// The clock on the wall, from the first time it is read.
pub fn wall() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

impl Rig {
    /// Operands are drawn from a fixed seed. `threads` at least 1.
    pub fn new(threads: usize, isa: Isa, shape: Shape, clock: Clock) -> Result<Self, DeviceError> {
        let spare = Arc::default();
        let machine = Machine::new(threads.max(1), isa, Arc::clone(&spare), Cancel::new())?;
        let mut filler = Filler::with_seed(shape, [1; 32]);
        let (a, bt) = filler.next();
        // Twice an entry in [-63, 63], and every fourth made odd: all of [-126, 127].
        let widen = |matrix: &Matrix| {
            let entry = |(at, &entry): (usize, &i8)| entry * 2 + i8::from(at % 4 == 0);
            matrix.data().iter().enumerate().map(entry).collect()
        };
        let wide = (widen(&a), widen(&bt));
        let product = vec![0; shape.m() as usize * shape.n() as usize];
        Ok(Rig {
            machine,
            shape,
            wide,
            narrow: (a.deep_clone(), bt.deep_clone()),
            filler,
            product,
            spare,
            runs: 0,
            clock,
        })
    }

    /// Runs one product of a kind and says how long it took.
    pub fn run(&mut self, kind: Kind) -> Result<Duration, DeviceError> {
        self.runs += 1;
        let k = self.shape.k() as usize;
        match kind {
            Kind::Plain7 => {
                let (a, bt) = (self.narrow.0.data(), self.narrow.1.data());
                let plain = Plain {
                    entries: Entries::Narrow,
                    a,
                    bt,
                    k,
                };
                let start = (self.clock)();
                self.machine.plain(plain, &mut self.product);
                Ok((self.clock)().saturating_sub(start))
            }
            Kind::Plain8 => {
                let plain = Plain {
                    entries: Entries::Full,
                    a: &self.wide.0,
                    bt: &self.wide.1,
                    k,
                };
                let start = (self.clock)();
                self.machine.plain(plain, &mut self.product);
                Ok((self.clock)().saturating_sub(start))
            }
            Kind::Filler => {
                let start = (self.clock)();
                let (a, bt) = self.filler.next();
                self.mine(0, a, bt, Want::TicketsOnly)?;
                Ok((self.clock)().saturating_sub(start))
            }
            Kind::Exact => {
                self.narrow.0.forget_root();
                self.narrow.1.forget_root();
                self.exact(self.runs)
            }
            Kind::ExactKnownBt => {
                // Once to know Bt; the timed run has an A it has not hashed.
                self.exact(0)?;
                self.narrow.0.forget_root();
                self.exact(0)
            }
        }
    }

    fn exact(&mut self, template: u64) -> Result<Duration, DeviceError> {
        let start = (self.clock)();
        let (a, bt) = self.narrow.clone();
        let outcome = self.mine(template, a, bt, Want::ExactProduct)?;
        let took = (self.clock)().saturating_sub(start);
        self.spare.lock().extend(outcome.product);
        Ok(took)
    }

    fn mine(
        &mut self,
        template: u64,
        a: Matrix,
        bt: Matrix,
        want: Want,
    ) -> Result<Outcome, DeviceError> {
        let mut pre_hash = [0; 32];
        pre_hash[..8].copy_from_slice(&template.to_le_bytes());
        // So hard that nothing wins: a winner's proof is rare on a real chain and not part of these figures.
        let difficulty = Difficulty::try_from(U256::MAX).ok();
        let template = difficulty.map(|difficulty| Template {
            pre_hash,
            difficulty,
        });
        self.machine.work(
            &Job {
                template,
                a,
                bt,
                want,
            },
            &Cancel::new(),
        )
    }
}

/// Medians of one run of rounds.
#[derive(Clone, Debug)]
pub struct Figures {
    /// What was multiplied.
    pub shape: Shape,
    /// Which path did it.
    pub isa: Isa,
    /// On how many threads.
    pub threads: usize,
    /// Median time of each kind, in the order of [`Kind::ALL`].
    pub medians: [Duration; Kind::ALL.len()],
    /// Least time of each kind: what is left where the machine is so busy that most runs are interrupted.
    pub least: [Duration; Kind::ALL.len()],
}

impl Figures {
    /// The median time of a kind.
    pub fn median(&self, kind: Kind) -> Duration {
        self.medians[Kind::ALL
            .iter()
            .position(|&other| other == kind)
            .unwrap_or(0)]
    }

    /// The least time of a kind.
    pub fn least(&self, kind: Kind) -> Duration {
        self.least[Kind::ALL
            .iter()
            .position(|&other| other == kind)
            .unwrap_or(0)]
    }

    /// How many times as long `kind` takes as `than`, by medians.
    pub fn ratio(&self, kind: Kind, than: Kind) -> f64 {
        self.median(kind).as_secs_f64() / self.median(than).as_secs_f64()
    }

    /// How many times as long `kind` takes as `than`, by least times.
    pub fn least_ratio(&self, kind: Kind, than: Kind) -> f64 {
        self.least(kind).as_secs_f64() / self.least(than).as_secs_f64()
    }

    /// Billions of multiply-accumulates a second.
    pub fn gmacs(&self, kind: Kind) -> f64 {
        self.shape.macs() as f64 / self.median(kind).as_secs_f64() / 1e9
    }
}

/// Runs every kind `rounds` times in turn, after one round to warm up. `other` is timed in each round too, with the
/// round's number, for comparisons with other programs.
pub fn measure(
    rig: &mut Rig,
    isa: Isa,
    threads: usize,
    rounds: usize,
    mut other: impl FnMut(usize),
) -> Result<Figures, DeviceError> {
    let mut times = [const { Vec::new() }; Kind::ALL.len()];
    for round in 0..=rounds.max(1) {
        // Each round starts with another kind, and every other round goes backwards: what one kind leaves in the caches
        // for the next then helps none of them more than the others.
        for turn in 0..Kind::ALL.len() {
            let turn = if round % 2 == 0 {
                turn
            } else {
                Kind::ALL.len() - 1 - turn
            };
            let at = (round + turn) % Kind::ALL.len();
            let took = rig.run(Kind::ALL[at])?;
            if round > 0 {
                times[at].push(took);
            }
        }
        other(round);
    }
    times.iter_mut().for_each(|times| times.sort());
    let [medians, least] = [rounds.max(1) / 2, 0].map(|at| {
        let mut at_each = [Duration::ZERO; Kind::ALL.len()];
        at_each
            .iter_mut()
            .zip(&times)
            .for_each(|(to, times)| *to = times[at]);
        at_each
    });
    Ok(Figures {
        shape: rig.shape,
        isa,
        threads,
        medians,
        least,
    })
}
