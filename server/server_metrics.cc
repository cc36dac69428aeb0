#include "server/server_metrics.h"

#include <array>
#include <iterator>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "prometheus/counter.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"
#include "server/latency_histogram.h"
#include "server/model_labels.h"
#include "server/process_metrics.h"

namespace neumf {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;
using prometheus::Labels;

struct MethodName {
  const char* type;
  const char* service;
  const char* method;
};

// In the order of RpcMethod.
constexpr std::array<MethodName, 9> kMethods = {{
    {"unary", "neumf.v1.RecommendationService", "Recommend"},
    {"unary", "neumf.v1.RecommendationService", "BatchRecommend"},
    {"unary", "neumf.v1.ModelService", "ListModelVersions"},
    {"unary", "neumf.v1.ModelService", "LoadModelVersion"},
    {"unary", "neumf.v1.ModelService", "RollbackModelVersion"},
    {"server_stream", "neumf.v1.ModelService", "WatchModelVersions"},
    {"unary", "grpc.health.v1.Health", "Check"},
    {"server_stream", "grpc.health.v1.Health", "Watch"},
    {"unary", "unknown", "unknown"},
}};

// By number, spelled as in Go, which is what dashboards expect.
constexpr std::array<const char*, 17> kCodes = {"OK",
                                                "Canceled",
                                                "Unknown",
                                                "InvalidArgument",
                                                "DeadlineExceeded",
                                                "NotFound",
                                                "AlreadyExists",
                                                "PermissionDenied",
                                                "ResourceExhausted",
                                                "FailedPrecondition",
                                                "Aborted",
                                                "OutOfRange",
                                                "Unimplemented",
                                                "Internal",
                                                "Unavailable",
                                                "DataLoss",
                                                "Unauthenticated"};
constexpr int kUnknownCode = 2;
constexpr int kResourceExhaustedCode = 8;
constexpr int kUnavailableCode = 14;

// In the order of Stage.
constexpr std::array<const char*, 5> kStages = {"admission", "queue", "gather",
                                                "score", "encode"};
// In the order of ShedReason.
constexpr std::array<const char*, 6> kShedReasons = {
    "queue_full", "wait_too_long", "overloaded",
    "draining",   "no_model",      "quota"};
// In the order of ConnectionRefusal.
constexpr std::array<const char*, 2> kConnectionRefusals = {"total", "per_ip"};
// In the order of ReloadResult.
constexpr std::array<const char*, 11> kReloadResults = {"ok",
                                                        "corrupt",
                                                        "incompatible",
                                                        "probe_failed",
                                                        "bad_signature",
                                                        "gate_failed",
                                                        "no_memory",
                                                        "io_error",
                                                        "device_error",
                                                        "crashed_loading",
                                                        "rolled_back"};
// In the order of TrialResult.
constexpr std::array<const char*, 3> kTrialResults = {"promoted", "rolled_back",
                                                      "ended"};
// In the order of ShadowResult.
constexpr std::array<const char*, 3> kShadowResults = {"compared", "failed",
                                                       "dropped"};
// Whose answer it is, by whether it is the candidate's.
constexpr std::array<const char*, 2> kAnsweredBy = {"served", "candidate"};
// In the order of ConfigFile.
constexpr std::array<const char*, 7> kConfigFiles = {
    "auth_tokens",    "tls", "quotas", "blocked_items", "blocked_users",
    "serving_policy", "gate"};
// In the order of LogResult.
constexpr std::array<const char*, 3> kLogResults = {"written", "dropped",
                                                    "failed"};
// In the order of Series::gpu_memory.
constexpr std::array<const char*, 3> kMemoryKinds = {"used", "free", "total"};

template <typename Enum>
size_t IndexOf(Enum value) {
  return static_cast<size_t>(value);
}

bool IsRecommendation(RpcMethod method) {
  return method == RpcMethod::kRecommend ||
         method == RpcMethod::kBatchRecommend;
}

// Seconds since the Unix epoch; 0 for a time that is not known.
double UnixSeconds(absl::Time time) {
  return time == absl::InfinitePast()
             ? 0
             : absl::ToDoubleSeconds(time - absl::UnixEpoch());
}

const Histogram::BucketBoundaries& BatchBuckets() {
  static const auto& buckets = *new Histogram::BucketBoundaries{
      1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};
  return buckets;
}

const Histogram::BucketBoundaries& ReloadBuckets() {
  static const auto& buckets = *new Histogram::BucketBoundaries{
      0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300};
  return buckets;
}

const Histogram::BucketBoundaries& OverlapBuckets() {
  static const auto& buckets = *new Histogram::BucketBoundaries{
      0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1};
  return buckets;
}

const Histogram::BucketBoundaries& DriftBuckets() {
  static const auto& buckets = *new Histogram::BucketBoundaries{
      0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100};
  return buckets;
}

}  // namespace

const char* TrialResultName(TrialResult result) {
  return kTrialResults[IndexOf(result)];
}

const char* ReloadResultName(ReloadResult result) {
  return kReloadResults[IndexOf(result)];
}

const char* RpcMethodName(RpcMethod method) {
  return kMethods[IndexOf(method)].method;
}

const char* ConfigFileName(ConfigFile file) {
  return kConfigFiles[IndexOf(file)];
}

// All series. Registering throws only for names that are not legal, and ours
// are constants; so nothing is caught here.
struct ServerMetrics::Series : public prometheus::Collectable {
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
    std::array<Counter*, kCodes.size()> handled{};
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
      "Time from the arrival of a call to its refusal."};

  LatencyFamily canary_family{
      "neumf_canary_duration_seconds",
      "Time from the arrival of a call of the canary phase to its answer."};

  std::array<Method, kMethods.size()> methods;
  std::array<LatencyHistogram*, kStages.size()> stages{};
  LatencyHistogram* const refusals = refusal_family.Add({});
  std::array<LatencyHistogram*, kAnsweredBy.size()> canary{};

  Histogram& batch_users = AddHistogram(
      "neumf_batch_users", "Users scored with one pass over the catalog.",
      BatchBuckets());
  Counter& rescored_items = AddCounter(
      "neumf_rescored_items_total",
      "Items that were scored in float32 after a first pass in low precision.");
  Gauge& queue_users =
      AddGauge("neumf_queue_users", "Users that wait for the scorer.");
  Gauge& inflight =
      AddGauge("neumf_inflight_requests",
               "Recommendation calls that have begun and not ended.");
  std::array<Counter*, kShedReasons.size()> shed = AddCounters(
      "neumf_requests_shed_total",
      "Calls refused before scoring to protect the server and its callers.",
      "reason", kShedReasons);
  std::array<Counter*, kStages.size()> expired = AddCounters(
      "neumf_requests_expired_total",
      "Calls dropped because their deadline had passed, by the stage they were "
      "in.",
      "stage", kStages);
  std::array<Counter*, kStages.size()> cancelled = AddCounters(
      "neumf_requests_cancelled_total",
      "Calls whose caller left before the answer, by the stage they were in.",
      "stage", kStages);
  Counter& unknown_user =
      AddCounter("neumf_unknown_user_total",
                 "Requests for users that the model does not know.");
  std::array<Counter*, 1> shortfall = AddCounters(
      "neumf_shortfall_total", "Answers with fewer items than asked for.",
      "reason", std::array<const char*, 1>{"eligible_items"});

  std::array<Counter*, kLogResults.size()> logged = AddCounters(
      "neumf_request_log_calls_total",
      "Calls that were to be in the request log.", "result", kLogResults);

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
  std::array<Counter*, kReloadResults.size()> reloads =
      AddCounters("neumf_reload_total",
                  "Attempts to load a checkpoint, by what became of them.",
                  "result", kReloadResults);
  Histogram& reload_duration = AddHistogram(
      "neumf_reload_duration_seconds",
      "Time that an attempt to load a checkpoint took.", ReloadBuckets());
  Counter& skipped_tensors = AddCounter(
      "neumf_skipped_tensors_total",
      "Tensors of no known feature in checkpoints that were loaded.");

  Gauge& trial_phase =
      AddGauge("neumf_trial_phase",
               "What is done with a new version on trial: 1, requests are "
               "scored by it too; 2, it answers some users; 0, there is none.");
  std::array<Counter*, kTrialResults.size()> trials = AddCounters(
      "neumf_trials_total", "Trials of new versions, by what became of them.",
      "result", kTrialResults);
  std::array<Counter*, kShadowResults.size()> shadows =
      AddCounters("neumf_shadow_requests_total",
                  "Requests that a version on trial was to score, too.",
                  "result", kShadowResults);
  Histogram& shadow_overlap = AddHistogram(
      "neumf_shadow_overlap_ratio",
      "Share of the items of an answer that are in both versions' answers.",
      OverlapBuckets());
  Histogram& shadow_drift = AddHistogram(
      "neumf_shadow_score_drift",
      "Mean difference of the scores of the items in both versions' answers.",
      DriftBuckets());
  std::array<Counter*, kAnsweredBy.size()> canary_failures = AddCounters(
      "neumf_canary_failures_total", "Calls of the canary phase that failed.",
      "answered_by", kAnsweredBy);

  Counter& device_errors = AddCounter(
      "neumf_device_errors_total", "Times that the GPU failed and was lost.");
  Family<Gauge>& gpu_memory_family =
      GaugeFamily("neumf_gpu_memory_bytes",
                  "Memory of the GPU: used, by all processes; free; total.");

  Gauge& connections =
      AddGauge("neumf_connections", "Open connections of both gRPC listeners.");
  std::array<Counter*, kConnectionRefusals.size()> connections_refused =
      AddCounters("neumf_connections_refused_total",
                  "Connections closed at once because there were too many.",
                  "reason", kConnectionRefusals);
  Counter& connections_cut = AddCounter(
      "neumf_connections_cut_total",
      "Connections ended since they only started calls to reset them.");
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

  std::array<Counter*, kConfigFiles.size()> config_reloads = AddCounters(
      "neumf_config_reloads_total",
      "Times that changed files of the configuration were taken over.", "file",
      kConfigFiles);
  std::array<Counter*, kConfigFiles.size()> config_failures =
      AddCounters("neumf_config_reload_failures_total",
                  "Times that changed files of the configuration were refused.",
                  "file", kConfigFiles);
  std::array<Gauge*, kConfigFiles.size()> config_current{};
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
  std::array<Gauge*, kMemoryKinds.size()> gpu_memory ABSL_GUARDED_BY(mutex){};
};

ServerMetrics::Series::Series() {
  AddMethods();
  AddBuild();
  live.Set(1);
  for (size_t i = 0; i < kStages.size(); ++i) {
    stages[i] = stage_family.Add({{"stage", kStages[i]}});
  }
  for (size_t i = 0; i < kAnsweredBy.size(); ++i) {
    canary[i] = canary_family.Add({{"answered_by", kAnsweredBy[i]}});
  }
  Family<Gauge>& current = GaugeFamily(
      "neumf_config_last_reload_successful",
      "1 while the files of the configuration are those that are in force.");
  for (size_t i = 0; i < kConfigFiles.size(); ++i) {
    config_current[i] = &current.Add({{"file", kConfigFiles[i]}});
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
  for (size_t i = 0; i < kMethods.size(); ++i) {
    const Labels labels = {{"grpc_type", kMethods[i].type},
                           {"grpc_service", kMethods[i].service},
                           {"grpc_method", kMethods[i].method}};
    Method& method = methods[i];
    method.started = &started.Add(labels);
    method.received = &received.Add(labels);
    method.sent = &sent.Add(labels);
    method.handling = handling.Add(labels);
    for (size_t code = 0; code < kCodes.size(); ++code) {
      Labels with_code = labels;
      with_code["grpc_code"] = kCodes[code];
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

ServerMetrics::ServerMetrics() : series_(std::make_shared<Series>()) {}

ServerMetrics::~ServerMetrics() = default;

std::shared_ptr<prometheus::Collectable> ServerMetrics::registry() const {
  return series_;
}

void ServerMetrics::CallStarted(RpcMethod method) {
  series_->methods[IndexOf(method)].started->Increment();
  if (IsRecommendation(method)) series_->inflight.Increment();
}

void ServerMetrics::CallHandled(RpcMethod method, int code,
                                absl::Duration handling) {
  const Series::Method& series = series_->methods[IndexOf(method)];
  const bool is_code = code >= 0 && code < static_cast<int>(kCodes.size());
  series.handled[is_code ? code : kUnknownCode]->Increment();
  series.handling->Observe(handling);
  if (!IsRecommendation(method)) return;
  series_->inflight.Decrement();
  if (code == kUnavailableCode || code == kResourceExhaustedCode) {
    series_->refusals->Observe(handling);
  }
}

void ServerMetrics::MessageReceived(RpcMethod method) {
  series_->methods[IndexOf(method)].received->Increment();
}

void ServerMetrics::MessageSent(RpcMethod method) {
  series_->methods[IndexOf(method)].sent->Increment();
}

void ServerMetrics::StageTook(Stage stage, absl::Duration duration) {
  series_->stages[IndexOf(stage)]->Observe(duration);
}

void ServerMetrics::BatchScored(size_t num_users) {
  series_->batch_users.Observe(static_cast<double>(num_users));
}

void ServerMetrics::ItemsRescored(uint64_t num_items) {
  series_->rescored_items.Increment(static_cast<double>(num_items));
}

void ServerMetrics::SetQueueUsers(size_t num_users) {
  series_->queue_users.Set(static_cast<double>(num_users));
}

void ServerMetrics::RequestShed(ShedReason reason) {
  series_->shed[IndexOf(reason)]->Increment();
}

void ServerMetrics::RequestExpired(Stage stage) {
  series_->expired[IndexOf(stage)]->Increment();
}

void ServerMetrics::RequestCancelled(Stage stage) {
  series_->cancelled[IndexOf(stage)]->Increment();
}

void ServerMetrics::UnknownUser() { series_->unknown_user.Increment(); }

void ServerMetrics::RequestLogged(LogResult result) {
  series_->logged[IndexOf(result)]->Increment();
}

void ServerMetrics::Shortfall() { series_->shortfall[0]->Increment(); }

void ServerMetrics::ModelServed(const Snapshot& snapshot, absl::Time now) {
  const ModelShape& shape = snapshot.shape();
  series_->loaded_time.Set(UnixSeconds(now));
  series_->trained_time.Set(UnixSeconds(snapshot.trained_time));
  series_->file_bytes.Set(static_cast<double>(snapshot.file_bytes));
  series_->resident_bytes.Set(static_cast<double>(snapshot.resident_bytes));
  series_->catalog_items.Set(static_cast<double>(shape.num_items));
  series_->known_users.Set(static_cast<double>(shape.num_users));

  MutexLock lock(&series_->mutex);
  if (series_->served_info != nullptr) {
    series_->model_info.Remove(series_->served_info);
  }
  series_->served_info = &series_->model_info.Add(ModelLabels(snapshot));
  series_->served_info->Set(1);
}

void ServerMetrics::ModelUnloaded() {
  for (Gauge* gauge : {&series_->loaded_time, &series_->trained_time,
                       &series_->file_bytes, &series_->resident_bytes,
                       &series_->catalog_items, &series_->known_users}) {
    gauge->Set(0);
  }
  MutexLock lock(&series_->mutex);
  if (series_->served_info == nullptr) return;
  series_->model_info.Remove(series_->served_info);
  series_->served_info = nullptr;
}

void ServerMetrics::ReloadFinished(ReloadResult result, absl::Duration took) {
  series_->reloads[IndexOf(result)]->Increment();
  series_->reload_duration.Observe(absl::ToDoubleSeconds(took));
}

void ServerMetrics::RolledBack() {
  series_->reloads[IndexOf(ReloadResult::kRolledBack)]->Increment();
}

void ServerMetrics::SetLoadProgress(double ratio) {
  series_->load_progress.Set(ratio);
}

void ServerMetrics::TensorsSkipped(size_t count) {
  series_->skipped_tensors.Increment(static_cast<double>(count));
}

void ServerMetrics::SetTrialPhase(TrialPhase phase) {
  series_->trial_phase.Set(static_cast<double>(IndexOf(phase)));
}

void ServerMetrics::TrialEnded(TrialResult result) {
  series_->trials[IndexOf(result)]->Increment();
}

void ServerMetrics::ShadowCompared(double overlap,
                                   std::optional<double> drift) {
  ShadowEnded(ShadowResult::kCompared);
  series_->shadow_overlap.Observe(overlap);
  if (drift.has_value()) series_->shadow_drift.Observe(*drift);
}

void ServerMetrics::ShadowEnded(ShadowResult result) {
  series_->shadows[IndexOf(result)]->Increment();
}

void ServerMetrics::CanaryAnswered(bool by_candidate, bool failed,
                                   absl::Duration handling) {
  const size_t i = by_candidate ? 1 : 0;
  if (failed) {
    series_->canary_failures[i]->Increment();
  } else {
    series_->canary[i]->Observe(handling);
  }
}

void ServerMetrics::DeviceFailed() { series_->device_errors.Increment(); }

void ServerMetrics::SetGpuMemory(uint64_t total_bytes, uint64_t free_bytes) {
  const std::array<uint64_t, kMemoryKinds.size()> bytes = {
      total_bytes - free_bytes, free_bytes, total_bytes};
  MutexLock lock(&series_->mutex);
  for (size_t i = 0; i < kMemoryKinds.size(); ++i) {
    Gauge*& gauge = series_->gpu_memory[i];
    if (gauge == nullptr) {
      gauge = &series_->gpu_memory_family.Add({{"kind", kMemoryKinds[i]}});
    }
    gauge->Set(static_cast<double>(bytes[i]));
  }
}

void ServerMetrics::ClearGpuMemory() {
  MutexLock lock(&series_->mutex);
  for (Gauge*& gauge : series_->gpu_memory) {
    if (gauge == nullptr) continue;
    series_->gpu_memory_family.Remove(gauge);
    gauge = nullptr;
  }
}

void ServerMetrics::SetConnections(size_t open) {
  series_->connections.Set(static_cast<double>(open));
}

void ServerMetrics::ConnectionRefused(ConnectionRefusal reason) {
  series_->connections_refused[IndexOf(reason)]->Increment();
}

void ServerMetrics::ConnectionCut() { series_->connections_cut.Increment(); }

void ServerMetrics::AcceptFailed() { series_->accept_errors.Increment(); }

void ServerMetrics::SelfProbed(bool answered) {
  series_->self_probes.Increment();
  if (!answered) series_->self_probe_failures.Increment();
}

void ServerMetrics::SetLive(bool live) { series_->live.Set(live ? 1 : 0); }

void ServerMetrics::ConfigReloaded(ConfigFile file, bool taken_over) {
  const size_t i = IndexOf(file);
  (taken_over ? series_->config_reloads : series_->config_failures)[i]
      ->Increment();
  series_->config_current[i]->Set(taken_over ? 1 : 0);
}

void ServerMetrics::SetCertificateExpiry(absl::Time not_after) {
  series_->certificate_expiry.Set(UnixSeconds(not_after));
}

void ServerMetrics::SetBlocked(size_t num_items, size_t num_users) {
  series_->blocked_items.Set(static_cast<double>(num_items));
  series_->blocked_users.Set(static_cast<double>(num_users));
}

}  // namespace neumf
