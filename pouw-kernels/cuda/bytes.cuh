// Four int8 in one register.
#pragma once
#include "base.cuh"

// Byte by byte, wrapping.
LABORA_DEVICE u32 add_bytes(u32 x, u32 y) { return ((x & 0x7f7f7f7fu) + (y & 0x7f7f7f7fu)) ^ ((x ^ y) & 0x80808080u); }

// Four words of four bytes, transposed.
LABORA_DEVICE void transpose_bytes(u32& w0, u32& w1, u32& w2, u32& w3) {
    const u32 low01 = select_bytes(w0, w1, 0x5140), low23 = select_bytes(w2, w3, 0x5140);
    const u32 high01 = select_bytes(w0, w1, 0x7362), high23 = select_bytes(w2, w3, 0x7362);
    w0 = select_bytes(low01, low23, 0x5410);
    w1 = select_bytes(low01, low23, 0x7632);
    w2 = select_bytes(high01, high23, 0x5410);
    w3 = select_bytes(high01, high23, 0x7632);
}
