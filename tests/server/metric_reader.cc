#include "tests/server/metric_reader.h"

#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"

namespace neumf {
namespace {

bool HasLabels(const prometheus::ClientMetric& metric,
               const MetricLabels& labels) {
  MetricLabels has;
  for (const auto& label : metric.label) has[label.name] = label.value;
  return has == labels;
}

double ValueOf(const prometheus::ClientMetric& metric,
               prometheus::MetricType type) {
  switch (type) {
    case prometheus::MetricType::Counter:
      return metric.counter.value;
    case prometheus::MetricType::Histogram:
      return static_cast<double>(metric.histogram.sample_count);
    default:
      return metric.gauge.value;
  }
}

}  // namespace

double ReadMetric(const ServerMetrics& metrics, const std::string& name,
                  const MetricLabels& labels) {
  for (const auto& family : metrics.registry()->Collect()) {
    if (family.name != name) continue;
    for (const auto& metric : family.metric) {
      if (HasLabels(metric, labels)) return ValueOf(metric, family.type);
    }
  }
  return -1;
}

}  // namespace neumf
