#!/usr/bin/env bash
# API docs of our crates; a broken link is an error.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/paths.sh
RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps
