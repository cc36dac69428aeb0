#pragma once

// Everything that belongs to a model's low-precision first pass: it scores the
// catalog in 8-bit numbers with a certified bound, so that only the items that
// may be among the best are scored in float32.
//
// Immutable: any number of threads may use it.

#include <atomic>
#include <memory>

#include "base/thread_pool.h"
#include "model/serving_model.h"
#include "scoring/cpu/coarse_items.h"
#include "scoring/cpu/coarse_kernel.h"
#include "scoring/cpu/coarse_network.h"
#include "scoring/cpu/packed_items.h"
#include "scoring/scorer.h"

namespace neumf {

class FirstPass {
 public:
  // Null where there can be none or it would not pay: other activations than
  // ReLU, no layer to multiply, a small catalog, numbers that are not finite, a
  // machine without 8-bit multiply-adds. `threads` may be null. `items` may go.
  static std::unique_ptr<const FirstPass> MaybeMake(
      const ModelShape& shape, const ScoreNetwork& network,
      const PackedItems& items, const FirstPassOptions& options,
      ThreadPool* threads);

  // False where MaybeMake() surely gives none.
  static bool Applies(const ModelShape& shape, const ScoreNetwork& network,
                      const FirstPassOptions& options);
  // What it takes of the system at most, and what its making takes beside that.
  static uint64_t MappedBytes(const ModelShape& shape,
                              const ScoreNetwork& network) {
    return CoarseItems::MappedBytes(shape) +
           CoarseNetwork::MappedBytes(shape, network);
  }
  static uint64_t MakingBytes(const ModelShape& shape) {
    return CoarseItems::MakingBytes(shape);
  }
  // Of the survivors of a user for whom each thread finds as many as are worth
  // it.
  static uint64_t UserBytes(const ModelShape& shape, uint64_t num_threads);

  // False when so many are asked for that too many would be left.
  bool PaysFor(const RankQuery& query) const;
  // More survivors than this are not worth scoring one by one.
  uint64_t MaxSurvivors(const RankQuery& query) const;

  const CoarseKernel& kernel() const { return kernel_; }
  const CoarseItems& items() const { return items_; }
  const CoarseNetwork& network() const { return network_; }
  uint64_t resident_bytes() const {
    return items_.resident_bytes() + network_.resident_bytes();
  }

 private:
  FirstPass(const ModelShape& shape, const ScoreNetwork& network,
            CoarseItems items, const FirstPassOptions& options,
            const CoarseKernel& kernel);

  const uint64_t num_items_;
  const FirstPassOptions options_;
  const CoarseKernel& kernel_;
  const CoarseItems items_;
  const CoarseNetwork network_;
};

// Whether the first passes of a scorer have paid lately. On a model that leaves
// too many items to most users only one of many queries tries again.
//
// Any number of threads may use it. What it says is of no matter to answers, so
// a count that is lost between threads is none either.
class FirstPassBalance {
 public:
  // Whether the next query should have a first pass; to be asked once a query.
  bool IsPositive();
  void Add(bool has_paid);

 private:
  std::atomic<int> balance_{0};
};

}  // namespace neumf
