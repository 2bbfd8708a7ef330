//! Compiles the CUDA kernels for every target and reads what ptxas and the disassembly say: no
//! register spills, no stack frame, no local memory; int8 tensor instructions in every product; on
//! Hopper a fold that fits beside the other consumer's tensor work.
//!
//! Needs nvcc and cuobjdump but no GPU. Where they are not set up it says so on the terminal and passes; where
//! `LABORA_NVCC` names one, as in CI, it fails without them.
//! With `LABORA_CUDA_REPORT=1` the table in docs/cuda-kernels.md is written anew.

mod compile;
mod hopper;
mod report;
mod selection;

use std::collections::BTreeMap;
use std::env;
use std::io::{Write as _, stderr};
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use compile::{Kernel, compile, run, tools};
use hopper::check_hopper;
use report::{table, write_report};

/// What build.rs compiles for; and 11.0, which makes its machine code from the PTX of 10.0.
const TARGETS: [&str; 8] = ["75", "80", "86", "89", "90a", "100", "110", "120"];
/// Products, by the start of their names, and the instruction that they must have. On 9.0 the `mma`
/// kernels are kept beside the others. A tiling but the largest stands in the names.
const MMA: (&str, &str) = ("labora_product_mma_", "IMMA");
const WGMMA: (&str, &str) = ("labora_product_wgmma_", "IGMMA");
const MMA_TILINGS: &[&str] = &["", "128x128_", "64x128_"];
const WGMMA_TILINGS: &[&str] = &["", "128x128_"];
/// Entry points of each product: filler, plain, mined and exact.
const MODES: [u32; 3] = [1, 2, 7];

fn check(target: &str, kernels: &BTreeMap<String, Kernel>) {
    for (name, kernel) in kernels {
        assert_eq!(
            kernel.spilled, 0,
            "{name} on sm_{target} spills or has a stack frame"
        );
        assert!(
            !kernel.code.is_empty(),
            "{name} on sm_{target} is not in the disassembly"
        );
        let local = kernel
            .count(|instruction| instruction.starts_with("LDL") || instruction.starts_with("STL"));
        assert_eq!(local, 0, "{name} on sm_{target} uses local memory");
    }
    let wgmma = if target == "90a" { WGMMA_TILINGS } else { &[] };
    for ((family, tensor), tilings) in [(MMA, MMA_TILINGS), (WGMMA, wgmma)] {
        for name in names(family, tilings) {
            let kernel = kernels
                .get(&name)
                .unwrap_or_else(|| panic!("no {name} on sm_{target}"));
            assert!(
                kernel.count(|instruction| instruction.starts_with(tensor)) > 0,
                "{name} on sm_{target} has no {tensor}"
            );
        }
    }
    let products = kernels.keys().filter(|name| name.contains("product"));
    assert_eq!(
        products.count(),
        MODES.len() * (MMA_TILINGS.len() + wgmma.len()),
        "sm_{target} has a product of which this knows nothing"
    );
}

/// Entry points of a family.
fn names(family: &str, tilings: &[&str]) -> impl Iterator<Item = String> {
    tilings
        .iter()
        .flat_map(move |tiling| MODES.map(|mode| format!("{family}{tiling}{mode}")))
}

#[test]
fn every_target_compiles_without_spills_and_with_tensor_instructions() {
    let tools = match tools() {
        Ok(tools) => tools,
        Err(why) => {
            // Not by a macro, whose output the test runner keeps to itself when a test passes.
            let line = format!(
                "NOT RUN: the CUDA kernels were compiled for no target ({why}); run `make cuda`, then `make test` again\n"
            );
            stderr().write_all(line.as_bytes()).expect("standard error");
            return;
        }
    };
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    // A thread each: nvcc and ptxas use one core.
    let report: Vec<_> = thread::scope(|scope| {
        let started = TARGETS.map(|target| {
            let (tools, folder) = (&tools, &folder);
            (target, scope.spawn(move || compile(tools, target, folder)))
        });
        let finished = started.map(|(target, thread)| (target, thread.join()));
        finished
            .map(|(target, kernels)| (target, kernels.expect("its message is above")))
            .into()
    });
    // All targets before the first is judged, so that the report shows what is wrong.
    let text = table(&report);
    println!("{text}");
    for (target, kernels) in &report {
        for (name, kernel) in kernels.iter().filter(|(_, kernel)| kernel.spilled > 0) {
            println!(
                "sm_{target}: {name}: {} bytes of stack frame and spills",
                kernel.spilled
            );
        }
    }
    for (target, kernels) in &report {
        check(target, kernels);
    }
    let hopper = report
        .iter()
        .find(|(target, _)| *target == "90a")
        .expect("one of TARGETS");
    let window = check_hopper(&hopper.1);
    println!("{window:?}");
    if env::var_os("LABORA_CUDA_REPORT").is_some() {
        let version = run(Command::new(&tools.nvcc).arg("--version"));
        let version = version
            .split(", V")
            .nth(1)
            .and_then(|rest| rest.lines().next())
            .unwrap_or("unknown");
        write_report(version, &text, &window);
    }
}
