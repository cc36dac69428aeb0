#pragma once

// Durations that are counted in buckets as HdrHistogram does: 128 of equal
// width to each power of two of nanoseconds. Every quantile is within 1/128
// (0.8 %) of the true one and never below it; 60 KB hold any number of
// durations.
//
// Belongs to one thread; distributions of several threads are added with Add().

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"

namespace neumf {

class LatencyDistribution {
 public:
  // A quantile is at most this part of itself above the true one.
  static constexpr double kRelativeError = 1.0 / 128;

  LatencyDistribution();

  // Negative durations count as zero.
  void Record(absl::Duration duration);
  void Add(const LatencyDistribution& other);

  int64_t count() const { return count_; }
  // Exact; zero when there is none.
  absl::Duration max() const { return absl::Nanoseconds(max_nanos_); }

  // The smallest duration that at least `rank` of all do not exceed, 1 for the
  // shortest. REQUIRES: 1 <= rank <= count().
  absl::Duration AtRank(int64_t rank) const;

 private:
  std::vector<int64_t> counts_;
  int64_t count_ = 0;
  int64_t max_nanos_ = 0;
};

// The rank that the quantile `q`, 0 to 1, has among `count` values ("nearest
// rank"): the smallest one that at least a share of q does not exceed. At least
// 1. REQUIRES: count >= 1.
int64_t RankOfQuantile(double q, int64_t count);

}  // namespace neumf
