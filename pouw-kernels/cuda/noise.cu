// The noise: its sparse factor as a table, and a matrix with noise added.

#include "blake3.cuh"
#include "bytes.cuh"
#include "types.cuh"

// Extended output of one window of the sparse factor: 1,024 bytes, of which 520 are used, in nine blocks.
const u32 SPARSE_BLOCKS = 16;
const u32 SPARSE_BLOCKS_USED = 9;

// Fisher–Yates over 0..63 from 63 draws, from the last position down.
LABORA_DEVICE void shuffle_ranks(const u32* draws, u8* out) {
    for (u32 i = 0; i < RANK; ++i) out[i] = (u8)i;
#pragma unroll 1
    for (u32 i = RANK - 1; i > 0; --i) {
        const u32 j = (u32)(((u64)draws[RANK - 1 - i] * (i + 1)) >> 32);
        const u8 kept = out[i];
        out[i] = out[j];
        out[j] = kept;
    }
}

// The sparse factor of `windows` windows of 64 columns. One warp a window: its lanes draw the output's blocks, two of them shuffle, all of them invert.
LABORA_KERNEL LABORA_BOUNDS(LABORA_SPARSE_THREADS, 1) labora_sparse(const u32* seed, u32 windows, Sparse* out) {
    const u32 warp = warp_index(), lane = lane_index();
    const u32 window = blockIdx.x * LABORA_SPARSE_WARPS + warp;
    // A warp's share: 576 bytes of draws, then both permutations.
    u8* const share = dynamic_shared() + warp * (LABORA_SPARSE_SHARED / LABORA_SPARSE_WARPS);
    u32* const draws = (u32*)share;
    u8* const permutations = share + SPARSE_BLOCKS_USED * 64;
    if (window >= windows) return;
    if (lane < SPARSE_BLOCKS_USED) {
        u32 block[16];
        blake3_xof(seed, 0x72617073u /* spar */, 0x6573u /* se */, 6, (u64)window * SPARSE_BLOCKS + lane, block);
#pragma unroll
        for (u32 i = 0; i < 16; ++i) draws[16 * lane + i] = block[i];
    }
    warp_sync();
    if (lane < 2) shuffle_ranks(draws + RANK * lane, permutations + RANK * lane);
    warp_sync();
    Sparse* const table = out + window;
#pragma unroll
    for (u32 c = lane; c < RANK; c += 32) {
        const u8 p = permutations[c], q = permutations[RANK + c];
        table->p[c] = p;
        table->q[c] = q;
        table->p_inverse[p] = (u8)c;
        table->q_inverse[q] = (u8)c;
    }
    if (lane == 0) {
        table->negative = (u64)draws[2 * RANK + 1] << 32 | draws[2 * RANK];
        table->pad = 0;
    }
}

// out = in + noise, rows×k (rows a multiple of 16), and, where `dense` is not null, the dense factor, rows×64. A block of threads has 16 rows: 16
// threads draw their rows of the dense factor, which stand in shared memory by columns, four rows a word: 64 words for rows 0 to 3, then 64 for
// rows 4 to 7, and so on. So a lane fetches the noise of four rows at once, and 64 words lie two to a bank.
LABORA_KERNEL LABORA_BOUNDS(LABORA_NOISE_THREADS, 1)
labora_noise(const i8* in, i8* out, u32 rows, u32 k, const u32* seed, const Sparse* sparse, i8* dense) {
    u8* const columns = dynamic_shared();
    const u32 row = blockIdx.x * LABORA_NOISE_ROWS;
    if (row >= rows) return;
    if (threadIdx.x < LABORA_NOISE_ROWS) {
        const u32 r = threadIdx.x;
        u32 block[16];
        blake3_xof(seed, 0x736e6564u /* dens */, 0x65u /* e */, 5, row + r, block);
#pragma unroll
        for (u32 i = 0; i < 16; ++i) {
            // 0 to 63; the noise subtracts 32 from each.
            block[i] &= 0x3f3f3f3fu;
#pragma unroll
            for (u32 byte = 0; byte < 4; ++byte) columns[r / 4 * 256 + (4 * i + byte) * 4 + r % 4] = (u8)(block[i] >> 8 * byte);
        }
        if (dense) {
#pragma unroll
            for (u32 i = 0; i < 4; ++i) {
                const u32* b = block + 4 * i;
                // -32 in every byte.
                store16(dense + (u64)(row + r) * RANK + 16 * i, {add_bytes(b[0], 0xe0e0e0e0u), add_bytes(b[1], 0xe0e0e0e0u),
                                                                 add_bytes(b[2], 0xe0e0e0e0u), add_bytes(b[3], 0xe0e0e0e0u)});
            }
        }
    }
    block_sync();
    // A warp has four rows, and of them 32 pieces of 16 columns at a time; two warps share four rows.
    const u32 warp = threadIdx.x / 32, group = warp % 4;
    const u32* const words = (const u32*)columns + group * RANK;
    const u64 first = (u64)(row + 4 * group) * k;
#pragma unroll 1
    for (u32 piece = warp / 4 * 32 + threadIdx.x % 32; piece < k / 16; piece += LABORA_NOISE_THREADS / 128 * 32) {
        const Sparse* const table = sparse + piece / 4;
        const Quad pq = load16(table->p + piece % 4 * 16), qq = load16(table->q + piece % 4 * 16);
        const u32 p[4] = {pq.x, pq.y, pq.z, pq.w}, q[4] = {qq.x, qq.y, qq.z, qq.w};
        const u32 negative = (u32)(table->negative >> piece % 4 * 16);
        u32 entries[4][4];
#pragma unroll
        for (u32 r = 0; r < 4; ++r) {
            const Quad quad = load16_once(in + first + (u64)r * k + 16 * piece);
            entries[r][0] = quad.x, entries[r][1] = quad.y, entries[r][2] = quad.z, entries[r][3] = quad.w;
        }
#pragma unroll
        for (u32 four = 0; four < 4; ++four) {
            u32 noise[4];
#pragma unroll
            for (u32 c = 0; c < 4; ++c) {
                // With both entries 32 too large, the sum is 64 too large. 63 - x is x ^ 63: the difference by that is 63 too large, so one
                // is added. At most 127: bytes do not carry.
                const u32 minus = negative >> (4 * four + c) & 1;
                noise[c] = words[p[four] >> 8 * c & 63] + (words[q[four] >> 8 * c & 63] ^ 0x3f3f3f3fu * minus) + 0x01010101u * minus;
            }
            transpose_bytes(noise[0], noise[1], noise[2], noise[3]);
#pragma unroll
            for (u32 r = 0; r < 4; ++r) entries[r][four] = add_bytes(entries[r][four], add_bytes(noise[r], 0xc0c0c0c0u));
        }
#pragma unroll
        for (u32 r = 0; r < 4; ++r) store16(out + first + (u64)r * k + 16 * piece, {entries[r][0], entries[r][1], entries[r][2], entries[r][3]});
    }
}
