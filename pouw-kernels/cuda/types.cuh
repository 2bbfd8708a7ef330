// What kernels and host share: the layouts of structures in device memory. The host keeps a copy of each in src/cuda.
#pragma once
#include "base.cuh"
#include "tiles.h"

const u32 TILE = 16;   // a ticket covers TILE×TILE entries of C
const u32 RANK = 64;   // rank of the noise, length of a window
const u32 WORDS = 12;  // words of a tile's transcript

// Written by labora_seeds. Seeds as little-endian words, as BLAKE3 takes its key; midstate: SHA-256's state (words as numbers) after
// the 64 bytes that all tickets of a product share.
struct Seeds {
    u32 a[8];
    u32 b[8];
    u32 midstate[8];
};

// One window of a sparse factor. Column c of the noise is dense[p[c]] ± dense[q[c]], minus where bit c of `negative` is set.
// The inverses say which column takes a given row of the factor.
struct alignas(16) Sparse {
    u8 p[RANK], q[RANK], p_inverse[RANK], q_inverse[RANK];
    u64 negative;
    u64 pad;
};

// A winning tile: its indices and its ticket as big-endian words, the most significant first.
struct Winner {
    u32 row, column;
    u32 ticket[8];
};

// `count` goes on past the list's end; what does not fit is dropped.
struct alignas(16) Winners {
    u32 count;
    u32 pad[3];
    Winner list[LABORA_MAX_WINNERS];
};

// Bits of a product's mode.
const u32 FOLD = 1;     // fold every window, hash tickets, list the winners
const u32 STORE = 2;    // write C
const u32 CORRECT = 4;  // take the noise's share out of C first

// a: m×k, b: n×k, row-major. c: m×n row-major. left: m×320, right: n×320 (labora_onto). midstate and target: 8 words, target the most
// significant first. What a mode does not use may be null.
struct ProductArgs {
    const i8 *a, *b;
    i32* c;
    const i8 *left, *right;
    const u32* midstate;
    const u32* target;
    Winners* winners;
    u32 m, n, k;
    u32 mode;
};
