#pragma once

// A model's coarse form on the device (kernels/views.h), made there from the
// exact one.
//
// Made by one thread; then any number may read.

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "model/serving_model.h"
#include "scoring/cuda/coarse_network.h"
#include "scoring/cuda/device/device.h"
#include "scoring/cuda/kernels/views.h"
#include "scoring/cuda/tower_fit.h"
#include "scoring/cuda/uploader.h"

namespace neumf::cuda {

class CoarseTables {
 public:
  // Of the device's memory. REQUIRES: `tower` is FitTower()'s, not kUntuned.
  static uint64_t Bytes(TunedTower tower, const ModelShape& shape) {
    return CoarseBytesOf(tower, shape).total();
  }

  // None where the model's numbers do not go into halves, or are none. Reads
  // `exact`, whose rows `uploader` has queued; waits for the device.
  static absl::StatusOr<std::optional<CoarseTables>> Make(
      Device& device, TunedTower tower, const ModelShape& shape,
      const ScoreNetwork& network, const ExactModel& exact, Uploader& uploader);

  const CoarseModel& model() const { return model_; }
  const ItemRanges& ranges() const { return ranges_; }
  uint64_t size_bytes() const { return memory_.size_bytes(); }

 private:
  CoarseTables() = default;

  CoarseModel model_;
  ItemRanges ranges_;
  Memory memory_;
};

}  // namespace neumf::cuda
