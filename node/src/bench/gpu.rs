//! GPUs: the kernels alone beside cuBLASLt, and jobs as the node runs them.

use std::{io::Write, time::Duration};

use labora_kernels::{Device, DeviceError, GpuFigures, measure_gpu};
use labora_pouw::Shape;
use serde::Serialize;

use super::queued::{self, Times};

/// m, n and k that are measured if nothing else is asked for: one that fits the last cache, the one that GPUs are compared
/// on, and layers of large models for a few and for many tokens.
pub const SHAPES: [(u32, u32, u32); 6] = [
    (2048, 2048, 2048),
    (4096, 4096, 4096),
    (8192, 8192, 8192),
    (16_384, 8192, 8192),
    (128, 8192, 8192),
    (4096, 14_336, 4096),
];

/// What one GPU does with one shape.
#[derive(Clone, Debug, Serialize)]
pub struct GpuRow {
    /// m, n and k.
    pub shape: [u32; 3],
    /// The kernel that ran.
    pub kernel: &'static str,
    /// Trillions of multiply-accumulates a second of the plain product, on the GPU alone. One is two operations.
    pub plain_tmacs: f64,
    /// What the ratios are to: `cublaslt`, or `plain` where that could not be loaded.
    pub reference: &'static str,
    /// Why cuBLASLt is not the reference, if so.
    pub why_not_cublaslt: Option<String>,
    /// Milliseconds of each part of a mined product with exact C, of which nothing was known before, by itself: those of the
    /// kernel are differences between its modes, so that the parts add up to the work of the whole job.
    pub parts_ms: Vec<(&'static str, f64)>,
    /// Speed of the plain product's kernel, as a ratio to the reference.
    pub plain: f64,
    /// Speed of the kernel that folds and draws tickets.
    pub filler: f64,
    /// Speed of the kernel that does so and gives exact C.
    pub exact: f64,
    /// Speed of filler as the node mines it: commitment, noise and transfers included.
    pub node_filler: f64,
    /// Speed of mined products with exact C as the node serves them, all transfers included.
    pub node_exact: f64,
    /// Speed of plain products as the node serves them without a template, all transfers included.
    pub node_plain: f64,
}

impl GpuRow {
    fn new(figures: &GpuFigures, times: &Times) -> Self {
        let (reference, base) = match &figures.cublaslt {
            Ok(theirs) => ("cublaslt", *theirs),
            Err(_) => ("plain", figures.plain),
        };
        let speed = |time: Duration| base.as_secs_f64() / time.as_secs_f64().max(1e-9);
        let shape = figures.shape;
        GpuRow {
            shape: [shape.m(), shape.n(), shape.k()],
            kernel: figures.kernel,
            plain_tmacs: shape.macs() as f64 / figures.plain.as_secs_f64().max(1e-9) / 1e12,
            reference,
            why_not_cublaslt: figures.cublaslt.as_ref().err().cloned(),
            parts_ms: parts_ms(figures),
            plain: speed(figures.plain),
            filler: speed(figures.filler),
            exact: speed(figures.exact),
            node_filler: speed(times.filler),
            node_exact: speed(times.exact),
            node_plain: speed(times.plain),
        }
    }
}

/// Where the time of a mined product goes.
fn parts_ms(figures: &GpuFigures) -> Vec<(&'static str, f64)> {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let parts = figures.parts;
    vec![
        ("upload of A and Bt", ms(parts.upload)),
        ("commitments", ms(parts.commit)),
        ("seeds and noise", ms(parts.noise)),
        ("product, with C written", ms(figures.plain)),
        // Filler writes no C, which is in the product above.
        (
            "folds and tickets, less writing C",
            ms(figures.filler) - ms(figures.plain),
        ),
        (
            "correction, with writing C",
            ms(figures.exact) - ms(figures.filler),
        ),
        ("operands of the correction", ms(parts.operands)),
        ("download of C", ms(parts.download)),
    ]
}

/// Measures a GPU on some shapes, and prints a line for each as soon as it is done. `open` opens the GPU as the node does;
/// while the kernels are measured alone it is closed, so that the two do not share its memory.
pub fn measure_all(
    index: u32,
    open: impl Fn() -> Result<std::sync::Arc<dyn Device>, DeviceError>,
    shapes: &[Shape],
    rounds: u32,
    out: &mut impl Write,
) -> Result<Vec<GpuRow>, super::BenchError> {
    let mut rows = Vec::new();
    let mut said = false;
    for &shape in shapes {
        let figures = measure_gpu(index, shape, rounds as usize)?;
        let device = open()?;
        let times = queued::measure(&*device, shape, rounds as usize)?;
        if !std::mem::replace(&mut said, true) {
            writeln!(out, "cuda:{index}: {}", device.info())?;
            if let Err(why) = &figures.cublaslt {
                writeln!(out, "Ratios are to our plain product's kernel: {why}.")?;
            } else {
                writeln!(out, "Speeds as ratios to cuBLASLt's int8 product.")?;
            }
            writeln!(
                out,
                "{}",
                line([
                    "m×n×k",
                    "kernel",
                    "plain TMAC/s",
                    "plain",
                    "filler",
                    "exact",
                    "node: filler",
                    "exact",
                    "plain"
                ])
            )?;
        }
        let row = GpuRow::new(&figures, &times);
        writeln!(out, "{}", format_row(&row))?;
        out.flush()?;
        rows.push(row);
    }
    writeln!(
        out,
        "The last three columns are jobs as the node runs them, with commitments, noise and transfers (C too, but of filler)."
    )?;
    Ok(rows)
}

fn format_row(row: &GpuRow) -> String {
    let [m, n, k] = row.shape;
    let ratio = |ratio: f64| format!("{ratio:.3}");
    line([
        &format!("{m}×{n}×{k}"),
        row.kernel,
        &format!("{:.1}", row.plain_tmacs),
        &ratio(row.plain),
        &ratio(row.filler),
        &ratio(row.exact),
        &ratio(row.node_filler),
        &ratio(row.node_exact),
        &ratio(row.node_plain),
    ])
}

fn line(cells: [&str; 9]) -> String {
    let [name, rest @ ..] = cells;
    rest.iter().fold(format!("{name:<18}"), |line, cell| {
        format!("{line}{cell:>13}")
    })
}

#[cfg(test)]
mod tests {
    use labora_kernels::GpuParts;

    use super::*;

    fn figures(cublaslt: Result<Duration, String>) -> GpuFigures {
        GpuFigures {
            shape: Shape::new(8192, 8192, 8192).expect("a valid shape"),
            kernel: "wgmma",
            plain: Duration::from_micros(1_000),
            filler: Duration::from_micros(1_250),
            exact: Duration::from_micros(2_000),
            parts: GpuParts {
                upload: Duration::from_micros(6_000),
                commit: Duration::from_micros(30),
                noise: Duration::from_micros(40),
                operands: Duration::from_micros(50),
                download: Duration::from_micros(9_000),
            },
            cublaslt,
        }
    }

    const TIMES: Times = Times {
        plain: Duration::from_micros(10_000),
        filler: Duration::from_micros(1_600),
        exact: Duration::from_micros(20_000),
    };

    #[test]
    fn ratios_are_speeds_beside_the_vendors_product() {
        let row = GpuRow::new(&figures(Ok(Duration::from_micros(800))), &TIMES);
        assert_eq!(
            (row.reference, row.why_not_cublaslt.as_ref()),
            ("cublaslt", None)
        );
        assert_eq!((row.plain, row.filler, row.exact), (0.8, 0.64, 0.4));
        assert_eq!((row.node_filler, row.node_exact), (0.5, 0.04));
        assert!((row.plain_tmacs - 549.755_813_888).abs() < 1e-6);
        assert!(format_row(&row).contains("0.640"));
        // The kernel's parts are what its exact mode takes as a whole.
        let whole: f64 = row.parts_ms.iter().map(|(_, ms)| ms).sum();
        assert!((whole - (6.0 + 0.03 + 0.04 + 0.05 + 9.0 + 2.0)).abs() < 1e-9);
    }

    #[test]
    fn without_it_they_are_to_our_plain_product() {
        let row = GpuRow::new(&figures(Err("it was not found".into())), &TIMES);
        assert_eq!((row.reference, row.plain), ("plain", 1.0));
        let json = serde_json::to_value(&row).expect("a row");
        assert_eq!(json["why_not_cublaslt"], "it was not found");
        assert_eq!((row.filler, row.exact), (0.8, 0.5));
    }

    #[test]
    fn every_shape_that_is_measured_can_be_mined() {
        for (m, n, k) in SHAPES {
            assert!(Shape::new(m, n, k).is_ok(), "{m}×{n}×{k}");
        }
    }
}
