#include "bench/gpu/mixed_queries.h"

#include <algorithm>

namespace neumf {
namespace {

constexpr uint32_t kBests[] = {1, 10, 100, 1000};
constexpr uint32_t kFilters = 6;

}  // namespace

MixedQueries::MixedQueries(const BenchModel& model, uint64_t num_items,
                           size_t count, uint64_t seed)
    : num_items_(num_items), random_(seed) {
  for (size_t i = 0; i < count; ++i) {
    const uint64_t user = i % model.shape.num_users;
    RankQuery query;
    if (model.shape.gmf_width > 0) {
      query.user_gmf = model.users.gmf.row(user).data();
    }
    if (model.shape.has_tower()) {
      query.user_tower = model.users.tower.row(user).data();
    }
    query.k = kBests[i % std::size(kBests)];
    AddFilter(static_cast<uint32_t>(i / std::size(kBests) % kFilters), &query);
    queries_.push_back(query);
  }
}

void MixedQueries::AddFilter(uint32_t kind, RankQuery* query) {
  constexpr size_t kSeen = 200;
  switch (kind) {
    case 1:
      query->seen = RandomRows(kSeen);
      break;
    case 2:
      query->seen = RandomRows(kSeen);
      query->excluded = RandomRows(num_items_ / 3);
      break;
    case 3:
      query->allow_mask = RandomMask(2);
      break;
    case 4:
      query->allow_mask = RandomMask(1000);
      query->seen = RandomRows(kSeen);
      break;
    case 5:
      query->allow_rows = RandomRows(1 + random_() % 5000);
      break;
    default:
      break;
  }
}

absl::Span<const uint32_t> MixedQueries::RandomRows(size_t count) {
  std::vector<uint32_t>& rows = rows_.emplace_back();
  // More would make the queries of a large catalog slow to draw.
  const size_t most = std::min<size_t>(count, 20'000);
  for (size_t i = 0; i < most; ++i) {
    rows.push_back(static_cast<uint32_t>(random_() % num_items_));
  }
  std::sort(rows.begin(), rows.end());
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  return rows;
}

const ItemMask* MixedQueries::RandomMask(uint64_t one_in) {
  ItemMask& mask = masks_.emplace_back(num_items_);
  for (uint64_t row = 0; row < num_items_; ++row) {
    if (random_() % one_in == 0) mask.Set(row);
  }
  return &mask;
}

}  // namespace neumf
