//! What the product kernels take beside the vendor's own int8 product, on the GPU alone: no transfers, no commitments.
//! What a whole job takes, with both, is for the caller to measure on a [`Device`](crate::Device).

mod parts;

use std::time::Duration;

use labora_pouw::Shape;

pub use parts::GpuParts;
use parts::{Scratch, results_bytes};

use super::driver::{Address, Driver, Event, Fault, Stream};
use super::kernels::{Mode, Multiply, Product};
use super::nvidia::{CublasLt, Kept, Nvidia};
use super::{MEMORY_PERCENT, timing};
use crate::error::DeviceError;

/// Median times of one product's kernels on a GPU, on the same entries.
#[derive(Clone, Debug)]
pub struct GpuFigures {
    /// What was multiplied.
    pub shape: Shape,
    /// What was fastest at filler: instruction and tile, such as `mma 128x256`.
    pub kernel: &'static str,
    /// The plain product.
    pub plain: Duration,
    /// The product of filler: folds and tickets, no C.
    pub filler: Duration,
    /// The mined product with exact C.
    pub exact: Duration,
    /// What comes before and after the product's kernel.
    pub parts: GpuParts,
    /// cuBLASLt's int8 product, the fastest of those that it proposes, or why there is none.
    pub cublaslt: Result<Duration, String>,
}

/// Runs the kernels on a GPU, `rounds` times each and in turn, and says what the medians are.
///
/// # Errors
///
/// If the GPU cannot be opened, fails on the way, or lacks memory for the shape.
pub fn measure_gpu(index: u32, shape: Shape, rounds: usize) -> Result<GpuFigures, DeviceError> {
    let mut driver = Nvidia::open(index, &mut Kept::default())?;
    let library = CublasLt::open();
    let failed = |fault| match fault {
        Fault::OutOfMemory { needs } => DeviceError::OutOfMemory { needs },
        Fault::Lost(why) => DeviceError::Lost(why),
    };
    let prepared = prepare(&mut driver, shape).map_err(failed)?;
    let vendor = library.and_then(|library| library.prepare(&mut driver, &prepared.product));
    measure(&mut driver, (shape, &prepared), rounds, vendor).map_err(failed)
}

/// Enqueues one product among the driver's kernels.
type Enqueue = Box<dyn FnMut() -> Result<(), String>>;

/// What is measured on, which lives as long as the driver.
struct Prepared {
    product: Product,
    /// Entries of the plain operands, the larger one's.
    plain: Address,
    scratch: Scratch,
}

/// Operands for every mode, and room for all parts.
fn prepare(driver: &mut dyn Driver, shape: Shape) -> Result<Prepared, Fault> {
    let sides = (shape.m(), shape.n(), shape.k());
    let [c, left, right] = results_bytes(shape);
    let more = c + left + right + Scratch::bytes(shape);
    let budget = driver.facts().free_bytes / 100 * MEMORY_PERCENT;
    let Some((place, product)) = timing::operands(driver, budget, sides, more)? else {
        let needs = more + 2 * (shape.a_len() + shape.b_len());
        return Err(Fault::OutOfMemory { needs });
    };
    Ok(Prepared {
        product: Product {
            c: place.more,
            left: place.more + c,
            right: place.more + c + left,
            ..product
        },
        plain: place.at,
        scratch: Scratch::at(place.more + c + left + right, shape).0,
    })
}

/// As [`measure_gpu`], on any driver; `vendor` is the product to compare with.
fn measure(
    driver: &mut dyn Driver,
    (shape, prepared): (Shape, &Prepared),
    rounds: usize,
    vendor: Result<Enqueue, String>,
) -> Result<GpuFigures, Fault> {
    let (mut vendor, mut refused) = match vendor {
        Ok(enqueue) => (Some(enqueue), None),
        Err(why) => (None, Some(why)),
    };
    // They live as long as the driver, so one pair serves all.
    let events = (driver.event()?, driver.event()?);
    let repeats = (MACS_AT_ONCE / shape.macs()).clamp(1, MAX_REPEATS) as u32;
    let mut best: Option<(&'static str, [f32; MODES.len()], f32)> = None;
    for &multiply in Multiply::of(driver.facts().capability) {
        let mut launches = Vec::with_capacity(MODES.len());
        for mode in MODES {
            launches.push(timing::launch(driver, multiply, &prepared.product, mode)?);
        }
        let mut times = vec![Vec::with_capacity(rounds); MODES.len() + 1];
        // One round more, to warm up.
        for round in 0..=rounds.max(1) {
            for (launch, times) in launches.iter().zip(&mut times) {
                let ms = timed(driver, events, repeats, |driver| driver.launch(launch))?;
                if round > 0 {
                    times.push(ms);
                }
            }
            if let Some(enqueue) = &mut vendor {
                let mut failed = None;
                let ms = timed(driver, events, repeats, |_| {
                    failed = failed.take().or(enqueue().err());
                    Ok(())
                })?;
                match failed {
                    None if round > 0 => times[MODES.len()].push(ms),
                    None => {}
                    Some(why) => {
                        refused = Some(why);
                        vendor = None;
                    }
                }
            }
        }
        let medians = std::array::from_fn(|at| median(&mut times[at]).unwrap_or(f32::INFINITY));
        let theirs = median(&mut times[MODES.len()]).unwrap_or(f32::INFINITY);
        let filler = |times: &[f32; MODES.len()]| times[1];
        match &mut best {
            Some((_, times, earlier)) if filler(times) <= filler(&medians) => {
                *earlier = earlier.min(theirs);
            }
            best => {
                let earlier = best
                    .as_ref()
                    .map_or(f32::INFINITY, |(_, _, earlier)| *earlier);
                *best = Some((multiply.name(), medians, earlier.min(theirs)));
            }
        }
    }
    let Some((kernel, [plain, filler, exact], theirs)) = best else {
        return Err(Fault::Lost("there is no kernel for it".into()));
    };
    Ok(GpuFigures {
        shape,
        kernel,
        plain: duration(plain),
        filler: duration(filler),
        exact: duration(exact),
        parts: parts::measure(driver, shape, prepared, rounds)?,
        cublaslt: match refused {
            Some(why) => Err(why),
            None => Ok(duration(theirs)),
        },
    })
}

fn duration(ms: f32) -> Duration {
    Duration::from_secs_f64(f64::from(ms) / 1e3)
}

/// What is measured.
const MODES: [Mode; 3] = [Mode::Plain, Mode::Tickets, Mode::Exact];

/// Multiply-accumulates between two events, about a third of a millisecond on the fastest GPUs: less would be the time in which
/// the host launches.
const MACS_AT_ONCE: u64 = 1 << 38;
/// Launches between two events.
const MAX_REPEATS: u64 = 8;

/// Milliseconds of what is enqueued, by so many of it in a row.
fn timed(
    driver: &mut dyn Driver,
    (from, to): (Event, Event),
    repeats: u32,
    mut enqueue: impl FnMut(&mut dyn Driver) -> Result<(), Fault>,
) -> Result<f32, Fault> {
    driver.record(from, Stream::Compute)?;
    for _ in 0..repeats {
        enqueue(driver)?;
    }
    driver.record(to, Stream::Compute)?;
    driver.finish(to)?;
    Ok(driver.elapsed_ms(from, to)? / repeats as f32)
}

fn median(times: &mut [f32]) -> Option<f32> {
    times.sort_by(f32::total_cmp);
    times.get(times.len() / 2).copied()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Measures on a driver of a test, beside a product that takes no time, or is not there.
    pub(in crate::cuda) fn measured(
        driver: &mut dyn Driver,
        shape: Shape,
        vendor: Result<(), String>,
    ) -> Result<GpuFigures, Fault> {
        let prepared = prepare(driver, shape)?;
        let vendor = vendor.map(|()| Box::new(|| Ok(())) as Enqueue);
        measure(driver, (shape, &prepared), 2, vendor)
    }
}
