#include "scoring/cpu/survivors.h"

#include <algorithm>
#include <limits>

#include "hwy/contrib/sort/vqsort.h"
#include "scoring/select_greatest.h"

namespace neumf {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr uint32_t kLastRow = std::numeric_limits<uint32_t>::max();
// What may come in, in units of K, before the threshold is raised again.
constexpr uint64_t kBufferedTimesK = 2;

}  // namespace

void Survivors::Reset(uint64_t k, double margin, uint64_t limit) {
  k_ = k;
  margin_ = margin;
  limit_ = limit;
  capacity_ = (kBufferedTimesK + 1) * k;
  threshold_ = -kInfinity;
  too_many_ = false;
  buffer_.clear();
}

void Survivors::Merge(const Survivors& other) {
  if (other.too_many_) GiveUp();
  if (too_many_) return;
  buffer_.insert(buffer_.end(), other.buffer_.begin(), other.buffer_.end());
  Shrink();
}

bool Survivors::Finish(std::vector<uint32_t>* rows) {
  Shrink();
  if (too_many_) return false;
  rows->resize(buffer_.size());
  std::transform(buffer_.begin(), buffer_.end(), rows->begin(),
                 [](uint64_t key) { return FromRankKey(key).row; });
  // It allocates when it is made.
  thread_local const hwy::Sorter sort;
  sort(rows->data(), rows->size(), hwy::SortAscending());
  return true;
}

void Survivors::Shrink() {
  if (buffer_.size() < k_) return;
  const auto others = buffer_.begin() + static_cast<std::ptrdiff_t>(k_);
  SelectGreatest(buffer_.data(), buffer_.size(), k_);
  const float kth =
      FromRankKey(*std::min_element(buffer_.begin(), others)).score;
  // Rounding keeps the order: a float32 score that is not below the exact
  // threshold is not below the rounded one. + 0 makes +0.0 of -0.0.
  threshold_ = std::max(threshold_, static_cast<float>(kth - margin_) + 0.0F);
  const uint64_t least = RankKey({threshold_, kLastRow});
  buffer_.erase(std::remove_if(others, buffer_.end(),
                               [least](uint64_t key) { return key < least; }),
                buffer_.end());
  if (buffer_.size() > limit_) GiveUp();
  // In proportion where many survive: all selections together stay linear.
  capacity_ =
      buffer_.size() + std::max(kBufferedTimesK * k_, buffer_.size() / 2);
}

void Survivors::GiveUp() {
  too_many_ = true;
  buffer_.clear();
  threshold_ = kInfinity;
}

}  // namespace neumf
