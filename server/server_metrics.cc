#include "server/server_metrics.h"

#include <array>

#include "server/metric_labels.h"
#include "server/metric_series.h"
#include "server/model_labels.h"

namespace neumf {
namespace {

// The number of a gRPC status code.
constexpr int kUnknownCode = 2;

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

}  // namespace

const char* TrialResultName(TrialResult result) {
  return kTrialResultLabels[IndexOf(result)];
}

const char* ReloadResultName(ReloadResult result) {
  return kReloadResultLabels[IndexOf(result)];
}

const char* RpcMethodName(RpcMethod method) {
  return kMethodLabels[IndexOf(method)].method;
}

const char* ConfigFileName(ConfigFile file) {
  return kConfigFileLabels[IndexOf(file)];
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
  const bool is_code = code >= 0 && code < static_cast<int>(kCodeLabels.size());
  series.handled[is_code ? code : kUnknownCode]->Increment();
  series.handling->Observe(handling);
  if (IsRecommendation(method)) series_->inflight.Decrement();
}

void ServerMetrics::CallRefused(absl::Duration after) {
  series_->refusals->Observe(after);
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
  for (prometheus::Gauge* gauge :
       {&series_->loaded_time, &series_->trained_time, &series_->file_bytes,
        &series_->resident_bytes, &series_->catalog_items,
        &series_->known_users}) {
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
  const std::array<uint64_t, kMemoryKindLabels.size()> bytes = {
      total_bytes - free_bytes, free_bytes, total_bytes};
  MutexLock lock(&series_->mutex);
  for (size_t i = 0; i < kMemoryKindLabels.size(); ++i) {
    prometheus::Gauge*& gauge = series_->gpu_memory[i];
    if (gauge == nullptr) {
      gauge = &series_->gpu_memory_family.Add({{"kind", kMemoryKindLabels[i]}});
    }
    gauge->Set(static_cast<double>(bytes[i]));
  }
}

void ServerMetrics::ClearGpuMemory() {
  MutexLock lock(&series_->mutex);
  for (prometheus::Gauge*& gauge : series_->gpu_memory) {
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
