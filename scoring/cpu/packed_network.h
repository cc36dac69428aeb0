#pragma once

// The weights of a ScoreNetwork in the order in which the kernel reads them.
//
// Immutable after construction: any number of threads may read.

#include <vector>

#include "base/aligned_matrix.h"
#include "model/serving_model.h"
#include "scoring/cpu/block_kernel.h"

namespace neumf {

class PackedNetwork {
 public:
  // For a kernel with such groups. REQUIRES: `network` fits `shape`.
  PackedNetwork(const ModelShape& shape, const ScoreNetwork& network,
                const GroupWidths& widths);
  PackedNetwork(const PackedNetwork&) = delete;
  PackedNetwork& operator=(const PackedNetwork&) = delete;

  // What it takes of the system.
  static uint64_t MappedBytes(const ScoreNetwork& network,
                              const GroupWidths& widths);

  // Valid as long as this.
  const KernelNetwork& view() const { return view_; }
  uint64_t resident_bytes() const { return weights_.size() * sizeof(float); }

 private:
  AlignedBuffer weights_;  // of all layers and the head, one after the other
  std::vector<KernelLayer> layers_;
  KernelNetwork view_;
};

}  // namespace neumf
