// The product on Hopper (sm_90a): C' = A'·Bt'ᵀ in tiles of 128×256 (or 128×128, where C has too few of those for all multiprocessors),
// transcripts and tickets, the noise's share taken out, C stored. The same bytes as product_mma.cu. The fold is fold.cuh's.
//
// Three warpgroups a block, one block a multiprocessor, which walks over tiles of C until none is left:
// * two consumers, 64×256 of the tile each (128 accumulators a thread). Per window of 64 of k: two m64n256k32 wgmma, then a fold;
// * one producer: warp 0 keeps the copy engine filling stages of 128 of k; warps 1 to 3 hash the tickets of the tile before, while
//   the consumers are at the next one.
//
// Budget of a window. One m64n256k32 in int8 is 128 tensor cycles, so the other consumer's window keeps the tensor cores busy for 256.
// In that time this consumer must see its own wgmma end, fold, and have the next window's issued:
//   some 40    cycles from the last wgmma's end to the first instruction that reads an accumulator
//   128        64 LOP3 of fold_lanes, two cycles each on the ALU pipe of a quarter of the multiprocessor (one warp of each consumer there)
//   some 40    barrier in turn, two wgmma issued
// The rest of the fold (fold_warp: 15 shuffles in four dependent rounds, 45 multiply-adds, some 35 on the ALU pipe) comes after the next
// wgmma is issued, so its latency is hidden behind both consumers' tensor work. As compiled, a window is 228 instructions, 101 of them
// on the ALU pipe: 202 of 256 cycles, 132 of them before the next turn; counted anew in docs/cuda-kernels.md, and a test fails past 256.
// Named barriers keep the consumers' windows alternating: left alone, both would come to fold at the same time and leave
// the tensor cores idle.
//
// Shared memory traffic of a window: 20 KB read by wgmma, 12 KB written by the copy engine, 15 shuffles and 2 accesses a warp. From the
// L2 cache a multiprocessor takes 48 bytes a tensor cycle; pairs of blocks that share Bt' by multicast would take 32. To be tried on a chip.
#include "fold.cuh"
#include "hopper.cuh"

#if LABORA_HOPPER

// Tiles of C are visited in groups of so many rows of tiles, column by column: what 132 multiprocessors hold at one time is then about
// square (2,048 rows of A' by 2,112 of Bt'), which is least to read from the L2 cache.
const u32 WGMMA_GROUP = 16;
const u32 WGMMA_CONSUMERS = 2;
const u32 WGMMA_CONSUMER_WARPS = 4 * WGMMA_CONSUMERS;
const u32 WGMMA_TICKET_WARPS = 3;
// A multiple of eight each, and 2·224 + 56 = 504 = 3·168, what 384 threads get at launch.
const u32 WGMMA_CONSUMER_REGISTERS = 224;
const u32 WGMMA_PRODUCER_REGISTERS = 56;
// Stages of the correction's operands: 320 columns, the last 64 of the third one beyond the matrix.
const u32 WGMMA_CORRECTION_STAGES = 3;
// C leaves by way of shared memory, 16 rows of 64 columns of a warp at a time, so that whole rows of 256 bytes go out by the copy
// engine. Rows are 32 bytes longer there: four rows by four lanes of 8 bytes then meet 32 different banks.
const u32 WGMMA_PITCH = 64 * 4 + 32;
const u32 WGMMA_STAGING = 16 * WGMMA_PITCH;
// Turns of the two consumers: named barriers 1 and 2.
const u32 WGMMA_TURN = 1;

// Shared memory of a mode and a tile's width. A stage is 16 KB of A' (128 rows of 128 bytes) and, for 256 columns, 32 KB of Bt' in two boxes.
// Modes that store have fewer of them for it. A mode that folds, too, has transcripts of two tiles of C (one being made, one being hashed) and
// stages one chunk of C at a time, which the correction's own time hides; the plain one has two.
template <u32 MODE, u32 COLUMNS_>
struct WgmmaPlan {
    static constexpr bool FOLDS = (MODE & FOLD) != 0, STORES = (MODE & STORE) != 0, CORRECTS = (MODE & CORRECT) != 0;
    static constexpr u32 COLUMNS = COLUMNS_, ACCUMULATORS = COLUMNS / 2;
    // Protocol tiles of a consumer warp, and warps whose tickets 32 lanes hash.
    static constexpr u32 TILES = COLUMNS / TILE, LOT = 32 / TILES;
    static constexpr u32 STAGE = (1 + COLUMNS / BOX_ROWS) * BOX_BYTES;
    static constexpr u32 STAGES = (STORES ? 3 : 4) + (COLUMNS == 128 ? (STORES ? 1 : 2) : 0);
    static constexpr u32 CHUNKS = !STORES ? 0 : FOLDS ? 1 : 2;
    static constexpr u32 STAGING_AT = STAGES * STAGE;
    static constexpr u32 TRANSCRIPTS_AT = STAGING_AT + WGMMA_CONSUMER_WARPS * CHUNKS * WGMMA_STAGING;
    static constexpr u32 BARRIERS_AT = TRANSCRIPTS_AT + (FOLDS ? 2 : 0) * WGMMA_CONSUMER_WARPS * TRANSCRIPT_U32S * 4;
    static constexpr u32 BYTES = BARRIERS_AT + (2 * STAGES + 4) * 8;
    static_assert(BYTES <= LABORA_WGMMA_SHARED, "more shared memory than the host asks for");
    static_assert(!CORRECTS || STAGES >= WGMMA_CORRECTION_STAGES, "the correction holds its stages at once");

    // Stage `slot` has landed / may be overwritten.
    static LABORA_MEMBER u32 full(u32 base, u32 slot) { return base + BARRIERS_AT + slot * 8; }
    static LABORA_MEMBER u32 empty(u32 base, u32 slot) { return base + BARRIERS_AT + (STAGES + slot) * 8; }
    // The transcripts in buffer 0 or 1 are finished / hashed.
    static LABORA_MEMBER u32 folded(u32 base, u32 buffer) { return base + BARRIERS_AT + (2 * STAGES + buffer) * 8; }
    static LABORA_MEMBER u32 hashed(u32 base, u32 buffer) { return base + BARRIERS_AT + (2 * STAGES + 2 + buffer) * 8; }
    static LABORA_MEMBER u32* transcript(u8* shared, u32 buffer, u32 warp) {
        return (u32*)(shared + TRANSCRIPTS_AT) + (buffer * WGMMA_CONSUMER_WARPS + warp) * TRANSCRIPT_U32S;
    }
};

// A place in the ring of stages, and the parity of its barriers' present phase.
template <u32 STAGES>
struct WgmmaRing {
    u32 slot = 0, parity = 0;
    LABORA_MEMBER void next() {
        slot++;
        if (slot == STAGES) {
            slot = 0;
            parity ^= 1;
        }
    }
};

// This block's tiles of C, one after the other.
template <class Plan>
struct WgmmaWalk {
    u32 rows, columns;  // of tiles
    u32 row, column;    // the tile it is at
    u32 index;
    LABORA_MEMBER WgmmaWalk(const ProductArgs& args)
        : rows((args.m + LABORA_WGMMA_TILE_M - 1) / LABORA_WGMMA_TILE_M),
          columns((args.n + Plan::COLUMNS - 1) / Plan::COLUMNS),
          index(blockIdx.x) {
        place();
    }
    LABORA_MEMBER bool done() const { return index >= rows * columns; }
    LABORA_MEMBER void next() {
        index += gridDim.x;
        place();
    }
    LABORA_MEMBER void place() {
        const u32 group = index / (WGMMA_GROUP * columns), within = index % (WGMMA_GROUP * columns);
        const u32 height = group * WGMMA_GROUP + WGMMA_GROUP <= rows ? WGMMA_GROUP : rows % WGMMA_GROUP;
        // Past the last tile height is 0 or anything; nobody looks then.
        row = group * WGMMA_GROUP + (height ? within % height : 0);
        column = height ? within / height : 0;
    }
};

// One thread: fills stages with A' and Bt' along k and, for a correction, with `left` and `right` behind them.
template <class Plan>
LABORA_DEVICE void wgmma_produce(const TensorMap* map_a, const TensorMap* map_b, const TensorMap* map_left, const TensorMap* map_right,
                                 const ProductArgs& args, u32 base) {
    const u32 stages = (args.k + 127) / 128;
    const u32 all = stages + (Plan::CORRECTS ? WGMMA_CORRECTION_STAGES : 0);
    WgmmaRing<Plan::STAGES> ring;
    for (WgmmaWalk<Plan> walk(args); !walk.done(); walk.next()) {
        for (u32 s = 0; s < all; s++) {
            const bool inner = !Plan::CORRECTS || s < stages;
            const TensorMap* const upper = inner ? map_a : map_left;
            const TensorMap* const lower = inner ? map_b : map_right;
            const u32 column = (inner ? s : s - stages) * 128;
            const u32 to = base + ring.slot * Plan::STAGE, full = Plan::full(base, ring.slot);
            mbarrier_wait(Plan::empty(base, ring.slot), ring.parity ^ 1);
            mbarrier_expect(full, Plan::STAGE);
            load_box(to, upper, column, walk.row * LABORA_WGMMA_TILE_M, full);
#pragma unroll
            for (u32 box = 0; box < Plan::COLUMNS / BOX_ROWS; box++) {
                load_box(to + (1 + box) * BOX_BYTES, lower, column, walk.column * Plan::COLUMNS + box * BOX_ROWS, full);
            }
            ring.next();
        }
    }
}

// One of WGMMA_TICKET_WARPS warps: hashes the tickets of each tile of C (128 of 256 columns), 32 at a time. The lots go round over the three warps,
// starting one further with every tile.
template <class Plan>
LABORA_DEVICE void wgmma_tickets(const ProductArgs& args, u8* shared, u32 base, u32 worker) {
    u32 count = 0;
    for (WgmmaWalk<Plan> walk(args); !walk.done(); walk.next(), count++) {
        const u32 buffer = count & 1;
        mbarrier_wait(Plan::folded(base, buffer), count >> 1 & 1);
        for (u32 lot = (worker + count) % WGMMA_TICKET_WARPS; lot < WGMMA_CONSUMER_WARPS / Plan::LOT; lot += WGMMA_TICKET_WARPS) {
            // The first lanes take the tiles of one consumer warp (16 of 256 columns), the others those of the next.
            const u32 warp = Plan::LOT * lot + lane_index() / Plan::TILES, tile = lane_index() % Plan::TILES;
            const u32 row = walk.row * (LABORA_WGMMA_TILE_M / TILE) + warp;
            const u32 column = walk.column * Plan::TILES + tile;
            if (row < args.m / TILE && column < args.n / TILE) {
                u32 ticket[8];
                tile_ticket<Plan::TILES>(Plan::transcript(shared, buffer, warp), tile, args.midstate, ticket);
                offer(ticket, args.target, row, column, args.winners);
            }
        }
        warp_sync();
        if (lane_index() == 0) {
            mbarrier_arrive(Plan::hashed(base, buffer));
        }
    }
}

// What a consumer warp knows of itself.
struct WgmmaConsumer {
    u8* shared;
    u32 base;   // address of `shared`
    u32 group;  // 0 or 1: which 64 rows of the tile
    u32 warp;   // 0 to 7: which 16 of them
};

// This consumer is done with a stage: one arrival a warp.
template <class Plan, class Place>
LABORA_DEVICE void wgmma_release(const WgmmaConsumer& me, Place& ring) {
    if (lane_index() == 0) {
        mbarrier_arrive(Plan::empty(me.base, ring.slot));
    }
    ring.next();
}

// Operands of a stage: this consumer's 64 rows of A', and all of Bt'.
template <class Plan>
LABORA_DEVICE u64 wgmma_upper(const WgmmaConsumer& me, u32 slot) { return operand(me.base + slot * Plan::STAGE + me.group * 64 * 128); }
template <class Plan>
LABORA_DEVICE u64 wgmma_lower(const WgmmaConsumer& me, u32 slot) { return operand(me.base + slot * Plan::STAGE + BOX_BYTES); }

// acc = this consumer's part of C', no fold: four wgmma a stage, the next stage's issued before this one's are done.
template <class Plan, class Place>
LABORA_DEVICE void wgmma_plain(const WgmmaConsumer& me, u32 windows, Place& ring, i32 (&acc)[Plan::ACCUMULATORS]) {
    Place done = ring;
    for (u32 w = 0; w < windows; w += 2) {
        mbarrier_wait(Plan::full(me.base, ring.slot), ring.parity);
        const u64 a = wgmma_upper<Plan>(me, ring.slot), b = wgmma_lower<Plan>(me, ring.slot);
        wgmma_fence();
        wgmma_all(acc, a, b, w);
        wgmma_all(acc, operand_at(a, 32), operand_at(b, 32), 1);
        // Where k ends in the middle of the stage, zeros times zeros.
        wgmma_all(acc, operand_at(a, 64), operand_at(b, 64), 1);
        wgmma_all(acc, operand_at(a, 96), operand_at(b, 96), 1);
        wgmma_commit();
        if (w > 0) {
            wgmma_wait_older<1>();
            wgmma_release<Plan>(me, done);
        }
        ring.next();
    }
    wgmma_wait<0>(acc);
    wgmma_release<Plan>(me, done);
}

// acc = this consumer's part of C', folding after every window.
template <class Plan, class Place>
LABORA_DEVICE void wgmma_folding(const WgmmaConsumer& me, u32 windows, Place& ring, i32 (&acc)[Plan::ACCUMULATORS], u32* transcript) {
    u32 folds[Plan::TILES];
    u32 word = 0;
    for (u32 w = 0; w < windows; w++) {
        const u32 odd = w & 1;
        if (!odd) {
            mbarrier_wait(Plan::full(me.base, ring.slot), ring.parity);
        }
        const u64 a = operand_at(wgmma_upper<Plan>(me, ring.slot), odd * 64), b = operand_at(wgmma_lower<Plan>(me, ring.slot), odd * 64);
        named_sync(WGMMA_TURN + me.group, WGMMA_CONSUMERS * 128);
        wgmma_fence();
        wgmma_all(acc, a, b, w);
        wgmma_all(acc, operand_at(a, 32), operand_at(b, 32), 1);
        wgmma_commit();
        named_arrive(WGMMA_TURN + (me.group ^ 1), WGMMA_CONSUMERS * 128);
        if (w > 0) {
            fold_warp<Plan::TILES>(folds, transcript, word);
            word = word == WORDS - 1 ? 0 : word + 1;
        }
        wgmma_wait<0>(acc);
        if (odd || w + 1 == windows) {
            wgmma_release<Plan>(me, ring);
        }
        fold_lanes<Plan::TILES>(acc, folds);
    }
    fold_warp<Plan::TILES>(folds, transcript, word);
}

// Takes the noise's share out of 64 columns of C': 256 times the first 192 columns of left·rightᵀ, and the other 128. The operands' three
// stages begin at `ring`.
template <class Plan, class Place>
LABORA_DEVICE void wgmma_correct(const WgmmaConsumer& me, Place ring, u32 chunk, i32* acc) {
    i32 share[32];
    u64 a[WGMMA_CORRECTION_STAGES], b[WGMMA_CORRECTION_STAGES];
#pragma unroll
    for (u32 s = 0; s < WGMMA_CORRECTION_STAGES; s++) {
        a[s] = wgmma_upper<Plan>(me, ring.slot);
        b[s] = operand_at(wgmma_lower<Plan>(me, ring.slot), chunk * 64 * 128);
        ring.next();
    }
    wgmma_fence();
#pragma unroll
    for (u32 at = 0; at < LABORA_CORRECTION_HIGH; at += 32) {
        wgmma_64(share, operand_at(a[at / 128], at % 128), operand_at(b[at / 128], at % 128), at);
    }
    wgmma_commit();
    wgmma_wait<0>(share);
#pragma unroll
    for (u32 i = 0; i < 32; i++) {
        share[i] = (i32)((u32)share[i] << 8);
    }
    wgmma_fence();
#pragma unroll
    for (u32 at = LABORA_CORRECTION_HIGH; at < LABORA_CORRECTION; at += 32) {
        wgmma_64(share, operand_at(a[at / 128], at % 128), operand_at(b[at / 128], at % 128), 1);
    }
    wgmma_commit();
    wgmma_wait<0>(share);
#pragma unroll
    for (u32 i = 0; i < 32; i++) {
        acc[i] -= share[i];
    }
}

// Sends 16 rows by 64 columns of C on their way: this warp's rows from `row`, columns from `column`. Lanes 0 to 15 send a row each.
template <class Plan>
LABORA_DEVICE void wgmma_store(const WgmmaConsumer& me, const ProductArgs& args, u32 row, u32 column, u32 chunk, const i32* acc) {
    const u32 lane = lane_index();
    u8* const staging = me.shared + Plan::STAGING_AT + (me.warp * Plan::CHUNKS + chunk % Plan::CHUNKS) * WGMMA_STAGING;
    bulk_store_read<Plan::CHUNKS - 1>();
    warp_sync();
#pragma unroll
    for (u32 j = 0; j < 8; j++) {
        u8* const at = staging + lane / 4 * WGMMA_PITCH + lane % 4 * 8 + j * 32;
        store8(at, (u32)acc[4 * j], (u32)acc[4 * j + 1]);
        store8(at + 8 * WGMMA_PITCH, (u32)acc[4 * j + 2], (u32)acc[4 * j + 3]);
    }
    async_proxy_fence();
    warp_sync();
    // m and n are multiples of 16.
    if (lane < 16 && row < args.m && column < args.n) {
        const u32 columns = args.n - column < 64 ? args.n - column : 64;
        bulk_store(args.c + (u64)(row + lane) * args.n + column, shared_address(staging + lane * WGMMA_PITCH), columns * 4);
    }
    bulk_store_commit();
}

template <class Plan>
LABORA_DEVICE void wgmma_consume(const ProductArgs& args, const WgmmaConsumer& me) {
    const u32 windows = args.k / RANK;
    i32 acc[Plan::ACCUMULATORS];
    WgmmaRing<Plan::STAGES> ring;
    u32 count = 0;
    if (Plan::FOLDS && me.group == 1) {
        named_arrive(WGMMA_TURN, WGMMA_CONSUMERS * 128);
    }
    for (WgmmaWalk<Plan> walk(args); !walk.done(); walk.next(), count++) {
        if constexpr (Plan::FOLDS) {
            const u32 buffer = count & 1;
            u32* const transcript = Plan::transcript(me.shared, buffer, me.warp);
            mbarrier_wait(Plan::hashed(me.base, buffer), (count >> 1 & 1) ^ 1);
            clear_transcript(transcript);
            wgmma_folding<Plan>(me, windows, ring, acc, transcript);
            warp_sync();
            if (lane_index() == 0) {
                mbarrier_arrive(Plan::folded(me.base, buffer));
            }
        } else {
            wgmma_plain<Plan>(me, windows, ring, acc);
        }
        if constexpr (Plan::STORES) {
            const WgmmaRing<Plan::STAGES> first = ring;
            if constexpr (Plan::CORRECTS) {
                for (u32 s = 0; s < WGMMA_CORRECTION_STAGES; s++) {
                    mbarrier_wait(Plan::full(me.base, ring.slot), ring.parity);
                    ring.next();
                }
            }
            const u32 row = walk.row * LABORA_WGMMA_TILE_M + me.warp * 16, column = walk.column * Plan::COLUMNS;
#pragma unroll
            for (u32 chunk = 0; chunk < Plan::COLUMNS / 64; chunk++) {
                if constexpr (Plan::CORRECTS) {
                    wgmma_correct<Plan>(me, first, chunk, acc + 32 * chunk);
                    if (chunk == Plan::COLUMNS / 64 - 1) {
                        // The next tile's stages may come while the last chunk leaves.
                        ring = first;
                        for (u32 s = 0; s < WGMMA_CORRECTION_STAGES; s++) {
                            wgmma_release<Plan>(me, ring);
                        }
                    }
                }
                wgmma_store<Plan>(me, args, row, column + 64 * chunk, chunk, acc + 32 * chunk);
            }
        }
    }
    if (Plan::FOLDS && me.group == 0) {
        // Takes the turn that is still offered, so that no barrier is left half full.
        named_sync(WGMMA_TURN, WGMMA_CONSUMERS * 128);
    }
    if constexpr (Plan::STORES) {
        bulk_store_done();
    }
}

template <class Plan>
LABORA_DEVICE void wgmma_product(const TensorMap* map_a, const TensorMap* map_b, const TensorMap* map_left, const TensorMap* map_right,
                                 const ProductArgs& args) {
    u8* const shared = dynamic_shared();
    const u32 base = shared_address(shared);
    const u32 warp = warp_index();
    if (threadIdx.x == 0) {
        for (u32 slot = 0; slot < Plan::STAGES; slot++) {
            mbarrier_init(Plan::full(base, slot), 1);
            mbarrier_init(Plan::empty(base, slot), WGMMA_CONSUMER_WARPS);
        }
        for (u32 buffer = 0; buffer < 2; buffer++) {
            mbarrier_init(Plan::folded(base, buffer), WGMMA_CONSUMER_WARPS);
            mbarrier_init(Plan::hashed(base, buffer), WGMMA_TICKET_WARPS);
        }
        mbarrier_init_fence();
    }
    block_sync();
    if (warp >= WGMMA_CONSUMER_WARPS) {
        registers_down_to<WGMMA_PRODUCER_REGISTERS>();
        if (warp == WGMMA_CONSUMER_WARPS) {
            if (lane_index() == 0) {
                wgmma_produce<Plan>(map_a, map_b, map_left, map_right, args, base);
            }
        } else if (Plan::FOLDS) {
            wgmma_tickets<Plan>(args, shared, base, warp - WGMMA_CONSUMER_WARPS - 1);
        }
    } else {
        registers_up_to<WGMMA_CONSUMER_REGISTERS>();
        wgmma_consume<Plan>(args, {shared, base, warp / 4, warp});
    }
}

#define LABORA_PRODUCT_WGMMA(name, mode, columns)                                                                                     \
    LABORA_KERNEL LABORA_BOUNDS(LABORA_WGMMA_THREADS, 1) labora_product_wgmma_##name(                                                 \
        const LABORA_GRID_CONSTANT TensorMap map_a, const LABORA_GRID_CONSTANT TensorMap map_b,                                       \
        const LABORA_GRID_CONSTANT TensorMap map_left, const LABORA_GRID_CONSTANT TensorMap map_right, const ProductArgs args) {      \
        wgmma_product<WgmmaPlan<mode, columns>>(&map_a, &map_b, &map_left, &map_right, args);                                         \
    }
LABORA_PRODUCT_WGMMA(1, FOLD, 256)
LABORA_PRODUCT_WGMMA(2, STORE, 256)
LABORA_PRODUCT_WGMMA(7, FOLD | STORE | CORRECT, 256)
LABORA_PRODUCT_WGMMA(128x128_1, FOLD, 128)
LABORA_PRODUCT_WGMMA(128x128_2, STORE, 128)
LABORA_PRODUCT_WGMMA(128x128_7, FOLD | STORE | CORRECT, 128)
#ifdef LABORA_EMULATION
// C' as it is folded, for the tests.
LABORA_PRODUCT_WGMMA(3, FOLD | STORE, 256)
LABORA_PRODUCT_WGMMA(128x128_3, FOLD | STORE, 128)
#endif

#endif
