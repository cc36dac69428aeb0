#pragma once

// Forward and backward of a batch without a graph of operations: the function
// of model_spec.h and its gradient, for groups of a user, a positive and its
// negatives. LibTorch's twin is trainer/model/torch_model.h.
//
// The user's half is computed once a group. Over a catalog the items' halves
// are computed once a batch, and products are matrix products. Threads take
// shards of the groups, of a small batch fewer threads; what they add up is
// added in a fixed order, so the same number of threads gives the same bits.
//
// Belongs to one thread, which the pool helps.

#include <memory>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/thread_pool.h"
#include "trainer/model/bags.h"
#include "trainer/model/parameters.h"
#include "trainer/step/batch.h"
#include "trainer/step/catalog_loss.h"
#include "trainer/step/gradient.h"
#include "trainer/step/group_loss.h"
#include "trainer/step/side_vectors.h"
#include "trainer/step/step_options.h"
#include "trainer/step/tower_pass.h"

namespace neumf {

class FusedStep {
 public:
  // All but `options` must outlive this. REQUIRES: ValidateSpec is OK.
  FusedStep(const Parameters* parameters, const ItemBags* items,
            const StepOptions& options, ThreadPool* threads);
  ~FusedStep();

  // The batch's loss, without the penalty, with its gradient, penalty included,
  // left in `gradient`. REQUIRES: a catalog batch only with a loss that
  // IsCatalogLoss().
  double ComputeGradient(const Batch& batch, Gradient* gradient);

 private:
  struct Shard;

  // Groups that are worked on together, and their pairs.
  struct Chunk {
    size_t first_group = 0;
    size_t num_groups = 0;
    size_t group_size = 0;

    size_t end_group() const { return first_group + num_groups; }
    size_t first_pair() const { return first_group * group_size; }
    size_t end_pair() const { return end_group() * group_size; }
    size_t num_pairs() const { return num_groups * group_size; }
  };

  size_t NumShards(const Batch& batch) const;
  void Prepare(const Batch& batch, Gradient* gradient);
  // Calls body(begin, end, shard) for as many pieces of `count` as there are
  // shards.
  void ForShards(
      size_t count,
      absl::FunctionRef<void(size_t begin, size_t end, Shard* shard)> body);
  void GatherCandidates(const Batch& batch);
  void RunShard(const Batch& batch, size_t first_group, size_t end_group,
                Shard* shard);
  void RunChunk(const Batch& batch, size_t first_group, size_t num_groups,
                Shard* shard);
  void RunPairs(const Batch& batch, const Chunk& chunk, Shard* shard);
  void ScaleUsers(const Chunk& chunk, Shard* shard);
  size_t FirstWidth() const;  // H1; 0 without a tower
  TowerRow TowerRowOf(const Batch& batch, const Chunk& chunk,
                      const Shard& shard) const;
  void ForwardTower(const Batch& batch, const Chunk& chunk, Shard* shard);
  void BackwardTower(const Batch& batch, const Chunk& chunk, Shard* shard);
  void FinishCandidates(const Batch& batch, size_t begin, size_t end,
                        Shard* shard);
  float GroupTerm(size_t group);
  TowerChunk TowerChunkOf(const Batch& batch, const Chunk& chunk);
  void ScorePairs(const Batch& batch, const Chunk& chunk, Shard* shard);
  void ScoreCandidates(const Batch& batch, const Chunk& chunk, Shard* shard);
  float LossScale(const Batch& batch) const;
  void ScaleGradient(const Batch& batch, size_t count, Shard* shard) const;
  void ComputePairLosses(const Batch& batch, const Chunk& chunk, Shard* shard);
  void ComputeCatalogLosses(const Batch& batch, const Chunk& chunk,
                            Shard* shard);
  void BackwardPairs(const Batch& batch, const Chunk& chunk, Shard* shard);
  void BackwardCandidates(const Batch& batch, const Chunk& chunk, Shard* shard);
  void BackwardScale(const Chunk& chunk, Shard* shard);
  void SumShards(Gradient* gradient);
  std::vector<float> CandidatePenalties(const Batch& batch) const;
  void ScatterTables(const Batch& batch, Gradient* gradient);

  const Parameters* const parameters_;
  const ItemBags* const item_bags_;
  const StepOptions options_;
  const GroupLoss pair_loss_;
  std::optional<CatalogLoss> catalog_loss_;
  ThreadPool* const threads_;
  const size_t dense_begin_;

  SideVectors users_;             // a row a group
  SideVectors items_;             // a row a pair
  SideVectors candidates_;        // a row a shared candidate
  std::vector<float> item_half_;  // [C, H1]
  TowerHead head_;
  std::vector<std::unique_ptr<Shard>> shards_;  // one a thread
  size_t num_shards_ = 0;                       // of them, in this batch
};

}  // namespace neumf
