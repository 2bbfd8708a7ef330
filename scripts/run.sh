#!/usr/bin/env bash
# The main job: a dev chain mined on the products of a real network. ONCE=1 ends after it; ARGS go to the job.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/build.sh
bash scripts/setup.sh python
. scripts/paths.sh
exec "$LABORA_PYTHON" demo/digits.py --bin "$LABORA_BIN" ${ONCE:+--once} ${ARGS:-}
