//! Runs the compiler and the disassembler, and reads what they say of each kernel.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One kernel of one target.
#[derive(Debug, Default)]
pub struct Kernel {
    pub registers: u32,
    /// Bytes of stack frame, spill stores and spill loads together.
    pub spilled: u32,
    /// Address, and the instruction without its predicate.
    pub code: Vec<(u32, String)>,
}

impl Kernel {
    pub fn count(&self, what: impl Fn(&str) -> bool) -> usize {
        self.code
            .iter()
            .filter(|(_, instruction)| what(instruction))
            .count()
    }
}

pub struct Tools {
    pub nvcc: PathBuf,
    pub cuobjdump: PathBuf,
}

/// Where build.rs looks for nvcc, and the disassembler that comes with it; or why there is nothing to do without.
pub fn tools() -> Result<Tools, &'static str> {
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
pub fn run(command: &mut Command) -> String {
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
pub fn compile(tools: &Tools, target: &str, folder: &Path) -> BTreeMap<String, Kernel> {
    let cubin = folder.join(format!("kernels.{target}.cubin"));
    let source = Path::new("cuda/kernels.cu");
    let arch = if target == "110" { "100" } else { target };
    let said = run(Command::new(&tools.nvcc)
        .args(["-cubin", "-O3", "-std=c++17", "-Xptxas", "-v"])
        .arg(format!("-gencode=arch=compute_{arch},code=sm_{target}"))
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
