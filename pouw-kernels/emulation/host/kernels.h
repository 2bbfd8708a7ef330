// The kernels of one target, and their table; included by arch_*.cpp, which set LABORA_ARCH and LABORA_NAMESPACE. Kernels live in the target's
// own namespace, since their wrappers differ from target to target.
#include "shim.h"
#if __has_include("hopper.h")
#include "hopper.h"
#define LABORA_HAS_WGMMA
#endif

namespace LABORA_NAMESPACE {

#include "../../cuda/kernels.cu"

#define ENTRY(kernel) {#kernel, labora_emulation::Unpack<kernel>::run}
extern const labora_emulation::Kernel kernels[] = {
    ENTRY(labora_chunks),
    ENTRY(labora_chunks_from),
    ENTRY(labora_parents),
    ENTRY(labora_tree),
    ENTRY(labora_seeds),
    ENTRY(labora_sparse),
    ENTRY(labora_noise),
    ENTRY(labora_onto),
    ENTRY(labora_product_mma_1),
    ENTRY(labora_product_mma_2),
    ENTRY(labora_product_mma_3),
    ENTRY(labora_product_mma_7),
    ENTRY(labora_product_mma_128x128_1),
    ENTRY(labora_product_mma_128x128_2),
    ENTRY(labora_product_mma_128x128_3),
    ENTRY(labora_product_mma_128x128_7),
    ENTRY(labora_product_mma_64x128_1),
    ENTRY(labora_product_mma_64x128_2),
    ENTRY(labora_product_mma_64x128_3),
    ENTRY(labora_product_mma_64x128_7),
#if LABORA_HOPPER && defined(LABORA_HAS_WGMMA)
    ENTRY(labora_product_wgmma_1),
    ENTRY(labora_product_wgmma_2),
    ENTRY(labora_product_wgmma_3),
    ENTRY(labora_product_wgmma_7),
    ENTRY(labora_product_wgmma_128x128_1),
    ENTRY(labora_product_wgmma_128x128_2),
    ENTRY(labora_product_wgmma_128x128_3),
    ENTRY(labora_product_wgmma_128x128_7),
#endif
    {nullptr, nullptr},
};

}  // namespace LABORA_NAMESPACE
