// The training kernels on the emulated GPU.

#include "tests/support/gpu_emulator/emulated_launch.h"
#include "trainer/cuda/kernels/kernel_list.h"

namespace neumf::cuda {

#define NEUMF_INSTANTIATE(...)                                          \
  template absl::Status Launch<__VA_ARGS__>(Stream&, const Grid&,       \
                                            const __VA_ARGS__&);        \
  template uint32_t BlocksPerMultiprocessor<__VA_ARGS__>(const Device&, \
                                                         uint32_t);
NEUMF_TRAINING_KERNELS(NEUMF_INSTANTIATE)
#undef NEUMF_INSTANTIATE

}  // namespace neumf::cuda
