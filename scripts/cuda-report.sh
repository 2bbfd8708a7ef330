#!/usr/bin/env bash
# Compiles the CUDA kernels for all targets, checks them as the tests do, and writes the table in docs/cuda-kernels.md anew.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/paths.sh
LABORA_CUDA_REPORT=1 cargo test --release -p labora-kernels --test cuda_build -- --nocapture
