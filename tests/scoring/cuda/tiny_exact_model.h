#pragma once

// A tiny model's float32 tables as kernels read them, made here from their
// definition (views.h) without the backend's own packing.

#include <vector>

#include "scoring/cuda/kernels/exact_score.h"
#include "scoring/cuda/kernels/views.h"
#include "tests/support/tiny_model.h"

namespace neumf::cuda {

// Points into the model, which must outlive it. Padding is a large number.
class TinyExactModel {
 public:
  explicit TinyExactModel(const TinyModel& tiny);
  TinyExactModel(const TinyExactModel&) = delete;
  TinyExactModel& operator=(const TinyExactModel&) = delete;

  const ExactModel& model() const { return model_; }

  // Scratch in the memory of the device for `blocks` of kThreads.
  template <typename Kernel>
  ExactScratch DeviceScratch(uint32_t blocks) {
    scratch_.assign(
        size_t{blocks} * Kernel::kThreads * ExactScratchFloats(model_), 0);
    ExactScratch scratch;
    scratch.device = scratch_.data();
    return scratch;
  }

 private:
  ExactModel model_;
  std::vector<std::vector<float>> weights_;  // of each layer
  std::vector<std::vector<float>> biases_;
  std::vector<float> scratch_;
};

}  // namespace neumf::cuda
