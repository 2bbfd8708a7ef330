// What every kernel stands on: integer types, the index of a thread, and one small function for each
// instruction that plain C++ lacks. Nothing else in this folder has inline assembly, but hopper.cuh.
//
// Compiled by nvcc and NVRTC (no system headers), and as plain C++ for the host emulation, where
// LABORA_EMULATION is defined and the functions below are calls into emulation/host.
#pragma once

typedef signed char i8;
typedef unsigned char u8;
typedef unsigned short u16;
typedef int i32;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;

// LABORA_ARCH is the target times ten, as in __CUDA_ARCH__ (750 … 1200). The emulation passes its own.
#ifdef LABORA_EMULATION
#include "shim.h"
// Kernels are local to their translation unit there: it is compiled once for each LABORA_ARCH.
#define LABORA_KERNEL [[maybe_unused]] static void
#define LABORA_BOUNDS(threads, blocks)
#define LABORA_DEVICE static inline
#else
#ifdef __CUDA_ARCH__
#define LABORA_ARCH __CUDA_ARCH__
#else
#define LABORA_ARCH 0
#endif
#define LABORA_KERNEL extern "C" __global__ void
#define LABORA_BOUNDS(threads, blocks) __launch_bounds__(threads, blocks)
#define LABORA_DEVICE static __device__ __forceinline__
#endif

// Instructions of sm_90a alone (wgmma, setmaxnreg).
#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || (defined(LABORA_EMULATION) && LABORA_ARCH == 900)
#define LABORA_HOPPER 1
#else
#define LABORA_HOPPER 0
#endif

const u32 FULL_WARP = 0xffffffffu;

// Sixteen bytes, moved by one instruction.
struct alignas(16) Quad {
    u32 x, y, z, w;
};

// Rotations; n in 1..31.
LABORA_DEVICE u32 rotate_left(u32 x, u32 n) { return x << n | x >> (32 - n); }
LABORA_DEVICE u32 rotate_right(u32 x, u32 n) { return x >> n | x << (32 - n); }

#ifdef LABORA_EMULATION

using labora_emulation::Index;
#define threadIdx (labora_emulation::current->thread)
#define blockIdx (labora_emulation::current_block->index)
#define blockDim (labora_emulation::current_block->threads)
#define gridDim (labora_emulation::current_block->grid)

LABORA_DEVICE u32 swap_bytes(u32 x) { return __builtin_bswap32(x); }
LABORA_DEVICE u32 lane_index() { return labora_emulation::current->lane; }
LABORA_DEVICE u8* dynamic_shared() { return labora_emulation::current_block->shared; }
LABORA_DEVICE u32 shared_address(const void* at) { return labora_emulation::shared_address(at); }
LABORA_DEVICE Quad load16(const void* at) {
    Quad q;
    labora_emulation::copy16(&q, at);
    return q;
}
LABORA_DEVICE Quad load16_once(const void* at) { return load16(at); }
LABORA_DEVICE void store16(void* at, Quad q) { labora_emulation::copy16(at, &q); }
LABORA_DEVICE void store8(i32* at, i32 x, i32 y) {
    labora_emulation::aligned(at, 8);
    at[0] = x;
    at[1] = y;
}
LABORA_DEVICE u32 select_bytes(u32 low, u32 high, u32 selector) { return labora_emulation::select_bytes(low, high, selector); }
LABORA_DEVICE i32 dot4(u32 a, u32 b, i32 c) { return labora_emulation::dot4(a, b, c); }
LABORA_DEVICE void block_sync() { labora_emulation::barrier_sync(0, labora_emulation::current_block->count); }
LABORA_DEVICE void warp_sync() { labora_emulation::warp_sync(); }
LABORA_DEVICE u32 shuffle(u32 x, u32 lane) { return labora_emulation::shuffle(x, lane); }
LABORA_DEVICE u32 shuffle_xor(u32 x, u32 mask) { return labora_emulation::shuffle(x, lane_index() ^ mask); }
LABORA_DEVICE u32 atomic_add(u32* at, u32 x) { return __atomic_fetch_add(at, x, __ATOMIC_RELAXED); }
LABORA_DEVICE void load_matrices(u32 (&out)[4], u32 address) { labora_emulation::load_matrices(out, address); }
LABORA_DEVICE void copy_async(u32 address, const void* from, bool there) {
    labora_emulation::copy_async(address, from, there);
}
LABORA_DEVICE void copy_async_commit() { labora_emulation::copy_async_commit(); }
template <u32 PENDING>
LABORA_DEVICE void copy_async_wait() { labora_emulation::copy_async_wait(PENDING); }
LABORA_DEVICE void mma_8x8x16(i32& c0, i32& c1, u32 a, u32 b) { labora_emulation::mma_8x8x16(c0, c1, a, b); }
LABORA_DEVICE void mma_16x8x32(i32* c, const u32* a, const u32* b) { labora_emulation::mma_16x8x32(c, a, b); }

#else

LABORA_DEVICE u32 swap_bytes(u32 x) { return __byte_perm(x, 0, 0x0123); }
LABORA_DEVICE u32 lane_index() {
    u32 lane;
    asm("mov.u32 %0, %%laneid;" : "=r"(lane));
    return lane;
}
// All shared memory is dynamic: its size stands in tiles.h, and the host passes it. Aligned for the
// 128-byte swizzle, whose pattern repeats every 1,024 bytes.
LABORA_DEVICE u8* dynamic_shared() {
    extern __shared__ __align__(1024) u8 labora_shared[];
    return labora_shared;
}
// Address in the window of shared memory, as ldmatrix, cp.async and descriptors want it.
LABORA_DEVICE u32 shared_address(const void* at) { return (u32)__cvta_generic_to_shared(at); }
LABORA_DEVICE Quad load16(const void* at) {
    const uint4 q = *(const uint4*)at;
    return {q.x, q.y, q.z, q.w};
}
// Of memory that nothing writes while the kernel runs.
LABORA_DEVICE Quad load16_once(const void* at) {
    Quad q;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(q.x), "=r"(q.y), "=r"(q.z), "=r"(q.w)
                 : "l"(at));
    return q;
}
LABORA_DEVICE void store16(void* at, Quad q) { *(uint4*)at = make_uint4(q.x, q.y, q.z, q.w); }
LABORA_DEVICE void store8(i32* at, i32 x, i32 y) { *(int2*)at = make_int2(x, y); }
// prmt: byte i of the result is the one of the eight bytes of high:low whose number is digit i of the selector.
LABORA_DEVICE u32 select_bytes(u32 low, u32 high, u32 selector) { return __byte_perm(low, high, selector); }
// c plus the sum of the products of four signed bytes.
LABORA_DEVICE i32 dot4(u32 a, u32 b, i32 c) {
    asm("dp4a.s32.s32 %0, %1, %2, %0;" : "+r"(c) : "r"(a), "r"(b));
    return c;
}
LABORA_DEVICE void block_sync() { __syncthreads(); }
LABORA_DEVICE void warp_sync() { __syncwarp(); }
LABORA_DEVICE u32 shuffle(u32 x, u32 lane) { return __shfl_sync(FULL_WARP, x, (int)lane); }
LABORA_DEVICE u32 shuffle_xor(u32 x, u32 mask) { return __shfl_xor_sync(FULL_WARP, x, (int)mask); }
LABORA_DEVICE u32 atomic_add(u32* at, u32 x) { return atomicAdd(at, x); }

// ldmatrix x4: four matrices of 8 rows by 16 bytes. Lane l gives the address of row l % 8 of matrix l / 8 and gets
// bytes 4·(l % 4) … of row l / 4 of each.
LABORA_DEVICE void load_matrices(u32 (&out)[4], u32 address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(address)
                 : "memory");
}

// cp.async of 16 bytes to shared memory; zeros where `there` is false, when `from` is not read (but must be a valid address).
LABORA_DEVICE void copy_async(u32 address, const void* from, bool there) {
#if LABORA_ARCH >= 800
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(there ? 16 : 0)
                 : "memory");
#endif
}
LABORA_DEVICE void copy_async_commit() {
#if LABORA_ARCH >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
// Until at most PENDING of this thread's groups are on their way.
template <u32 PENDING>
LABORA_DEVICE void copy_async_wait() {
#if LABORA_ARCH >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
#endif
}

// c += a·b in int32: a 8×16 and b 16×8 int8. Lane l holds bytes 4·(l % 4) … of row l / 4 of a and of column l / 4 of b, and
// entries 2·(l % 4), + 1 of row l / 4 of c.
LABORA_DEVICE void mma_8x8x16(i32& c0, i32& c1, u32 a, u32 b) {
#if LABORA_ARCH >= 750
    asm("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};"
        : "+r"(c0), "+r"(c1)
        : "r"(a), "r"(b));
#endif
}
// c += a·b in int32: a 16×32 and b 32×8 int8, from quarters of the small one: a[0] rows 0 to 7 of the first 16 of k, a[1] rows 8 to
// 15 of them, a[2] and a[3] likewise of the last 16; b[0] the first 16 of k, b[1] the last; c[0], c[1] rows 0 to 7, c[2], c[3] rows 8 to 15.
LABORA_DEVICE void mma_16x8x32(i32* c, const u32* a, const u32* b) {
#if LABORA_ARCH >= 800
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

#endif

// c (16×8) += a (16×32) · b (32×8) with the target's own instruction.
LABORA_DEVICE void multiply_16x8x32(i32* c, const u32* a, const u32* b) {
#if LABORA_ARCH == 750
    mma_8x8x16(c[0], c[1], a[0], b[0]);
    mma_8x8x16(c[2], c[3], a[1], b[0]);
    mma_8x8x16(c[0], c[1], a[2], b[1]);
    mma_8x8x16(c[2], c[3], a[3], b[1]);
#else
    mma_16x8x32(c, a, b);
#endif
}

// Index of this warp in its block; blocks are one-dimensional. The shuffle tells the compiler that it is the same in all lanes.
LABORA_DEVICE u32 warp_index() { return shuffle(threadIdx.x / 32, 0); }
