#pragma once

// Reads ServerMetrics the way a scrape does.

#include <map>
#include <string>

#include "server/server_metrics.h"

namespace neumf {

using MetricLabels = std::map<std::string, std::string>;

// The value of a counter or gauge, or the count of a histogram; -1 when there
// is no such series.
double ReadMetric(const ServerMetrics& metrics, const std::string& name,
                  const MetricLabels& labels = {});

}  // namespace neumf
