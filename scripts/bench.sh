#!/usr/bin/env bash
# Criterion benches of the protocol, the kernels and the market; the kernels beside ONNX Runtime where pip can fetch it.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh build python
. scripts/paths.sh
if "$LABORA_PYTHON" -m pip install -q --disable-pip-version-check onnxruntime onnx; then
    export LABORA_ONNX_PYTHON=$LABORA_PYTHON
else
    echo "bench: onnxruntime could not be installed; its ratios are left out"
fi
cargo bench -p labora-pouw -p labora-kernels -p labora-artifacts -p labora-runtime
