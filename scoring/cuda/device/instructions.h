#pragma once

// What a device's own code has beyond every other's: known to the code that was
// compiled for it, or that its driver translated, and to nothing else.

#include <cuda_runtime.h>

namespace neumf::cuda {

// Of the thread's current device: CudaThread::kHasWideMma.
cudaError_t ReadHasWideMma(bool* has_wide_mma);

}  // namespace neumf::cuda
