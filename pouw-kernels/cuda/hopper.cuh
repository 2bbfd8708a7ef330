// Instructions that only Hopper has (sm_90a): wgmma, the copy engine with its barriers, named barriers, register counts that change.
// One small function each, as in base.cuh; the emulation's twins are in emulation/host/hopper.h.
//
// By the PTX manual: wgmma.mma_async, "Matrix descriptor"; cp.async.bulk.tensor, "Tensor copies"; mbarrier; setmaxnreg.
#pragma once
#include "base.cuh"

// For functions inside a struct.
#ifdef LABORA_EMULATION
#define LABORA_MEMBER inline
#else
#define LABORA_MEMBER __device__ __forceinline__
#endif

// What cuTensorMapEncodeTiled writes. Passed by value as a __grid_constant__ parameter.
struct alignas(64) TensorMap {
    u64 words[16];
};

// Rows of one box of a tensor map (its width is the 128 bytes of the swizzle).
const u32 BOX_ROWS = 128;
const u32 BOX_BYTES = BOX_ROWS * 128;

// Descriptor of an operand in shared memory as the copy engine lays it down with the 128-byte swizzle: rows of 128 bytes along k, eight
// rows (1,024 bytes) a core matrix, the next eight right behind. Fields in units of 16 bytes: address; leading offset, not used with a
// swizzle; stride of eight rows; 1 for the 128-byte swizzle in the top bits. `address` is a multiple of 1,024.
LABORA_DEVICE u64 operand(u32 address) {
    return (u64)(address >> 4 & 0x3fff) | (u64)1 << 16 | (u64)(1024 >> 4) << 32 | (u64)1 << 62;
}
// The same operand `bytes` further: along k inside the 128 bytes (the hardware swizzles addresses, not offsets), or whole groups of
// eight rows down.
LABORA_DEVICE u64 operand_at(u64 operand, u32 bytes) { return operand + (bytes >> 4); }

#ifdef LABORA_EMULATION
#include "hopper.h"
#define LABORA_GRID_CONSTANT
LABORA_DEVICE void store8(void* at, u32 x, u32 y) { labora_emulation::store8(at, x, y); }
LABORA_DEVICE void mbarrier_init(u32 barrier, u32 arrivals) { labora_emulation::mbarrier_init(barrier, arrivals); }
LABORA_DEVICE void mbarrier_init_fence() {}
LABORA_DEVICE void mbarrier_arrive(u32 barrier) { labora_emulation::mbarrier_arrive(barrier, 0); }
LABORA_DEVICE void mbarrier_expect(u32 barrier, u32 bytes) { labora_emulation::mbarrier_arrive(barrier, bytes); }
LABORA_DEVICE void mbarrier_wait(u32 barrier, u32 parity) { labora_emulation::mbarrier_wait(barrier, parity); }
LABORA_DEVICE void load_box(u32 to, const TensorMap* map, u32 column, u32 row, u32 barrier) {
    labora_emulation::load_box(to, map, column, row, barrier);
}
LABORA_DEVICE void prefetch_map(const TensorMap*) {}
LABORA_DEVICE void bulk_store(void* to, u32 from, u32 bytes) { labora_emulation::bulk_store(to, from, bytes); }
LABORA_DEVICE void bulk_store_commit() { labora_emulation::bulk_store_commit(); }
template <u32 PENDING>
LABORA_DEVICE void bulk_store_read() {
    labora_emulation::bulk_store_wait(PENDING);
}
LABORA_DEVICE void bulk_store_done() { labora_emulation::bulk_store_wait(0); }
LABORA_DEVICE void async_proxy_fence() { labora_emulation::async_proxy_fence(); }
LABORA_DEVICE void named_sync(u32 barrier, u32 threads) { labora_emulation::barrier_sync(barrier, threads); }
LABORA_DEVICE void named_arrive(u32 barrier, u32 threads) { labora_emulation::barrier_arrive(barrier, threads); }
template <u32 COUNT>
LABORA_DEVICE void registers_up_to() {}
template <u32 COUNT>
LABORA_DEVICE void registers_down_to() {}
LABORA_DEVICE void wgmma_fence() { labora_emulation::wgmma_fence(); }
LABORA_DEVICE void wgmma_commit() { labora_emulation::wgmma_commit(); }
template <u32 PENDING>
LABORA_DEVICE void wgmma_wait_older() {
    labora_emulation::wgmma_wait(PENDING);
}
template <u32 PENDING, u32 N>
LABORA_DEVICE void wgmma_wait(i32 (&)[N]) {
    labora_emulation::wgmma_wait(PENDING);
}
LABORA_DEVICE void wgmma_all(i32 (&d)[128], u64 a, u64 b, u32 accumulate) { labora_emulation::wgmma(d, 256, a, b, accumulate); }
LABORA_DEVICE void wgmma_all(i32 (&d)[64], u64 a, u64 b, u32 accumulate) { labora_emulation::wgmma(d, 128, a, b, accumulate); }
LABORA_DEVICE void wgmma_64(i32 (&d)[32], u64 a, u64 b, u32 accumulate) { labora_emulation::wgmma(d, 64, a, b, accumulate); }

#elif LABORA_HOPPER
#define LABORA_GRID_CONSTANT __grid_constant__

// Eight bytes in one instruction.
LABORA_DEVICE void store8(void* at, u32 x, u32 y) { *(uint2*)at = make_uint2(x, y); }

// Barriers of shared memory that count arrivals and bytes. One thread makes them, then everyone waits for the block's barrier.
LABORA_DEVICE void mbarrier_init(u32 barrier, u32 arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}
// Shows new barriers to the copy engine.
LABORA_DEVICE void mbarrier_init_fence() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
LABORA_DEVICE void mbarrier_arrive(u32 barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
// Arrives, and makes the phase wait for so many bytes of the copy engine too.
LABORA_DEVICE void mbarrier_expect(u32 barrier, u32 bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}
// Until the phase of this parity is over. A new barrier is in phase 0; the one before it counts as over, with parity 1.
LABORA_DEVICE void mbarrier_wait(u32 barrier, u32 parity) {
    asm volatile(
        "{\n\t.reg .pred p;\n"
        "again:\n\t"
        "mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n\t"
        "@!p bra again;\n\t}" ::"r"(barrier),
        "r"(parity)
        : "memory");
}
// One box, its first byte at (row, column) of the map's matrix; zeros where it leaves the matrix. `barrier` gets BOX_BYTES.
LABORA_DEVICE void load_box(u32 to, const TensorMap* map, u32 column, u32 row, u32 barrier) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(to),
                 "l"(map), "r"(column), "r"(row), "r"(barrier)
                 : "memory");
}
LABORA_DEVICE void prefetch_map(const TensorMap* map) { asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory"); }
// Shared to device memory, a multiple of 16 bytes, in groups of the calling thread.
LABORA_DEVICE void bulk_store(void* to, u32 from, u32 bytes) {
    asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to), "r"(from), "r"(bytes) : "memory");
}
LABORA_DEVICE void bulk_store_commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
// Until the sources of all but the newest PENDING groups have been read and may be written again.
template <u32 PENDING>
LABORA_DEVICE void bulk_store_read() {
    asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(PENDING) : "memory");
}
LABORA_DEVICE void bulk_store_done() { asm volatile("cp.async.bulk.wait_group 0;" ::: "memory"); }
// Orders this thread's ordinary stores to shared memory before what the copy engine reads next.
LABORA_DEVICE void async_proxy_fence() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// Barriers 1 to 15 of the block, each for a multiple of 32 threads; 0 is block_sync's.
LABORA_DEVICE void named_sync(u32 barrier, u32 threads) {
    asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}
LABORA_DEVICE void named_arrive(u32 barrier, u32 threads) {
    asm volatile("bar.arrive %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}

// Registers a thread; by a whole warpgroup, from and to the pool that the block was launched with.
template <u32 COUNT>
LABORA_DEVICE void registers_up_to() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(COUNT));
}
template <u32 COUNT>
LABORA_DEVICE void registers_down_to() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(COUNT));
}

#define LABORA_IN_OUT_4(d, i) "+r"(d[i]), "+r"(d[(i) + 1]), "+r"(d[(i) + 2]), "+r"(d[(i) + 3])
#define LABORA_IN_OUT_16(d, i) \
    LABORA_IN_OUT_4(d, i), LABORA_IN_OUT_4(d, (i) + 4), LABORA_IN_OUT_4(d, (i) + 8), LABORA_IN_OUT_4(d, (i) + 12)
#define LABORA_IN_OUT_32(d, i) LABORA_IN_OUT_16(d, i), LABORA_IN_OUT_16(d, (i) + 16)

// Before the first wgmma and whenever accumulators were touched.
LABORA_DEVICE void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
LABORA_DEVICE void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
// Until at most PENDING groups are on their way, for loops that do not look at accumulators yet.
template <u32 PENDING>
LABORA_DEVICE void wgmma_wait_older() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}
// The same before they are looked at. The accumulators pass through it, so that no use of them moves before the wait.
template <u32 PENDING>
LABORA_DEVICE void wgmma_wait(i32 (&d)[128]) {
    asm volatile("wgmma.wait_group.sync.aligned %128;"
                 : LABORA_IN_OUT_32(d, 0),
                   LABORA_IN_OUT_32(d, 32),
                   LABORA_IN_OUT_32(d, 64),
                   LABORA_IN_OUT_32(d, 96)
                 : "n"(PENDING)
                 : "memory");
}
template <u32 PENDING>
LABORA_DEVICE void wgmma_wait(i32 (&d)[64]) {
    asm volatile("wgmma.wait_group.sync.aligned %64;" : LABORA_IN_OUT_32(d, 0), LABORA_IN_OUT_32(d, 32) : "n"(PENDING) : "memory");
}
template <u32 PENDING>
LABORA_DEVICE void wgmma_wait(i32 (&d)[32]) {
    asm volatile("wgmma.wait_group.sync.aligned %32;"
                 : LABORA_IN_OUT_32(d, 0)
                 : "n"(PENDING)
                 : "memory");
}

// d (64×256, int32) = a·b, plus what d was unless `accumulate` is 0. Lane l of warp w of the warpgroup has, of each eight columns j,
// d[4·j], d[4·j + 1]: row 16·w + l / 4, columns 8·j + 2·(l % 4) and the next; d[4·j + 2], d[4·j + 3]: the same, eight rows below.
LABORA_DEVICE void wgmma_all(i32 (&d)[128], u64 a, u64 b, u32 accumulate) {
    asm volatile(
        "{\n\t.reg .pred p;\n\tsetp.ne.b32 p, %130, 0;\n\t"
        "wgmma.mma_async.sync.aligned.m64n256k32.s32.s8.s8 "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
        "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
        "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "
        "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, "
        "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127}, "
        "%128, %129, p;\n\t}"
        : LABORA_IN_OUT_32(d, 0),
          LABORA_IN_OUT_32(d, 32),
          LABORA_IN_OUT_32(d, 64),
          LABORA_IN_OUT_32(d, 96)
        : "l"(a), "l"(b), "r"(accumulate));
}
// The same for d of 64×128.
LABORA_DEVICE void wgmma_all(i32 (&d)[64], u64 a, u64 b, u32 accumulate) {
    asm volatile(
        "{\n\t.reg .pred p;\n\tsetp.ne.b32 p, %66, 0;\n\t"
        "wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8 "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
        "%64, %65, p;\n\t}"
        : LABORA_IN_OUT_32(d, 0), LABORA_IN_OUT_32(d, 32)
        : "l"(a), "l"(b), "r"(accumulate));
}
// The same for d of 64×64.
LABORA_DEVICE void wgmma_64(i32 (&d)[32], u64 a, u64 b, u32 accumulate) {
    asm volatile(
        "{\n\t.reg .pred p;\n\tsetp.ne.b32 p, %34, 0;\n\t"
        "wgmma.mma_async.sync.aligned.m64n64k32.s32.s8.s8 "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
        "%32, %33, p;\n\t}"
        : LABORA_IN_OUT_32(d, 0)
        : "l"(a), "l"(b), "r"(accumulate));
}

#endif
