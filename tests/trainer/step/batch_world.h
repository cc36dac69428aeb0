#pragma once

// Users with sequences of awkward lengths, for tests of what cuts batches.

#include <cstdint>
#include <vector>

#include "data/interactions.h"
#include "data/item_sequences.h"
#include "trainer/model/bags.h"
#include "trainer/step/batch.h"
#include "trainer/step/batch_maker.h"
#include "trainer/step/negative_sampler.h"

namespace neumf {

class BatchWorld {
 public:
  static constexpr uint32_t kNumItems = 31;

  BatchWorld();
  BatchWorld(const BatchWorld&) = delete;
  BatchWorld& operator=(const BatchWorld&) = delete;

  const ItemSequences& sequences() const { return sequences_; }
  const UserBags& bags() const { return bags_; }
  uint64_t num_events() const { return sequences_.num_events(); }

  BatchMaker Maker(const BatchOptions& options) const;
  // All batches of an epoch.
  static std::vector<Batch> Epoch(BatchMaker& maker, uint32_t epoch);

 private:
  const std::vector<Event> events_;
  const Interactions train_;
  const ItemSequences sequences_;
  const UserBags bags_;  // with a history of 3 items
  const NegativeSampler sampler_;
};

// Whether two batches are the same in every field.
bool operator==(const Batch& a, const Batch& b);

}  // namespace neumf
