// Sizes that the host needs to launch a kernel: threads of a block, dynamic shared memory, tile of C. Plain numbers, since a
// test parses this file and compares it with the host's copy.
#pragma once

#define LABORA_MAX_WINNERS 256

// Inner length of the correction's operands: three limbs that count 256 times, two that count once (types.cuh, denoise.cu).
#define LABORA_CORRECTION 320
#define LABORA_CORRECTION_HIGH 192

// labora_chunks, labora_parents: one thread a chunk or pair. labora_seeds: one thread in all.
#define LABORA_COMMIT_THREADS 128

// labora_tree: a block takes up to LABORA_TREE_VALUES values to one; grid.x is ceil(count / LABORA_TREE_VALUES).
#define LABORA_TREE_THREADS 128
#define LABORA_TREE_VALUES 256
#define LABORA_TREE_SHARED 8192

// labora_sparse: one warp a window, LABORA_SPARSE_WARPS of them in a block.
#define LABORA_SPARSE_WARPS 4
#define LABORA_SPARSE_THREADS 128
#define LABORA_SPARSE_SHARED 4096

// labora_noise and labora_onto: blocks of LABORA_NOISE_ROWS rows; grid.x is ceil(rows / LABORA_NOISE_ROWS).
#define LABORA_NOISE_THREADS 256
#define LABORA_NOISE_ROWS 16
#define LABORA_NOISE_SHARED 1024
#define LABORA_ONTO_THREADS 256
#define LABORA_ONTO_ROWS 16
#define LABORA_ONTO_SHARED 16384

// labora_product_mma_*: a persistent grid of any size. Shared memory: stages of 64 of k, of 128×256 24,576 bytes each (two on sm_75, three on the
// others, so that sm_86, 89 and 120 with their 99 KB a block have room), then 1,536 bytes of transcripts a warp. Tiles whose name does not say
// otherwise are 128×256.
#define LABORA_MMA_THREADS 256
#define LABORA_MMA_TILE_M 128
#define LABORA_MMA_TILE_N 256
#define LABORA_MMA_SHARED 86016
#define LABORA_MMA_SHARED_TURING 61440
#define LABORA_MMA_128X128_SHARED 61440
#define LABORA_MMA_128X128_SHARED_TURING 45056
#define LABORA_MMA_64X128_SHARED 49152
#define LABORA_MMA_64X128_SHARED_TURING 36864

// labora_product_wgmma_*: a persistent grid of any size, one block an SM. Boxes of the tensor maps: 128 bytes by LABORA_WGMMA_BOX_ROWS
// rows, for A', Bt' and the correction's operands alike. Shared memory as summed up in WgmmaPlan (product_wgmma.cu).
#define LABORA_WGMMA_THREADS 384
#define LABORA_WGMMA_TILE_M 128
#define LABORA_WGMMA_BOX_ROWS 128
#define LABORA_WGMMA_TILE_N 256
#define LABORA_WGMMA_SHARED 221312
