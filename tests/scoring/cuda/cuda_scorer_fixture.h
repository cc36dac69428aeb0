#pragma once

// Tests of the CUDA scorer as a whole, on an emulated GPU of their own.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "scoring/cuda/cuda_scorer.h"
#include "tests/scoring/scorer_models.h"
#include "tests/support/gpu_emulator/emulated_gpu.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_query.h"

namespace neumf::cuda {

class CudaScorerTest : public testing::Test {
 protected:
  explicit CudaScorerTest(const GpuProperties& properties = Properties())
      : gpu_(properties) {
    options_.max_users = 16;
  }

  static GpuProperties Properties() {
    GpuProperties properties;
    properties.runs_late = true;
    return properties;
  }

  // A scorer over `tiny`, built with options_.
  absl::StatusOr<std::unique_ptr<Scorer>> TryBuild(const TinyModel& tiny) const;
  void Use(TinyModel tiny);
  void Use(const TinyModelOptions& options) { Use(MakeTinyModel(options)); }

  RankQuery QueryOf(uint32_t user, uint32_t k) const {
    return neumf::QueryOf(tiny_, user, k);
  }
  // For `count` users, the model's in turns.
  std::vector<RankQuery> Queries(size_t count, uint32_t k) const;

  absl::Status TryRank(const std::vector<RankQuery>& queries) const;
  std::vector<Ranking> Rank(const std::vector<RankQuery>& queries) const;
  void ExpectSameAsReference(const std::vector<RankQuery>& queries) const;

  EmulatedGpu gpu_;
  CudaScorerOptions options_;
  TinyModel tiny_;
  std::unique_ptr<Scorer> scorer_;
  std::unique_ptr<Scorer> reference_;
};

}  // namespace neumf::cuda
