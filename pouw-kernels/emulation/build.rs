//! Compiles the kernels and the emulation of what they call as plain C++.

fn main() {
    for folder in ["host", "../cuda"] {
        println!("cargo::rerun-if-changed={folder}");
    }
    let mut files: Vec<_> = std::fs::read_dir("host")
        .expect("the crate's own folder can be read")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "cpp"))
        .collect();
    files.sort();
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        // Emulated products are slow enough optimised; tests are often built without.
        .opt_level(3)
        .define("LABORA_EMULATION", None)
        .include("host")
        .include("../cuda")
        // `#pragma unroll` is nvcc's.
        .flag_if_supported("-Wno-unknown-pragmas")
        // Kernels' parameters are passed within one translation unit.
        .flag_if_supported("-Wno-psabi")
        // Fibres have no unwinding.
        .flag("-fno-exceptions")
        .flag("-fno-rtti")
        // Integers wrap on a GPU.
        .flag("-fwrapv")
        .flag("-fno-strict-aliasing")
        .files(files)
        .compile("labora_emulation");
}
