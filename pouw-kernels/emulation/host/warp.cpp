// Instructions of a warp and asynchronous copies, by their definition in the PTX manual (sections on shfl.sync, ldmatrix, cp.async
// and the fragments of mma.m8n8k16 and m16n8k32 for 8-bit integers).
#include <cstring>
#include "shim.h"

namespace labora_emulation {

namespace {

const u8 GARBAGE = 0xcd;

struct Shuffle {
    u32 x, lane, result;
};

void do_shuffle(void** parts, u32 lanes) {
    for (u32 l = 0; l < lanes; ++l) {
        Shuffle& part = *(Shuffle*)parts[l];
        if (part.lane >= lanes) fail("shuffle from lane %u of %u", part.lane, lanes);
        part.result = ((Shuffle*)parts[part.lane])->x;
    }
}

struct Matrices {
    u32 address;
    u32* out;
};

void do_load_matrices(void** parts, u32) {
    for (u32 matrix = 0; matrix < 4; ++matrix) {
        for (u32 row = 0; row < 8; ++row) {
            const u8* bytes = shared_at(((Matrices*)parts[8 * matrix + row])->address, 16, 16);
            for (u32 piece = 0; piece < 4; ++piece) memcpy(((Matrices*)parts[4 * row + piece])->out + matrix, bytes + 4 * piece, 4);
        }
    }
}

// Four signed bytes.
inline void widen(short* to, u32 from) {
    for (u32 i = 0; i < 4; ++i) to[i] = (signed char)(from >> 8 * i);
}

struct Multiply {
    i32* c;
    const u32 *a, *b;
};

// c (M×8) += a (M×K) · b (K×8), gathered from the fragments, multiplied by definition, and spread again.
template <u32 M, u32 K>
void do_multiply(void** parts, u32) {
    // Widened, since hosts multiply int16 in pairs.
    short a[M][K], b[8][K];
    for (u32 l = 0; l < 32; ++l) {
        const Multiply& part = *(Multiply*)parts[l];
        const u32 group = l / 4, inner = l % 4 * 4;
        for (u32 i = 0; i < M / 8 * (K / 16); ++i) widen(&a[group + i % (M / 8) * 8][inner + i / (M / 8) * 16], part.a[i]);
        for (u32 i = 0; i < K / 16; ++i) widen(&b[group][inner + i * 16], part.b[i]);
    }
    for (u32 row = 0; row < M; ++row) {
        for (u32 column = 0; column < 8; ++column) {
            i32 sum = 0;
            for (u32 k = 0; k < K; ++k) sum += a[row][k] * b[column][k];
            i32& c = ((Multiply*)parts[row % 8 * 4 + column / 2])->c[row / 8 * 2 + column % 2];
            c = (i32)((u32)c + (u32)sum);
        }
    }
}

void nothing(void**, u32) {}

void whole_warp() {
    if (current_block->count < 32 * (current->warp + 1)) fail("a warp of fewer than 32 threads");
}

void copy(const PendingCopy& pending) {
    if (pending.from) memcpy(pending.to, pending.from, 16);
    else memset(pending.to, 0, 16);
}

}  // namespace

void aligned(const void* at, u32 bytes) {
    if ((uintptr_t)at % bytes != 0) fail("an access of %u bytes that is not aligned", bytes);
}

void copy16(void* to, const void* from) {
    // One of the two is a local variable, and aligned.
    aligned(to, 16);
    aligned(from, 16);
    memcpy(to, from, 16);
}

u32 select_bytes(u32 low, u32 high, u32 selector) {
    const u64 bytes = (u64)high << 32 | low;
    u32 out = 0;
    for (u32 i = 0; i < 4; ++i) {
        const u32 digit = selector >> 4 * i & 15;
        if (digit > 7) fail("prmt with a replicated sign, which is not emulated");
        out |= (u32)(bytes >> 8 * digit & 255) << 8 * i;
    }
    return out;
}

i32 dot4(u32 a, u32 b, i32 c) {
    for (u32 i = 0; i < 4; ++i) c += (signed char)(a >> 8 * i) * (signed char)(b >> 8 * i);
    return c;
}

void warp_sync() { meet_warp(nullptr, "warp", nothing); }

u32 shuffle(u32 x, u32 lane) {
    Shuffle part = {x, lane, 0};
    meet_warp(&part, "shfl", do_shuffle);
    return part.result;
}

void load_matrices(u32 (&out)[4], u32 address) {
    whole_warp();
    Matrices part = {address, out};
    meet_warp(&part, "ldmatrix", do_load_matrices);
}

void mma_8x8x16(i32& c0, i32& c1, u32 a, u32 b) {
    whole_warp();
    i32 c[2] = {c0, c1};
    Multiply part = {c, &a, &b};
    meet_warp(&part, "mma.m8n8k16", do_multiply<8, 16>);
    c0 = c[0];
    c1 = c[1];
}

void mma_16x8x32(i32* c, const u32* a, const u32* b) {
    whole_warp();
    Multiply part = {c, a, b};
    meet_warp(&part, "mma.m16n8k32", do_multiply<16, 32>);
}

void copy_async(u32 address, const void* from, bool there) {
    if ((uintptr_t)from % 16 != 0) fail("cp.async from an address that is no multiple of 16");
    u8* to = shared_at(address, 16, 16);
    Thread& self = *current;
    if (self.pending_count == MAX_PENDING) fail("more than %u copies pending", MAX_PENDING);
    self.pending[self.pending_count++] = {to, there ? from : nullptr};
    // Undefined until waited for.
    memset(to, GARBAGE, 16);
}

void copy_async_commit() {
    Thread& self = *current;
    if (self.group_count == MAX_PENDING) fail("more than %u groups of copies", MAX_PENDING);
    self.groups[self.group_count++] = self.pending_count - self.grouped;
    self.grouped = self.pending_count;
}

void copy_async_wait(u32 pending) {
    Thread& self = *current;
    if (self.group_count <= pending) return;
    const u32 ended = self.group_count - pending;
    u32 copies = 0;
    for (u32 g = 0; g < ended; ++g) copies += self.groups[g];
    for (u32 i = 0; i < copies; ++i) copy(self.pending[i]);
    memmove(self.pending, self.pending + copies, (self.pending_count - copies) * sizeof(PendingCopy));
    memmove(self.groups, self.groups + ended, pending * sizeof(u32));
    self.pending_count -= copies;
    self.grouped -= copies;
    self.group_count = pending;
}

}  // namespace labora_emulation
