#pragma once

// A model's exact form on the device (kernels/views.h): float32 tables, filled
// as rows stream in, and the network.
//
// Filled by one thread at a time; then any number may read.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/serving_model.h"
#include "scoring/cuda/device/device.h"
#include "scoring/cuda/kernels/views.h"
#include "scoring/cuda/uploader.h"

namespace neumf::cuda {

// Sizes alone, without a place of anything. REQUIRES: `network` fits `shape`.
ExactModel SizesOfExactModel(const ModelShape& shape,
                             const ScoreNetwork& network);

class ExactTables {
 public:
  // Of the device's memory.
  static uint64_t Bytes(const ModelShape& shape, const ScoreNetwork& network);

  // All of its memory, and the network in it. REQUIRES: ReLU, or no tower;
  // `network` fits `shape`.
  static absl::StatusOr<ExactTables> Make(Device& device,
                                          const ModelShape& shape,
                                          const ScoreNetwork& network,
                                          Uploader& uploader);

  // Queues copies of rows that ItemRowsProgress has let through.
  absl::Status Add(const ItemRows& rows, Uploader& uploader);

  const ExactModel& model() const { return model_; }
  uint64_t size_bytes() const;

 private:
  ExactTables() = default;

  ExactModel model_;
  Memory tower_;
  Memory gmf_;
  Memory bias_;
  Memory network_;
};

}  // namespace neumf::cuda
