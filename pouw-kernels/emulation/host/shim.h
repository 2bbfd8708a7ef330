// What cuda/base.cuh calls in place of instructions when kernels are compiled as plain C++.
//
// A block's threads are fibres of one OS thread. Each runs until it meets others (a warp's collective, a barrier) or waits for something;
// then the next that can go on does, in an order shuffled by the block's index, so that a missing barrier shows. A collective is carried out
// by the last to arrive, on the operands of all, by its definition in the PTX manual. Whatever the manual leaves undefined is an error or
// filled with garbage: lanes that meet in different collectives, misaligned or outside addresses, copies read before they were waited for.
#pragma once
#include <cstddef>
#include <cstdint>

namespace labora_emulation {

typedef unsigned char u8;
typedef int i32;
typedef unsigned int u32;
typedef unsigned long long u64;

struct Index {
    u32 x, y, z;
};

const u32 MAX_THREADS = 1024;
const u32 MAX_PENDING = 256;

// A copy that was issued and not yet waited for. `from` null: zeros.
struct PendingCopy {
    void* to;
    const void* from;
};

struct Thread {
    Index thread;          // threadIdx
    u32 number, lane, warp;
    // Scheduling: waits while *counter == value, or while ready(what) is false.
    const u64* counter;
    u64 value;
    bool (*ready)(void*);
    void* what;
    bool done;
    void* stack_pointer;
    // cp.async
    PendingCopy pending[MAX_PENDING];
    u32 pending_count;
    u32 groups[MAX_PENDING];  // copies in each closed group, oldest first
    u32 group_count, grouped;
};

// A rendezvous that can be used again and again.
struct Meeting {
    u32 arrived;
    u64 round;
    const void* kind;  // what those who have arrived came for
    void* parts[MAX_THREADS];
};

struct Block {
    Index index, threads, grid;  // blockIdx, blockDim, gridDim
    u32 count;                   // threads in all
    u8* shared;                  // dynamic shared memory, 1,024-byte aligned
    u32 shared_bytes;
    Meeting warps[MAX_THREADS / 32];
    Meeting barriers[16];
    void* extension;  // for emulation/host/hopper.cpp; null at a block's start
};

extern __thread Thread* current;
extern __thread Block* current_block;

// Ends the launch with an error.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Comes together with `expected` threads in all; the last calls act(parts, expected), where parts[slot] is each one's `part`, before any goes on.
// `kind` must be the same for all (an address that names the operation).
void meet(Meeting& meeting, u32 expected, u32 slot, void* part, const void* kind, void (*act)(void** parts, u32 expected));
// Lets others run until ready(what).
void wait_for(bool (*ready)(void*), void* what);
// As meet, for the lanes of this warp: slot is the lane.
void meet_warp(void* part, const char* kind, void (*act)(void** parts, u32 lanes));
// bar.sync and bar.arrive on barrier 0 to 15 for `count` threads.
void barrier_sync(u32 barrier, u32 count);
void barrier_arrive(u32 barrier, u32 count);

// Offset in dynamic shared memory, plus SHARED_BASE, so that null is no address.
const u32 SHARED_BASE = 1024;
u32 shared_address(const void* at);
// The `bytes` bytes at an address; fails where they do not lie inside shared memory or the address is no multiple of `align`.
u8* shared_at(u32 address, u32 bytes, u32 align);

void aligned(const void* at, u32 bytes);
void copy16(void* to, const void* from);
u32 select_bytes(u32 low, u32 high, u32 selector);
i32 dot4(u32 a, u32 b, i32 c);
void warp_sync();
u32 shuffle(u32 x, u32 lane);
void load_matrices(u32 (&out)[4], u32 address);
void copy_async(u32 address, const void* from, bool there);
void copy_async_commit();
void copy_async_wait(u32 pending);
void mma_8x8x16(i32& c0, i32& c1, u32 a, u32 b);
void mma_16x8x32(i32* c, const u32* a, const u32* b);

// A kernel of one translation unit, for its table: unpacks arguments as cuLaunchKernel is given them.
struct Kernel {
    const char* name;
    void (*run)(void* const* arguments);
};

template <auto F>
struct Unpack;
template <typename... P, void (*F)(P...)>
struct Unpack<F> {
    template <size_t... I>
    struct Indices {};
    template <size_t N, size_t... I>
    struct Count : Count<N - 1, N - 1, I...> {};
    template <size_t... I>
    struct Count<0, I...> {
        typedef Indices<I...> type;
    };
    template <size_t... I>
    static void call(void* const* arguments, Indices<I...>) {
        // By value into each fibre, as each GPU thread has its own parameters.
        F(*(P*)arguments[I]...);
    }
    static void run(void* const* arguments) { call(arguments, typename Count<sizeof...(P)>::type()); }
};

}  // namespace labora_emulation

// CUDA's own words.
#define __device__
#define __global__
#define __forceinline__ inline
#define __grid_constant__
#define __restrict__ __restrict
