// The product for all targets but sm_90a, by mma.sync: C' = A·Btᵀ in int32, on the way folded into transcripts, at the end corrected, stored, hashed.
//
// A block of eight warps, two rows of four, computes a tile of C: 128×256 entries, a warp 64×64 (128 accumulators a lane); where C has too few of
// those for all multiprocessors, 128×128 (64×32 a warp) or 64×128 (32×32). The unit of loading is a stage: one window of 64 of k, for 128×256 it is
// 128 rows of A and 256 of Bt, 24 KB. Blocks stay: each walks over tiles, and its loads run ahead of its products across tiles and into the
// operands of the correction, which is but five stages more. From sm_80 on loads are asynchronous copies, two stages ahead; sm_75 holds the next
// stage in registers instead.
#include "mma_ring.cuh"

// Addresses of this lane's rows for ldmatrix, from a stage's start, for the first 32 of k; for the last 32, bit 5 is flipped.
struct Rows {
    u32 a, b;
};

template <class Plan>
LABORA_DEVICE Rows mma_rows(u32 warp_row, u32 warp_column) {
    const u32 lane = lane_index(), turn = lane / 2 % 4;
    // Of A: rows 0 to 7, rows 8 to 15, both for the first 16 of k; then again for the last 16. Of Bt: rows 0 to 7 for both halves of k, then rows 8 to 15.
    return {(warp_row + lane % 16) * RANK + (lane / 16 ^ turn) * 16,
            Plan::A_STAGE + (warp_column + lane % 8 + lane / 16 * 8) * RANK + (lane / 8 % 2 ^ turn) * 16};
}

// acc += one stage. Tile t of a band of 16 rows is acc[band][8·t …]. Where it folds, x takes the fold of the accumulators after this stage, and the one
// of the stage before goes into the transcript; either has tensor work beside it.
template <class Plan>
LABORA_DEVICE void mma_stage(u32 stage, Rows rows, i32 (&acc)[Plan::BANDS][8 * Plan::COLUMNS], u32 (&x)[Plan::TILES], u32* transcript, u32 word_before) {
    constexpr u32 BANDS = Plan::BANDS, COLUMNS = Plan::COLUMNS;
    u32 a[BANDS][4], b[2][COLUMNS][4];
#pragma unroll
    for (u32 i = 0; i < COLUMNS; ++i) load_matrices(b[0][i], stage + rows.b + i * 16 * RANK);
#pragma unroll
    for (u32 band = 0; band < BANDS; ++band) load_matrices(a[band], stage + rows.a + band * 16 * RANK);
#pragma unroll
    for (u32 step = 0; step < 2; ++step) {
#pragma unroll
        for (u32 band = 0; band < BANDS; ++band) {
#pragma unroll
            for (u32 i = 0; i < COLUMNS; ++i) {
                multiply_16x8x32(acc[band] + 8 * i, a[band], b[step][i]);
                multiply_16x8x32(acc[band] + 8 * i + 4, a[band], b[step][i] + 2);
            }
            if (step == 0) {
                load_matrices(a[band], (stage + rows.a + band * 16 * RANK) ^ 32);
                if (band < COLUMNS) load_matrices(b[1][band], (stage + rows.b + band * 16 * RANK) ^ 32);
                if (Plan::FOLDS && band == 1) fold_warp<Plan::TILES>(x, transcript, word_before);
            }
            if (Plan::FOLDS && step == 1 && band > 0) {
                u32 folds[COLUMNS];
                fold_lanes<COLUMNS>(acc[band - 1], folds);
#pragma unroll
                for (u32 t = 0; t < COLUMNS; ++t) x[COLUMNS * (band - 1) + t] = folds[t];
            }
        }
    }
    if (Plan::FOLDS) {
        u32 folds[COLUMNS];
        fold_lanes<COLUMNS>(acc[BANDS - 1], folds);
#pragma unroll
        for (u32 t = 0; t < COLUMNS; ++t) x[COLUMNS * (BANDS - 1) + t] = folds[t];
    }
}

// acc += one stage, with few registers beside the accumulators: fragments are loaded when they are needed.
template <class Plan>
LABORA_DEVICE void mma_stage_narrow(u32 stage, Rows rows, i32 (&acc)[Plan::BANDS][8 * Plan::COLUMNS]) {
#pragma unroll 1
    for (u32 half = 0; half < 64; half += 32) {
        u32 a[4], b[Plan::COLUMNS][4];
#pragma unroll
        for (u32 i = 0; i < Plan::COLUMNS; ++i) load_matrices(b[i], (stage + rows.b + i * 16 * RANK) ^ half);
#pragma unroll
        for (u32 band = 0; band < Plan::BANDS; ++band) {
            load_matrices(a, (stage + rows.a + band * 16 * RANK) ^ half);
#pragma unroll
            for (u32 i = 0; i < Plan::COLUMNS; ++i) {
                multiply_16x8x32(acc[band] + 8 * i, a, b[i]);
                multiply_16x8x32(acc[band] + 8 * i + 4, a, b[i] + 2);
            }
        }
    }
}

// From acc = C' to acc = C. The product only adds, so the accumulators become ~C' = -1 - C': first without its low byte, divided by 256; the high
// limbs are added, the low byte is put back under them, the low limbs are added: ~C. That takes a register to four accumulators beside the accumulators and no second
// pass over the operands.
template <class Plan>
LABORA_DEVICE void mma_correct(Ring<Plan>& ring, Feed& feed, const ProductArgs& args, Rows rows, i32 (&acc)[Plan::BANDS][8 * Plan::COLUMNS]) {
    u32 low[Plan::BANDS][2 * Plan::COLUMNS];
#pragma unroll
    for (u32 band = 0; band < Plan::BANDS; ++band) {
#pragma unroll
        for (u32 i = 0; i < 8 * Plan::COLUMNS; i += 4) {
            i32* const four = acc[band] + i;
            const u32 first = select_bytes(four[0], four[1], 0x0040), last = select_bytes(four[2], four[3], 0x0040);
            low[band][i / 4] = ~select_bytes(first, last, 0x5410);
#pragma unroll
            for (u32 e = 0; e < 4; ++e) four[e] = ~(four[e] >> 8);
        }
    }
#pragma unroll 1
    for (u32 stage = 0; stage < CORRECTION_STAGES; ++stage) {
        if (stage == CORRECTION_HIGH_STAGES) {
#pragma unroll
            for (u32 band = 0; band < Plan::BANDS; ++band) {
#pragma unroll
                for (u32 i = 0; i < 8 * Plan::COLUMNS; ++i) acc[band][i] = (i32)select_bytes(low[band][i / 4], acc[band][i], 0x6540 + i % 4);
            }
        }
        ring_enter<Plan>(ring, feed, args);
        mma_stage_narrow<Plan>(ring.start + ring.now, rows, acc);
        ring_leave(ring);
    }
#pragma unroll
    for (u32 band = 0; band < Plan::BANDS; ++band) {
#pragma unroll
        for (u32 i = 0; i < 8 * Plan::COLUMNS; ++i) acc[band][i] = ~acc[band][i];
    }
}

// A lane has, of each 16×8 block, two entries side by side in row lane / 4 and two eight rows below.
template <class Plan>
LABORA_DEVICE void mma_store(const ProductArgs& args, u32 row, u32 column, const i32 (&acc)[Plan::BANDS][8 * Plan::COLUMNS]) {
    const u32 lane = lane_index();
    i32* const corner = args.c + (u64)(row + lane / 4) * args.n + column + lane % 4 * 2;
#pragma unroll
    for (u32 band = 0; band < Plan::BANDS; ++band) {
        if (row + 16 * band >= args.m) break;
#pragma unroll
        for (u32 block = 0; block < 2 * Plan::COLUMNS; ++block) {
            if (column + 8 * block >= args.n) continue;
            i32* const at = corner + (u64)(16 * band) * args.n + 8 * block;
            store8(at, acc[band][4 * block], acc[band][4 * block + 1]);
            store8(at + (u64)8 * args.n, acc[band][4 * block + 2], acc[band][4 * block + 3]);
        }
    }
}

template <class Plan>
LABORA_DEVICE void product_mma(const ProductArgs& args) {
    const u32 warp = warp_index(), warp_row = warp / 4 * Plan::WARP_M, warp_column = warp % 4 * Plan::WARP_N;
    u32* const transcripts = (u32*)(dynamic_shared() + MMA_STAGES * Plan::STAGE);
    u32* const transcript = transcripts + warp * TRANSCRIPT_U32S;
    const u32 tiles = mma_tiles<Plan>(args), windows = args.k / RANK;
    if (blockIdx.x >= tiles) return;

    const Rows rows = mma_rows<Plan>(warp_row, warp_column);
    Feed feed;
    feed.tile = blockIdx.x;
    feed.stage = 0;
    feed_aim<Plan>(feed, args, false);
    Ring<Plan> ring;
    ring.start = shared_address(dynamic_shared());
    ring.store = threadIdx.x / 4 * RANK + (threadIdx.x % 4 ^ threadIdx.x / 8 % 4) * 16;
    ring.now = ring.to = 0;
    ring_begin<Plan>(ring, feed, args);

#pragma unroll 1
    for (u32 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        i32 acc[Plan::BANDS][8 * Plan::COLUMNS];
        u32 x[Plan::TILES];
#pragma unroll
        for (u32 band = 0; band < Plan::BANDS; ++band) {
#pragma unroll
            for (u32 i = 0; i < 8 * Plan::COLUMNS; ++i) acc[band][i] = 0;
        }
#pragma unroll
        for (u32 t = 0; t < Plan::TILES; ++t) x[t] = 0;
        // The fold before the first is of zeros, into a word of zeros.
        u32 word = WORDS - 1;
#pragma unroll 1
        for (u32 window = 0; window < windows; ++window) {
            ring_enter<Plan>(ring, feed, args);
            // Not before all have entered: until then the tickets of the tile before may be being drawn.
            if (Plan::FOLDS && window == 0) clear_transcript(transcript);
            mma_stage<Plan>(ring.start + ring.now, rows, acc, x, transcript, word);
            ring_leave(ring);
            word = word == WORDS - 1 ? 0 : word + 1;
        }
        if (Plan::FOLDS) fold_warp<Plan::TILES>(x, transcript, word);

        const Place place = mma_place<Plan>(args, tile);
        if (Plan::CORRECTS) mma_correct<Plan>(ring, feed, args, rows, acc);
        if (Plan::STORES) mma_store<Plan>(args, place.row + warp_row, place.column + warp_column, acc);
        if (Plan::FOLDS) {
            block_sync();
            // One a thread, for whole warps; of 128×256 for four, one to each quarter of the multiprocessor.
            if (threadIdx.x < Plan::TICKETS) {
                const u32 owner = threadIdx.x / Plan::TILES, t = threadIdx.x % Plan::TILES;
                const u32 row = place.row + owner / 4 * Plan::WARP_M + t / Plan::COLUMNS * TILE;
                const u32 column = place.column + owner % 4 * Plan::WARP_N + t % Plan::COLUMNS * TILE;
                if (row < args.m && column < args.n) {
                    u32 ticket[8];
                    tile_ticket<Plan::TILES>(transcripts + owner * TRANSCRIPT_U32S, t, args.midstate, ticket);
                    offer(ticket, args.target, row / TILE, column / TILE, args.winners);
                }
            }
        }
    }
#if LABORA_ARCH != 750
    copy_async_wait<0>();
#endif
}

// Blocks that a multiprocessor is to have room for: two of the smallest tile, whose warps have little else to wait beside.
#define LABORA_PRODUCT_MMA(name, mode, bands, columns, blocks)                                                  \
    LABORA_KERNEL LABORA_BOUNDS(LABORA_MMA_THREADS, blocks) labora_product_mma_##name(const ProductArgs args) { \
        product_mma<MmaPlan<mode, bands, columns>>(args);                                                      \
    }
LABORA_PRODUCT_MMA(1, FOLD, 4, 4, 1)
LABORA_PRODUCT_MMA(2, STORE, 4, 4, 1)
LABORA_PRODUCT_MMA(7, FOLD | STORE | CORRECT, 4, 4, 1)
LABORA_PRODUCT_MMA(128x128_1, FOLD, 4, 2, 1)
LABORA_PRODUCT_MMA(128x128_2, STORE, 4, 2, 1)
LABORA_PRODUCT_MMA(128x128_7, FOLD | STORE | CORRECT, 4, 2, 1)
LABORA_PRODUCT_MMA(64x128_1, FOLD, 2, 2, 2)
LABORA_PRODUCT_MMA(64x128_2, STORE, 2, 2, 2)
LABORA_PRODUCT_MMA(64x128_7, FOLD | STORE | CORRECT, 2, 2, 2)
#ifdef LABORA_EMULATION
// C' as it is folded, for the tests.
LABORA_PRODUCT_MMA(3, FOLD | STORE, 4, 4, 1)
LABORA_PRODUCT_MMA(128x128_3, FOLD | STORE, 4, 2, 1)
LABORA_PRODUCT_MMA(64x128_3, FOLD | STORE, 2, 2, 2)
#endif

// The host asks for so much shared memory.
template <u32 BANDS, u32 COLUMNS, u32 TILE_M, u32 TILE_N, u32 BYTES>
struct MmaIsInTilesH {
    using Plan = MmaPlan<FOLD, BANDS, COLUMNS>;
    static_assert(Plan::TILE_M == TILE_M && Plan::TILE_N == TILE_N && Plan::BYTES == BYTES, "tiles.h says otherwise");
};
#if LABORA_ARCH == 750
template struct MmaIsInTilesH<4, 4, LABORA_MMA_TILE_M, LABORA_MMA_TILE_N, LABORA_MMA_SHARED_TURING>;
template struct MmaIsInTilesH<4, 2, 128, 128, LABORA_MMA_128X128_SHARED_TURING>;
template struct MmaIsInTilesH<2, 2, 64, 128, LABORA_MMA_64X128_SHARED_TURING>;
#else
template struct MmaIsInTilesH<4, 4, LABORA_MMA_TILE_M, LABORA_MMA_TILE_N, LABORA_MMA_SHARED>;
template struct MmaIsInTilesH<4, 2, 128, 128, LABORA_MMA_128X128_SHARED>;
template struct MmaIsInTilesH<2, 2, 64, 128, LABORA_MMA_64X128_SHARED>;
#endif
