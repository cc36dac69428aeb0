// cuda_scorer.h for programs that are built without the CUDA toolkit.

#include "absl/status/status.h"
#include "scoring/cuda/cuda_scorer.h"

namespace neumf {
namespace {

absl::Status NoCuda() {
  return absl::UnavailableError(
      "no CUDA device: this program was built without the CUDA toolkit "
      "(NEUMF_WITH_CUDA)");
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
