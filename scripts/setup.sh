#!/usr/bin/env bash
# Installs what the build, the main job and the tests need and is missing, and says in a line each what it did.
#
#   setup.sh build    compilers and the WASM target, for the node
#   setup.sh venv     Python with what makes virtual environments, for the others and for setup-cuda.sh
#   setup.sh python   a virtual environment for the client and the main job
#   setup.sh js       Node.js and the packages of the foreign-client test
#   setup.sh promtool what tries the alerts, without the server of Debian's package that it comes in
#
# Idempotent: what is there is left alone. Fails with one sentence that names the next step.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/paths.sh

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# debian PACKAGE…: installs those that are missing.
debian() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null ||
        die "this is no Debian; install the equivalents of: ${missing[*]}, then run make again."
    local root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null ||
            die "not root and no sudo; as root run: apt-get install -y ${missing[*]}, then run make again."
        root=(sudo)
    fi
    say "installing ${missing[*]} from Debian"
    export DEBIAN_FRONTEND=noninteractive
    "${root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$LABORA_CACHE/apt.log" 2>&1 || {
        "${root[@]}" apt-get update -qq >>"$LABORA_CACHE/apt.log" 2>&1 || true
        "${root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >>"$LABORA_CACHE/apt.log" 2>&1
    } || die "apt-get could not install ${missing[*]} (see $LABORA_CACHE/apt.log); install them by hand, then run make again."
}

setup_build() {
    command -v cargo >/dev/null || die "no cargo on PATH; install Rust with rustup (rustup.rs), open a new shell, then run make again."
    debian build-essential pkg-config protobuf-compiler libclang-dev
    bash scripts/setup-wasm.sh
}

setup_venv() {
    command -v python3 >/dev/null || debian python3
    python3 -c 'import ensurepip, venv' 2>/dev/null || debian python3-venv
}

setup_python() {
    setup_venv
    local wanted stamp="$LABORA_VENV/.labora"
    wanted=$(sha256sum <demo/requirements.txt)
    [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return 0
    say "preparing the Python environment (NumPy, scikit-learn)"
    [ -x "$LABORA_VENV/bin/python" ] || python3 -m venv "$LABORA_VENV" ||
        die "python3 -m venv failed; install python3-venv, then run make again."
    "$LABORA_VENV/bin/python" -m pip install -q --disable-pip-version-check -r demo/requirements.txt ||
        die "pip could not install demo/requirements.txt; check the network or the package index, then run make again."
    printf '%s' "$wanted" >"$stamp"
}

setup_js() {
    command -v node >/dev/null && command -v npm >/dev/null || debian nodejs npm
    [ tests/js/node_modules/.package-lock.json -nt tests/js/package-lock.json ] && return 0
    say "installing @polkadot/api for the foreign-client test"
    (cd tests/js && npm ci --silent --no-audit --no-fund) ||
        die "npm could not install tests/js; check the network or the package index, then run make again."
}

# What cannot be had is left out, and the test says so: all else can be tried without it.
setup_promtool() {
    ! command -v promtool >/dev/null && [ ! -x "$LABORA_PROMTOOL" ] || return 0
    command -v apt-get >/dev/null || { say "no promtool here: the alerts' cases are left out"; return 0; }
    local folder
    folder=$(mktemp -d)
    say "fetching promtool from Debian (19 MB)"
    (cd "$folder" && { apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; }; } &&
        dpkg-deb -x prometheus_*.deb . && install -m 755 usr/bin/promtool "$LABORA_PROMTOOL") >"$LABORA_CACHE/promtool.log" 2>&1 ||
        say "promtool could not be fetched (see $LABORA_CACHE/promtool.log): the alerts' cases are left out"
    rm -rf "$folder"
}

mkdir -p "$LABORA_CACHE"
for part in "$@"; do
    case "$part" in
        build | venv | python | js | promtool) "setup_$part" ;;
        *) die "unknown part '$part'; the parts are build, venv, python, js and promtool." ;;
    esac
done
