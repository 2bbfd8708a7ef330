//! `labora bench`: what mining costs on each device of this machine, as ratios to plain products.

pub mod cpu;
mod gpu;
mod queued;

use std::{io::Write, num::NonZeroUsize, process::ExitCode, thread};

use clap::Args;
use labora_kernels::DeviceError;
use labora_pouw::{Shape, ShapeError};
use serde::Serialize;

use crate::{
    cli::devices::parse_devices,
    devices::{CpuChoice, DevicesSpec, GpuChoice, Nvidia, gpus::Gpus},
    table,
};
use cpu::{CpuBenchError, CpuBenchOptions, CpuFigures};

/// Largest side of a product: A, Bt and C of 16,384³ are 1.5 GB.
const MAX_SIZE: i64 = 16_384;

/// What to measure.
#[derive(Args, Clone, Debug)]
pub struct BenchOptions {
    /// Devices to measure, as a node's `--devices` names them.
    #[arg(long, value_name = "DEVICES", value_parser = parse_devices, default_value = "auto")]
    pub devices: DevicesSpec,

    /// m, n and k of the products, a multiple of 64; default: 2048 on the CPU, several shapes on GPUs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(256..=MAX_SIZE))]
    pub size: Option<u32>,

    /// Runs of which the median is taken, after one to warm up.
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,

    /// Print JSON instead of tables.
    #[arg(long)]
    pub json: bool,
}

/// Why something was not measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// No shape.
    #[error("--size: {0}")]
    Size(#[from] ShapeError),
    /// A device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The CPU's part.
    #[error(transparent)]
    Cpu(#[from] CpuBenchError),
    /// Whoever reads the output has gone.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A GPU that was named.
    #[error("GPU {index} cannot be measured: {error}; `labora devices` shows what can")]
    Gpu {
        /// Its number.
        index: u32,
        /// Why not.
        error: Box<BenchError>,
    },
    /// Nothing was named.
    #[error("`--devices none` leaves nothing to measure")]
    Nothing,
}

/// Everything that was measured.
#[derive(Debug, Default, Serialize)]
struct Measured {
    gpus: Vec<MeasuredGpu>,
    cpu: Vec<CpuFigures>,
    /// What was not measured and why, in sentences.
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct MeasuredGpu {
    id: String,
    name: String,
    rows: Vec<gpu::GpuRow>,
}

/// Measures, on standard output.
pub fn run(options: &BenchOptions) -> sc_cli::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let done = if options.json {
        measure(options, &Nvidia, &mut std::io::sink())
            .and_then(|measured| Ok(table::write_json(&measured, &mut out)?))
    } else {
        measure(options, &Nvidia, &mut out).map(drop)
    };
    done.map_err(|error| sc_cli::Error::Application(Box::new(error)))?;
    Ok(ExitCode::SUCCESS)
}

fn measure(
    options: &BenchOptions,
    gpus: &dyn Gpus,
    out: &mut impl Write,
) -> Result<Measured, BenchError> {
    let mut measured = Measured::default();
    let (named, cpu) = match &options.devices {
        DevicesSpec::None => return Err(BenchError::Nothing),
        DevicesSpec::Auto => (None, None),
        DevicesSpec::Named { gpus, cpu } => (gpus.clone(), *cpu),
    };
    let is_auto = options.devices == DevicesSpec::Auto;
    if is_auto || named.is_some() {
        measure_gpus(options, gpus, named.as_ref(), &mut measured, out)?;
    }
    // As a node: the CPU where no GPU is used, or where it was named.
    if let Some(cpu) = cpu.or((is_auto && measured.gpus.is_empty()).then_some(CpuChoice::AllCores))
    {
        let threads = match cpu {
            CpuChoice::Threads(threads) => threads,
            CpuChoice::AllCores => thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        };
        let options = CpuBenchOptions {
            size: options.size.unwrap_or(cpu::DEFAULT_SIZE),
            threads,
            rounds: options.rounds,
        };
        measured.cpu = cpu::measure_all(&options, out)?;
    }
    Ok(measured)
}

/// Measures the GPUs that were named, or with `None` all that there are. One that was named and fails is an error, others
/// a sentence.
fn measure_gpus(
    options: &BenchOptions,
    gpus: &dyn Gpus,
    named: Option<&GpuChoice>,
    measured: &mut Measured,
    out: &mut impl Write,
) -> Result<(), BenchError> {
    let shapes: Vec<Shape> = match options.size {
        Some(size) => vec![Shape::new(size, size, size)?],
        None => gpu::SHAPES
            .iter()
            .map(|&(m, n, k)| Shape::new(m, n, k))
            .collect::<Result<_, _>>()?,
    };
    let found = match (gpus.list(), named) {
        (Ok(found), _) => found,
        (Err(error), Some(_)) => return Err(error.into()),
        (Err(error), None) => {
            note(measured, out, format!("No GPU is measured: {error}."))?;
            return Ok(());
        }
    };
    if found.is_empty() {
        note(
            measured,
            out,
            "No GPU is measured: the driver shows none.".into(),
        )?;
    }
    let is_named =
        |index: u32| matches!(named, Some(GpuChoice::These(these)) if these.contains(&index));
    if let Some(GpuChoice::These(these)) = named
        && let Some(&index) = these
            .iter()
            .find(|index| found.iter().all(|gpu| gpu.index != **index))
    {
        let count = found.len() as u32;
        return Err(DeviceError::NoSuchGpu { index, count }.into());
    }
    for gpu in found
        .iter()
        .filter(|gpu| !matches!(named, Some(GpuChoice::These(_))) || is_named(gpu.index))
    {
        let index = gpu.index;
        let rows = match gpu.usable.clone() {
            Err(error) => Err(error.into()),
            Ok(()) => gpu::measure_all(index, || gpus.open(index), &shapes, options.rounds, out),
        };
        match rows {
            Ok(rows) => measured.gpus.push(MeasuredGpu {
                id: format!("cuda:{index}"),
                name: gpu.name.clone(),
                rows,
            }),
            Err(error) if is_named(index) => {
                let error = Box::new(error);
                return Err(BenchError::Gpu { index, error });
            }
            Err(error) => note(
                measured,
                out,
                format!("cuda:{index} is not measured: {error}."),
            )?,
        }
    }
    Ok(())
}

fn note(measured: &mut Measured, out: &mut impl Write, sentence: String) -> std::io::Result<()> {
    writeln!(out, "{sentence}")?;
    measured.notes.push(sentence);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::gpus::scripted::{Scripted, gpu};

    fn options(devices: &str) -> BenchOptions {
        BenchOptions {
            devices: parse_devices(devices).expect("a valid value"),
            size: Some(256),
            rounds: 1,
            json: false,
        }
    }

    fn measured(devices: &str, gpus: &Scripted) -> (Result<Measured, BenchError>, String) {
        let mut out = Vec::new();
        let measured = measure(&options(devices), gpus, &mut out);
        (measured, String::from_utf8(out).expect("text"))
    }

    #[test]
    fn a_machine_without_gpus_says_so_and_measures_its_cpu() {
        let gpus = Scripted::without_driver(DeviceError::NoDriver);
        let (done, text) = measured("auto", &gpus);
        let done = done.expect("the CPU is always there");
        assert!(
            text.contains("No GPU is measured: no NVIDIA driver"),
            "{text}"
        );
        assert_eq!(done.notes.len(), 1);
        assert_eq!(done.cpu.len(), labora_kernels::Isa::available().len());
        assert!(done.cpu.iter().all(|figures| figures.filler_cost > 0.0));
        let json = serde_json::to_value(&done).expect("it serialises");
        assert!(json["cpu"][0]["plain8_gmacs"].as_f64().is_some());
    }

    #[test]
    fn a_gpu_that_was_named_and_fails_is_an_error_and_another_a_sentence() {
        let lost = || DeviceError::Lost("Xid 79".into());
        let gpus = Scripted::with(vec![gpu(0).refusing(lost())]);
        let (done, _) = measured("cuda:0", &gpus);
        let error = done.expect_err("it was named");
        assert!(error.to_string().contains("GPU 0"), "{error}");
        let (done, _) = measured("cuda:1", &gpus);
        assert!(done.is_err_and(|error| error.to_string().contains("no GPU 1")));
        let (done, text) = measured("auto", &gpus);
        assert!(!done.expect("the CPU is there").cpu.is_empty());
        assert!(text.contains("cuda:0 is not measured"), "{text}");
    }

    #[test]
    fn nothing_cannot_be_measured() {
        let gpus = Scripted::with(Vec::new());
        assert!(matches!(
            measured("none", &gpus).0,
            Err(BenchError::Nothing)
        ));
    }
}
