#include "client/latency_distribution.h"

#include <algorithm>
#include <cmath>

#include "absl/numeric/bits.h"
#include "base/logging.h"

namespace neumf {
namespace {

constexpr int kPrecisionBits = 7;
constexpr int64_t kSubBuckets = int64_t{1} << kPrecisionBits;
static_assert(LatencyDistribution::kRelativeError == 1.0 / kSubBuckets);

// Values have 63 bits. Those below kSubBuckets have buckets of their own; each
// further power of two has kSubBuckets.
constexpr size_t kNumBuckets = kSubBuckets * (63 - kPrecisionBits + 1);

// How far to shift `nanos` so that its highest bit and kPrecisionBits below it
// are left.
int Shift(int64_t nanos) {
  const auto width =
      static_cast<int>(absl::bit_width(static_cast<uint64_t>(nanos)));
  return std::max(0, width - 1 - kPrecisionBits);
}

size_t BucketOf(int64_t nanos) {
  const int shift = Shift(nanos);
  // With a shift the highest bit is there, which counts for one more group.
  return static_cast<size_t>(shift * kSubBuckets + (nanos >> shift));
}

// The largest value of a bucket.
int64_t UpperEnd(size_t bucket) {
  const auto number = static_cast<int64_t>(bucket);
  if (number < 2 * kSubBuckets) return number;
  const int shift = static_cast<int>(number / kSubBuckets) - 1;
  const int64_t first = number - shift * kSubBuckets;
  // In unsigned numbers, as one past the last bucket is 2^63.
  return static_cast<int64_t>((static_cast<uint64_t>(first + 1) << shift) - 1);
}

}  // namespace

LatencyDistribution::LatencyDistribution() : counts_(kNumBuckets, 0) {}

void LatencyDistribution::Record(absl::Duration duration) {
  const int64_t nanos =
      std::max<int64_t>(0, absl::ToInt64Nanoseconds(duration));
  ++counts_[BucketOf(nanos)];
  ++count_;
  max_nanos_ = std::max(max_nanos_, nanos);
}

void LatencyDistribution::Add(const LatencyDistribution& other) {
  for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  max_nanos_ = std::max(max_nanos_, other.max_nanos_);
}

absl::Duration LatencyDistribution::AtRank(int64_t rank) const {
  NEUMF_CHECK(rank >= 1 && rank <= count_);
  size_t bucket = 0;
  for (int64_t seen = counts_[0]; seen < rank; seen += counts_[bucket]) {
    ++bucket;
  }
  return absl::Nanoseconds(std::min(UpperEnd(bucket), max_nanos_));
}

int64_t RankOfQuantile(double q, int64_t count) {
  NEUMF_CHECK(count >= 1 && q >= 0 && q <= 1);
  // 0.99 * 100 is a little above 99, which must not make it the 100th.
  const double rank = std::ceil(q * static_cast<double>(count) - 1e-6);
  return std::clamp<int64_t>(static_cast<int64_t>(rank), 1, count);
}

}  // namespace neumf
