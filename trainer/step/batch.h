#pragma once

// What one step learns from: groups of a user in its context, one positive and
// n negatives.
//
// Either each group has negatives of its own (`items` is [B, 1 + n]), or all
// share the candidates (`items` is [B, 1], `candidates` [C]): then the scores
// are one matrix product, which a model without a tower needs for a softmax
// over the catalog. A plain struct that is filled again for each step, so that
// nothing is allocated once it has grown.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "trainer/model/bags.h"

namespace neumf {

struct Batch {
  uint32_t num_groups = 0;      // B
  uint32_t num_negatives = 0;   // n; 0 with shared candidates
  std::vector<uint32_t> users;  // [B]

  // The user side of group g: rows bag_offsets[g] .. bag_offsets[g + 1].
  std::vector<uint32_t> bag_offsets;  // [B + 1]
  std::vector<uint32_t> bag_rows;
  std::vector<float> bag_weights;
  std::vector<uint32_t> num_bias_rows;  // [B]

  std::vector<uint32_t> items;       // [B, 1 + n], the positive first
  std::vector<uint32_t> candidates;  // [C], ascending and distinct

  // Candidates that are no negatives of group g (positives of its user), as
  // places in `candidates`: masked_offsets[g] .. [g + 1]. The group's own
  // positive, when it is a candidate, is always among them.
  std::vector<uint32_t> masked_offsets;  // [B + 1] with shared candidates
  std::vector<uint32_t> masked;

  // Of the generator of this batch's dropout masks.
  uint64_t dropout_seed = 0;

  uint32_t group_size() const { return 1 + num_negatives; }
  uint64_t num_pairs() const {
    return num_groups * (group_size() + candidates.size());
  }
  Bag user_bag(uint32_t group) const {
    const size_t begin = bag_offsets[group];
    const size_t size = bag_offsets[group + 1] - begin;
    return {absl::MakeConstSpan(bag_rows).subspan(begin, size),
            absl::MakeConstSpan(bag_weights).subspan(begin, size),
            num_bias_rows[group]};
  }
};

}  // namespace neumf
