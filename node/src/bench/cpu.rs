//! The CPU: a table of what this machine does with each of its instruction sets, plain and mining.

use std::{io::Write, num::NonZeroUsize};

use clap::Args;
use labora_kernels::{
    DeviceError, Isa,
    bench::{Figures, Kind, Rig, measure, wall},
};
use labora_pouw::{Shape, ShapeError};
use serde::Serialize;

use crate::cli::devices::MAX_CPU_THREADS;

/// Largest side of a product that is measured: A, Bt and C then take 0.8 GB together, and portable code some minutes.
const MAX_SIZE: u32 = 8192;

/// m, n and k unless something else is asked for.
pub const DEFAULT_SIZE: u32 = 2048;

/// What to measure.
#[derive(Args, Clone, Debug)]
pub struct CpuBenchOptions {
    /// m, n and k of the products: a multiple of 64 from 256 to 8192.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_SIZE, value_parser = clap::value_parser!(u32).range(256..=MAX_SIZE as i64))]
    pub size: u32,

    /// Threads of each product.
    #[arg(long, value_name = "COUNT", default_value_t = NonZeroUsize::MIN)]
    pub threads: NonZeroUsize,

    /// Runs of which the median is taken, after one to warm up.
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum CpuBenchError {
    /// No shape.
    #[error("--size: {0}")]
    Size(#[from] ShapeError),
    /// Larger than the CPU is given.
    #[error("--size: {0} is more than the {MAX_SIZE} that the CPU is measured with")]
    TooLarge(u32),
    /// Too many threads.
    #[error("--threads: {0} is more than {MAX_CPU_THREADS}")]
    Threads(NonZeroUsize),
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Whoever reads the output has gone.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// What one instruction set does, in billions of multiply-accumulates a second.
#[derive(Clone, Debug, Serialize)]
pub struct CpuFigures {
    /// The instruction set.
    pub instructions: String,
    /// Sides of the products.
    pub size: u32,
    /// Threads.
    pub threads: usize,
    /// The plain product of 7-bit entries.
    pub plain7_gmacs: f64,
    /// The plain product of 8-bit entries.
    pub plain8_gmacs: f64,
    /// Mined filler.
    pub filler_gmacs: f64,
    /// Mined with exact C.
    pub exact_gmacs: f64,
    /// How many times as long filler takes as the plain 8-bit product.
    pub filler_cost: f64,
    /// The same of products with exact C.
    pub exact_cost: f64,
}

impl From<&Figures> for CpuFigures {
    fn from(figures: &Figures) -> Self {
        CpuFigures {
            instructions: figures.isa.to_string(),
            size: figures.shape.m(),
            threads: figures.threads,
            plain7_gmacs: figures.gmacs(Kind::Plain7),
            plain8_gmacs: figures.gmacs(Kind::Plain8),
            filler_gmacs: figures.gmacs(Kind::Filler),
            exact_gmacs: figures.gmacs(Kind::Exact),
            filler_cost: figures.ratio(Kind::Filler, Kind::Plain8),
            exact_cost: figures.ratio(Kind::Exact, Kind::Plain8),
        }
    }
}

/// Measures each instruction set, and prints a line as soon as it is done.
pub fn run(options: &CpuBenchOptions, out: &mut impl Write) -> sc_cli::Result<()> {
    measure_all(options, out)
        .map(drop)
        .map_err(|error| sc_cli::Error::Application(Box::new(error)))
}

/// The same; what was measured comes back too.
pub fn measure_all(
    options: &CpuBenchOptions,
    out: &mut impl Write,
) -> Result<Vec<CpuFigures>, CpuBenchError> {
    let shape = Shape::new(options.size, options.size, options.size)?;
    if options.size > MAX_SIZE {
        return Err(CpuBenchError::TooLarge(options.size));
    }
    let threads = options.threads.get();
    if threads > MAX_CPU_THREADS {
        return Err(CpuBenchError::Threads(options.threads));
    }
    writeln!(
        out,
        "products of {0}×{0}×{0}, threads: {threads}, GMAC/s (median of {1})",
        options.size, options.rounds
    )?;
    writeln!(
        out,
        "{}",
        line([
            "instructions",
            "plain 7-bit",
            "plain 8-bit",
            "filler",
            "exact",
            "filler/plain",
            "exact/plain"
        ])
    )?;
    let mut all = Vec::new();
    for isa in Isa::available() {
        let mut rig = Rig::new(threads, isa, shape, wall)?;
        let figures = measure(&mut rig, isa, threads, options.rounds as usize, |_| {})?;
        let figures = CpuFigures::from(&figures);
        writeln!(out, "{}", row(&figures))?;
        out.flush()?;
        all.push(figures);
    }
    writeln!(
        out,
        "The last two columns say how many times as long mining takes as the plain 8-bit product."
    )?;
    Ok(all)
}

fn row(figures: &CpuFigures) -> String {
    let speed = |gmacs: f64| format!("{gmacs:.1}");
    let cost = |cost: f64| format!("{cost:.2}");
    line([
        &figures.instructions,
        &speed(figures.plain7_gmacs),
        &speed(figures.plain8_gmacs),
        &speed(figures.filler_gmacs),
        &speed(figures.exact_gmacs),
        &cost(figures.filler_cost),
        &cost(figures.exact_cost),
    ])
}

fn line(cells: [&str; 7]) -> String {
    let [name, rest @ ..] = cells;
    rest.iter().fold(format!("{name:<14}"), |line, cell| {
        format!("{line}{cell:>13}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_of_this_machine_gets_a_line() {
        let options = CpuBenchOptions {
            size: 256,
            threads: NonZeroUsize::MIN,
            rounds: 1,
        };
        let mut out = Vec::new();
        run(&options, &mut out).expect("the smallest products are measured");
        let text = String::from_utf8(out).expect("a table is text");
        for isa in Isa::available() {
            let line = text
                .lines()
                .find(|line| line.starts_with(&isa.to_string()))
                .expect("a line for each");
            let speed: f64 = line
                .split_whitespace()
                .nth(1)
                .and_then(|cell| cell.parse().ok())
                .expect("a speed");
            assert!(speed > 0.0, "{line}");
        }
    }

    #[test]
    fn a_size_that_is_no_shape_is_refused() {
        let options = CpuBenchOptions {
            size: 300,
            threads: NonZeroUsize::MIN,
            rounds: 1,
        };
        let error = run(&options, &mut Vec::new()).expect_err("300 is no multiple of 64");
        assert!(error.to_string().contains("--size"), "{error}");
    }
}
