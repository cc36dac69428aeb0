// The kernels of kernel_list.h, compiled for GPUs.

#include "scoring/cuda/device/entry_point.cuh"
#include "scoring/cuda/kernels/kernel_list.h"

namespace neumf::cuda {

#define NEUMF_INSTANTIATE(...) template const void* EntryPoint<__VA_ARGS__>();
NEUMF_SCORING_KERNELS(NEUMF_INSTANTIATE)
#undef NEUMF_INSTANTIATE

}  // namespace neumf::cuda
