#!/usr/bin/env bash
# Builds the node. The whole workspace in one selection, so that every target resolves the same features and nothing is compiled twice.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh build
. scripts/paths.sh
echo "build: compiling the node (the first time: some 20 to 40 minutes; later only what changed)"
cargo build --release --workspace
