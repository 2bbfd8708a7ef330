// The one function that Rust calls.
#include <cstring>
#include "shim.h"

namespace labora_arch_750 {
extern const labora_emulation::Kernel kernels[];
}
namespace labora_arch_900 {
extern const labora_emulation::Kernel kernels[];
}

namespace labora_emulation {
const char* launch(void (*run)(void* const*), Index grid, Index threads, u32 shared_bytes, void* const* arguments);
}

// Whether the target has a kernel of that name.
static const labora_emulation::Kernel* find(unsigned arch, const char* name) {
    const labora_emulation::Kernel* kernel = arch == 750   ? labora_arch_750::kernels
                                             : arch == 900 ? labora_arch_900::kernels
                                                           : nullptr;
    while (kernel && kernel->name && strcmp(kernel->name, name) != 0) ++kernel;
    return kernel && kernel->name ? kernel : nullptr;
}

// 1 if the target has a kernel of that name, else 0.
extern "C" int labora_emulation_has(unsigned arch, const char* name) { return find(arch, name) != nullptr; }

// Runs a kernel of the target. Null, or a message that stands until this OS thread's next launch.
extern "C" const char* labora_emulation_launch(unsigned arch, const char* name, const unsigned grid[3], const unsigned threads[3],
                                               unsigned shared_bytes, void* const* arguments) {
    const labora_emulation::Kernel* kernel = find(arch, name);
    if (!kernel) return "there is no kernel of that name";
    return labora_emulation::launch(kernel->run, {grid[0], grid[1], grid[2]}, {threads[0], threads[1], threads[2]}, shared_bytes, arguments);
}
