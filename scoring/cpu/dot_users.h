#pragma once

// Users who are scored together against a model without a tower: one read of an
// item serves all of them (KernelDotInput).

#include <vector>

#include "absl/types/span.h"
#include "base/aligned_matrix.h"
#include "scoring/cpu/block_kernel.h"
#include "scoring/scorer.h"

namespace neumf {

class DotUsers {
 public:
  // More users than this would push the items out of the first-level cache.
  static constexpr size_t kMax = 32;
  // Outputs that their groups can have.
  static constexpr size_t kMaxOutputs = kMax + kMaxGroupWidth;

  // For models and kernels like these. They must outlive it.
  DotUsers(const KernelNetwork& network, const GroupWidths& widths);

  // Takes the vectors of queries[indices[i]] for all i. They must stay where
  // they are only until it returns. REQUIRES: at most kMax.
  void Reset(absl::Span<const RankQuery> queries,
             absl::Span<const size_t> indices);

  const KernelLayer& layer() const { return layer_; }
  // Of output o of the layer: the index of its query, as long as
  // o < size().
  size_t query(size_t o) const { return indices_[o]; }
  size_t size() const { return indices_.size(); }

 private:
  const GroupWidths& widths_;
  AlignedBuffer weight_;
  AlignedBuffer bias_;
  std::vector<size_t> indices_;
  KernelLayer layer_;
};

}  // namespace neumf
