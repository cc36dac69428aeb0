#pragma once

// What one step learns from: groups of a user in its context and the items that
// it is taught about. A batch has one of two forms.
//
// Pairs: each group has a positive and n negatives of its own; `items` is
// [B, 1 + n] and `candidates` is empty. For any model and any GroupLoss.
//
// Catalog: all groups share the candidates [C], often the whole catalog, and
// each has targets among them; `items` is empty. The scores of a model without a
// tower are then one matrix product, and a tower computes the item's half of its
// first layer once for all groups. With a CatalogLoss.
//
// A plain struct that is filled again for each step, so that nothing is
// allocated once it has grown.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "trainer/model/bags.h"

namespace neumf {

struct Batch {
  uint32_t num_groups = 0;      // B
  uint32_t num_negatives = 0;   // n of pairs
  std::vector<uint32_t> users;  // [B]

  // The user side of group g: rows bag_offsets[g] .. bag_offsets[g + 1].
  std::vector<uint32_t> bag_offsets;  // [B + 1]
  std::vector<uint32_t> bag_rows;
  std::vector<float> bag_weights;
  std::vector<uint32_t> num_bias_rows;  // [B]

  // Pairs.
  std::vector<uint32_t> items;  // [B, 1 + n], the positive first

  // Catalog.
  std::vector<uint32_t> candidates;  // [C], ascending and distinct
  // The targets of group g, as places in `candidates`: target_offsets[g] ..
  // [g + 1], each with a weight.
  std::vector<uint32_t> target_offsets;  // [B + 1]
  std::vector<uint32_t> targets;
  std::vector<float> target_weights;
  // Candidates that do not count for group g, as places in `candidates`.
  std::vector<uint32_t> masked_offsets;  // [B + 1]
  std::vector<uint32_t> masked;

  // Of the generator of this batch's dropout masks.
  uint64_t dropout_seed = 0;

  bool is_pairs() const { return candidates.empty(); }
  uint32_t group_size() const { return 1 + num_negatives; }
  Bag user_bag(uint32_t group) const {
    const size_t begin = bag_offsets[group];
    const size_t size = bag_offsets[group + 1] - begin;
    return {absl::MakeConstSpan(bag_rows).subspan(begin, size),
            absl::MakeConstSpan(bag_weights).subspan(begin, size),
            num_bias_rows[group]};
  }
};

}  // namespace neumf
