// What a block of product_mma.cu works on: tiles of C one after the other, and their operands as stages in shared memory, loaded ahead.
//
// In shared memory a row of a stage is 64 bytes, four pieces of 16. Piece p of row r stands at place p ^ (r / 2 % 4), so that the eight rows that one
// phase of ldmatrix reads, and the rows that eight lanes store, meet all 32 banks once.
#pragma once

#include "fold.cuh"
#include "tiles.h"
#include "types.cuh"

#if LABORA_ARCH == 750
const u32 MMA_STAGES = 2;
#else
const u32 MMA_STAGES = 3;
#endif
const u32 CORRECTION_STAGES = LABORA_CORRECTION / RANK, CORRECTION_HIGH_STAGES = LABORA_CORRECTION_HIGH / RANK;

// What a block does and how large its tile is: a warp's share is BANDS·16 rows by COLUMNS·16 columns.
template <u32 MODE_, u32 BANDS_, u32 COLUMNS_>
struct MmaPlan {
    static constexpr u32 MODE = MODE_, BANDS = BANDS_, COLUMNS = COLUMNS_;
    static constexpr bool FOLDS = (MODE & FOLD) != 0, STORES = (MODE & STORE) != 0, CORRECTS = (MODE & CORRECT) != 0;
    static constexpr u32 WARP_M = 16 * BANDS, WARP_N = 16 * COLUMNS, TILE_M = 2 * WARP_M, TILE_N = 4 * WARP_N;
    // Protocol tiles of a warp, and of the block: a ticket each.
    static constexpr u32 TILES = BANDS * COLUMNS, TICKETS = 8 * TILES;
    static constexpr u32 A_STAGE = TILE_M * RANK, STAGE = (TILE_M + TILE_N) * RANK;
    static constexpr u32 BYTES = MMA_STAGES * STAGE + LABORA_MMA_THREADS / 32 * TRANSCRIPT_U32S * 4;
    // Pieces of 16 bytes that a thread loads of a stage: of A, then of Bt, 64 rows apart.
    static constexpr u32 PIECES_A = TILE_M / 64, PIECES = PIECES_A + TILE_N / 64;
    // Rows of tiles that are walked together, column by column: 2,048 rows of A. With 132 blocks of 128×256 at work that goes with 2,112 of Bt,
    // and both stay in the L2 cache.
    static constexpr u32 BAND = 2048 / TILE_M;
    static_assert(COLUMNS <= BANDS && TICKETS % 32 == 0, "as mma_stage and the tickets have it");
};

// First row and column of an output tile.
struct Place {
    u32 row, column;
};

template <class Plan>
LABORA_DEVICE u32 mma_tiles(const ProductArgs& args) {
    return (args.m + Plan::TILE_M - 1) / Plan::TILE_M * ((args.n + Plan::TILE_N - 1) / Plan::TILE_N);
}

template <class Plan>
LABORA_DEVICE Place mma_place(const ProductArgs& args, u32 tile) {
    const u32 rows = (args.m + Plan::TILE_M - 1) / Plan::TILE_M, columns = (args.n + Plan::TILE_N - 1) / Plan::TILE_N;
    const u32 first = tile / (Plan::BAND * columns) * Plan::BAND, inside = tile % (Plan::BAND * columns);
    const u32 height = rows - first < Plan::BAND ? rows - first : Plan::BAND;
    return {(first + inside % height) * Plan::TILE_M, inside / height * Plan::TILE_N};
}

// What this thread loads next.
struct Feed {
    const i8 *a, *b;  // its first piece of either operand
    u32 apart;        // bytes from one piece to the next: 64 rows
    u32 there;        // bit i: piece i lies within the matrix
    u32 tile, stage;  // tile past the last: nothing is left
};

// Aims at the first stage of this tile's matrices, or of the operands of its correction.
template <class Plan>
LABORA_DEVICE void feed_aim(Feed& feed, const ProductArgs& args, bool correction) {
    const Place place = mma_place<Plan>(args, feed.tile);
    const u32 row = threadIdx.x / 4, piece = threadIdx.x % 4 * 16, stride = correction ? LABORA_CORRECTION : args.k;
    feed.a = (correction ? args.left : args.a) + (u64)(place.row + row) * stride + piece;
    feed.b = (correction ? args.right : args.b) + (u64)(place.column + row) * stride + piece;
    feed.apart = 64 * stride;
    feed.there = 0;
#pragma unroll
    for (u32 i = 0; i < Plan::PIECES; ++i) {
        const bool there = i < Plan::PIECES_A ? place.row + row + 64 * i < args.m : place.column + row + 64 * (i - Plan::PIECES_A) < args.n;
        feed.there |= (there ? 1u : 0u) << i;
    }
}

template <class Plan>
LABORA_DEVICE const i8* feed_piece(const Feed& feed, u32 i) {
    return i < Plan::PIECES_A ? feed.a + i * feed.apart : feed.b + (i - Plan::PIECES_A) * feed.apart;
}

// Goes on to the next stage, of the next tile if need be.
template <class Plan>
LABORA_DEVICE void feed_advance(Feed& feed, const ProductArgs& args) {
    const u32 windows = args.k / RANK, stages = windows + (Plan::CORRECTS ? CORRECTION_STAGES : 0);
    feed.stage += 1;
    feed.a += RANK;
    feed.b += RANK;
    if (feed.stage == stages) {
        feed.stage = 0;
        feed.tile += gridDim.x;
        if (feed.tile < mma_tiles<Plan>(args)) feed_aim<Plan>(feed, args, false);
    } else if (Plan::CORRECTS && feed.stage == windows) {
        feed_aim<Plan>(feed, args, true);
    }
}

// The stages in shared memory as a ring.
template <class Plan>
struct Ring {
    u32 start;    // address of the ring
    u32 store;    // address of this thread's first piece in a stage, from the stage's start
    u32 now, to;  // stages, as offsets: of the product, and of the next load
#if LABORA_ARCH == 750
    Quad held[Plan::PIECES];
#endif
};

template <class Plan>
LABORA_DEVICE u32 ring_next(u32 at) { return at == (MMA_STAGES - 1) * Plan::STAGE ? 0 : at + Plan::STAGE; }

#if LABORA_ARCH == 750

template <class Plan>
LABORA_DEVICE void ring_fetch(Ring<Plan>& ring, const Feed& feed, const ProductArgs& args) {
    const bool any = feed.tile < mma_tiles<Plan>(args);
#pragma unroll
    for (u32 i = 0; i < Plan::PIECES; ++i) {
        ring.held[i] = any && (feed.there >> i & 1) ? load16(feed_piece<Plan>(feed, i)) : Quad{0, 0, 0, 0};
    }
}

template <class Plan>
LABORA_DEVICE void ring_keep(const Ring<Plan>& ring) {
    u8* const to = dynamic_shared() + ring.to + ring.store;
#pragma unroll
    for (u32 i = 0; i < Plan::PIECES; ++i) store16(to + i * 64 * RANK, ring.held[i]);
}

template <class Plan>
LABORA_DEVICE void ring_begin(Ring<Plan>& ring, Feed& feed, const ProductArgs& args) {
    ring_fetch(ring, feed, args);
    ring_keep(ring);
    ring.to = ring_next<Plan>(ring.to);
    if (feed.tile < mma_tiles<Plan>(args)) feed_advance<Plan>(feed, args);
}

// Before a stage's product: the stage is there, the next is on its way.
template <class Plan>
LABORA_DEVICE void ring_enter(Ring<Plan>& ring, Feed& feed, const ProductArgs& args) {
    block_sync();
    ring_fetch(ring, feed, args);
    if (feed.tile < mma_tiles<Plan>(args)) feed_advance<Plan>(feed, args);
}

// After it. The stage before, over which the next is stored, was read by all before they entered this one.
template <class Plan>
LABORA_DEVICE void ring_leave(Ring<Plan>& ring) {
    ring_keep(ring);
    ring.to = ring_next<Plan>(ring.to);
    ring.now = ring_next<Plan>(ring.now);
}

#else

template <class Plan>
LABORA_DEVICE void ring_load(Ring<Plan>& ring, Feed& feed, const ProductArgs& args) {
    if (feed.tile < mma_tiles<Plan>(args)) {
        const u32 to = ring.start + ring.to + ring.store;
#pragma unroll
        for (u32 i = 0; i < Plan::PIECES; ++i) {
            const bool there = feed.there >> i & 1;
            copy_async(to + i * 64 * RANK, there ? feed_piece<Plan>(feed, i) : args.a, there);
        }
        feed_advance<Plan>(feed, args);
    }
    copy_async_commit();
    ring.to = ring_next<Plan>(ring.to);
}

template <class Plan>
LABORA_DEVICE void ring_begin(Ring<Plan>& ring, Feed& feed, const ProductArgs& args) {
#pragma unroll
    for (u32 i = 0; i < MMA_STAGES - 1; ++i) ring_load<Plan>(ring, feed, args);
}

// Before a stage's product: the stage is there, and the stage before it, which all have read, gets the next load.
template <class Plan>
LABORA_DEVICE void ring_enter(Ring<Plan>& ring, Feed& feed, const ProductArgs& args) {
    copy_async_wait<MMA_STAGES - 2>();
    block_sync();
    ring_load<Plan>(ring, feed, args);
}

template <class Plan>
LABORA_DEVICE void ring_leave(Ring<Plan>& ring) { ring.now = ring_next<Plan>(ring.now); }

#endif
