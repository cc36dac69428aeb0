#pragma once

// Users and items as weighted bags of rows of the tables (LightFM, Kula 2015):
// an entity's vector is the weighted sum of the rows in its bag. So features
// and the last-items path need no case of their own in any model.

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "data/features.h"
#include "data/item_sequences.h"
#include "trainer/model/model_spec.h"

namespace neumf {

// Rows of the two tables of a side, with as many weights.
struct Bag {
  absl::Span<const uint32_t> rows;
  absl::Span<const float> weights;
  // The first so many rows belong to the entity and its features: those have
  // bias rows too. The others are history.
  uint32_t num_bias_rows = 0;
};

// The bags of all items: the own row, then rows I + f of the features f, each
// with weight 1. Immutable.
class ItemBags {
 public:
  // `features` may be null; else it has num_items rows.
  ItemBags(uint64_t num_items, const FeatureTable* features);

  uint64_t num_items() const { return offsets_.size() - 1; }
  // Every bag is the item's own row with weight 1.
  bool is_identity() const { return is_identity_; }
  Bag bag(uint32_t item) const;

 private:
  bool is_identity_;
  std::vector<uint64_t> offsets_;  // [I + 1]
  std::vector<uint32_t> rows_;
  std::vector<float> weights_;
};

// Writes the bags of users in their context: the own row, rows U + f of the
// features f, then rows U + Fu + i of the last items i, the last one first.
// Immutable; what it is made of must outlive it.
class UserBags {
 public:
  // `features` may be null; `sequences` are the train items in time order.
  UserBags(const ModelSpec& spec, const FeatureTable* features,
           const ItemSequences* sequences);

  // Appends the bag of `user` before its train event number `position` (0 is
  // its first), as training sees it: no item at or after it. Returns
  // num_bias_rows.
  uint32_t Append(uint32_t user, uint32_t position, std::vector<uint32_t>* rows,
                  std::vector<float>* weights) const;
  // The same after all of its train events: what is exported.
  uint32_t AppendLatest(uint32_t user, std::vector<uint32_t>* rows,
                        std::vector<float>* weights) const;

 private:
  const ModelSpec spec_;
  const FeatureTable* const features_;
  const ItemSequences* const sequences_;
  std::vector<float> history_weights_;  // [history_length]
};

}  // namespace neumf
