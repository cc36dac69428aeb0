#pragma once

// All that a scorer has on a device: the model's tables, its kernels, and the
// workspaces of calls.
//
// Filled by one thread at a time; after Finish() any number may read.

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/serving_model.h"
#include "scoring/cuda/coarse_tables.h"
#include "scoring/cuda/cuda_scorer.h"
#include "scoring/cuda/device/device.h"
#include "scoring/cuda/exact_tables.h"
#include "scoring/cuda/pass_kernels.h"
#include "scoring/cuda/pass_size.h"
#include "scoring/cuda/uploader.h"
#include "scoring/cuda/workspace_pool.h"

namespace neumf::cuda {

class CudaModel {
 public:
  // Of the device's memory, at most.
  static uint64_t BytesNeeded(const ModelShape& shape,
                              const ScoreNetwork& network,
                              const CudaScorerOptions& options);

  // With room for the exact form. `device` must outlive it. RESOURCE_EXHAUSTED
  // when the device has less memory free than BytesNeeded() and
  // kCudaReserveBytes.
  static absl::StatusOr<std::unique_ptr<CudaModel>> Make(
      Device& device, const ModelShape& shape, const ScoreNetwork& network,
      const CudaScorerOptions& options);

  // Copies rows that ItemRowsProgress has let through.
  absl::Status Add(const ItemRows& rows);

  // After all rows: the coarse form, where there can be one and it proves right
  // on this device, and the workspaces.
  absl::Status Finish();

  const ModelShape& shape() const { return shape_; }
  bool is_coarse() const { return kernels_->is_coarse(); }
  uint64_t resident_bytes() const;
  const PassSizes& sizes() const { return *sizes_; }
  WorkspacePool& workspaces() const { return workspaces_; }

 private:
  CudaModel(Device& device, ModelShape shape, ScoreNetwork network,
            const CudaScorerOptions& options)
      : device_(device),
        shape_(std::move(shape)),
        network_(std::move(network)),
        options_(options) {}

  absl::Status MakeCoarse(TunedTower tower);
  // How quick these kernels scan; nullopt when their scores are further from the
  // exact ones than they should be.
  absl::StatusOr<std::optional<double>> Try(const PassKernels& kernels) const;

  Device& device_;
  const ModelShape shape_;
  const ScoreNetwork network_;
  const CudaScorerOptions options_;
  std::optional<ExactTables> exact_;
  std::optional<CoarseTables> coarse_;
  std::optional<PassKernels> kernels_;
  std::optional<PassSizes> sizes_;
  mutable WorkspacePool workspaces_;
  // Until Finish(). Declared last: it waits for its copies before tables go.
  std::unique_ptr<Uploader> uploader_;
};

}  // namespace neumf::cuda
