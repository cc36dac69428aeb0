#pragma once

// Cuts an epoch's examples into batches.
//
// An epoch sees each train event once (forms pairs and events) or each user once
// (form users), in random order. Batch number b of epoch e is a function of the
// seed, e and b alone: any thread may make it, and a resumed run makes the same.
//
//   pairs   a group is an event with negatives of its own
//   events  a group is an event over the shared candidates: its targets are its
//           item and the next ones of the user's sequence, weighted by
//           exp(-distance / target_decay); items before it are taken out
//   users   a group is a user over the shared candidates, with all of the
//           user's items as targets: what has no order needs no more
//
// Immutable but for StartEpoch(): between two of those, any number of threads
// may call Make().

#include <cstdint>
#include <vector>

#include "data/interactions.h"
#include "data/item_sequences.h"
#include "trainer/model/bags.h"
#include "trainer/step/batch.h"
#include "trainer/step/negative_sampler.h"

namespace neumf {

// What the oldest event weighs against the newest one, with recency weights.
inline constexpr double kLeastRecency = 0.1;

enum class BatchForm { kPairs, kEvents, kUsers };

struct BatchOptions {
  BatchForm form = BatchForm::kPairs;
  uint32_t batch_size = 1024;  // groups in a batch; the last may have fewer
  uint32_t num_negatives = 1;  // kPairs
  // kEvents, kUsers: how many candidates are drawn a batch, besides the
  // targets. 0: the whole catalog.
  uint32_t num_candidates = 0;
  uint32_t num_targets = 1;  // kEvents: the event's item and the next ones
  double target_decay = 5;
  // kEvents, kUsers: > 0 weighs the targets by their place from the end of the
  // user's sequence, n = 0 for the last: kLeastRecency + exp(-n / recency), so
  // scaled that the mean over the sequence is 1. 0: all weigh 1.
  double recency = 0;
  uint64_t seed = 1;
  // Of `num_parts` processes that share each batch this one makes part `part`
  // of it: as many groups as the others, or one more or less, in a row. Their
  // events, and the negatives of pairs, are those that one process would make;
  // shared candidates hold the targets of the part alone, and dropout differs.
  // The batch size is that of the whole batch.
  uint32_t part = 0;
  uint32_t num_parts = 1;
};

class BatchMaker {
 public:
  // All but `options` must outlive this. `sampler` may be null where nothing is
  // drawn.
  BatchMaker(const BatchOptions& options, const ItemSequences* sequences,
             uint64_t num_items, const UserBags* user_bags,
             const NegativeSampler* sampler);

  // Shuffles for epoch `epoch`, from 1.
  void StartEpoch(uint32_t epoch);

  uint64_t num_batches() const;
  // In batch number `number`, of all its parts.
  uint64_t num_groups(uint64_t number) const;
  // Of an epoch: what training counts as its examples. A group of pairs is 1 +
  // n examples, one over a catalog as many as it has targets.
  uint64_t examples_an_epoch() const;

  // Fills `*batch` with batch number `number` < num_batches(). Scratch memory
  // is the caller's, one a thread.
  struct Scratch {
    std::vector<uint32_t> places;  // of items among the candidates
  };
  void Make(uint64_t number, Scratch* scratch, Batch* batch) const;

 private:
  struct Example {
    uint32_t user = 0;
    uint32_t position = 0;  // in the user's sequence; 0 for kUsers
  };

  // The recency weights of a sequence of `size` items, the oldest first.
  void RecencyWeights(size_t size, std::vector<float>* weights) const;
  void FillUsers(absl::Span<const Example> examples, Batch* batch) const;
  void FillPairs(absl::Span<const Example> examples, uint64_t stream,
                 uint64_t first_group, Batch* batch) const;
  void FillCandidates(uint64_t stream, Scratch* scratch, Batch* batch) const;
  void FillEvents(absl::Span<const Example> examples, Batch* batch) const;
  void FillWholeUsers(absl::Span<const Example> examples, Batch* batch) const;

  const BatchOptions options_;
  const ItemSequences* const sequences_;
  const uint64_t num_items_;
  const UserBags* const user_bags_;
  const NegativeSampler* const sampler_;
  std::vector<float> target_weights_;  // [num_targets]
  std::vector<Example> examples_;      // in the order of the epoch
  uint32_t epoch_ = 0;
};

}  // namespace neumf
