#pragma once

// The process_* metrics that every Prometheus client has, and prometheus-cpp
// lacks, from /proc/self. What cannot be read is left out of a scrape.

#include <chrono>
#include <vector>

#include "base/mutex.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"

namespace neumf {

class ProcessMetrics : public prometheus::Collectable {
 public:
  ProcessMetrics();

  // Any thread may call it.
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  double CountOpenFiles() const;

  const double boot_time_seconds_;  // since the Unix epoch
  mutable Mutex mutex_;
  // Counting lists a directory with an entry a connection: kept for a second.
  mutable double open_files_ ABSL_GUARDED_BY(mutex_) = 0;
  mutable std::chrono::steady_clock::time_point counted_at_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace neumf
