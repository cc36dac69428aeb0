// The CUDA backend for the scorer tests, on an emulated GPU.

#include <memory>

#include "scoring/cuda/cuda_scorer.h"
#include "tests/scoring/scorer_fixture.h"
#include "tests/support/gpu_emulator/emulated_gpu.h"

namespace neumf {
namespace {

// There as long as tests run; what is left on it at the end fails them.
class GpuEnvironment : public testing::Environment {
 public:
  void SetUp() override {
    cuda::GpuProperties properties;
    properties.runs_late = true;
    gpu_ = std::make_unique<cuda::EmulatedGpu>(properties);
  }
  void TearDown() override { gpu_.reset(); }

 private:
  std::unique_ptr<cuda::EmulatedGpu> gpu_;
};

[[maybe_unused]] const testing::Environment* const kEnvironment =
    testing::AddGlobalTestEnvironment(new GpuEnvironment);

BackendCase CudaBackend(const char* name, bool coarse) {
  BackendCase backend;
  backend.name = name;
  // Not every model has a first pass where there can be one.
  backend.scorer_name =
      testing::AnyOf("cuda (emulated GPU, float32)",
                     coarse ? "cuda (emulated GPU, float16 first pass)" : "");
  backend.only_relu = true;
  backend.is_slow = true;
  backend.make_builder = [coarse](const ModelShape& shape,
                                  const ScoreNetwork& network,
                                  const FirstPassOptions& /*first_pass*/) {
    CudaScorerOptions options;
    options.max_users = 16;
    options.coarse = coarse;
    return MakeCudaScorerBuilder(shape, network, options);
  };
  return backend;
}

}  // namespace

std::vector<BackendCase> AllBackends() {
  return {CudaBackend("coarse", true), CudaBackend("float32", false)};
}

}  // namespace neumf
