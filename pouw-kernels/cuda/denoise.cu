// The operands by which the noise's share is taken out of C' = A'·B' again:
//   C = C' - (A·F_L)·F_R - E_L·(E_R·B'),
// F and E being the noise of Bt and of A, dense factors D = F_R and E = E_L. U = A·F_L (m×64) and V = B'·E_R (n×64) do not fit int8, so they are
// cut into limbs, and everything is one product of m×320 and n×320 int8, of which the first 192 of k count 256 times:
//   left  [Uh | E  | E  | Ul | E ]    U = 256·Uh + Ul,        |U| ≤ 2·63·256 = 32,256
//   right [D  | V1 | V2 | D  | Vl]    V = 256·(V1 + V2) + Vl, |V| ≤ 2·127·256 = 65,024, 254 in the upper limbs

#include "bytes.cuh"
#include "types.cuh"

// Columns that a block of threads has in shared memory at a time: transposed, 16 rows of them are 16 KB.
const u32 ONTO_COLUMNS = 1024;

// Operand of one side, rows×320, rows a multiple of 16: side 0 from A, the sparse factor of Bt and the dense one of A; side 1 from Bt' (noised), the
// sparse factor of A and the dense one of Bt. A block of threads has 16 rows. A thread sums one column of U or V for four rows: of every window
// two entries of each row, found through the inverse permutations. Four rows of a column are one word in shared memory, as in labora_noise.
LABORA_KERNEL LABORA_BOUNDS(LABORA_ONTO_THREADS, 1)
labora_onto(const i8* in, u32 rows, u32 k, const Sparse* sparse, const i8* dense, u32 side, i8* out) {
    u32* const words = (u32*)dynamic_shared();
    const u32 row = blockIdx.x * LABORA_ONTO_ROWS;
    if (row >= rows) return;
    const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const u32 load_group = warp % 4, load_column = (warp / 4 * 32 + lane) * 16;
    const i8* const from = in + (u64)(row + 4 * load_group) * k;
    const u32 group = warp / 2, j = warp % 2 * 32 + lane;
    i32 sums[4] = {0, 0, 0, 0};
#pragma unroll 1
    for (u32 start = 0; start < k; start += ONTO_COLUMNS) {
        u32 entries[4][4];
        const bool there = start + load_column < k;
#pragma unroll
        for (u32 r = 0; r < 4; ++r) {
            const Quad quad = there ? load16_once(from + (u64)r * k + start + load_column) : Quad{0, 0, 0, 0};
            entries[r][0] = quad.x, entries[r][1] = quad.y, entries[r][2] = quad.z, entries[r][3] = quad.w;
        }
        // The columns before these have been summed.
        block_sync();
#pragma unroll
        for (u32 four = 0; four < 4; ++four) {
            transpose_bytes(entries[0][four], entries[1][four], entries[2][four], entries[3][four]);
            store16(words + load_group * ONTO_COLUMNS + load_column + 4 * four,
                    {entries[0][four], entries[1][four], entries[2][four], entries[3][four]});
        }
        block_sync();
        const u32 windows = (k - start < ONTO_COLUMNS ? k - start : ONTO_COLUMNS) / RANK;
#pragma unroll 4
        for (u32 w = 0; w < windows; ++w) {
            const Sparse* const table = sparse + start / RANK + w;
            const u32 p = table->p_inverse[j], q = table->q_inverse[j];
            const u32* const window = words + group * ONTO_COLUMNS + w * RANK;
            // Byte 1 or -1, to be moved to the row's byte.
            const u32 sign = table->negative >> q & 1 ? 0xffu : 1u;
#pragma unroll
            for (u32 r = 0; r < 4; ++r) sums[r] = dot4(window[q], sign << 8 * r, dot4(window[p], 1u << 8 * r, sums[r]));
        }
    }
#pragma unroll
    for (u32 r = 0; r < 4; ++r) {
        const u64 at = row + 4 * group + r;
        i8* const to = out + at * LABORA_CORRECTION + j;
        const i8 factor = dense[at * RANK + j];
        const i8 low = (i8)sums[r];
        const i32 high = (sums[r] - low) >> 8;
        if (side == 0) {
            to[0] = (i8)high;
            to[64] = factor;
            to[128] = factor;
            to[192] = low;
            to[256] = factor;
        } else {
            const i32 half = high >> 1;
            to[0] = factor;
            to[64] = (i8)half;
            to[128] = (i8)(high - half);
            to[192] = factor;
            to[256] = low;
        }
    }
}
