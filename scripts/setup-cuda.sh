#!/usr/bin/env bash
# Sets up NVIDIA's compiler from PyPI (some 530 MB under the cache folder; no GPU and no CUDA toolkit needed), then has the next
# build embed the GPU kernels. Idempotent. Fails with one sentence that names the next step.
#
#   setup-cuda.sh             the compiler
#   setup-cuda.sh gpu-check   also cuBLASLt and compute-sanitizer (some 440 MB more), which only scripts/gpu_check.py uses
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/paths.sh

die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# Compiler, its back end and headers must match each other; the disassembler is for the tests and reads any of them.
version='==13.0.*'
packages=()
for package in nvidia-cuda-nvcc nvidia-nvvm nvidia-cuda-crt nvidia-cuda-runtime nvidia-cuda-nvrtc; do
    packages+=("$package$version")
done
packages+=('nvidia-cuda-cuobjdump>=13' 'nvidia-cuda-nvdisasm>=13')

folder=$LABORA_CACHE/cuda
venv=$folder/venv
stamp=$folder/.packages
bin() { echo "$venv"/lib/python3*/site-packages/nvidia/cu13/bin; }

case "$(uname -sm)" in
    'Linux x86_64' | 'Linux aarch64') ;;
    *) die "NVIDIA's compiler comes for Linux on x86-64 and AArch64; this is $(uname -sm). The node builds without it." ;;
esac
case "${1:-}" in
    '' | gpu-check) ;;
    *) die "unknown part '$1'; the only one is gpu-check." ;;
esac
mkdir -p "$folder"
if [ "$(cat "$stamp" 2>/dev/null)" != "${packages[*]}" ] || [ ! -x "$(bin)/nvcc" ]; then
    bash scripts/setup.sh venv
    echo "setup: installing NVIDIA's compiler from PyPI (some 530 MB)"
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv" ||
        die "python3 -m venv failed; install python3-venv, then run make cuda again."
    "$venv/bin/python" -m pip install -q --disable-pip-version-check "${packages[@]}" ||
        die "pip could not install ${packages[*]}; check the network or the package index, then run make cuda again."
    printf '%s' "${packages[*]}" >"$stamp"
fi

# nvcc finds its parts beside the path that it is called by, so a link would not do.
real=$(bin)
[ -x "$real/nvcc" ] || die "there is no nvcc under $venv after installing; remove $folder and run make cuda again."
wrapper=$(printf '#!/bin/sh\nexec "%s/nvcc" "$@"' "$real")
if [ "$(cat "$folder/nvcc" 2>/dev/null)" != "$wrapper" ]; then
    printf '%s\n' "$wrapper" >"$folder/nvcc.new"
    chmod +x "$folder/nvcc.new"
    mv "$folder/nvcc.new" "$folder/nvcc"
    # Has cargo look for a compiler again.
    touch pouw-kernels/build.rs
fi
for tool in cuobjdump nvdisasm; do
    ln -sfn "$real/$tool" "$folder/$tool"
done

# extra PACKAGE FILE: a package that gpu-check can do without. FILE, below nvidia/cu13, tells that it is there.
extra() {
    compgen -G "$venv/lib/python3*/site-packages/nvidia/cu13/$2" >/dev/null &&
        [ "$(cat "$stamp-${1%%=*}" 2>/dev/null)" = "$1" ] && return 0
    echo "setup: installing $1 from PyPI"
    if "$venv/bin/python" -m pip install -q --disable-pip-version-check "$1"; then
        printf '%s' "$1" >"$stamp-${1%%=*}"
    else
        echo "setup: pip could not install $1; gpu-check goes on, without what needs it" >&2
    fi
}
if [ "${1:-}" = gpu-check ]; then
    extra "nvidia-cublas$version" 'lib/libcublasLt.so*'
    # From 13.4 on: earlier packages lack the program that starts what is to be checked.
    extra 'nvidia-cuda-sanitizer-api==13.4.*' bin/compute-sanitizer
    [ ! -x "$real/compute-sanitizer" ] || ln -sfn "$real/compute-sanitizer" "$folder/compute-sanitizer"
fi

# NVRTC, for the test that compiles what builds without nvcc embed; and cuBLASLt.
ln -sfn "$(dirname "$real")/lib" "$folder/lib"

# Called by name, it compiles for the host too, for which it wants a C++ compiler.
command -v g++ >/dev/null || command -v c++ >/dev/null || bash scripts/setup.sh build
"$folder/nvcc" --version >/dev/null || die "$folder/nvcc does not start; remove $folder and run make cuda again."
release=$("$folder/nvcc" --version | sed -n 's/.*release \([0-9.]*\).*/\1/p')
echo "setup: nvcc $release is at $folder/nvcc; the next build embeds the GPU kernels (make run, make test)"
