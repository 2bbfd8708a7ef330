//! Builds the runtime a second time as WASM, with the hash of its metadata inside; for tests also the runtime after it.

#[cfg(feature = "std")]
fn main() {
    use substrate_wasm_builder::WasmBuilder;

    // What the builder sees of features it builds the WASM with, whose bytes must not tell whether the other is built too.
    // SAFETY: no other thread of this program runs yet.
    unsafe { std::env::remove_var("CARGO_FEATURE_NEXT_WASM") };
    WasmBuilder::init_with_defaults()
        // As in the chain specs' properties: a signer shows amounts by them, and both go into the hash.
        .enable_metadata_hash("LAB", 12)
        .build();
    #[cfg(feature = "next-wasm")]
    WasmBuilder::init_with_defaults()
        .enable_feature("next")
        .set_file_name("labora_next_runtime.rs")
        .build();
}

#[cfg(not(feature = "std"))]
fn main() {}
