#include "trainer/torch_threads.h"

#include <ATen/Parallel.h>
#include <dlfcn.h>

namespace neumf {

void SetTorchThreads(int num_threads) {
  at::set_num_threads(num_threads);
  // OpenBLAS keeps threads of its own, of which LibTorch knows nothing. They
  // wait busily, and on matrices this narrow two of them take three times as
  // long as one. Another BLAS has no such function.
  using SetThreads = void (*)(int);
  const auto set_blas_threads = reinterpret_cast<SetThreads>(
      dlsym(RTLD_DEFAULT, "openblas_set_num_threads"));
  if (set_blas_threads != nullptr) set_blas_threads(1);
}

}  // namespace neumf
