// The product for all targets but sm_90a, by mma.sync: C' = A·Btᵀ in int32, on the way folded into transcripts, at the end corrected, stored, hashed.
//
// A block of eight warps computes 128×256 entries, a warp 64×64 (128 accumulators a lane). The unit of loading is a stage: one window of 64 of k,
// 128 rows of A and 256 of Bt, 24 KB. Blocks stay: each walks over tiles, and its loads run ahead of its products across tiles and into the
// operands of the correction, which is but five stages more. From sm_80 on loads are asynchronous copies, two stages ahead; sm_75 holds the next
// stage in registers instead.
//
// In shared memory a row of a stage is 64 bytes, four pieces of 16. Piece p of row r stands at place p ^ (r / 2 % 4), so that the eight rows that one
// phase of ldmatrix reads, and the rows that eight lanes store, meet all 32 banks once.

#include "fold.cuh"
#include "types.cuh"

const u32 MMA_A_STAGE = LABORA_MMA_TILE_M * RANK;
const u32 MMA_STAGE = (LABORA_MMA_TILE_M + LABORA_MMA_TILE_N) * RANK;
#if LABORA_ARCH == 750
const u32 MMA_STAGES = 2;
static_assert(MMA_STAGES * MMA_STAGE + LABORA_MMA_THREADS / 32 * TRANSCRIPT_U32S * 4 == LABORA_MMA_SHARED_TURING, "as in tiles.h");
#else
const u32 MMA_STAGES = 3;
static_assert(MMA_STAGES * MMA_STAGE + LABORA_MMA_THREADS / 32 * TRANSCRIPT_U32S * 4 == LABORA_MMA_SHARED, "as in tiles.h");
#endif
const u32 CORRECTION_STAGES = LABORA_CORRECTION / RANK, CORRECTION_HIGH_STAGES = LABORA_CORRECTION_HIGH / RANK;

// Rows of tiles that are walked together, column by column: with 132 blocks at work that is about 2,048 rows of A and 2,112 of Bt, which stay
// in the L2 cache.
const u32 MMA_BAND = 16;

// Pieces of 16 bytes that a thread loads of a stage: two of A, then four of Bt, 64 rows apart.
const u32 MMA_PIECES_A = LABORA_MMA_TILE_M / 64, MMA_PIECES = MMA_PIECES_A + LABORA_MMA_TILE_N / 64;

// First row and column of an output tile.
struct Place {
    u32 row, column;
};

LABORA_DEVICE u32 mma_tiles(const ProductArgs& args) {
    return (args.m + LABORA_MMA_TILE_M - 1) / LABORA_MMA_TILE_M * ((args.n + LABORA_MMA_TILE_N - 1) / LABORA_MMA_TILE_N);
}

LABORA_DEVICE Place mma_place(const ProductArgs& args, u32 tile) {
    const u32 rows = (args.m + LABORA_MMA_TILE_M - 1) / LABORA_MMA_TILE_M, columns = (args.n + LABORA_MMA_TILE_N - 1) / LABORA_MMA_TILE_N;
    const u32 first = tile / (MMA_BAND * columns) * MMA_BAND, inside = tile % (MMA_BAND * columns);
    const u32 height = rows - first < MMA_BAND ? rows - first : MMA_BAND;
    return {(first + inside % height) * LABORA_MMA_TILE_M, inside / height * LABORA_MMA_TILE_N};
}

// What this thread loads next.
struct Feed {
    const i8 *a, *b;  // its first piece of either operand
    u32 apart;        // bytes from one piece to the next: 64 rows
    u32 there;        // bit i: piece i lies within the matrix
    u32 tile, stage;  // tile past the last: nothing is left
};

// Aims at the first stage of this tile's matrices, or of the operands of its correction.
LABORA_DEVICE void feed_aim(Feed& feed, const ProductArgs& args, bool correction) {
    const Place place = mma_place(args, feed.tile);
    const u32 row = threadIdx.x / 4, piece = threadIdx.x % 4 * 16, stride = correction ? LABORA_CORRECTION : args.k;
    feed.a = (correction ? args.left : args.a) + (u64)(place.row + row) * stride + piece;
    feed.b = (correction ? args.right : args.b) + (u64)(place.column + row) * stride + piece;
    feed.apart = 64 * stride;
    feed.there = 0;
#pragma unroll
    for (u32 i = 0; i < MMA_PIECES; ++i) {
        const bool there = i < MMA_PIECES_A ? place.row + row + 64 * i < args.m : place.column + row + 64 * (i - MMA_PIECES_A) < args.n;
        feed.there |= (there ? 1u : 0u) << i;
    }
}

LABORA_DEVICE const i8* feed_piece(const Feed& feed, u32 i) {
    return i < MMA_PIECES_A ? feed.a + i * feed.apart : feed.b + (i - MMA_PIECES_A) * feed.apart;
}

// Goes on to the next stage, of the next tile if need be.
template <u32 MODE>
LABORA_DEVICE void feed_advance(Feed& feed, const ProductArgs& args) {
    const u32 windows = args.k / RANK, stages = windows + (MODE & CORRECT ? CORRECTION_STAGES : 0);
    feed.stage += 1;
    feed.a += RANK;
    feed.b += RANK;
    if (feed.stage == stages) {
        feed.stage = 0;
        feed.tile += gridDim.x;
        if (feed.tile < mma_tiles(args)) feed_aim(feed, args, false);
    } else if ((MODE & CORRECT) && feed.stage == windows) {
        feed_aim(feed, args, true);
    }
}

// The stages in shared memory as a ring.
struct Ring {
    u32 start;    // address of the ring
    u32 store;    // address of this thread's first piece in a stage, from the stage's start
    u32 now, to;  // stages, as offsets: of the product, and of the next load
#if LABORA_ARCH == 750
    Quad held[MMA_PIECES];
#endif
};

LABORA_DEVICE u32 ring_next(u32 at) { return at == (MMA_STAGES - 1) * MMA_STAGE ? 0 : at + MMA_STAGE; }

#if LABORA_ARCH == 750

LABORA_DEVICE void ring_fetch(Ring& ring, const Feed& feed, const ProductArgs& args) {
    const bool any = feed.tile < mma_tiles(args);
#pragma unroll
    for (u32 i = 0; i < MMA_PIECES; ++i) {
        ring.held[i] = any && (feed.there >> i & 1) ? load16(feed_piece(feed, i)) : Quad{0, 0, 0, 0};
    }
}

LABORA_DEVICE void ring_keep(const Ring& ring) {
    u8* const to = dynamic_shared() + ring.to + ring.store;
#pragma unroll
    for (u32 i = 0; i < MMA_PIECES; ++i) store16(to + i * 64 * RANK, ring.held[i]);
}

template <u32 MODE>
LABORA_DEVICE void ring_begin(Ring& ring, Feed& feed, const ProductArgs& args) {
    ring_fetch(ring, feed, args);
    ring_keep(ring);
    ring.to = ring_next(ring.to);
    if (feed.tile < mma_tiles(args)) feed_advance<MODE>(feed, args);
}

// Before a stage's product: the stage is there, the next is on its way.
template <u32 MODE>
LABORA_DEVICE void ring_enter(Ring& ring, Feed& feed, const ProductArgs& args) {
    block_sync();
    ring_fetch(ring, feed, args);
    if (feed.tile < mma_tiles(args)) feed_advance<MODE>(feed, args);
}

// After it. The stage before, over which the next is stored, was read by all before they entered this one.
LABORA_DEVICE void ring_leave(Ring& ring) {
    ring_keep(ring);
    ring.to = ring_next(ring.to);
    ring.now = ring_next(ring.now);
}

#else

template <u32 MODE>
LABORA_DEVICE void ring_load(Ring& ring, Feed& feed, const ProductArgs& args) {
    if (feed.tile < mma_tiles(args)) {
        const u32 to = ring.start + ring.to + ring.store;
#pragma unroll
        for (u32 i = 0; i < MMA_PIECES; ++i) {
            const bool there = feed.there >> i & 1;
            copy_async(to + i * 64 * RANK, there ? feed_piece(feed, i) : args.a, there);
        }
        feed_advance<MODE>(feed, args);
    }
    copy_async_commit();
    ring.to = ring_next(ring.to);
}

template <u32 MODE>
LABORA_DEVICE void ring_begin(Ring& ring, Feed& feed, const ProductArgs& args) {
#pragma unroll
    for (u32 i = 0; i < MMA_STAGES - 1; ++i) ring_load<MODE>(ring, feed, args);
}

// Before a stage's product: the stage is there, and the stage before it, which all have read, gets the next load.
template <u32 MODE>
LABORA_DEVICE void ring_enter(Ring& ring, Feed& feed, const ProductArgs& args) {
    copy_async_wait<MMA_STAGES - 2>();
    block_sync();
    ring_load<MODE>(ring, feed, args);
}

LABORA_DEVICE void ring_leave(Ring& ring) { ring.now = ring_next(ring.now); }

#endif

// Addresses of this lane's rows for ldmatrix, from a stage's start, for the first 32 of k; for the last 32, bit 5 is flipped.
struct Rows {
    u32 a, b;
};

LABORA_DEVICE Rows mma_rows(u32 warp_row, u32 warp_column) {
    const u32 lane = lane_index(), turn = lane / 2 % 4;
    // Of A: rows 0 to 7, rows 8 to 15, both for the first 16 of k; then again for the last 16. Of Bt: rows 0 to 7 for both halves of k, then rows 8 to 15.
    return {(warp_row + lane % 16) * RANK + (lane / 16 ^ turn) * 16,
            MMA_A_STAGE + (warp_column + lane % 8 + lane / 16 * 8) * RANK + (lane / 8 % 2 ^ turn) * 16};
}

// acc += one stage. Tile t of a band of 16 rows is acc[band][8·t …]. With FOLDS, x takes the fold of the accumulators after this stage, and the one
// of the stage before goes into the transcript; either has tensor work beside it.
template <bool FOLDS>
LABORA_DEVICE void mma_stage(u32 stage, Rows rows, i32 (&acc)[4][32], u32 (&x)[16], u32* transcript, u32 word_before) {
    u32 a[4][4], b[2][4][4];
#pragma unroll
    for (u32 i = 0; i < 4; ++i) load_matrices(b[0][i], stage + rows.b + i * 16 * RANK);
#pragma unroll
    for (u32 band = 0; band < 4; ++band) load_matrices(a[band], stage + rows.a + band * 16 * RANK);
#pragma unroll
    for (u32 step = 0; step < 2; ++step) {
#pragma unroll
        for (u32 band = 0; band < 4; ++band) {
#pragma unroll
            for (u32 i = 0; i < 4; ++i) {
                multiply_16x8x32(acc[band] + 8 * i, a[band], b[step][i]);
                multiply_16x8x32(acc[band] + 8 * i + 4, a[band], b[step][i] + 2);
            }
            if (step == 0) {
                load_matrices(a[band], (stage + rows.a + band * 16 * RANK) ^ 32);
                load_matrices(b[1][band], (stage + rows.b + band * 16 * RANK) ^ 32);
                if (FOLDS && band == 1) fold_warp<16>(x, transcript, word_before);
            }
            if (FOLDS && step == 1 && band > 0) {
                u32 folds[4];
                fold_lanes<4>(acc[band - 1], folds);
#pragma unroll
                for (u32 t = 0; t < 4; ++t) x[4 * (band - 1) + t] = folds[t];
            }
        }
    }
    if (FOLDS) {
        u32 folds[4];
        fold_lanes<4>(acc[3], folds);
#pragma unroll
        for (u32 t = 0; t < 4; ++t) x[12 + t] = folds[t];
    }
}

// acc += one stage, with few registers beside the accumulators: fragments are loaded when they are needed.
LABORA_DEVICE void mma_stage_narrow(u32 stage, Rows rows, i32 (&acc)[4][32]) {
#pragma unroll 1
    for (u32 half = 0; half < 64; half += 32) {
        u32 a[4], b[4][4];
#pragma unroll
        for (u32 i = 0; i < 4; ++i) load_matrices(b[i], (stage + rows.b + i * 16 * RANK) ^ half);
#pragma unroll
        for (u32 band = 0; band < 4; ++band) {
            load_matrices(a, (stage + rows.a + band * 16 * RANK) ^ half);
#pragma unroll
            for (u32 i = 0; i < 4; ++i) {
                multiply_16x8x32(acc[band] + 8 * i, a, b[i]);
                multiply_16x8x32(acc[band] + 8 * i + 4, a, b[i] + 2);
            }
        }
    }
}

// From acc = C' to acc = C. The product only adds, so the accumulators become ~C' = -1 - C': first without its low byte, divided by 256; the high
// limbs are added, the low byte is put back under them, the low limbs are added: ~C. That takes 32 registers beside the accumulators and no second
// pass over the operands.
template <u32 MODE>
LABORA_DEVICE void mma_correct(Ring& ring, Feed& feed, const ProductArgs& args, Rows rows, i32 (&acc)[4][32]) {
    u32 low[4][8];
#pragma unroll
    for (u32 band = 0; band < 4; ++band) {
#pragma unroll
        for (u32 i = 0; i < 32; i += 4) {
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
            for (u32 band = 0; band < 4; ++band) {
#pragma unroll
                for (u32 i = 0; i < 32; ++i) acc[band][i] = (i32)select_bytes(low[band][i / 4], acc[band][i], 0x6540 + i % 4);
            }
        }
        ring_enter<MODE>(ring, feed, args);
        mma_stage_narrow(ring.start + ring.now, rows, acc);
        ring_leave(ring);
    }
#pragma unroll
    for (u32 band = 0; band < 4; ++band) {
#pragma unroll
        for (u32 i = 0; i < 32; ++i) acc[band][i] = ~acc[band][i];
    }
}

// A lane has, of each 16×8 block, two entries side by side in row lane / 4 and two eight rows below.
LABORA_DEVICE void mma_store(const ProductArgs& args, u32 row, u32 column, const i32 (&acc)[4][32]) {
    const u32 lane = lane_index();
    i32* const corner = args.c + (u64)(row + lane / 4) * args.n + column + lane % 4 * 2;
#pragma unroll
    for (u32 band = 0; band < 4; ++band) {
        if (row + 16 * band >= args.m) break;
#pragma unroll
        for (u32 block = 0; block < 8; ++block) {
            if (column + 8 * block >= args.n) continue;
            i32* const at = corner + (u64)(16 * band) * args.n + 8 * block;
            store8(at, acc[band][4 * block], acc[band][4 * block + 1]);
            store8(at + (u64)8 * args.n, acc[band][4 * block + 2], acc[band][4 * block + 3]);
        }
    }
}

template <u32 MODE>
LABORA_DEVICE void product_mma(const ProductArgs& args) {
    const u32 warp = warp_index(), warp_row = warp / 4 * 64, warp_column = warp % 4 * 64;
    u32* const transcripts = (u32*)(dynamic_shared() + MMA_STAGES * MMA_STAGE);
    u32* const transcript = transcripts + warp * TRANSCRIPT_U32S;
    const u32 tiles = mma_tiles(args), windows = args.k / RANK;
    if (blockIdx.x >= tiles) return;

    const Rows rows = mma_rows(warp_row, warp_column);
    Feed feed;
    feed.tile = blockIdx.x;
    feed.stage = 0;
    feed_aim(feed, args, false);
    Ring ring;
    ring.start = shared_address(dynamic_shared());
    ring.store = threadIdx.x / 4 * RANK + (threadIdx.x % 4 ^ threadIdx.x / 8 % 4) * 16;
    ring.now = ring.to = 0;
    ring_begin<MODE>(ring, feed, args);

#pragma unroll 1
    for (u32 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        i32 acc[4][32];
        u32 x[16];
#pragma unroll
        for (u32 band = 0; band < 4; ++band) {
#pragma unroll
            for (u32 i = 0; i < 32; ++i) acc[band][i] = 0;
        }
#pragma unroll
        for (u32 t = 0; t < 16; ++t) x[t] = 0;
        // The fold before the first is of zeros, into a word of zeros.
        u32 word = WORDS - 1;
#pragma unroll 1
        for (u32 window = 0; window < windows; ++window) {
            ring_enter<MODE>(ring, feed, args);
            // Not before all have entered: until then the tickets of the tile before may be being drawn.
            if ((MODE & FOLD) && window == 0) clear_transcript(transcript);
            mma_stage<(MODE & FOLD) != 0>(ring.start + ring.now, rows, acc, x, transcript, word);
            ring_leave(ring);
            word = word == WORDS - 1 ? 0 : word + 1;
        }
        if (MODE & FOLD) fold_warp<16>(x, transcript, word);

        const Place place = mma_place(args, tile);
        if (MODE & CORRECT) mma_correct<MODE>(ring, feed, args, rows, acc);
        if (MODE & STORE) mma_store(args, place.row + warp_row, place.column + warp_column, acc);
        if (MODE & FOLD) {
            block_sync();
            // 128 tickets: one a thread for four whole warps, one warp to each quarter of the multiprocessor.
            if (warp < 4) {
                const u32 owner = threadIdx.x / 16, t = threadIdx.x % 16;
                const u32 row = place.row + owner / 4 * 64 + t / 4 * 16, column = place.column + owner % 4 * 64 + t % 4 * 16;
                if (row < args.m && column < args.n) {
                    u32 ticket[8];
                    tile_ticket<16>(transcripts + owner * TRANSCRIPT_U32S, t, args.midstate, ticket);
                    offer(ticket, args.target, row / TILE, column / TILE, args.winners);
                }
            }
        }
    }
#if LABORA_ARCH != 750
    copy_async_wait<0>();
#endif
}

LABORA_KERNEL LABORA_BOUNDS(LABORA_MMA_THREADS, 1) labora_product_mma_1(const ProductArgs args) { product_mma<FOLD>(args); }
LABORA_KERNEL LABORA_BOUNDS(LABORA_MMA_THREADS, 1) labora_product_mma_2(const ProductArgs args) { product_mma<STORE>(args); }
LABORA_KERNEL LABORA_BOUNDS(LABORA_MMA_THREADS, 1) labora_product_mma_3(const ProductArgs args) { product_mma<FOLD | STORE>(args); }
LABORA_KERNEL LABORA_BOUNDS(LABORA_MMA_THREADS, 1) labora_product_mma_7(const ProductArgs args) { product_mma<FOLD | STORE | CORRECT>(args); }
