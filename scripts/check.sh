#!/usr/bin/env bash
# What CI holds against a change besides the tests.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh build
. scripts/paths.sh
echo "check: formatting"
cargo fmt --all --check
echo "check: clippy, warnings are errors"
cargo clippy --release --workspace --all-targets -- -D warnings
# `--all-targets` leaves out what `cargo test` leaves out.
cargo clippy --release --workspace --test soak -- -D warnings
echo "check: docs, warnings are errors"
bash scripts/doc.sh
if command -v cargo-deny >/dev/null; then
    echo "check: licences and sources"
    cargo deny --log-level error check licenses sources bans
else
    echo "check: cargo-deny is not installed (cargo install cargo-deny); licences not checked"
fi
