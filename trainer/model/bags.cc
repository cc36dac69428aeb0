#include "trainer/model/bags.h"

#include <algorithm>
#include <cmath>

#include "base/logging.h"

namespace neumf {
namespace {

uint64_t NumValues(const FeatureTable* features) {
  return features == nullptr ? 0 : features->num_values();
}

}  // namespace

ItemBags::ItemBags(uint64_t num_items, const FeatureTable* features)
    : is_identity_(NumValues(features) == 0) {
  NEUMF_CHECK(features == nullptr || features->num_rows() == num_items);
  offsets_.reserve(num_items + 1);
  offsets_.push_back(0);
  for (uint64_t item = 0; item < num_items; ++item) {
    rows_.push_back(static_cast<uint32_t>(item));
    if (features != nullptr) {
      for (const uint32_t value : features->row(item)) {
        rows_.push_back(static_cast<uint32_t>(num_items + value));
      }
    }
    offsets_.push_back(rows_.size());
  }
  weights_.assign(rows_.size(), 1.0F);
}

Bag ItemBags::bag(uint32_t item) const {
  NEUMF_CHECK(item < num_items());
  const uint64_t begin = offsets_[item];
  const uint64_t size = offsets_[item + 1] - begin;
  return {absl::MakeConstSpan(rows_.data() + begin, size),
          absl::MakeConstSpan(weights_.data() + begin, size),
          static_cast<uint32_t>(size)};
}

UserBags::UserBags(const ModelSpec& spec, const FeatureTable* features,
                   const ItemSequences* sequences)
    : spec_(spec), features_(features), sequences_(sequences) {
  NEUMF_CHECK(NumValues(features) == spec.num_user_features);
  NEUMF_CHECK(features == nullptr || features->num_rows() == spec.num_users);
  NEUMF_CHECK(sequences->num_users() == spec.num_users);
  for (uint32_t n = 0; n < spec.history_length; ++n) {
    history_weights_.push_back(static_cast<float>(
        std::exp(-static_cast<double>(n) / spec.history_decay)));
  }
}

uint32_t UserBags::Append(uint32_t user, uint32_t position,
                          std::vector<uint32_t>* rows,
                          std::vector<float>* weights) const {
  NEUMF_CHECK(user < spec_.num_users);
  const size_t begin = rows->size();
  rows->push_back(user);
  if (features_ != nullptr) {
    for (const uint32_t value : features_->row(user)) {
      rows->push_back(static_cast<uint32_t>(spec_.num_users + value));
    }
  }
  const size_t num_bias_rows = rows->size() - begin;
  weights->insert(weights->end(), num_bias_rows, 1.0F);
  if (!spec_.has_history()) return static_cast<uint32_t>(num_bias_rows);

  const absl::Span<const uint32_t> items = sequences_->row(user);
  NEUMF_CHECK(position <= items.size());
  const uint32_t count = std::min(position, spec_.history_length);
  const uint64_t first_row = spec_.num_users + spec_.num_user_features;
  for (uint32_t n = 1; n <= count; ++n) {
    rows->push_back(static_cast<uint32_t>(first_row + items[position - n]));
  }
  weights->insert(weights->end(), history_weights_.begin(),
                  history_weights_.begin() + count);
  return static_cast<uint32_t>(num_bias_rows);
}

uint32_t UserBags::AppendLatest(uint32_t user, std::vector<uint32_t>* rows,
                                std::vector<float>* weights) const {
  return Append(user, static_cast<uint32_t>(sequences_->row(user).size()), rows,
                weights);
}

}  // namespace neumf
