//! Builds the runtime's WASM with its benchmarks in it.

use substrate_wasm_builder::WasmBuilder;

fn main() -> std::io::Result<()> {
    // Whole: it goes into the manifest of a project that lies elsewhere.
    let runtime = std::path::Path::new("../Cargo.toml").canonicalize()?;
    WasmBuilder::new()
        .with_project(runtime)
        .expect("the file is there")
        .import_memory()
        .export_heap_base()
        .enable_feature("runtime-benchmarks")
        .build();
    Ok(())
}
