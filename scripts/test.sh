#!/usr/bin/env bash
# Every test: Rust (units, properties, vectors, real processes, foreign clients), Python, and the main job once.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/build.sh
bash scripts/setup.sh python js
. scripts/paths.sh
echo "test: Rust, all crates"
cargo test --release --workspace
echo "test: the Python client"
"$LABORA_PYTHON" -m pytest -q clients/python
echo "test: the main job, once"
ONCE=1 bash scripts/run.sh
