// A build without CUDA links, and says why it has no GPU.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scoring/cuda/cuda_scorer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_model.h"

namespace neumf {
namespace {

TEST(NoCudaTest, IsUnavailable) {
  const auto is_unavailable = StatusIs(absl::StatusCode::kUnavailable,
                                       testing::HasSubstr("NEUMF_WITH_CUDA"));
  const TinyModel tiny = MakeTinyModel({});
  const ModelShape& shape = tiny.model.shape;
  EXPECT_THAT(FindCudaDevice(0), is_unavailable);
  EXPECT_THAT(MakeCudaScorerBuilder(shape, tiny.model.network, {}),
              is_unavailable);
  EXPECT_THAT(ResetCudaDevice(0), is_unavailable);
  EXPECT_EQ(CudaBytesNeeded(shape, tiny.model.network, {}), 0);
}

}  // namespace
}  // namespace neumf
