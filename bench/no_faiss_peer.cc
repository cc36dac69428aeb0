#include "bench/peers.h"

namespace neumf {

absl::StatusOr<std::unique_ptr<Scorer>> MakeFaissFlat(
    const BenchModel& /*model*/, size_t /*num_threads*/) {
  return absl::UnimplementedError(
      "built without FAISS: install libfaiss-dev and configure again");
}

}  // namespace neumf
