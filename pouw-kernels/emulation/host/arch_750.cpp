#define LABORA_ARCH 750
#define LABORA_NAMESPACE labora_arch_750
#include "kernels.h"
