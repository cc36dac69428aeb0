// The CUDA backend for the scorer tests, on the first GPU. Without one all tests
// of this program are skipped.

#include "scoring/cuda/cuda_scorer.h"
#include "tests/scoring/scorer_fixture.h"

namespace neumf {
namespace {

class GpuEnvironment : public testing::Environment {
 public:
  void SetUp() override {
    const auto device = FindCudaDevice(0);
    if (!device.ok()) {
      GTEST_SKIP() << "needs a GPU: " << device.status().message();
    }
  }
};

[[maybe_unused]] const testing::Environment* const kEnvironment =
    testing::AddGlobalTestEnvironment(new GpuEnvironment);

BackendCase GpuBackend(const char* name, bool coarse, uint32_t max_users) {
  BackendCase backend;
  backend.name = name;
  backend.scorer_name = testing::StartsWith("cuda (");
  backend.only_relu = true;
  backend.make_builder =
      [coarse, max_users](const ModelShape& shape, const ScoreNetwork& network,
                          const FirstPassOptions& /*first_pass*/) {
        CudaScorerOptions options;
        options.max_users = max_users;
        options.coarse = coarse;
        return MakeCudaScorerBuilder(shape, network, options);
      };
  return backend;
}

}  // namespace

std::vector<BackendCase> AllBackends() {
  return {GpuBackend("coarse", true, 256), GpuBackend("coarse_narrow", true, 8),
          GpuBackend("float32", false, 256)};
}

}  // namespace neumf
