#pragma once

namespace neumf {

// Sets how many threads LibTorch uses, process-wide, and keeps the BLAS below
// it to one. Call it before anything of the trainer works.
void SetTorchThreads(int num_threads);

}  // namespace neumf
