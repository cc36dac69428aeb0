// cuda_scorer.h where there is no CUDA toolkit: a backend without a device.

#include "scoring/cuda/cuda_scorer.h"

namespace neumf {
namespace {

absl::Status NoCuda() {
  return absl::UnavailableError(
      "this build has no CUDA scorer (configure with NEUMF_WITH_CUDA=ON where "
      "the CUDA toolkit is)");
}

}  // namespace

absl::StatusOr<CudaDeviceInfo> FindCudaDevice(int /*device*/) {
  return NoCuda();
}

uint64_t CudaBytesNeeded(const ModelShape& /*shape*/,
                         const ScoreNetwork& /*network*/,
                         const CudaScorerOptions& /*options*/) {
  return 0;
}

absl::StatusOr<std::unique_ptr<ScorerBuilder>> MakeCudaScorerBuilder(
    const ModelShape& /*shape*/, const ScoreNetwork& /*network*/,
    const CudaScorerOptions& /*options*/) {
  return NoCuda();
}

absl::Status ResetCudaDevice(int /*device*/) { return NoCuda(); }

}  // namespace neumf
