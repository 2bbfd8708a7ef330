#!/usr/bin/env bash
# Runs our pallets' benchmarks on this code and writes their weights. Builds the runtime with its benchmarks and a program that runs
# them, apart: some nine hundred crates, half an hour on a laptop. Run it on an otherwise idle machine.
# `PALLETS="jobs grants"` names those that are wanted.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh build
. scripts/paths.sh
export CARGO_TARGET_DIR=$LABORA_TARGET/weights
# A runtime of the SDK's that only its storage benchmarks need, and that does not build outside the SDK's own workspace.
export SKIP_FRAME_STORAGE_ACCESS_TEST_RUNTIME_WASM_BUILD=1
# The same versions as the node's.
cp Cargo.lock runtime/bencher/Cargo.lock
cargo build --release --manifest-path runtime/bencher/Cargo.toml
for pallet in ${PALLETS:-work rewards jobs grants}; do
    weights=runtime/src/weights/pallet_$pallet.rs
    "$CARGO_TARGET_DIR/release/labora-bencher" --pallet "pallet_$pallet" --extrinsic '*' --steps 50 --repeat 20 \
        --runtime "$CARGO_TARGET_DIR/release/wbuild/labora-runtime/labora_runtime.wasm" \
        --genesis-builder runtime --genesis-builder-preset development --output "$weights"
    # The command line and the machine's name say nothing to anyone else.
    sed -i -e '/^\/\/ Executed Command/,/^$/d' -e 's/HOSTNAME: `[^`]*`, //' -e '1{/^$/d}' "$weights"
done
