//! Compiles the CUDA kernels for every target and reads what ptxas and the disassembly say: no
//! register spills, no stack frame, no local memory; int8 tensor instructions in every product; on
//! Hopper a fold that fits beside the other consumer's tensor work.
//!
//! Needs nvcc and cuobjdump but no GPU. Where they are not set up it says so on the terminal and passes; where
//! `LABORA_NVCC` names one, as in CI, it fails without them.
//! With `LABORA_CUDA_REPORT=1` the table in docs/cuda-kernels.md is written anew.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{Write as _, stderr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

/// What build.rs compiles for, but for the PTX.
const TARGETS: [&str; 7] = ["75", "80", "86", "89", "90a", "100", "120"];
/// Products, by the start of their names, and the instruction that they must have. On 9.0 the `mma`
/// kernels are kept beside the others.
const MMA: (&str, &str) = ("labora_product_mma_", "IMMA");
const WGMMA: (&str, &str) = ("labora_product_wgmma_", "IGMMA");
/// Entry points of each product: filler, plain, folded and stored, mined and exact.
const MODES: [u32; 4] = [1, 2, 3, 7];
/// Tensor cycles of the other consumer's window, m64n256k64 in int8.
const WINDOW_CYCLES: usize = 256;
/// An ALU instruction of a warp takes its quarter of a multiprocessor two cycles.
const ALU_CYCLES: usize = 2;
/// Between the last `wgmma` of a window being over and the next being issued, beside the fold:
/// until the accumulators can be read, the barrier, the issue.
const TURN_CYCLES: usize = 80;
/// What lets the markdown's table be found.
const BEGIN: &str = "<!-- written by scripts/cuda-report.sh -->";
const END: &str = "<!-- end -->";

/// One kernel of one target.
#[derive(Debug, Default)]
struct Kernel {
    registers: u32,
    /// Bytes of stack frame, spill stores and spill loads together.
    spilled: u32,
    /// Address, and the instruction without its predicate.
    code: Vec<(u32, String)>,
}

impl Kernel {
    fn count(&self, what: impl Fn(&str) -> bool) -> usize {
        self.code
            .iter()
            .filter(|(_, instruction)| what(instruction))
            .count()
    }
}

struct Tools {
    nvcc: PathBuf,
    cuobjdump: PathBuf,
}

/// Where build.rs looks for nvcc, and the disassembler that comes with it; or why there is nothing to do without.
fn tools() -> Result<Tools, &'static str> {
    let named = env::var_os("LABORA_NVCC").filter(|path| !path.is_empty());
    match (find_tools(), named) {
        (_, Some(path)) if path == "none" => Err("LABORA_NVCC is \"none\""),
        (Some(tools), _) => Ok(tools),
        (None, None) => Err("no nvcc with cuobjdump was found"),
        (None, Some(path)) => panic!(
            "LABORA_NVCC names {}, and there is no nvcc with cuobjdump; run `make cuda`, or unset it",
            path.display()
        ),
    }
}

fn find_tools() -> Option<Tools> {
    let folder = |name: &str| {
        env::var_os(name)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    };
    let cache = folder("LABORA_CACHE").or_else(|| {
        let caches = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")))?;
        Some(caches.join("labora"))
    });
    let on_path = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>();
    let nvcc = match folder("LABORA_NVCC") {
        Some(nvcc) => nvcc,
        None => cache
            .map(|cache| cache.join("cuda"))
            .into_iter()
            .chain(
                ["CUDA_HOME", "CUDA_PATH"]
                    .into_iter()
                    .filter_map(folder)
                    .map(|home| home.join("bin")),
            )
            .chain(on_path.iter().cloned())
            .chain([PathBuf::from("/usr/local/cuda/bin")])
            .map(|folder| folder.join("nvcc"))
            .find(|nvcc| nvcc.exists())?,
    };
    let real = fs::canonicalize(&nvcc).ok()?;
    let cuobjdump = [nvcc.parent()?, real.parent()?]
        .into_iter()
        .chain(on_path.iter().map(PathBuf::as_path))
        .map(|folder| folder.join("cuobjdump"))
        .find(|tool| tool.exists())?;
    Some(Tools {
        nvcc: real,
        cuobjdump,
    })
}

/// What a tool says, both streams; panics with it if the tool fails.
fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{command:?}:\n{said}");
    said
}

/// The number before `unit` in a line.
fn number(line: &str, unit: &str) -> u32 {
    line.split(unit)
        .next()
        .and_then(|before| before.split_whitespace().last()?.parse().ok())
        .unwrap_or_else(|| panic!("no number of{unit} in: {line}"))
}

/// Names in single quotes and between parentheses are kernels' and notes' numbers.
fn quoted(line: &str) -> &str {
    line.split('\'')
        .nth(1)
        .unwrap_or_else(|| panic!("no name in: {line}"))
}

/// All kernels of a target.
fn compile(tools: &Tools, target: &str, folder: &Path) -> BTreeMap<String, Kernel> {
    let cubin = folder.join(format!("kernels.{target}.cubin"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("cuda/kernels.cu");
    let said = run(Command::new(&tools.nvcc)
        .args(["-cubin", "-O3", "-std=c++17", "-Xptxas", "-v"])
        .arg(format!("-gencode=arch=compute_{target},code=sm_{target}"))
        .arg("-o")
        .arg(&cubin)
        .arg(source));
    let mut kernels: BTreeMap<String, Kernel> = BTreeMap::new();
    let mut now = String::new();
    for line in said.lines() {
        // C7510 and its like: products one after the other; C7508: setmaxnreg ignored. C7519 only tells of a fence.
        assert!(
            !line.contains("(C75") || line.contains("(C7519)"),
            "sm_{target}: {line}"
        );
        if line.contains("Compiling entry function") {
            now = quoted(line).to_owned();
            kernels.entry(now.clone()).or_default();
        } else if line.contains("bytes stack frame") {
            let kernel = kernels
                .get_mut(&now)
                .expect("ptxas names a kernel before its properties");
            kernel.spilled = number(line, " bytes stack frame")
                + number(line, " bytes spill stores")
                + number(line, " bytes spill loads");
        } else if line.contains("Used ") && line.contains(" registers") {
            let kernel = kernels
                .get_mut(&now)
                .expect("ptxas names a kernel before its registers");
            kernel.registers = number(line, " registers");
        }
    }
    let mut code: Option<&mut Kernel> = None;
    let listing = run(Command::new(&tools.cuobjdump).arg("-sass").arg(&cubin));
    for line in listing.lines() {
        if let Some((_, name)) = line.split_once("Function : ") {
            code = kernels.get_mut(name.trim());
        } else if let Some(kernel) = &mut code
            && let Some((address, instruction)) = instruction(line)
        {
            kernel.code.push((address, instruction.to_owned()));
        }
    }
    fs::remove_file(cubin).expect("the cubin was written");
    kernels
}

/// `/*0040*/  @P0 LOP3.LUT R1, …;` as address and instruction, predicate dropped.
fn instruction(line: &str) -> Option<(u32, &str)> {
    let (address, rest) = line.trim().strip_prefix("/*")?.split_once("*/")?;
    let address = u32::from_str_radix(address, 16).ok()?;
    let rest = rest.split(';').next()?.trim();
    let rest = match rest.strip_prefix('@') {
        Some(predicated) => predicated.split_once(' ')?.1.trim(),
        None => rest,
    };
    (!rest.is_empty()).then_some((address, rest))
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
struct Window {
    alu: usize,
    multiply: usize,
    memory: usize,
    issued: usize,
    /// ALU instructions between the wait for the tensor cores and the loop's end.
    held_up: usize,
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
    include_str!("../cuda/product_wgmma.cu")
        .lines()
        .find_map(|line| {
            line.strip_prefix("const u32 ")?
                .strip_prefix(name)?
                .strip_prefix(" = ")
        })
        .and_then(|number| number.strip_suffix(';')?.parse().ok())
        .unwrap_or_else(|| panic!("product_wgmma.cu has no {name}"))
}

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
    let families: &[_] = if target == "90a" {
        &[MMA, WGMMA]
    } else {
        &[MMA]
    };
    for (family, tensor) in families {
        for mode in MODES {
            let name = format!("{family}{mode}");
            let kernel = kernels
                .get(&name)
                .unwrap_or_else(|| panic!("no {name} on sm_{target}"));
            assert!(
                kernel.count(|instruction| instruction.starts_with(tensor)) > 0,
                "{name} on sm_{target} has no {tensor}"
            );
        }
    }
}

/// Roles of the Hopper product stay within the registers that they ask for, and the fold within its
/// time.
fn check_hopper(kernels: &BTreeMap<String, Kernel>) -> Window {
    for mode in MODES {
        let name = format!("{}{mode}", WGMMA.0);
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

/// Registers of each kernel on each target, and tensor instructions in its code.
fn table(report: &[(&str, BTreeMap<String, Kernel>)]) -> String {
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

fn write_report(version: &str, table: &str, window: &Window) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cuda-kernels.md");
    let page = fs::read_to_string(&path).expect("docs/cuda-kernels.md");
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
