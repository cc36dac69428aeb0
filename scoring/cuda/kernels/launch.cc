// launch.h for the kernels of kernel_list.h.

#include "scoring/cuda/device/launch.h"

#include "scoring/cuda/device/launch_kernel.h"
#include "scoring/cuda/kernels/kernel_list.h"

namespace neumf::cuda {

#define NEUMF_INSTANTIATE(...)                                          \
  template absl::Status Launch<__VA_ARGS__>(Stream&, const Grid&,       \
                                            const __VA_ARGS__&);        \
  template absl::Status LoadKernel<__VA_ARGS__>(const Device&);         \
  template uint32_t BlocksPerMultiprocessor<__VA_ARGS__>(const Device&, \
                                                         uint32_t);
NEUMF_SCORING_KERNELS(NEUMF_INSTANTIATE)
#undef NEUMF_INSTANTIATE

}  // namespace neumf::cuda
