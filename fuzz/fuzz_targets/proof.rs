//! See `bodies::proof`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../consensus/pouw/tests/bodies/mod.rs"]
#[allow(dead_code, reason = "each target runs one body")]
mod bodies;

fuzz_target!(|bytes: &[u8]| {
    bodies::proof(bytes);
});
