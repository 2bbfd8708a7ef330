#!/usr/bin/env bash
# What takes too long for every test run: a testnet of 200 blocks, a stall of 5,000, 10,000 open jobs, and 2,000 full blocks. Prints its figures as they come.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/build.sh
. scripts/paths.sh
# One after the other: each has the machine to itself.
cargo test --release --workspace --test soak -- --nocapture --test-threads 1
