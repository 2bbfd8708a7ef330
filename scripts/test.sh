#!/usr/bin/env bash
# Every test: Rust (units, properties, vectors, real processes, foreign clients), Python, and the main job once.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/build.sh
bash scripts/setup.sh python js promtool
. scripts/paths.sh
# NVRTC, where `make cuda` has been run.
[ ! -d "$LABORA_CACHE/cuda/lib" ] || export LD_LIBRARY_PATH="$LABORA_CACHE/cuda/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
# Some hundreds of nodes are started: what the runtime is compiled to is kept for all of them.
export LABORA_WASM_CACHE=${LABORA_WASM_CACHE:-$LABORA_CACHE/wasm}
# The Python client's tests among them: `foreign_clients` runs pytest against a real node.
echo "test: all crates, real processes, foreign clients"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# To the end: what fails first must not hide what else fails.
if ! cargo test --release --workspace --no-fail-fast 2>&1 | tee "$log"; then
    echo "test: what failed, once more, with what it said"
    sed -n '/^---- .* stdout ----$/,/^failures:$/p' "$log"
    exit 1
fi
echo "test: the checklist for GPUs, on stand-ins"
python3 -m unittest discover --quiet scripts
echo "test: the main job, once"
ONCE=1 bash scripts/run.sh
