// What cuda/hopper.cuh calls in place of instructions: wgmma with descriptors and swizzle, the copy engine, mbarriers.
//
// All that is asynchronous happens as late as the manual allows, at the wait for it, and what it will write is garbage until then: a missing
// wait, a stage overwritten while it is still read, or accumulators looked at too early give wrong results, never right ones by luck.
// One warp of each block is slow after mbarriers, for those who only seem to need none.
#pragma once
#include "shim.h"

namespace labora_emulation {

// What stands in the 128 bytes of a tensor map here. The inner dimension is bytes; `stride` from row to row.
struct EmulatedMap {
    void* base;
    u64 inner, outer, stride;
    u32 box_inner, box_outer;
    u32 swizzle;  // bytes: 128
};

void store8(void* at, u32 x, u32 y);

void mbarrier_init(u32 barrier, u32 arrivals);
// Arrives, and lets the phase wait for so many more bytes.
void mbarrier_arrive(u32 barrier, u32 bytes);
void mbarrier_wait(u32 barrier, u32 parity);
// `map` is 128 bytes that begin with an EmulatedMap.
void load_box(u32 to, const void* map, u32 column, u32 row, u32 barrier);

void bulk_store(void* to, u32 from, u32 bytes);
void bulk_store_commit();
void bulk_store_wait(u32 pending);
void async_proxy_fence();

// d (64×n) = a·b, + d unless accumulate is 0; k is 32.
void wgmma(i32* d, u32 n, u64 a, u64 b, u32 accumulate);
void wgmma_fence();
void wgmma_commit();
void wgmma_wait(u32 pending);

// At the end of a block: fails where something was begun and not waited for.
void hopper_end();

}  // namespace labora_emulation
