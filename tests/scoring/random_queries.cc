#include "tests/scoring/random_queries.h"

#include "tests/scoring/scorer_fixture.h"

namespace neumf {

RandomQueries::RandomQueries(const TinyModel& tiny, size_t count, uint64_t seed)
    : num_items_(tiny.model.shape.num_items), random_(seed) {
  for (size_t b = 0; b < count; ++b) {
    const auto user = static_cast<uint32_t>(Below(tiny.model.shape.num_users));
    RankQuery query = QueryOf(tiny, user, RandomK());
    if (Below(3) == 0) query.seen = RandomRows();
    if (Below(2) == 0) query.excluded = RandomRows();
    if (Below(2) == 0) query.allow_mask = RandomMask();
    if (Below(3) == 0) query.allow_rows = RandomRows();
    queries_.push_back(query);
  }
}

uint32_t RandomQueries::RandomK() {
  switch (Below(4)) {
    case 0:
      return static_cast<uint32_t>(Below(3));
    case 1:
      return static_cast<uint32_t>(num_items_);
    default:
      return static_cast<uint32_t>(Below(num_items_ + 10));
  }
}

absl::Span<const uint32_t> RandomQueries::RandomRows() {
  constexpr uint64_t kPerMille[] = {0, 1, 30, 300, 1000};
  const uint64_t per_mille = kPerMille[Below(5)];
  std::vector<uint32_t>& rows = lists_.emplace_back();
  for (uint32_t row = 0; row < num_items_; ++row) {
    if (Below(1000) < per_mille) rows.push_back(row);
  }
  return rows;
}

const ItemMask* RandomQueries::RandomMask() {
  ItemMask& mask = masks_.emplace_back(num_items_);
  for (uint32_t row : RandomRows()) mask.Set(row);
  return &mask;
}

}  // namespace neumf
