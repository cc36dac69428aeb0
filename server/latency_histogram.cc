#include "server/latency_histogram.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

namespace neumf {
namespace {

constexpr std::array<int64_t, LatencyHistogram::kNumBuckets> kBoundsMicros = {
    50,      100,       200,       300,      500,     750,     1'000,
    1'500,   2'000,     3'000,     5'000,    7'500,   10'000,  15'000,
    20'000,  30'000,    50'000,    75'000,   100'000, 150'000, 250'000,
    500'000, 1'000'000, 2'500'000, 5'000'000};

// A number that the calling thread keeps.
size_t ThreadNumber() {
  static std::atomic<size_t> next{0};
  thread_local const size_t number =
      next.fetch_add(1, std::memory_order_relaxed);
  return number;
}

}  // namespace

void LatencyHistogram::Observe(absl::Duration duration) {
  const int64_t nanos =
      std::max<int64_t>(0, absl::ToInt64Nanoseconds(duration));
  const size_t bucket = std::distance(
      kBoundsMicros.begin(),
      std::lower_bound(
          kBoundsMicros.begin(), kBoundsMicros.end(), nanos,
          [](int64_t micros, int64_t value) { return micros * 1000 < value; }));
  Shard& shard = shards_[ThreadNumber() % kNumShards];
  shard.counts[bucket].fetch_add(1, std::memory_order_relaxed);
  shard.sum_nanos.fetch_add(nanos, std::memory_order_relaxed);
}

prometheus::ClientMetric::Histogram LatencyHistogram::Collect() const {
  prometheus::ClientMetric::Histogram result;
  uint64_t cumulative = 0;
  for (size_t bucket = 0; bucket <= kNumBuckets; ++bucket) {
    for (const Shard& shard : shards_) {
      cumulative += shard.counts[bucket].load(std::memory_order_relaxed);
    }
    prometheus::ClientMetric::Bucket out;
    out.cumulative_count = cumulative;
    out.upper_bound = bucket < kNumBuckets
                          ? static_cast<double>(kBoundsMicros[bucket]) / 1e6
                          : std::numeric_limits<double>::infinity();
    result.bucket.push_back(out);
  }
  uint64_t sum_nanos = 0;
  for (const Shard& shard : shards_) {
    sum_nanos += shard.sum_nanos.load(std::memory_order_relaxed);
  }
  result.sample_count = cumulative;
  result.sample_sum = static_cast<double>(sum_nanos) / 1e9;
  return result;
}

LatencyFamily::LatencyFamily(std::string name, std::string help)
    : name_(std::move(name)), help_(std::move(help)) {}

LatencyHistogram* LatencyFamily::Add(prometheus::Labels labels) {
  series_.emplace_back(std::move(labels));
  return &series_.back().histogram;
}

std::vector<prometheus::MetricFamily> LatencyFamily::Collect() const {
  prometheus::MetricFamily family;
  family.name = name_;
  family.help = help_;
  family.type = prometheus::MetricType::Histogram;
  for (const Series& series : series_) {
    prometheus::ClientMetric metric;
    for (const auto& [name, value] : series.labels) {
      metric.label.push_back({name, value});
    }
    metric.histogram = series.histogram.Collect();
    family.metric.push_back(std::move(metric));
  }
  return {family};
}

}  // namespace neumf
