#include "server/metric_series.h"

#include <iterator>
#include <utility>

#include "prometheus/labels.h"

namespace neumf {

using prometheus::Labels;

ServerMetrics::Series::Series() {
  AddMethods();
  AddBuild();
  live.Set(1);
  for (size_t i = 0; i < kStageLabels.size(); ++i) {
    stages[i] = stage_family.Add({{"stage", kStageLabels[i]}});
  }
  for (size_t i = 0; i < kAnsweredByLabels.size(); ++i) {
    canary[i] = canary_family.Add({{"answered_by", kAnsweredByLabels[i]}});
  }
  Family<Gauge>& current = GaugeFamily(
      "neumf_config_last_reload_successful",
      "1 while the files of the configuration are those that are in force.");
  for (size_t i = 0; i < kConfigFileLabels.size(); ++i) {
    config_current[i] = &current.Add({{"file", kConfigFileLabels[i]}});
    config_current[i]->Set(1);
  }
}

void ServerMetrics::Series::AddMethods() {
  Family<Counter>& started =
      CounterFamily("grpc_server_started_total", "Calls that have begun.");
  Family<Counter>& handled = CounterFamily(
      "grpc_server_handled_total", "Calls that have ended, by status code.");
  Family<Counter>& received = CounterFamily("grpc_server_msg_received_total",
                                            "Messages that callers sent.");
  Family<Counter>& sent =
      CounterFamily("grpc_server_msg_sent_total", "Messages sent to callers.");
  for (size_t i = 0; i < kMethodLabels.size(); ++i) {
    const Labels labels = {{"grpc_type", kMethodLabels[i].type},
                           {"grpc_service", kMethodLabels[i].service},
                           {"grpc_method", kMethodLabels[i].method}};
    Method& method = methods[i];
    method.started = &started.Add(labels);
    method.received = &received.Add(labels);
    method.sent = &sent.Add(labels);
    method.handling = handling.Add(labels);
    for (size_t code = 0; code < kCodeLabels.size(); ++code) {
      Labels with_code = labels;
      with_code["grpc_code"] = kCodeLabels[code];
      method.handled[code] = &handled.Add(with_code);
    }
  }
}

void ServerMetrics::Series::AddBuild() {
  GaugeFamily("neumf_build_info", "What this program was built from; always 1.")
      .Add({{"version", NEUMF_VERSION}, {"compiler", __VERSION__}})
      .Set(1);
}

std::vector<prometheus::MetricFamily> ServerMetrics::Series::Collect() const {
  std::vector<prometheus::MetricFamily> all;
  const std::array<const prometheus::Collectable*, 6> sources = {
      &registry,       &handling,      &stage_family,
      &refusal_family, &canary_family, &process};
  for (const prometheus::Collectable* source : sources) {
    std::vector<prometheus::MetricFamily> families = source->Collect();
    std::move(families.begin(), families.end(), std::back_inserter(all));
  }
  return all;
}

}  // namespace neumf
