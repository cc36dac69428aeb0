// The training kernels, for the GPU.

#include "scoring/cuda/device/entry_point.cuh"
#include "trainer/cuda/kernels/kernel_list.h"

namespace neumf::cuda {

#define NEUMF_INSTANTIATE(...) template const void* EntryPoint<__VA_ARGS__>();
NEUMF_TRAINING_KERNELS(NEUMF_INSTANTIATE)
#undef NEUMF_INSTANTIATE

}  // namespace neumf::cuda
