#pragma once

// Histograms of durations that cost a request a few relaxed atomic additions.
//
// prometheus-cpp's own histogram takes a mutex for each observation; these are
// spread over shards, one of which a thread always uses, and added up only when
// somebody looks. The 25 buckets reach from 50 us to 5 s; neighbours differ by
// a factor of 1.33 to 2.5, and so may a quantile that is read from them.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "prometheus/client_metric.h"
#include "prometheus/collectable.h"
#include "prometheus/labels.h"
#include "prometheus/metric_family.h"

namespace neumf {

class LatencyHistogram {
 public:
  static constexpr size_t kNumBuckets = 25;

  // Negative durations count as zero. Any thread may call it.
  void Observe(absl::Duration duration);

  // Buckets, sum and count, which agree with each other.
  prometheus::ClientMetric::Histogram Collect() const;

 private:
  static constexpr size_t kNumShards = 8;

  struct alignas(64) Shard {
    // The last bucket is +Inf.
    std::array<std::atomic<uint64_t>, kNumBuckets + 1> counts{};
    std::atomic<uint64_t> sum_nanos{0};
  };

  std::array<Shard, kNumShards> shards_;
};

// Histograms of one name, told apart by labels.
class LatencyFamily : public prometheus::Collectable {
 public:
  LatencyFamily(std::string name, std::string help);

  // Valid as long as the family. Not safe beside Collect(): add all at the
  // start.
  LatencyHistogram* Add(prometheus::Labels labels);

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  struct Series {
    explicit Series(prometheus::Labels its_labels)
        : labels(std::move(its_labels)) {}
    const prometheus::Labels labels;
    LatencyHistogram histogram;
  };

  const std::string name_;
  const std::string help_;
  std::deque<Series> series_;  // a deque, since series stay where they are
};

}  // namespace neumf
