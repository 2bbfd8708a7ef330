//! Embeds the CUDA kernels: as machine code for all generations where nvcc is found, and as source in any case, which
//! NVRTC compiles when a GPU is opened that the machine code is not for.
//!
//! nvcc is looked for where `LABORA_NVCC` says ("none": nowhere), where `make cuda` puts it, under `CUDA_HOME` and
//! `CUDA_PATH`, on `PATH`, and in /usr/local/cuda.

use std::collections::HashSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Machine code for each generation that has int8 tensor cores, and PTX for the others: 8.7 runs 8.6's machine code, 10.3
/// runs 10.0's, 12.1 runs 12.0's; 11.0 and what comes after 12 compile the PTX of 10.0, which the kernels lose nothing by. 9.0
/// alone has `wgmma`, and asks for its own target. tests/cuda_build says what each GPU gets.
const TARGETS: [&str; 8] = [
    "arch=compute_75,code=sm_75",
    "arch=compute_80,code=sm_80",
    "arch=compute_86,code=sm_86",
    "arch=compute_89,code=sm_89",
    "arch=compute_90a,code=sm_90a",
    "arch=compute_100,code=sm_100",
    "arch=compute_120,code=sm_120",
    "arch=compute_100,code=compute_100",
];
/// nvcc's first version with all of these targets that drivers of CUDA 13 load.
const NEEDED_NVCC: u32 = 13;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=cuda");
    for variable in [
        "LABORA_NVCC",
        "LABORA_CACHE",
        "XDG_CACHE_HOME",
        "CUDA_HOME",
        "CUDA_PATH",
    ] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR"));
    let mut source = String::new();
    flatten("kernels.cu", &mut HashSet::new(), &mut source);
    fs::write(out.join("kernels.cu"), source).expect("OUT_DIR can be written");
    let mut image = String::from(
        "static SOURCE: &str = include_str!(concat!(env!(\"OUT_DIR\"), \"/kernels.cu\"));\n",
    );
    match nvcc() {
        Some(nvcc) => {
            compile(&nvcc, &out.join("kernels.fatbin"));
            image += "static FAT: Option<&Aligned<[u8]>> = Some(&Aligned(*include_bytes!(concat!(env!(\"OUT_DIR\"), \"/kernels.fatbin\"))));\n";
        }
        None => image += "static FAT: Option<&Aligned<[u8]>> = None;\n",
    }
    fs::write(out.join("image.rs"), image).expect("OUT_DIR can be written");
}

/// The first nvcc that is new enough.
fn nvcc() -> Option<PathBuf> {
    let named = env::var_os("LABORA_NVCC").filter(|path| !path.is_empty());
    if let Some(path) = &named {
        if path == "none" {
            return None;
        }
        let path = PathBuf::from(path);
        println!("cargo::rerun-if-changed={}", path.display());
        match version(&path) {
            Some(major) if major >= NEEDED_NVCC => return Some(path),
            found => panic!(
                "LABORA_NVCC={} is no nvcc of CUDA {NEEDED_NVCC} or newer (found: {found:?}); \
                 run `make cuda`, or set LABORA_NVCC=none to build without",
                path.display()
            ),
        }
    }
    let candidates = candidates();
    // Built again when one of them changes or goes. To watch for one that is not there would be to build again each time;
    // `make cuda` touches this file instead.
    for path in candidates.iter().filter(|path| path.exists()) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    candidates
        .into_iter()
        .find(|path| version(path).is_some_and(|major| major >= NEEDED_NVCC))
}

fn candidates() -> Vec<PathBuf> {
    let folder = |variable: &str| {
        env::var_os(variable)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    };
    // As scripts/paths.sh has it.
    let cache = folder("LABORA_CACHE").or_else(|| {
        let caches = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")))?;
        Some(caches.join("labora"))
    });
    let mut found: Vec<PathBuf> = cache
        .into_iter()
        .map(|cache| cache.join("cuda/nvcc"))
        .collect();
    for variable in ["CUDA_HOME", "CUDA_PATH"] {
        found.extend(folder(variable).map(|home| home.join("bin/nvcc")));
    }
    let path = env::var_os("PATH").unwrap_or_default();
    found.extend(
        env::split_paths(&path)
            .map(|folder| folder.join("nvcc"))
            .find(|nvcc| nvcc.exists()),
    );
    found.push("/usr/local/cuda/bin/nvcc".into());
    found
}

/// Its major version.
fn version(nvcc: &Path) -> Option<u32> {
    let output = Command::new(nvcc).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let release = text.split("release ").nth(1)?;
    release.split('.').next()?.trim().parse().ok()
}

fn compile(nvcc: &Path, to: &Path) {
    let mut command = Command::new(nvcc);
    // As many targets at once as there are cores.
    command.args(["-fatbin", "-O3", "-std=c++17", "--threads", "0"]);
    for target in TARGETS {
        command.arg(format!("-gencode={target}"));
    }
    command.arg("-o").arg(to).arg("cuda/kernels.cu");
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => panic!("{} does not start: {error}", nvcc.display()),
    };
    assert!(
        output.status.success(),
        "{} could not compile the kernels (LABORA_NVCC=none builds without it):\n{}{}",
        nvcc.display(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The file with each of our headers put in at its first mention: NVRTC reads no files.
fn flatten(name: &str, seen: &mut HashSet<String>, to: &mut String) {
    if !seen.insert(name.to_owned()) {
        return;
    }
    let path = Path::new("cuda").join(name);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => panic!("{}: {error}", path.display()),
    };
    for (index, line) in text.lines().enumerate() {
        let included = line
            .trim()
            .strip_prefix("#include \"")
            .and_then(|rest| rest.strip_suffix('"'));
        match included {
            // Of the emulation on the host, which NVRTC never sees.
            Some(header) if !Path::new("cuda").join(header).exists() => {}
            Some(header) => {
                flatten(header, seen, to);
                to.push_str(&format!("#line {} \"{name}\"\n", index + 2));
            }
            None if line.trim() == "#pragma once" => {}
            None => {
                to.push_str(line);
                to.push('\n');
            }
        }
    }
}
