#pragma once

// A kernel as the GPU starts it. One file compiled by nvcc instantiates
// EntryPoint() of each kernel (kernels/*.cu); host code starts it by what that
// returns (launch_kernel.h). So nvcc reads kernels and nothing else.

#include "scoring/cuda/device/cuda_thread.cuh"

namespace neumf::cuda {

// The arguments stay where the launch put them: an index known only at run time
// does not make each thread copy them.
template <typename Kernel>
__global__ void __launch_bounds__(Kernel::kThreads, Kernel::kMinBlocks)
    RunKernel(const __grid_constant__ Kernel kernel) {
  CudaThread thread;
  kernel(thread);
}

template <typename Kernel>
const void* EntryPoint() {
  return reinterpret_cast<const void*>(&RunKernel<Kernel>);
}

}  // namespace neumf::cuda
