// All kernels in one translation unit.
#include "base.cuh"
#include "types.cuh"
#include "sha256.cuh"
#include "blake3.cuh"
#include "fold.cuh"
#include "commit.cu"
#include "noise.cu"
#include "denoise.cu"
#include "product_mma.cu"
#if !defined(LABORA_EMULATION) || defined(LABORA_HAS_WGMMA)
#include "hopper.cuh"
#include "product_wgmma.cu"
#endif
