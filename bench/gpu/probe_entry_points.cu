// The probes' kernels, compiled for GPUs.

#include "bench/gpu/probe_kernels.h"
#include "scoring/cuda/device/entry_point.cuh"

namespace neumf::cuda {

#define NEUMF_INSTANTIATE(...) template const void* EntryPoint<__VA_ARGS__>();
NEUMF_PROBE_KERNELS(NEUMF_INSTANTIATE)
#undef NEUMF_INSTANTIATE

}  // namespace neumf::cuda
