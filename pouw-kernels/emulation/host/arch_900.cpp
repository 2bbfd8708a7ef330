#define LABORA_ARCH 900
#define LABORA_NAMESPACE labora_arch_900
#include "kernels.h"
