#!/usr/bin/env bash
# Sets up NVIDIA's compiler from PyPI (some 530 MB under the cache folder; no GPU and no CUDA toolkit needed), then has the next
# build embed the GPU kernels. Idempotent. Fails with one sentence that names the next step.
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
mkdir -p "$folder"
if [ "$(cat "$stamp" 2>/dev/null)" != "${packages[*]}" ] || [ ! -x "$(bin)/nvcc" ]; then
    command -v python3 >/dev/null && python3 -c 'import ensurepip, venv' 2>/dev/null ||
        die "python3 with venv is missing; install python3-venv, then run make cuda again."
    echo "setup: installing NVIDIA's compiler from PyPI (some 530 MB)"
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv" || die "python3 -m venv failed; install python3-venv, then run make cuda again."
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

# NVRTC, for the test that compiles what builds without nvcc embed.
ln -sfn "$(dirname "$real")/lib" "$folder/lib"

# Called by name, it compiles for the host too, for which it wants a C++ compiler.
command -v g++ >/dev/null || command -v c++ >/dev/null || bash scripts/setup.sh build
"$folder/nvcc" --version >/dev/null || die "$folder/nvcc does not start; remove $folder and run make cuda again."
release=$("$folder/nvcc" --version | sed -n 's/.*release \([0-9.]*\).*/\1/p')
echo "setup: nvcc $release is at $folder/nvcc; the next build embeds the GPU kernels (make run, make test)"
