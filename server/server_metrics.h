#pragma once

// Every number that the daemon exports, by the names of docs/metrics.md.
//
// The one place that knows prometheus-cpp's counters; callers say what
// happened. References to all series are taken once, at the start, so a call
// costs a few atomic operations and never allocates; series exist from the
// start, most of them at 0. No label ever holds text from outside. Any thread
// may call any method.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/time/time.h"
#include "server/snapshot.h"

namespace prometheus {
class Collectable;
}

namespace neumf {

// The parts of a request's time; together they are the whole.
enum class Stage { kAdmission, kQueue, kGather, kScore, kEncode };

// The methods that are counted.
enum class RpcMethod {
  kRecommend,
  kBatchRecommend,
  kListModelVersions,
  kLoadModelVersion,
  kRollbackModelVersion,
  kWatchModelVersions,
  kHealthCheck,
  kHealthWatch,
  kReflection,
  kReflectionAlpha,  // its older version
  kUnknown,          // of which no service knows
};

const char* RpcMethodName(RpcMethod method);  // "Recommend", ...

// Why a call was refused before scoring.
enum class ShedReason {
  kQueueFull,
  kWaitTooLong,  // the answer would have missed the deadline
  kOverloaded,   // a queue stands
  kDraining,
  kNoModel,
  kQuota,
};

// Why a connection was closed at once: too many in all, or of one network.
enum class ConnectionRefusal { kTotal, kPerIp };

// What became of an attempt to load a checkpoint.
enum class ReloadResult {
  kOk,
  kCorrupt,
  kIncompatible,
  kProbeFailed,
  kBadSignature,
  kGateFailed,
  kNoMemory,
  kIoError,
  kDeviceError,
  kCrashedLoading,  // ended the process more than once
  kRolledBack,      // left again, because somebody asked for that
};
const char* ReloadResultName(ReloadResult result);  // "ok", "corrupt", ...

// Where the trial of a new version stands (version_trial.h).
enum class TrialPhase { kNone, kShadow, kCanary };
enum class TrialResult {
  kPromoted,
  kRolledBack,  // by its rules, or because somebody asked for that
  kEnded,       // undecided: it gave way, its GPU was lost, no time to score
};
const char* TrialResultName(TrialResult result);  // "promoted", ...

// What became of a request that was to be scored by the candidate, too.
enum class ShadowResult { kCompared, kFailed, kDropped };

// Configuration that is read again when it changes.
enum class ConfigFile {
  kAuthTokens,
  kTls,
  kQuotas,
  kBlockedItems,
  kBlockedUsers,
  kServingPolicy,
  kGate,
};
const char* ConfigFileName(ConfigFile file);  // "auth_tokens", "tls", ...

// What became of a call that the request log was to hold.
enum class LogResult { kWritten, kDropped, kFailed };

class ServerMetrics {
 public:
  ServerMetrics();
  ~ServerMetrics();

  // What the metrics endpoint serves; it keeps a weak pointer only.
  std::shared_ptr<prometheus::Collectable> registry() const;

  // Calls. `code` is the number of a gRPC status code.
  void CallStarted(RpcMethod method);
  void CallHandled(RpcMethod method, int code, absl::Duration handling);
  // A recommendation call was refused on arrival, so long after it came.
  void CallRefused(absl::Duration after);
  void MessageReceived(RpcMethod method);
  void MessageSent(RpcMethod method);

  // Requests.
  void StageTook(Stage stage, absl::Duration duration);
  void BatchScored(size_t num_users);
  void ItemsRescored(uint64_t num_items);  // in float32, after a first pass
  void SetQueueUsers(size_t num_users);
  void RequestShed(ShedReason reason);
  void RequestExpired(Stage stage);
  void RequestCancelled(Stage stage);
  void UnknownUser();
  void RequestLogged(LogResult result);
  void Shortfall();  // an answer that held every eligible item

  // Models.
  void ModelServed(const Snapshot& snapshot, absl::Time now);
  // Nothing is served any more: as before the first.
  void ModelUnloaded();
  void ReloadFinished(ReloadResult result, absl::Duration took);
  void RolledBack();
  void SetLoadProgress(double ratio);  // 0 to 1; of the load in progress
  // Tensors of no known feature, in a checkpoint that can be served.
  void TensorsSkipped(size_t count);

  // Trials of new versions.
  void SetTrialPhase(TrialPhase phase);
  void TrialEnded(TrialResult result);
  void ShadowCompared(double overlap, std::optional<double> drift);
  void ShadowEnded(ShadowResult result);  // other than compared
  void CanaryAnswered(bool by_candidate, bool failed, absl::Duration handling);

  // The GPU. Its memory has no series before the first call, nor after the
  // last.
  void DeviceFailed();
  void SetGpuMemory(uint64_t total_bytes, uint64_t free_bytes);
  void ClearGpuMemory();

  // Connections.
  void SetConnections(size_t open);
  void ConnectionRefused(ConnectionRefusal reason);
  void ConnectionCut();
  void AcceptFailed();

  // The server's own view of itself (self_probe.h).
  void SelfProbed(bool answered);
  void SetLive(bool live);

  // Who may connect and call. What was not taken over stays as it was.
  void ConfigReloaded(ConfigFile file, bool taken_over);
  void SetCertificateExpiry(absl::Time not_after);
  void SetBlocked(size_t num_items, size_t num_users);  // ids of both files

 private:
  struct Series;
  const std::shared_ptr<Series> series_;
};

}  // namespace neumf
