#pragma once

// What the daemon needs of a GPU, as functions, so that tests can put one in
// its place that fails when they say so.

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/serving_model.h"
#include "scoring/cuda/cuda_scorer.h"
#include "scoring/scorer.h"

namespace neumf {

// Each is called by one thread at a time, and means what its namesake in
// scoring/cuda/cuda_scorer.h does.
struct Gpu {
  std::function<absl::StatusOr<CudaDeviceInfo>()> find;
  std::function<absl::StatusOr<std::unique_ptr<ScorerBuilder>>(
      const ModelShape&, const ScoreNetwork&)>
      make_builder;
  std::function<uint64_t(const ModelShape&, const ScoreNetwork&)> bytes_needed;
  // Have to be free beside those.
  uint64_t reserve_bytes = 0;
  std::function<absl::Status()> reset;
};

// The CUDA device of that number, for one batch at a time.
Gpu MakeCudaGpu(int device);

}  // namespace neumf
