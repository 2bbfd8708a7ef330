//! Builds the runtime a second time as WASM, with the hash of its metadata inside.

fn main() {
    #[cfg(feature = "std")]
    substrate_wasm_builder::WasmBuilder::init_with_defaults()
        // As in the chain specs' properties: a signer shows amounts by them, and both go into the hash.
        .enable_metadata_hash("LAB", 12)
        .build();
}
