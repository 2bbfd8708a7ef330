//! The table of docs/cuda-kernels.md.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::compile::Kernel;
use crate::hopper::{ALU_CYCLES, WINDOW_CYCLES, Window};
use crate::{MMA, WGMMA};

/// What lets the markdown's table be found.
const BEGIN: &str = "<!-- written by scripts/cuda-report.sh -->";
const END: &str = "<!-- end -->";

/// Registers of each kernel on each target, and tensor instructions in its code.
pub fn table(report: &[(&str, BTreeMap<String, Kernel>)]) -> String {
    let mut names: Vec<&String> = report
        .iter()
        .flat_map(|(_, kernels)| kernels.keys())
        .collect();
    names.sort();
    names.dedup();
    let mut out = String::from("| kernel |");
    for (target, _) in report {
        write!(out, " sm_{target} |").expect("a String takes all");
    }
    out += "\n| --- |";
    out += &" --- |".repeat(report.len());
    out += "\n";
    for name in names {
        write!(out, "| `{name}` |").expect("a String takes all");
        for (_, kernels) in report {
            let Some(kernel) = kernels.get(name) else {
                out += " |";
                continue;
            };
            write!(out, " {}", kernel.registers).expect("a String takes all");
            for (_, tensor) in [MMA, WGMMA] {
                match kernel.count(|instruction| instruction.starts_with(tensor)) {
                    0 => {}
                    count => write!(out, ", {count} {tensor}").expect("a String takes all"),
                }
            }
            out += " |";
        }
        out += "\n";
    }
    out
}

pub fn write_report(version: &str, table: &str, window: &Window) {
    let path = Path::new("../docs/cuda-kernels.md");
    let page = fs::read_to_string(path).expect("docs/cuda-kernels.md");
    let (before, rest) = page
        .split_once(BEGIN)
        .expect("the page marks where the table begins");
    let (_, after) = rest
        .split_once(END)
        .expect("the page marks where the table ends");
    let Window {
        alu,
        multiply,
        memory,
        issued,
        held_up,
    } = window;
    let page = format!(
        "{before}{BEGIN}\nnvcc {version}. No kernel spills, has a stack frame or uses local memory.\n\n{table}\n\
         One window of a consumer of `labora_product_wgmma_1`, counted in its machine code: {issued} instructions, of which {alu} on\n\
         the ALU pipe ({} of {WINDOW_CYCLES} cycles), {multiply} on the multiply pipe, {memory} shuffles and accesses to shared memory.\n\
         {held_up} ALU instructions ({} cycles) stand between the end of its `wgmma` and its next turn.\n{END}{after}",
        alu * ALU_CYCLES,
        held_up * ALU_CYCLES,
    );
    fs::write(path, page).expect("docs/cuda-kernels.md can be written");
}
