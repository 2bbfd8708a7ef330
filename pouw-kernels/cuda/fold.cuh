// The transcript of every tile of a warp, kept up beside the product, and the tickets it ends in.
//
// Used by both product kernels. What differs between them (how accumulators come to be, who computes
// tickets and when) is theirs; what must be the same bytes on any of them is here. The protocol's own
// statement is `labora_pouw::transcript`.
//
// Where accumulators lie: with `mma` m16n8 and with `wgmma` alike, a lane of a warp holds, of each
// 16×8 block of C', four entries; two such blocks side by side are a tile of 16×16, eight entries a
// lane. `acc[8·t .. 8·t + 8]` are this lane's entries of tile t. Which entry is which does not matter
// to an XOR over all of them.
//
// Cost of one window for 16 tiles (128 accumulators a lane), in instructions of a warp:
//   fold_lanes  64 LOP3 (8 to 1, four a tile), the only part that holds up the next window's product
//   fold_warp   15 SHFL, 45 IMAD or IADD3, 15 LOP3, and 1 LDS, 1 SHF, 1 STS
// Logic runs on the ALU pipe at one warp instruction in two cycles (16 lanes of each quarter of a
// multiprocessor), so pressure there is what decides. Two things keep it down:
// * The lane's choice between two values is arithmetic, d = x - y, y + d·b and x - d·b, which runs on
//   the multiply pipe that has nothing else to do, instead of two selects on the ALU.
// * Rotation and XOR are linear over GF(2), so a word of the transcript may be kept as several parts
//   whose XOR it is. The butterfly stops where each lane holds one value, a part of its tile's fold;
//   the lanes of a tile are put together once, when its ticket is due, and not in every window.
#pragma once

#include "types.cuh"
#include "sha256.cuh"

// How far a word turns when it is met again.
const u32 TURN = 13;
// Transcripts of all tiles of a warp in shared memory: word-major, one u32 a lane, so that the 32 lanes
// of a warp meet 32 banks. 1,536 bytes.
const u32 TRANSCRIPT_U32S = WORDS * 32;

// Folds the eight accumulators of each tile that this lane holds. After it the accumulators are free:
// the next window's product may be issued before `fold_warp`.
template <u32 TILES>
LABORA_DEVICE void fold_lanes(const i32 (&acc)[TILES * 8], u32 (&x)[TILES]) {
#pragma unroll
    for (u32 t = 0; t < TILES; t++) {
        // In triples, as LOP3 takes them.
        const i32 *e = acc + 8 * t;
        u32 v = (u32)(e[0] ^ e[1] ^ e[2]);
        v = v ^ (u32)e[3] ^ (u32)e[4];
        v = v ^ (u32)e[5] ^ (u32)e[6];
        x[t] = v ^ (u32)e[7];
    }
}

// One step of the transposing butterfly: of COUNT·2 values a lane, COUNT are left. Lanes whose bit
// SPAN is set keep the upper half and send the lower, the others the reverse.
template <u32 TILES, u32 COUNT, u32 SPAN>
LABORA_DEVICE void butterfly(u32 (&x)[TILES], u32 here) {
    // 1 and -1 in lanes of the upper half, else 0; told apart so that the compiler negates no product.
    const u32 upper = here / SPAN & 1, minus_upper = (u32)((i32)(here * (0x80000000u / SPAN)) >> 31);
#pragma unroll
    for (u32 t = 0; t < COUNT; t++) {
        const u32 difference = x[t] - x[t + COUNT];
        const u32 sent = x[t + COUNT] + difference * upper;
        const u32 kept = x[t] + difference * minus_upper;
        x[t] = kept ^ shuffle_xor(sent, SPAN);
    }
    if constexpr (COUNT > 1) {
        butterfly<TILES, COUNT / 2, SPAN / 2>(x, here);
    }
}

// Spreads the lanes' folds over the warp, lane l getting a part of tile l·TILES/32, and turns it into
// word `word` (window number mod 12) of the transcript. Called by a whole warp; TILES a power of two.
template <u32 TILES>
LABORA_DEVICE void fold_warp(u32 (&x)[TILES], u32 *transcript, u32 word) {
    static_assert(TILES >= 1 && TILES <= 32 && (TILES & (TILES - 1)) == 0, "a power of two up to 32");
    const u32 here = lane_index();
    if constexpr (TILES > 1) {
        butterfly<TILES, TILES / 2, 16>(x, here);
    }
    u32 *const kept = transcript + word * 32 + here;
    *kept = rotate_left(*kept, TURN) ^ x[0];
}

// Starts the transcript of a warp's next tiles. Each lane clears what it alone touches until the
// tickets, so no barrier is needed after it.
LABORA_DEVICE void clear_transcript(u32 *transcript) {
#pragma unroll
    for (u32 word = 0; word < WORDS; word++) {
        transcript[word * 32 + lane_index()] = 0;
    }
}

// Ticket of tile `tile` of a warp, from the parts that its lanes kept: SHA-256 of the block that the
// product shares (`midstate`) and the transcript. The big-endian words of the digest. One lane a tile;
// the warp's transcript must be visible to it (a barrier after the last `fold_warp`).
template <u32 TILES>
LABORA_DEVICE void tile_ticket(const u32 *transcript, u32 tile, const u32 *midstate, u32 (&ticket)[8]) {
    u32 block[16];
#pragma unroll
    for (u32 word = 0; word < WORDS; word++) {
        u32 whole = 0;
#pragma unroll
        for (u32 part = 0; part < 32 / TILES; part++) {
            whole ^= transcript[word * 32 + tile * (32 / TILES) + part];
        }
        // The transcript is hashed as little-endian bytes, SHA-256 reads big-endian words.
        block[word] = swap_bytes(whole);
    }
    block[12] = 0x80000000u;
    block[13] = 0;
    block[14] = 0;
    block[15] = (64 + 48) * 8;
#pragma unroll
    for (u32 i = 0; i < 8; i++) {
        ticket[i] = midstate[i];
    }
    sha256_block(ticket, block);
}

// Whether ticket ≤ target, both as big-endian words.
LABORA_DEVICE bool wins(const u32 (&ticket)[8], const u32 *target) {
    bool less = false, equal = true;
#pragma unroll
    for (u32 i = 0; i < 8; i++) {
        less = less || (equal && ticket[i] < target[i]);
        equal = equal && ticket[i] == target[i];
    }
    return less || equal;
}

// Puts tile (row, column) on the winners' list if its ticket wins. The count goes on past the list's
// end, so that the host sees that entries were dropped.
LABORA_DEVICE void offer(const u32 (&ticket)[8], const u32 *target, u32 row, u32 column, Winners *winners) {
    if (!wins(ticket, target)) {
        return;
    }
    const u32 place = atomic_add(&winners->count, 1);
    if (place < LABORA_MAX_WINNERS) {
        Winner *const entry = &winners->list[place];
        entry->row = row;
        entry->column = column;
#pragma unroll
        for (u32 i = 0; i < 8; i++) {
            entry->ticket[i] = ticket[i];
        }
    }
}
