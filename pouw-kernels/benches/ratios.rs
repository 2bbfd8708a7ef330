//! What mining costs beside plain products, as ratios of interleaved medians, and both beside ONNX Runtime:
//! `cargo bench -p labora-kernels --bench ratios`.
//!
//! Times are the process's CPU time: on one thread that is the time on the wall, less what others took of the machine.
//! Environment: `LABORA_BENCH_SIDE` (2048), `LABORA_BENCH_ROUNDS` (15), `LABORA_BENCH_ISA` (all), and
//! `LABORA_ONNX_PYTHON`, a Python that has onnxruntime, onnx and numpy: without it that comparison is left out. ONNX Runtime
//! takes the best instructions that the CPU has, whichever of our paths it stands beside, unless `hide_cpu_features.c` hides
//! them from it.
#![allow(missing_docs, clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use labora_kernels::Isa;
use labora_kernels::bench::{Kind, Rig, measure};
use labora_pouw::Shape;

/// `onnx_runtime.py`, which multiplies once for each line it is sent, and answers with seconds.
struct Onnx {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    times: Vec<f64>,
}

impl Onnx {
    fn start(python: &str, side: u32) -> Onnx {
        let script = "benches/onnx_runtime.py";
        let mut child = Command::new(python)
            .args([script, &side.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut from = BufReader::new(from);
        let mut version = String::new();
        from.read_line(&mut version).unwrap();
        println!("beside {}", version.trim());
        Onnx {
            child,
            to,
            from,
            times: Vec::new(),
        }
    }

    fn run(&mut self, round: usize) {
        writeln!(self.to).unwrap();
        let mut answer = String::new();
        self.from.read_line(&mut answer).unwrap();
        // The first round is for warming up.
        if round > 0 {
            self.times.push(answer.trim().parse().unwrap());
        }
    }

    /// Median and least seconds.
    fn finish(mut self) -> (f64, f64) {
        drop(self.to);
        self.child.wait().unwrap();
        self.times.sort_by(f64::total_cmp);
        (self.times[self.times.len() / 2], self.times[0])
    }
}

/// CPU time of this process, all its threads together.
#[cfg(target_os = "linux")]
fn process_time() -> Duration {
    #[repr(C)]
    struct Timespec {
        seconds: std::ffi::c_long,
        nanoseconds: std::ffi::c_long,
    }
    unsafe extern "C" {
        fn clock_gettime(clock: std::ffi::c_int, to: *mut Timespec) -> std::ffi::c_int;
    }
    /// Linux's number of the process's CPU clock.
    const CLOCK_PROCESS_CPUTIME_ID: std::ffi::c_int = 2;
    let mut time = Timespec {
        seconds: 0,
        nanoseconds: 0,
    };
    // SAFETY: `time` has the layout of Linux's `struct timespec` on 64-bit machines and lives through the call.
    let failed = unsafe { clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    assert_eq!(failed, 0);
    Duration::new(time.seconds as u64, time.nanoseconds as u32)
}

#[cfg(not(target_os = "linux"))]
use labora_kernels::bench::wall as process_time;

fn main() {
    // `cargo bench` passes `--bench`; `cargo test --benches` does not, and must not take minutes.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let number = |name: &str, default: u32| {
        std::env::var(name)
            .ok()
            .and_then(|value| value.parse().ok())
            .unwrap_or(default)
    };
    let (side, rounds) = (
        number("LABORA_BENCH_SIDE", 2048),
        number("LABORA_BENCH_ROUNDS", 15),
    );
    let python = std::env::var("LABORA_ONNX_PYTHON").ok();
    let only = std::env::var("LABORA_BENCH_ISA").ok();
    for isa in Isa::available() {
        if only.as_ref().is_some_and(|only| *only != isa.to_string()) {
            continue;
        }
        let (side, rounds) = if isa == Isa::portable() {
            (side / 4, 3)
        } else {
            (side, rounds)
        };
        let mut rig =
            Rig::new(1, isa, Shape::new(side, side, side).unwrap(), process_time).unwrap();
        let mut onnx = python.as_ref().map(|python| Onnx::start(python, side));
        let figures = measure(&mut rig, isa, 1, rounds as usize, |round| {
            if let Some(onnx) = &mut onnx {
                onnx.run(round);
            }
        })
        .unwrap();
        println!("{isa}, one thread, {side}³, medians of {rounds} interleaved rounds");
        println!("  {:<22} {:^29}   {:^29}", "", "medians", "least");
        println!(
            "  {:<22} {:>9} {:>9} {:>9}   {:>9} {:>9} {:>9}",
            "", "ms", "/plain8", "/plain7", "ms", "/plain8", "/plain7"
        );
        for kind in Kind::ALL {
            println!(
                "  {:<22} {:>9.2} {:>9.3} {:>9.3}   {:>9.2} {:>9.3} {:>9.3}",
                kind.name(),
                figures.median(kind).as_secs_f64() * 1e3,
                figures.ratio(kind, Kind::Plain8),
                figures.ratio(kind, Kind::Plain7),
                figures.least(kind).as_secs_f64() * 1e3,
                figures.least_ratio(kind, Kind::Plain8),
                figures.least_ratio(kind, Kind::Plain7),
            );
        }
        if let Some(onnx) = onnx {
            let (median, least) = onnx.finish();
            println!(
                "  {:<22} {:>9.2} {:>31.2}",
                "ONNX Runtime",
                median * 1e3,
                least * 1e3
            );
            println!("  speed against ONNX Runtime, by medians and by least times:");
            for kind in [Kind::Plain7, Kind::Plain8, Kind::Filler] {
                println!(
                    "  {:<22} {:>9.2} {:>31.2}",
                    kind.name(),
                    median / figures.median(kind).as_secs_f64(),
                    least / figures.least(kind).as_secs_f64()
                );
            }
        }
    }
}
