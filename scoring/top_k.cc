#include "scoring/top_k.h"

#include <algorithm>
#include <cstddef>
#include <limits>

#include "hwy/contrib/sort/vqsort.h"
#include "scoring/select_greatest.h"

namespace neumf {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
// A buffer of 3 K trades few selections for a threshold that is seldom stale.
constexpr uint64_t kBufferedTimesK = 3;

}  // namespace

void TopK::Reset(uint64_t k, uint64_t num_items) {
  k_ = std::min(k, num_items);
  // One more than the catalog never fills: nothing to select when K is all.
  capacity_ = std::min<uint64_t>(kBufferedTimesK * k_, num_items + 1);
  worst_ = k_ == 0 ? ~uint64_t{0} : 0;
  threshold_ = k_ == 0 ? kInfinity : -kInfinity;
  buffer_.clear();
  buffer_.reserve(capacity_);
}

void TopK::Merge(const TopK& other) {
  for (const uint64_t key : other.buffer_) {
    if (key > worst_) Keep(key);
  }
}

void TopK::Finish(std::vector<ScoredRow>* best) {
  if (buffer_.size() > k_) Shrink();
  // It allocates when it is made.
  thread_local const hwy::Sorter sort;
  sort(buffer_.data(), buffer_.size(), hwy::SortDescending());
  best->resize(buffer_.size());
  std::transform(buffer_.begin(), buffer_.end(), best->begin(), &FromRankKey);
}

void TopK::Shrink() {
  SelectGreatest(buffer_.data(), buffer_.size(), k_);
  buffer_.resize(k_);
  worst_ = *std::min_element(buffer_.begin(), buffer_.end());
  threshold_ = FromRankKey(worst_).score;
}

}  // namespace neumf
