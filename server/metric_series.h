#pragma once

// The series behind ServerMetrics: name and help of each, made at the start.
//
// Only server_metrics.cc counts with them. Registering throws only for names
// that are not legal, and ours are constants; so nothing is caught here.

#include <array>
#include <cstddef>
#include <vector>

#include "base/mutex.h"
#include "prometheus/collectable.h"
#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/metric_family.h"
#include "prometheus/registry.h"
#include "server/latency_histogram.h"
#include "server/metric_labels.h"
#include "server/process_metrics.h"
#include "server/server_metrics.h"

namespace neumf {

struct ServerMetrics::Series : public prometheus::Collectable {
  using Counter = prometheus::Counter;
  using Gauge = prometheus::Gauge;
  using Histogram = prometheus::Histogram;
  template <typename Metric>
  using Family = prometheus::Family<Metric>;

  Series();

  std::vector<prometheus::MetricFamily> Collect() const override;

  Family<Counter>& CounterFamily(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
  }
  Family<Gauge>& GaugeFamily(const char* name, const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
  }
  Counter& AddCounter(const char* name, const char* help) {
    return CounterFamily(name, help).Add({});
  }
  Gauge& AddGauge(const char* name, const char* help) {
    return GaugeFamily(name, help).Add({});
  }
  Histogram& AddHistogram(const char* name, const char* help,
                          const Histogram::BucketBoundaries& buckets) {
    return prometheus::BuildHistogram()
        .Name(name)
        .Help(help)
        .Register(registry)
        .Add({}, buckets);
  }
  // A counter for each value of one label.
  template <size_t kCount>
  std::array<Counter*, kCount> AddCounters(
      const char* name, const char* help, const char* label,
      const std::array<const char*, kCount>& values) {
    Family<Counter>& family = CounterFamily(name, help);
    std::array<Counter*, kCount> counters{};
    for (size_t i = 0; i < kCount; ++i) {
      counters[i] = &family.Add({{label, values[i]}});
    }
    return counters;
  }
  void AddMethods();
  void AddBuild();

  // Of one method.
  struct Method {
    Counter* started = nullptr;
    std::array<Counter*, kCodeLabels.size()> handled{};
    Counter* received = nullptr;
    Counter* sent = nullptr;
    LatencyHistogram* handling = nullptr;
  };

  prometheus::Registry registry;
  ProcessMetrics process;

  LatencyFamily handling{"grpc_server_handling_seconds",
                         "Time from the arrival of a call to its end."};
  LatencyFamily stage_family{
      "neumf_stage_duration_seconds",
      "Time that a request spent in one stage; the stages add up."};

  LatencyFamily refusal_family{
      "neumf_refusal_duration_seconds",
      "Time from the arrival of a call to its refusal, unless it was queued."};

  LatencyFamily canary_family{
      "neumf_canary_duration_seconds",
      "Time from the arrival of a call of the canary phase to its answer."};

  std::array<Method, kMethodLabels.size()> methods;
  std::array<LatencyHistogram*, kStageLabels.size()> stages{};
  LatencyHistogram* const refusals = refusal_family.Add({});
  std::array<LatencyHistogram*, kAnsweredByLabels.size()> canary{};

  Histogram& batch_users = AddHistogram(
      "neumf_batch_users", "Users scored with one pass over the catalog.",
      {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096});
  Counter& rescored_items = AddCounter(
      "neumf_rescored_items_total",
      "Items that were scored in float32 after a first pass in low precision.");
  Gauge& queue_users =
      AddGauge("neumf_queue_users", "Users that wait for the scorer.");
  Gauge& inflight =
      AddGauge("neumf_inflight_requests",
               "Recommendation calls that have begun and not ended.");
  std::array<Counter*, kShedReasonLabels.size()> shed = AddCounters(
      "neumf_requests_shed_total",
      "Calls refused before scoring to protect the server and its callers.",
      "reason", kShedReasonLabels);
  std::array<Counter*, kStageLabels.size()> expired = AddCounters(
      "neumf_requests_expired_total",
      "Calls dropped because their deadline had passed, by the stage they were "
      "in.",
      "stage", kStageLabels);
  std::array<Counter*, kStageLabels.size()> cancelled = AddCounters(
      "neumf_requests_cancelled_total",
      "Calls whose caller left before the answer, by the stage they were in.",
      "stage", kStageLabels);
  Counter& unknown_user =
      AddCounter("neumf_unknown_user_total",
                 "Requests for users that the model does not know.");
  std::array<Counter*, 1> shortfall = AddCounters(
      "neumf_shortfall_total", "Answers with fewer items than asked for.",
      "reason", std::array<const char*, 1>{"eligible_items"});

  std::array<Counter*, kLogResultLabels.size()> logged = AddCounters(
      "neumf_request_log_calls_total",
      "Calls that were to be in the request log.", "result", kLogResultLabels);

  Family<Gauge>& model_info =
      GaugeFamily("neumf_model_info", "The model that is served; always 1.");
  Gauge& load_progress = AddGauge(
      "neumf_load_progress_ratio",
      "Share of the item tables that the latest load has packed; 1 when done.");
  Gauge& loaded_time =
      AddGauge("neumf_model_loaded_timestamp_seconds",
               "When the served model was swapped in; 0 before the first.");
  Gauge& trained_time = AddGauge(
      "neumf_model_trained_timestamp_seconds",
      "When the served model was trained, as its checkpoint says; 0 when it "
      "does not.");
  Family<Gauge>& model_bytes =
      GaugeFamily("neumf_model_bytes", "Size of the served model.");
  Gauge& file_bytes = model_bytes.Add({{"kind", "file"}});
  Gauge& resident_bytes = model_bytes.Add({{"kind", "resident"}});
  Gauge& catalog_items =
      AddGauge("neumf_catalog_items", "Items of the served model.");
  Gauge& known_users =
      AddGauge("neumf_known_users", "Users of the served model.");
  std::array<Counter*, kReloadResultLabels.size()> reloads =
      AddCounters("neumf_reload_total",
                  "Attempts to load a checkpoint, by what became of them.",
                  "result", kReloadResultLabels);
  Histogram& reload_duration =
      AddHistogram("neumf_reload_duration_seconds",
                   "Time that an attempt to load a checkpoint took.",
                   {0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300});
  Counter& skipped_tensors = AddCounter(
      "neumf_skipped_tensors_total",
      "Tensors of no known feature in checkpoints that were loaded.");

  Gauge& trial_phase =
      AddGauge("neumf_trial_phase",
               "What is done with a new version on trial: 1, requests are "
               "scored by it too; 2, it answers some users; 0, there is none.");
  std::array<Counter*, kTrialResultLabels.size()> trials = AddCounters(
      "neumf_trials_total", "Trials of new versions, by what became of them.",
      "result", kTrialResultLabels);
  std::array<Counter*, kShadowResultLabels.size()> shadows =
      AddCounters("neumf_shadow_requests_total",
                  "Requests that a version on trial was to score, too.",
                  "result", kShadowResultLabels);
  Histogram& shadow_overlap = AddHistogram(
      "neumf_shadow_overlap_ratio",
      "Share of the items of an answer that are in both versions' answers.",
      {0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1});
  Histogram& shadow_drift = AddHistogram(
      "neumf_shadow_score_drift",
      "Mean difference of the scores of the items in both versions' answers.",
      {0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100});
  std::array<Counter*, kAnsweredByLabels.size()> canary_failures = AddCounters(
      "neumf_canary_failures_total", "Calls of the canary phase that failed.",
      "answered_by", kAnsweredByLabels);

  Counter& device_errors = AddCounter(
      "neumf_device_errors_total", "Times that the GPU failed and was lost.");
  Family<Gauge>& gpu_memory_family =
      GaugeFamily("neumf_gpu_memory_bytes",
                  "Memory of the GPU: used, by all processes; free; total.");

  Gauge& connections =
      AddGauge("neumf_connections", "Open connections of both gRPC listeners.");
  std::array<Counter*, kConnectionRefusalLabels.size()> connections_refused =
      AddCounters("neumf_connections_refused_total",
                  "Connections closed at once because there were too many.",
                  "reason", kConnectionRefusalLabels);
  Counter& connections_cut = AddCounter(
      "neumf_connections_cut_total",
      "Connections ended for calls that they reset, endless headers, or half "
      "messages.");
  Counter& accept_errors = AddCounter(
      "neumf_accept_errors_total",
      "Connections that could not be accepted for want of resources.");

  Gauge& live =
      AddGauge("neumf_live",
               "0 once three probes of the server by itself failed in a row.");
  Counter& self_probes = AddCounter(
      "neumf_self_probes_total",
      "Times that the server asked itself whether it accepts and scores.");
  Counter& self_probe_failures = AddCounter("neumf_self_probe_failures_total",
                                            "Times that it got no answer.");

  std::array<Counter*, kConfigFileLabels.size()> config_reloads = AddCounters(
      "neumf_config_reloads_total",
      "Times that changed files of the configuration were taken over.", "file",
      kConfigFileLabels);
  std::array<Counter*, kConfigFileLabels.size()> config_failures =
      AddCounters("neumf_config_reload_failures_total",
                  "Times that changed files of the configuration were refused.",
                  "file", kConfigFileLabels);
  std::array<Gauge*, kConfigFileLabels.size()> config_current{};
  Gauge& certificate_expiry = AddGauge(
      "neumf_tls_cert_not_after_timestamp_seconds",
      "When the certificate that new connections get expires; 0 without TLS.");
  Gauge& blocked_items =
      AddGauge("neumf_blocked_items",
               "Ids of --blocked_items_file, known to the model or not.");
  Gauge& blocked_users =
      AddGauge("neumf_blocked_users",
               "Ids of --blocked_users_file, known to the model or not.");

  Mutex mutex;
  Gauge* served_info ABSL_GUARDED_BY(mutex) = nullptr;  // of model_info
  std::array<Gauge*, kMemoryKindLabels.size()> gpu_memory
      ABSL_GUARDED_BY(mutex){};
};

}  // namespace neumf
