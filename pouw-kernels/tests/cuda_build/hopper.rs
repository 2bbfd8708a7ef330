//! Whether the fold of the product on Hopper fits beside the other consumer's tensor work, counted in its machine code.

use std::collections::BTreeMap;

use crate::compile::Kernel;
use crate::{WGMMA, WGMMA_TILINGS, names};

/// Tensor cycles of the other consumer's window, m64n256k64 in int8.
pub const WINDOW_CYCLES: usize = 256;
/// An ALU instruction of a warp takes its quarter of a multiprocessor two cycles.
pub const ALU_CYCLES: usize = 2;
/// Between the last `wgmma` of a window being over and the next being issued, beside the fold:
/// until the accumulators can be read, the barrier, the issue.
const TURN_CYCLES: usize = 80;

/// Roles of the Hopper product stay within the registers that they ask for, and the fold within its
/// time.
pub fn check_hopper(kernels: &BTreeMap<String, Kernel>) -> Window {
    for name in names(WGMMA.0, WGMMA_TILINGS) {
        let code = &kernels[&name].code;
        let place = |what: &str| {
            code.iter()
                .position(|(_, instruction)| instruction.starts_with(what))
                .unwrap_or_else(|| panic!("{name} has no {what}: setmaxnreg was dropped"))
        };
        let (more, fewer) = (place("USETMAXREG.TRY_ALLOC"), place("USETMAXREG.DEALLOC"));
        assert!(
            more < fewer,
            "{name}: the producer's code no longer stands behind the consumers'"
        );
        let consumer = highest_register(&code[more..fewer]);
        let producer = highest_register(&code[fewer..]);
        assert!(
            consumer < registers_of_role("WGMMA_CONSUMER_REGISTERS"),
            "{name}: R{consumer} in a consumer"
        );
        assert!(
            producer < registers_of_role("WGMMA_PRODUCER_REGISTERS"),
            "{name}: R{producer} in the producer"
        );
    }
    let window = window(&kernels["labora_product_wgmma_1"]);
    assert!(
        window.alu * ALU_CYCLES <= WINDOW_CYCLES,
        "the ALU pipe is the bottleneck: {window:?}"
    );
    assert!(
        window.issued <= WINDOW_CYCLES,
        "more instructions than cycles: {window:?}"
    );
    assert!(
        window.held_up * ALU_CYCLES + TURN_CYCLES <= WINDOW_CYCLES,
        "the next product is issued too late: {window:?}"
    );
    window
}

/// The highest register that instructions name, by number.
fn highest_register(code: &[(u32, String)]) -> u32 {
    let words = code
        .iter()
        .flat_map(|(_, instruction)| instruction.split(|c: char| !c.is_ascii_alphanumeric()));
    words
        .filter_map(|word| word.strip_prefix('R')?.parse().ok())
        .max()
        .unwrap_or(0)
}

/// Which pipe an instruction is issued to, as far as the fold's budget asks.
#[derive(Debug, Eq, PartialEq)]
enum Pipe {
    /// Logic, shifts, comparisons, selections.
    Alu,
    /// Multiply-adds, and additions and moves in their guise.
    Multiply,
    /// Shuffles and shared memory.
    Memory,
    /// The scalar unit, branches, barriers, tensor instructions.
    Other,
}

fn pipe(instruction: &str) -> Pipe {
    let operation = instruction.split(['.', ' ']).next().unwrap_or("");
    match operation {
        "IMAD" | "FFMA" | "FMUL" => Pipe::Multiply,
        "SHFL" | "LDS" | "STS" | "LDSM" => Pipe::Memory,
        "LOP3" | "SHF" | "SEL" | "ISETP" | "PLOP3" | "IADD3" | "VIADD" | "LEA" | "PRMT" | "MOV"
        | "IABS" | "IMNMX" | "SGXT" | "LOP" | "VOTE" | "FLO" | "POPC" | "BMSK" => Pipe::Alu,
        _ => Pipe::Other,
    }
}

/// One window of a Hopper consumer, from its turn to its next.
#[derive(Debug)]
pub struct Window {
    pub alu: usize,
    pub multiply: usize,
    pub memory: usize,
    pub issued: usize,
    /// ALU instructions between the wait for the tensor cores and the loop's end.
    pub held_up: usize,
}

/// The loop around the last `wgmma` of 256 columns.
fn window(kernel: &Kernel) -> Window {
    let code = &kernel.code;
    let is_product = |at: &usize| code[*at].1.starts_with("IGMMA.64x256x32");
    let last = (0..code.len())
        .rfind(is_product)
        .expect("wgmma of 256 columns");
    let back_to = |at: usize| {
        let target = code[at].1.strip_prefix("BRA ")?.rsplit("0x").next()?;
        u32::from_str_radix(target.trim(), 16).ok()
    };
    let (end, start) = (last..code.len())
        .find_map(|at| Some((at, back_to(at).filter(|to| *to < code[last].0)?)))
        .expect("the loop branches back");
    let body: Vec<&str> = code[..=end]
        .iter()
        .filter(|(address, _)| *address >= start)
        .map(|(_, instruction)| instruction.as_str())
        .collect();
    let wait = body
        .iter()
        .rposition(|instruction| instruction.starts_with("WARPGROUP.DEPBAR"))
        .expect("a wait for the tensor cores");
    let of = |body: &[&str], which: Pipe| {
        body.iter()
            .filter(|instruction| pipe(instruction) == which)
            .count()
    };
    Window {
        alu: of(&body, Pipe::Alu),
        multiply: of(&body, Pipe::Multiply),
        memory: of(&body, Pipe::Memory),
        issued: body.len(),
        held_up: of(&body[wait..], Pipe::Alu),
    }
}

/// A number of `product_wgmma.cu`: `const u32 name = number;`.
fn registers_of_role(name: &str) -> u32 {
    include_str!("../../cuda/product_wgmma.cu")
        .lines()
        .find_map(|line| {
            line.strip_prefix("const u32 ")?
                .strip_prefix(name)?
                .strip_prefix(" = ")
        })
        .and_then(|number| number.strip_suffix(';')?.parse().ok())
        .unwrap_or_else(|| panic!("product_wgmma.cu has no {name}"))
}
