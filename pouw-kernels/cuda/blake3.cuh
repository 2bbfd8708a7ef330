// BLAKE3's compression function (section 2.2 of the BLAKE3 paper).
#pragma once
#include "base.cuh"

const u32 BLAKE3_CHUNK_START = 1, BLAKE3_CHUNK_END = 2, BLAKE3_PARENT = 4, BLAKE3_ROOT = 8, BLAKE3_KEYED = 16;
const u32 BLAKE3_CHUNK = 1024;

LABORA_DEVICE void blake3_start(u32 (&cv)[8]) {
    cv[0] = 0x6a09e667u, cv[1] = 0xbb67ae85u, cv[2] = 0x3c6ef372u, cv[3] = 0xa54ff53au;
    cv[4] = 0x510e527fu, cv[5] = 0x9b05688cu, cv[6] = 0x1f83d9abu, cv[7] = 0x5be0cd19u;
}

LABORA_DEVICE void blake3_quarter(u32& a, u32& b, u32& c, u32& d, u32 x, u32 y) {
    a += b + x, d = rotate_right(d ^ a, 16), c += d, b = rotate_right(b ^ c, 12);
    a += b + y, d = rotate_right(d ^ a, 8), c += d, b = rotate_right(b ^ c, 7);
}

// All 16 words of output: the first eight are the chaining value, or all are a block of extended output. The message is used up.
LABORA_DEVICE void blake3_compress(const u32 (&cv)[8], u32 (&m)[16], u64 counter, u32 length, u32 flags, u32 (&out)[16]) {
    u32 v[16] = {cv[0],       cv[1],       cv[2],       cv[3],       cv[4],        cv[5],                cv[6],  cv[7],
                 0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au, (u32)counter, (u32)(counter >> 32), length, flags};
#pragma unroll
    for (u32 round = 0; round < 7; ++round) {
        blake3_quarter(v[0], v[4], v[8], v[12], m[0], m[1]);
        blake3_quarter(v[1], v[5], v[9], v[13], m[2], m[3]);
        blake3_quarter(v[2], v[6], v[10], v[14], m[4], m[5]);
        blake3_quarter(v[3], v[7], v[11], v[15], m[6], m[7]);
        blake3_quarter(v[0], v[5], v[10], v[15], m[8], m[9]);
        blake3_quarter(v[1], v[6], v[11], v[12], m[10], m[11]);
        blake3_quarter(v[2], v[7], v[8], v[13], m[12], m[13]);
        blake3_quarter(v[3], v[4], v[9], v[14], m[14], m[15]);
        // Unrolled, the permutation is a renaming.
        const u32 p[16] = {m[2], m[6], m[3], m[10], m[7], m[0], m[4], m[13], m[1], m[11], m[12], m[5], m[9], m[14], m[15], m[8]};
#pragma unroll
        for (u32 i = 0; i < 16; ++i) m[i] = p[i];
    }
#pragma unroll
    for (u32 i = 0; i < 8; ++i) {
        out[i] = v[i] ^ v[i + 8];
        out[i + 8] = v[i + 8] ^ cv[i];
    }
}

// Block number `block` of the extended output of the keyed hash of a label of at most eight bytes (little-endian words).
LABORA_DEVICE void blake3_xof(const u32* key, u32 label, u32 label_rest, u32 label_length, u64 block, u32 (&out)[16]) {
    u32 cv[8], m[16] = {label, label_rest};
#pragma unroll
    for (u32 i = 0; i < 8; ++i) cv[i] = key[i];
    blake3_compress(cv, m, block, label_length, BLAKE3_CHUNK_START | BLAKE3_CHUNK_END | BLAKE3_ROOT | BLAKE3_KEYED, out);
}
