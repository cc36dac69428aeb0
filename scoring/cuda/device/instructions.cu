#include "scoring/cuda/device/cuda_thread.cuh"
#include "scoring/cuda/device/instructions.h"

namespace neumf::cuda {
namespace {

__device__ bool has_wide_mma_of_this_code = CudaThread::kHasWideMma;

}  // namespace

cudaError_t ReadHasWideMma(bool* has_wide_mma) {
  return cudaMemcpyFromSymbol(has_wide_mma, has_wide_mma_of_this_code,
                              sizeof *has_wide_mma);
}

}  // namespace neumf::cuda
