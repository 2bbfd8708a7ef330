#!/usr/bin/env bash
# Runs the pallets' benchmarks on this code and writes their weights.rs. Builds a runtime with the benchmarks in it, apart.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh build
. scripts/paths.sh
export CARGO_TARGET_DIR=$LABORA_TARGET/benchmarks
cargo build --release --workspace --features labora/runtime-benchmarks
for pallet in work rewards; do
    "$CARGO_TARGET_DIR/release/labora" benchmark pallet --chain dev --pallet "pallet_$pallet" --extrinsic '*' \
        --steps 50 --repeat 20 --wasm-execution compiled --output "runtime/pallets/$pallet/src/weights.rs"
done
