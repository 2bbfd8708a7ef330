#!/usr/bin/env bash
# Makes sure that cargo can build the runtime as WASM, and writes what it needs in its environment to a file whose path
# is the last line printed; `. FILE` before cargo. Runs again at no cost when all is in place.
#
# First choice is the target of the compiler in use, from rustup. Where rustup cannot fetch it, Debian's newer compiler
# builds the target's core and alloc from its sources. LABORA_WASM_FROM=rustup|debian takes one way and no other.
set -euo pipefail

TARGET=wasm32v1-none
TOOLCHAIN=labora-wasm
DEBIAN_PACKAGES=(rustc-web cargo-web rust-web-src)
RUSTUP_WAIT_S=120
cache="${LABORA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/labora}"
env_file="$cache/wasm.env"
from="${LABORA_WASM_FROM:-any}"

say() { printf 'setup-wasm: %s\n' "$*"; }
fail() {
    printf 'setup-wasm: %s\n' "$*" >&2
    exit 1
}

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# Whether a compiler (the command line given) can build for the target: not by looking for files, which may be another
# version's, but by building a library that needs core and alloc.
builds() {
    cat >"$work/probe.rs" <<'RUST'
#![no_std]
extern crate alloc;
struct Nothing;
unsafe impl core::alloc::GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _: core::alloc::Layout) -> *mut u8 { core::ptr::null_mut() }
    unsafe fn dealloc(&self, _: *mut u8, _: core::alloc::Layout) {}
}
#[global_allocator]
static NOTHING: Nothing = Nothing;
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! { loop {} }
#[unsafe(no_mangle)]
pub extern "C" fn probe(n: usize) -> usize { alloc::vec::Vec::<u8>::with_capacity(n).capacity() }
RUST
    "$@" --edition 2024 --crate-type cdylib --target "$TARGET" -Copt-level=3 -Clto=fat \
        -o "$work/probe.wasm" "$work/probe.rs" >"$work/probe.log" 2>&1
}

# Writes the environment file, only when it changes: cargo rebuilds nothing for an unchanged one.
write_env() {
    mkdir -p "$cache"
    printf '%s\n' "$@" >"$work/wasm.env"
    cmp -s "$work/wasm.env" "$env_file" || mv "$work/wasm.env" "$env_file"
    printf '%s\n' "$env_file"
    exit 0
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "needs root for '$1'; run this script once as root, or install sudo."
    fi
}

command -v cargo >/dev/null && command -v rustc >/dev/null ||
    fail "no Rust compiler found; install one from https://rustup.rs and run this again."
# A toolchain file or override may apply to the source tree, so ask from there.
cd "$(dirname "$0")/.."

use_compiler() { # how it came to be
    say "$1"
    write_env '# The compiler in use builds for WASM: nothing to set.' 'unset WASM_BUILD_TOOLCHAIN'
}

if [ "$from" != debian ]; then
    if builds rustc; then
        use_compiler "the target $TARGET is in place for $(rustc --version)."
    fi
    if command -v rustup >/dev/null; then
        # Without a network rustup may retry for minutes.
        if timeout "$RUSTUP_WAIT_S" rustup target add "$TARGET" >"$work/rustup.log" 2>&1 && builds rustc; then
            use_compiler "added the target $TARGET with rustup."
        fi
    fi
    [ "$from" = any ] ||
        fail "rustup could not add $TARGET ($(tail -n1 "$work/rustup.log" 2>/dev/null)); check the network and run 'rustup target add $TARGET'."
fi

# Debian's way.
command -v rustup >/dev/null ||
    fail "$(rustc --version) cannot build for $TARGET; install Rust from https://rustup.rs, then 'rustup target add $TARGET'."
command -v apt-get >/dev/null ||
    fail "rustup could not add $TARGET, and this is no Debian to take another compiler from; get online and run 'rustup target add $TARGET'."

did="built core and alloc for $TARGET with Debian's compiler"
missing=()
for package in "${DEBIAN_PACKAGES[@]}"; do
    [ "$(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null)" = "ii " ] || missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
    { as_root apt-get update -qq &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}"; } >"$work/apt.log" 2>&1 ||
        fail "could not install ${missing[*]} ($(tail -n1 "$work/apt.log")); install them with 'apt-get install ${missing[*]}' and run this again."
    did="installed ${missing[*]}, $did"
fi

# Rust-lld links WASM; Debian's compiler looks for it on PATH, where its own package puts it. Else rustup's serves.
lld_path=
if ! command -v rust-lld >/dev/null; then
    lld_path="$(dirname "$(find "$(rustc --print sysroot)/lib/rustlib" -name rust-lld -type f | head -n1)")"
    [ -x "$lld_path/rust-lld" ] ||
        fail "found no rust-lld, the linker for WASM; install it with 'rustup component add llvm-tools' and run this again."
    export PATH="$PATH:$lld_path"
fi

if builds /usr/bin/rustc; then
    did="Debian's compiler is in place and builds for $TARGET"
else
    mkdir -p "$work/core/src"
    cat >"$work/core/Cargo.toml" <<'TOML'
[package]
name = "core-for-wasm"
version = "0.0.0"
edition = "2021"
[workspace]
TOML
    printf '#![no_std]\nextern crate alloc;\n' >"$work/core/src/lib.rs"
    # Bitcode, since the runtime is linked with LTO. A cargo called by full path must not meet rustup's rustc.
    (
        cd "$work/core"
        unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET RUSTUP_TOOLCHAIN
        RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$work/core/target" \
            CARGO_TARGET_WASM32V1_NONE_RUSTFLAGS=-Cembed-bitcode=yes \
            /usr/bin/cargo build --release -Zbuild-std=core,alloc --target "$TARGET"
    ) >"$work/core.log" 2>&1 ||
        fail "could not build core for $TARGET ($(grep -m1 '^error' "$work/core.log")); try 'apt-get install --reinstall ${DEBIAN_PACKAGES[*]}' and run this again."
    lib="$(/usr/bin/rustc --print sysroot)/lib/rustlib/$TARGET/lib"
    # What an older version of the compiler left would be ambiguous.
    as_root rm -rf "$lib"
    as_root mkdir -p "$lib"
    as_root cp "$work/core/target/$TARGET/release/deps/"lib{core,alloc,compiler_builtins}-*.rlib "$lib/"
    builds /usr/bin/rustc ||
        fail "core for $TARGET is built but does not link ($(grep -m1 '^error' "$work/probe.log")); try 'apt-get install --reinstall ${DEBIAN_PACKAGES[*]}' and run this again."
fi

# Wasm-builder takes a compiler by rustup's name for it.
if [ "$(rustup run "$TOOLCHAIN" rustc --version 2>/dev/null)" != "$(/usr/bin/rustc --version)" ]; then
    rustup toolchain link "$TOOLCHAIN" /usr >"$work/link.log" 2>&1 ||
        fail "could not make Debian's compiler known to rustup ($(tail -n1 "$work/link.log")); run 'rustup toolchain link $TOOLCHAIN /usr'."
fi

say "$did ($(/usr/bin/rustc --version)); the rest is built by $(rustc --version)."
if [ -n "$lld_path" ]; then
    write_env "export WASM_BUILD_TOOLCHAIN=$TOOLCHAIN" "export PATH=\"\$PATH:$lld_path\""
else
    write_env "export WASM_BUILD_TOOLCHAIN=$TOOLCHAIN"
fi
