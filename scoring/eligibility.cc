#include "scoring/eligibility.h"

#include <algorithm>

#include "absl/numeric/bits.h"
#include "base/logging.h"

namespace neumf {
namespace {

bool MaskAllows(const RankQuery& query, uint32_t row) {
  return query.allow_mask == nullptr || query.allow_mask->allows(row);
}

bool AreBelow(absl::Span<const uint32_t> ascending_rows, uint64_t num_items) {
  return ascending_rows.empty() || ascending_rows.back() < num_items;
}

uint64_t CountMasked(const RankQuery& query, uint64_t num_items) {
  if (query.allow_mask == nullptr) return num_items;
  uint64_t count = 0;
  for (uint64_t word : query.allow_mask->words()) count += absl::popcount(word);
  return count;
}

// Rows that are in `seen`, in `excluded` or in both, and that the mask allows:
// one merge of the two lists.
uint64_t CountMaskedAndRemoved(const RankQuery& query) {
  if (query.allow_mask == nullptr && query.excluded.empty()) {
    return query.seen.size();
  }
  const absl::Span<const uint32_t> a = query.seen;
  const absl::Span<const uint32_t> b = query.excluded;
  uint64_t count = 0;
  size_t i = 0;
  size_t j = 0;
  while (i < a.size() || j < b.size()) {
    const bool from_a = j == b.size() || (i < a.size() && a[i] <= b[j]);
    const uint32_t row = from_a ? a[i] : b[j];
    if (i < a.size() && a[i] == row) ++i;
    if (j < b.size() && b[j] == row) ++j;
    if (MaskAllows(query, row)) ++count;
  }
  return count;
}

uint64_t CountEligibleOf(const RankQuery& query,
                         absl::Span<const uint32_t> allow_rows) {
  RemovedRows removed(query);
  return std::count_if(allow_rows.begin(), allow_rows.end(), [&](uint32_t row) {
    return MaskAllows(query, row) && !removed.Contains(row);
  });
}

}  // namespace

void AscendingRows::SeekTo(uint32_t row) {
  next_ = std::lower_bound(begin_, end_, row);
}

void CheckQuery(const RankQuery& query, const ModelShape& shape) {
  NEUMF_CHECK(shape.gmf_width == 0 || query.user_gmf != nullptr);
  NEUMF_CHECK(!shape.has_tower() || query.user_tower != nullptr);
  NEUMF_CHECK(AreBelow(query.seen, shape.num_items));
  NEUMF_CHECK(AreBelow(query.excluded, shape.num_items));
  NEUMF_CHECK(query.allow_mask == nullptr ||
              query.allow_mask->num_items() == shape.num_items);
  NEUMF_CHECK(!query.allow_rows ||
              AreBelow(*query.allow_rows, shape.num_items));
}

uint64_t CountEligible(const RankQuery& query, uint64_t num_items) {
  if (query.allow_rows) return CountEligibleOf(query, *query.allow_rows);
  return CountMasked(query, num_items) - CountMaskedAndRemoved(query);
}

}  // namespace neumf
