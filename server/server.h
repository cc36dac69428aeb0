#pragma once

// The daemon: all of its parts, wired.
//
//   data listener    RecommendationService, Health, reflection
//   admin listener   ModelService, Health, reflection
//   metrics          /metrics over HTTP
//
// Metrics, health (NOT_SERVING) and the admin service answer as soon as Start()
// returns, before there is a model.
//
//   NEUMF_ASSIGN_OR_RETURN(auto server, Server::Start(options));
//   NEUMF_RETURN_IF_ERROR(server->LoadFirst());
//   NEUMF_RETURN_IF_ERROR(server->AnnounceReady());
//   ... wait for a signal ...
//   server->Drain();
//
// Belongs to one thread.

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "grpcpp/resource_quota.h"
#include "scoring/scorer.h"
#include "server/admission.h"
#include "server/authenticator.h"
#include "server/call_log.h"
#include "server/call_registry.h"
#include "server/caller_quotas.h"
#include "server/checkpoint_loader.h"
#include "server/checkpoint_watcher.h"
#include "server/connection_acceptor.h"
#include "server/crash_guard.h"
#include "server/device_recovery.h"
#include "server/grpc_server.h"
#include "server/health_probe.h"
#include "server/health_service.h"
#include "server/inherited_sockets.h"
#include "server/intake_guard.h"
#include "server/last_known_good.h"
#include "server/metrics_endpoint.h"
#include "server/model_service.h"
#include "server/periodic_task.h"
#include "server/reaper.h"
#include "server/recommendation_service.h"
#include "server/reflection_service.h"
#include "server/request_batcher.h"
#include "server/request_log.h"
#include "server/scoring_device.h"
#include "server/self_probe.h"
#include "server/server_metrics.h"
#include "server/service_manager.h"
#include "server/shadow_scorer.h"
#include "server/snapshot_holder.h"
#include "server/takedowns.h"
#include "server/tls_credentials.h"
#include "server/unknown_methods.h"
#include "server/version_history.h"
#include "server/version_trial.h"

namespace neumf {

class Server {
 public:
  // Each field is a flag of the program.
  struct Options {
    // Where checkpoints appear.
    std::string checkpoint_dir;
    // Addresses as ListenAddress::Parse() takes them; port 0 takes a free one.
    std::string listen = "127.0.0.1:50051";
    std::string metrics_listen = "127.0.0.1:9464";
    std::string admin_listen = "127.0.0.1:0";
    // Listen where other machines can connect, although nothing is encrypted.
    bool allow_insecure_listen = false;
    // Take tokens there, too.
    bool allow_insecure_tokens = false;
    // TLS of both gRPC listeners, but for unix sockets: who may connect there
    // is a matter of the file. Without a certificate they are plain text.
    TlsFiles tls;
    // Who may call (token_table.h); empty: everybody may do everything.
    std::string auth_tokens_file;
    // Asks for a name and a token of that file at /metrics, too.
    bool metrics_auth = false;
    // TLS at /metrics, too, where no certificates are asked for.
    bool metrics_tls = false;
    // How many users each of them may ask for (quota_table.h); empty: any
    // number.
    std::string quota_file;
    // What must not be in answers (blocked_ids.h); empty: nothing.
    Takedowns::Paths blocked;
    // Calls whose requests are written down.
    RequestLog::Options request_log;
    // Calls that take so long have a line in the log; zero: none has.
    absl::Duration slow_call = absl::Seconds(1);
    // File that is written when the server is ready; empty: none.
    std::string port_file;
    // Start without a servable checkpoint, and wait for one.
    bool wait_for_checkpoint = false;
    bool reflection = true;

    CheckpointLoader::Options loader;
    DeviceOptions device;
    DeviceRecovery::Options recovery;
    RequestLimits limits;
    RequestBatcher::Options batcher;
    // Time between two looks into checkpoint_dir.
    absl::Duration poll_interval = absl::Seconds(2);
    // Versions in memory, the served one included.
    size_t keep_versions = 2;
    // The longest random wait before a version that was found is loaded.
    absl::Duration reload_jitter = absl::ZeroDuration();
    // What is remembered over restarts; empty: nothing.
    std::string state_dir;
    // Serve nothing while a version is loaded that finds no room beside the
    // served one.
    bool may_unload = false;
    // Held-out choices of users that a new version has to foresee as the served
    // one does.
    QualityGate::Options gate;
    // How new versions are tried before they are served.
    VersionTrial::Options trial;

    // Open connections of the data listener. 0: what the limit of descriptors
    // allows, at most 4096.
    size_t max_connections = 0;
    // Time between two questions to itself whether it is live.
    absl::Duration self_probe_interval = absl::Seconds(5);
    // Of one address, or one IPv6 network of 64 bits, on both listeners. 0: no
    // limit, since a load balancer has one address for everybody.
    size_t max_connections_per_ip = 0;
    ConnectionTimes connection_times;
    // Megabytes for requests that no handler has seen; 0:
    // DefaultRequestMemory().
    uint64_t request_memory_mb = 0;
    // How long it still serves while NOT_SERVING: time for load balancers.
    absl::Duration drain_delay = absl::ZeroDuration();
    // What running calls have to end during a drain.
    absl::Duration drain_timeout = absl::Seconds(30);
  };

  // Binds every address for which no socket was `inherited`, removes the port
  // file of an earlier run, then serves. INVALID_ARGUMENT, ALREADY_EXISTS, the
  // errors of the port file, and UNAVAILABLE when the GPU that is asked for is
  // not there, name the flag that has to change.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      const Options& options, InheritedSockets inherited = {});

  // Drain()s.
  ~Server();

  // Loads the first checkpoint, which may take long. NOT_FOUND says where it
  // looked for one that can be served.
  absl::Status LoadFirst();
  // The process is about to end meanwhile, since it was told to: what is loaded
  // is not to blame. Any thread.
  void AbandonLoad() { crash_guard_.Abandon(); }

  // Health says SERVING, the port file is written, and new versions are watched
  // for. Fails when the port file does. REQUIRES: LoadFirst() returned OK.
  absl::Status AnnounceReady();

  // Refuses new calls, lets running ones end, and stops all parts. A server
  // that never was ready ends without a word and without the delay. Idempotent.
  void Drain();

  // What the service manager is to know. Any thread.
  ServiceManager::Report Report() const;

  const ListenAddress& grpc_address() const { return grpc_address_; }
  const ListenAddress& admin_address() const { return admin_address_; }
  const ListenAddress& metrics_address() const { return metrics_->address(); }
  // What is served; tests put other scorers here.
  SnapshotHolder& snapshots() { return snapshots_; }
  const ServerMetrics& counters() const { return counters_; }

 private:
  enum class Phase { kStarting, kReady, kLeaving };
  // Of one listener.
  struct Services {
    grpc::Service* main = nullptr;
    grpc::Service* health = nullptr;
    ReflectionService* reflection = nullptr;
    UnknownMethods* others = nullptr;
  };

  Server(const Options& options, bool uses_gpu);

  absl::Status Listen(InheritedSockets inherited);
  // `inherited`, if it is one, or else a socket for the address that `flag`
  // gives as `text`.
  absl::StatusOr<ListenSocket> OpenSocket(
      absl::string_view flag, absl::string_view text,
      std::optional<ListenSocket> inherited) const;
  // Whether calls may come in there as they would, encrypted or not.
  absl::Status CheckExposure(const ListenAddress& address) const;
  // Those that were given, with parts of this.
  CheckpointLoader::Options LoaderOptions();
  // Reads certificates, tokens, quotas, takedowns and the gate's choices.
  absl::Status OpenCredentials();
  absl::Status StartMetrics();
  absl::StatusOr<std::unique_ptr<grpc::Server>> StartGrpc(
      ListenSocket socket, size_t max_connections, const Services& services);
  // Removes the old one, and makes sure that a new one can be written.
  absl::Status ClearPortFile();
  absl::Status WritePortFile();
  bool IsServing() const;
  void UpdateHealth();
  void DrainCalls();
  void StartSelfProbe();
  std::unique_ptr<ShadowScorer> MakeShadowScorer();
  // Whether the data listener and the batcher work.
  absl::Status ProbeSelf() const;

  const Options options_;
  const std::unique_ptr<FileSystem> files_;
  const std::unique_ptr<Clock> clock_;

  // In the order of dependence: each may use what stands above it. But the
  // loader asks the batcher, which is below it, while a version is loaded: no
  // load outlives Drain().
  ServerMetrics counters_;
  Takedowns takedowns_;
  QualityGate gate_;
  RecentQueries recent_;
  Reaper reaper_;
  SnapshotHolder snapshots_;
  TrialHolder trials_;
  VersionHistory history_;
  ScoringDevice device_;
  DeviceRecovery recovery_;
  CrashGuard crash_guard_;
  LastKnownGood last_good_;
  CheckpointLoader loader_;
  CheckpointWatcher watcher_;
  std::atomic<Phase> phase_{Phase::kStarting};
  std::unique_ptr<TlsCredentials> tls_;  // null: plain text
  Authenticator authenticator_;
  CallerQuotas quotas_;
  CallLog call_log_;
  RequestLog request_log_;
  CallRegistry calls_;
  ResetGuard resets_;
  IntakeGuard intake_;
  grpc::ResourceQuota request_memory_{"requests"};
  RequestBatcher batcher_;
  std::unique_ptr<ShadowScorer> shadows_;  // null: no trial has such a phase
  RecommendationService recommendations_;
  ModelService models_;
  HealthService data_health_;
  HealthService admin_health_;
  ReflectionService data_reflection_;
  ReflectionService admin_reflection_;
  UnknownMethods data_unknown_;
  UnknownMethods admin_unknown_;
  std::unique_ptr<MetricsEndpoint> metrics_;
  ListenAddress grpc_address_;
  ListenAddress admin_address_;
  std::unique_ptr<ConnectionAcceptor> acceptor_;
  std::unique_ptr<grpc::Server> data_server_;
  std::unique_ptr<grpc::Server> admin_server_;
  std::unique_ptr<PeriodicTask> health_updates_;
  std::unique_ptr<PeriodicTask> deadlines_;
  std::unique_ptr<PeriodicTask> credential_updates_;
  std::unique_ptr<PeriodicTask> takedown_updates_;  // null: there are no files
  std::unique_ptr<HealthProbe> listener_probe_;
  std::unique_ptr<SelfProbe> self_probe_;  // once there, to the end
};

}  // namespace neumf
