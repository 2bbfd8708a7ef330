//! `labora pouw bench`: a table of what this machine does with each of its instruction sets, plain and mining.

use std::{io::Write, num::NonZeroUsize};

use clap::Args;
use labora_kernels::{
    DeviceError, Isa,
    bench::{Figures, Kind, Rig, measure, wall},
};
use labora_pouw::{Shape, ShapeError};

use crate::cli::values::MAX_CPU_THREADS;

/// Largest side of a product that is measured: A, Bt and C then take 0.8 GB together, and portable code some minutes.
const MAX_SIZE: u32 = 8192;

/// What to measure.
#[derive(Args, Clone, Debug)]
pub struct BenchOptions {
    /// m, n and k of the products: a multiple of 64 from 256 to 8192.
    #[arg(long, value_name = "N", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(256..=MAX_SIZE as i64))]
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
enum BenchError {
    #[error("--size: {0}")]
    Size(#[from] ShapeError),
    #[error("--threads: {0} is more than {MAX_CPU_THREADS}")]
    Threads(NonZeroUsize),
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Measures each instruction set, and prints a line as soon as it is done.
pub fn run(options: &BenchOptions, out: &mut impl Write) -> sc_cli::Result<()> {
    print(options, out).map_err(|error| sc_cli::Error::Application(Box::new(error)))
}

fn print(options: &BenchOptions, out: &mut impl Write) -> Result<(), BenchError> {
    let shape = Shape::new(options.size, options.size, options.size)?;
    let threads = options.threads.get();
    if threads > MAX_CPU_THREADS {
        return Err(BenchError::Threads(options.threads));
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
    for isa in Isa::available() {
        let mut rig = Rig::new(threads, isa, shape, wall)?;
        let figures = measure(&mut rig, isa, threads, options.rounds as usize, |_| {})?;
        writeln!(out, "{}", row(&figures))?;
        out.flush()?;
    }
    writeln!(
        out,
        "The last two columns say how many times as long mining takes as the plain 8-bit product."
    )?;
    Ok(())
}

fn row(figures: &Figures) -> String {
    let speed = |kind| format!("{:.1}", figures.gmacs(kind));
    let cost = |kind| format!("{:.2}", figures.ratio(kind, Kind::Plain8));
    line([
        &figures.isa.to_string(),
        &speed(Kind::Plain7),
        &speed(Kind::Plain8),
        &speed(Kind::Filler),
        &speed(Kind::Exact),
        &cost(Kind::Filler),
        &cost(Kind::Exact),
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
        let options = BenchOptions {
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
        let options = BenchOptions {
            size: 300,
            threads: NonZeroUsize::MIN,
            rounds: 1,
        };
        let error = run(&options, &mut Vec::new()).expect_err("300 is no multiple of 64");
        assert!(error.to_string().contains("--size"), "{error}");
    }
}
