// Commitments and what follows from them: BLAKE3 of a matrix level by level of its tree, and the two seeds.

#include "blake3.cuh"
#include "sha256.cuh"
#include "types.cuh"

// Sixteen little-endian words at `at`; of the last `left` bytes of the input where that is fewer than 64, then zeros.
LABORA_DEVICE void load_message(const u8* at, u64 left, u32 (&m)[16]) {
    if (left >= 64) {
#pragma unroll
        for (u32 i = 0; i < 4; ++i) {
            // Through the L1 cache: a lane's next load is of the same sector, another's is a kilobyte away.
            const Quad q = load16(at + 16 * i);
            m[4 * i] = q.x, m[4 * i + 1] = q.y, m[4 * i + 2] = q.z, m[4 * i + 3] = q.w;
        }
        return;
    }
#pragma unroll
    for (u32 i = 0; i < 16; ++i) {
        m[i] = 0;
#pragma unroll
        for (u32 byte = 0; byte < 4; ++byte) {
            if (4 * i + byte < left) m[i] |= (u32)at[4 * i + byte] << 8 * byte;
        }
    }
}

LABORA_DEVICE void store_value(const u32* value, u32* out) {
    store16(out, {value[0], value[1], value[2], value[3]});
    store16(out + 4, {value[4], value[5], value[6], value[7]});
}

// Chaining value of chunk number `chunk`.
LABORA_DEVICE void hash_chunk(const u8* data, u64 bytes, u64 chunk, u32* out) {
    u32 cv[8];
    blake3_start(cv);
    const u64 start = chunk * BLAKE3_CHUNK;
    const u64 length = bytes - start < BLAKE3_CHUNK ? bytes - start : BLAKE3_CHUNK;
    const u32 blocks = ((u32)length + 63) / 64;
#pragma unroll 1
    for (u32 block = 0; block < blocks; ++block) {
        const u32 left = (u32)length - 64 * block;
        u32 m[16], whole[16];
        load_message(data + start + 64 * block, left, m);
        const u32 flags = (block == 0 ? BLAKE3_CHUNK_START : 0) | (block == blocks - 1 ? BLAKE3_CHUNK_END : 0);
        blake3_compress(cv, m, chunk, left < 64 ? left : 64, flags, whole);
#pragma unroll
        for (u32 i = 0; i < 8; ++i) cv[i] = whole[i];
    }
    store_value(cv, out);
}

// Chaining values, eight words each, of all chunks of `bytes` bytes, at least two chunks. One thread a chunk.
LABORA_KERNEL LABORA_BOUNDS(LABORA_COMMIT_THREADS, 1) labora_chunks(const u8* data, u64 bytes, u32* cvs) {
    const u64 chunk = (u64)blockIdx.x * LABORA_COMMIT_THREADS + threadIdx.x;
    if (chunk < (bytes + BLAKE3_CHUNK - 1) / BLAKE3_CHUNK) hash_chunk(data, bytes, chunk, cvs + 8 * chunk);
}

// As labora_chunks, of `count` chunks from number `first` on, where only these have changed. `cvs` is the place of chunk 0's value.
LABORA_KERNEL LABORA_BOUNDS(LABORA_COMMIT_THREADS, 1) labora_chunks_from(const u8* data, u64 bytes, u64 first, u64 count, u32* cvs) {
    const u64 i = (u64)blockIdx.x * LABORA_COMMIT_THREADS + threadIdx.x;
    if (i < count) hash_chunk(data, bytes, first + i, cvs + 8 * (first + i));
}

// One level of the tree: `count` values become half as many, an odd last one carried up unchanged. Where is_root is set and count is two, the
// result is the hash. BLAKE3's left subtrees hold the largest power of two of chunks, so its tree is the one that pairing level by level gives.
LABORA_KERNEL LABORA_BOUNDS(LABORA_COMMIT_THREADS, 1) labora_parents(const u32* in, u32* out, u32 count, u32 is_root) {
    const u32 pair = blockIdx.x * LABORA_COMMIT_THREADS + threadIdx.x;
    if (pair >= count / 2 + count % 2) return;
    u32 m[16];
    const bool whole = 2 * pair + 1 < count;
#pragma unroll
    for (u32 i = 0; i < 4; ++i) {
        const Quad q = whole || i < 2 ? load16(in + 16ull * pair + 4 * i) : Quad{0, 0, 0, 0};
        m[4 * i] = q.x, m[4 * i + 1] = q.y, m[4 * i + 2] = q.z, m[4 * i + 3] = q.w;
    }
    if (whole) {
        u32 cv[8], parent[16];
        blake3_start(cv);
        blake3_compress(cv, m, 0, 64, BLAKE3_PARENT | (is_root && count == 2 ? BLAKE3_ROOT : 0), parent);
        store_value(parent, out + 8ull * pair);
    } else {
        store_value(m, out + 8ull * pair);
    }
}

// Eight levels at once: each block of threads takes LABORA_TREE_VALUES values (the last what is left) to one, pairing as labora_parents does. Where
// is_last is set there is one block, and its result is the hash. Two launches do for 2^16 chunks, three for 2^24.
LABORA_KERNEL LABORA_BOUNDS(LABORA_TREE_THREADS, 1) labora_tree(const u32* in, u32* out, u32 count, u32 is_last) {
    u32* const values = (u32*)dynamic_shared();
    const u32 first = blockIdx.x * LABORA_TREE_VALUES;
    if (first >= count) return;
    u32 left = count - first < LABORA_TREE_VALUES ? count - first : LABORA_TREE_VALUES;
#pragma unroll 1
    for (u32 i = threadIdx.x; i < 2 * left; i += LABORA_TREE_THREADS) store16(values + 4 * i, load16(in + 8ull * first + 4 * i));
    block_sync();
#pragma unroll 1
    while (left > 1) {
        const u32 pair = threadIdx.x;
        const bool whole = 2 * pair + 1 < left, odd = 2 * pair + 1 == left;
        u32 value[16] = {};
        if (whole || odd) {
            u32 m[16];
#pragma unroll
            for (u32 i = 0; i < 16; ++i) m[i] = i < 8 || whole ? values[16 * pair + i] : 0;
#pragma unroll
            for (u32 i = 0; i < 8; ++i) value[i] = m[i];
            if (whole) {
                u32 cv[8];
                blake3_start(cv);
                blake3_compress(cv, m, 0, 64, BLAKE3_PARENT | (is_last && left == 2 ? BLAKE3_ROOT : 0), value);
            }
        }
        block_sync();
        if (whole || odd) store_value(value, values + 8 * pair);
        left = left / 2 + left % 2;
        block_sync();
    }
    if (threadIdx.x == 0) store_value(values, out + 8ull * blockIdx.x);
}

// SHA-256(tag ‖ letter ‖ before ‖ root ‖ rows ‖ k), 88 bytes; `before`, `root` and `seed` are little-endian words.
LABORA_DEVICE void hash_seed(u32 letter, const u32* before, const u32* root, u32 rows, u32 k, u32* seed) {
    // "labora-pouw-v1:" and the letter.
    u32 first[16] = {0x6c61626fu, 0x72612d70u, 0x6f75772du, 0x76313a00u | letter};
    u32 second[16] = {};
#pragma unroll
    for (u32 i = 0; i < 8; ++i) {
        first[4 + i] = swap_bytes(before[i]);
        (i < 4 ? first[12 + i] : second[i - 4]) = swap_bytes(root[i]);
    }
    second[4] = swap_bytes(rows);
    second[5] = swap_bytes(k);
    second[6] = 0x80000000u;
    second[15] = 88 * 8;
    u32 state[8];
    sha256_start(state);
    sha256_block(state, first);
    sha256_block(state, second);
#pragma unroll
    for (u32 i = 0; i < 8; ++i) seed[i] = swap_bytes(state[i]);
}

// Both seeds and the midstate of tickets. Roots and pre_hash are eight little-endian words each. One thread in all.
LABORA_KERNEL LABORA_BOUNDS(LABORA_COMMIT_THREADS, 1)
labora_seeds(const u32* root_a, const u32* root_b, const u32* pre_hash, u32 m, u32 n, u32 k, Seeds* out) {
    if (blockIdx.x != 0 || threadIdx.x != 0) return;
    u32 a[8], b[8];
    hash_seed('B', pre_hash, root_b, n, k, b);
    hash_seed('A', b, root_a, m, k, a);
    u32 shared_block[16] = {0x6c61626fu, 0x72612d70u, 0x6f75772du, 0x76313a00u | 'T'};
    u32 state[8];
#pragma unroll
    for (u32 i = 0; i < 8; ++i) shared_block[4 + i] = swap_bytes(a[i]);
    sha256_start(state);
    sha256_block(state, shared_block);
#pragma unroll
    for (u32 i = 0; i < 8; ++i) {
        out->a[i] = a[i];
        out->b[i] = b[i];
        out->midstate[i] = state[i];
    }
}
