#include "scoring/top_k.h"

#include <algorithm>
#include <cstddef>
#include <limits>

namespace neumf {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
// A buffer of 3 K trades few selections for a threshold that is seldom stale.
constexpr uint64_t kBufferedTimesK = 3;

}  // namespace

void TopK::Reset(const RankQuery& query, uint64_t num_items) {
  k_ = std::min<uint64_t>(query.k, num_items);
  // One more than the catalog never fills: nothing to select when K is all.
  capacity_ = std::min<uint64_t>(kBufferedTimesK * k_, num_items + 1);
  worst_ = k_ == 0
               ? ScoredRow{kInfinity, 0}
               : ScoredRow{-kInfinity, std::numeric_limits<uint32_t>::max()};
  seen_ = AscendingRows(query.seen);
  excluded_ = AscendingRows(query.excluded);
  buffer_.clear();
  buffer_.reserve(capacity_);
}

void TopK::SeekTo(uint32_t row) {
  seen_.SeekTo(row);
  excluded_.SeekTo(row);
}

void TopK::Merge(const TopK& other) {
  for (const ScoredRow& candidate : other.buffer_) {
    if (candidate < worst_) Keep(candidate);
  }
}

void TopK::Finish(std::vector<ScoredRow>* best) {
  if (buffer_.size() > k_) Shrink();
  std::sort(buffer_.begin(), buffer_.end());
  best->assign(buffer_.begin(), buffer_.end());
}

void TopK::Shrink() {
  const auto kth = buffer_.begin() + static_cast<std::ptrdiff_t>(k_) - 1;
  std::nth_element(buffer_.begin(), kth, buffer_.end());
  worst_ = *kth;
  buffer_.resize(k_);
}

}  // namespace neumf
