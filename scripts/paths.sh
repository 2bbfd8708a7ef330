# Where scripts keep what outlives a clone; sourced by each of them.
export LABORA_CACHE=${LABORA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/labora}
LABORA_VENV=${LABORA_VENV:-$LABORA_CACHE/venv}
# A fresh clone in CI would compile a thousand crates again; elsewhere cargo's own default stands.
if [ -n "${CI:-}" ]; then
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$LABORA_CACHE/target}
fi
LABORA_TARGET=${CARGO_TARGET_DIR:-$PWD/target}
export LABORA_BIN=${LABORA_BIN:-$LABORA_TARGET/release/labora}
# The client of this clone: the environment is shared by all clones.
export PYTHONPATH="$PWD/clients/python/src${PYTHONPATH:+:$PYTHONPATH}"
export LABORA_PROMTOOL=${LABORA_PROMTOOL:-$LABORA_CACHE/promtool}
export LABORA_PYTHON=${LABORA_PYTHON:-$LABORA_VENV/bin/python}
# Written by setup-wasm.sh where the WASM target comes from another compiler than the default one.
[ ! -f "$LABORA_CACHE/wasm.env" ] || . "$LABORA_CACHE/wasm.env"
# The runtime's WASM is built from the same Cargo.lock, wherever the target directory lies.
export WASM_BUILD_WORKSPACE_HINT=${WASM_BUILD_WORKSPACE_HINT:-$PWD}
