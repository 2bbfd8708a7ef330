#!/usr/bin/env bash
# Builds with the GPU kernels in it, then runs everything that only a chip can show: see gpu_check.py. ARGS go to that.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup-cuda.sh
bash scripts/build.sh
. scripts/paths.sh
# The whole workspace, as the build has it: a single package would be compiled with other features, from its first crate on.
test=$(cargo test --release --workspace --no-run --message-format=json |
    python3 -c 'import json, sys
for line in sys.stdin:
    item = json.loads(line)
    if item.get("executable") and item["target"]["name"] == "gpu": print(item["executable"])')
exec python3 scripts/gpu_check.py --labora "$LABORA_BIN" --test "$test" ${ARGS:-}
