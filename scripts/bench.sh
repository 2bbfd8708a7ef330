#!/usr/bin/env bash
# Criterion benches of the protocol and the kernels, beside ONNX Runtime where pip can fetch it.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh build python
. scripts/paths.sh
"$LABORA_PYTHON" -m pip install -q --disable-pip-version-check onnxruntime onnx ||
    echo "bench: onnxruntime could not be installed; its ratios are left out"
cargo bench -p labora-pouw -p labora-kernels
