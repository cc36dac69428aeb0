#include "bench/peers.h"

namespace neumf {
namespace {

absl::Status NoTorch() {
  return absl::UnimplementedError(
      "built without LibTorch: configure with NEUMF_WITH_TRAINER=ON");
}

}  // namespace

absl::StatusOr<std::unique_ptr<Scorer>> MakeTorchSplit(
    const BenchModel& /*model*/, size_t /*num_threads*/) {
  return NoTorch();
}

absl::StatusOr<std::unique_ptr<Scorer>> MakeTorchEager(
    const BenchModel& /*model*/, size_t /*num_threads*/) {
  return NoTorch();
}

}  // namespace neumf
