#include "server/server.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "base/thread_scheduling.h"
#include "neumf/v1/model_service.grpc.pb.h"
#include "neumf/v1/recommendation_service.grpc.pb.h"
#include "server/errors.h"
#include "server/grpc_server.h"

namespace neumf {
namespace {

// A batcher that was silent for so long is stuck in its scorer.
constexpr absl::Duration kHeartbeatLimit = absl::Seconds(5);
constexpr absl::Duration kHealthInterval = absl::Milliseconds(250);
// What the server has to answer itself; short enough that three misses and the
// next look of a watchdog stay within a minute.
constexpr absl::Duration kProbeTimeout = absl::Seconds(5);
// How late a certificate, token or quota that was replaced counts.
constexpr absl::Duration kCredentialInterval = absl::Seconds(1);
// The same of a takedown, which has a second for its rows to be looked up, too.
constexpr absl::Duration kTakedownInterval = absl::Milliseconds(200);
// How late a call may end whose caller does not enforce its deadline.
constexpr absl::Duration kDeadlineInterval = absl::Milliseconds(10);
// What peers have to take their last answers, and to hang up.
constexpr absl::Duration kGoodbye = absl::Seconds(1);
constexpr size_t kMostAdminConnections = 16;
// Of the memory of requests, what connections may hold before those that hold
// most are cut. gRPC minds all of it, and ends calls of anybody then; the rest
// is for what comes between two looks.
constexpr uint64_t kEighthsHeld = 5;

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(
    const Options& options, InheritedSockets inherited) {
  NEUMF_ASSIGN_OR_RETURN(const DeviceChoice choice,
                         ChooseDevice(options.device));
  auto server = std::unique_ptr<Server>(new Server(options, choice.uses_gpu));
  NEUMF_RETURN_IF_ERROR(server->Listen(std::move(inherited)));
  LogChoice(choice);
  return server;
}

Server::Server(const Options& options, bool uses_gpu)
    : options_(options),
      files_(MakePosixFileSystem()),
      clock_(MakeRealClock()),
      takedowns_(options.blocked, files_.get(), &counters_),
      gate_(options.gate, files_.get(), &counters_),
      history_([this] { models_.ShowChanges(); }),
      device_(options.device, uses_gpu, &counters_,
              [this] { watcher_.Wake(); }),
      recovery_(options.recovery, clock_.get(), &device_),
      crash_guard_(options.state_dir, files_.get()),
      last_good_(options.state_dir, files_.get(), clock_.get()),
      loader_(files_.get(), LoaderOptions(), &device_, &counters_),
      watcher_(
          {options.checkpoint_dir, options.poll_interval, options.keep_versions,
           options.reload_jitter, options.may_unload, options.trial},
          {files_.get(), clock_.get(), &loader_, &device_, &recovery_,
           &snapshots_, &reaper_, &history_, &counters_, &crash_guard_,
           &last_good_, &trials_}),
      authenticator_(options.auth_tokens_file, files_.get(), &counters_),
      quotas_(options.quota_file, files_.get(), clock_.get(), &counters_),
      call_log_(options.slow_call, clock_.get()),
      request_log_(options.request_log, files_.get(), clock_.get(), &counters_),
      resets_([this](const std::string& peer, int64_t num_calls) {
        acceptor_->Cut(peer, num_calls);
      }),
      intake_([this] { acceptor_->CutFullest(); }),
      batcher_(options.batcher, clock_.get(), &device_, &recent_, &counters_),
      shadows_(MakeShadowScorer()),
      recommendations_(options.limits,
                       {{clock_.get(), &counters_, &calls_, &resets_,
                         &authenticator_, &call_log_, &request_log_},
                        &snapshots_,
                        &batcher_,
                        &quotas_,
                        &trials_,
                        shadows_.get()}),
      models_({clock_.get(), &counters_, &calls_, &resets_, &authenticator_,
               &call_log_},
              &history_,
              [this](VersionRequest request) {
                watcher_.Request(std::move(request));
              }),
      data_health_({clock_.get(), &counters_, &calls_, &resets_},
                   v1::RecommendationService::service_full_name(),
                   [this] { return IsServing(); }),
      admin_health_({clock_.get(), &counters_, &calls_, &resets_},
                    v1::ModelService::service_full_name(),
                    [this] { return IsServing(); }),
      data_reflection_({clock_.get(), &counters_, &calls_, &resets_},
                       v1::RecommendationService::service_full_name()),
      admin_reflection_({clock_.get(), &counters_, &calls_, &resets_},
                        v1::ModelService::service_full_name()),
      data_unknown_({clock_.get(), &counters_, &calls_, &resets_}),
      admin_unknown_({clock_.get(), &counters_, &calls_, &resets_}) {}

Server::~Server() { Drain(); }

CheckpointLoader::Options Server::LoaderOptions() {
  CheckpointLoader::Options options = options_.loader;
  options.takedowns = &takedowns_;
  options.crash_guard = &crash_guard_;
  options.gate = &gate_;
  options.recent = &recent_;
  options.calls_pile_up = [this] { return batcher_.IsBehind(); };
  return options;
}

std::unique_ptr<ShadowScorer> Server::MakeShadowScorer() {
  if (options_.trial.shadow_share == 0) return nullptr;
  return std::make_unique<ShadowScorer>(
      options_.limits,
      ShadowScorer::Parts{clock_.get(), &device_, &counters_,
                          [this] { return batcher_.IsBehind(); }});
}

absl::Status Server::OpenCredentials() {
  NEUMF_ASSIGN_OR_RETURN(
      tls_, TlsCredentials::Open(options_.tls,
                                 {files_.get(), clock_.get(), &counters_}));
  NEUMF_RETURN_IF_ERROR(Annotate(authenticator_.Load(), "--auth_tokens_file"));
  NEUMF_RETURN_IF_ERROR(Annotate(quotas_.Load(), "--quota_file"));
  NEUMF_RETURN_IF_ERROR(takedowns_.Load());
  NEUMF_RETURN_IF_ERROR(Annotate(gate_.Load(), "--gate_file"));
  return Annotate(request_log_.Start(), "--request_log_salt_file");
}

absl::Status Server::Listen(InheritedSockets inherited) {
  NEUMF_RETURN_IF_ERROR(OpenCredentials());
  NEUMF_ASSIGN_OR_RETURN(
      ListenSocket data,
      OpenSocket("--listen", options_.listen, std::move(inherited.grpc)));
  NEUMF_ASSIGN_OR_RETURN(ListenSocket admin,
                         OpenSocket("--admin_listen", options_.admin_listen,
                                    std::move(inherited.admin)));
  NEUMF_RETURN_IF_ERROR(StartMetrics());
  grpc_address_ = data.address();
  admin_address_ = admin.address();

  const size_t max_connections = options_.max_connections > 0
                                     ? options_.max_connections
                                     : DefaultMaxConnections();
  const size_t max_admin_connections =
      std::clamp<size_t>(max_connections / 4, 1, kMostAdminConnections);
  NEUMF_RETURN_IF_ERROR(Annotate(ClearPortFile(), "--port_file"));
  const uint64_t request_memory = options_.request_memory_mb > 0
                                      ? options_.request_memory_mb << 20
                                      : DefaultRequestMemory();
  request_memory_.Resize(request_memory);
  ConnectionAcceptor::Options acceptor;
  acceptor.max_per_network = options_.max_connections_per_ip;
  acceptor.max_held_bytes =
      static_cast<int64_t>(request_memory / 8 * kEighthsHeld);
  acceptor_ =
      std::make_unique<ConnectionAcceptor>(acceptor, &resets_, &counters_);
  NEUMF_ASSIGN_OR_RETURN(data_server_,
                         StartGrpc(std::move(data), max_connections,
                                   {&recommendations_, &data_health_,
                                    &data_reflection_, &data_unknown_}));
  NEUMF_ASSIGN_OR_RETURN(
      admin_server_, StartGrpc(std::move(admin), max_admin_connections,
                               {&models_, &admin_health_, &admin_reflection_,
                                &admin_unknown_}));
  acceptor_->Start();
  health_updates_ = std::make_unique<PeriodicTask>(
      "health", kHealthInterval, clock_.get(), [this] { UpdateHealth(); });
  deadlines_ = std::make_unique<PeriodicTask>(
      "deadlines", kDeadlineInterval, clock_.get(),
      [this] { calls_.FinishExpired(clock_->MonotonicNow()); });
  credential_updates_ = std::make_unique<PeriodicTask>(
      "credentials", kCredentialInterval, clock_.get(), [this] {
        if (tls_ != nullptr) tls_->Poll();
        authenticator_.Poll();
        quotas_.Poll();
      });
  if (takedowns_.enabled()) {
    takedown_updates_ = std::make_unique<PeriodicTask>(
        "takedowns", kTakedownInterval, clock_.get(),
        [this] { takedowns_.Poll(); });
  }
  StartSelfProbe();
  LogEvent("listening")
      .With("grpc", grpc_address_.ToString())
      .With("metrics", metrics_address().ToString())
      .With("admin", admin_address_.ToString());
  return absl::OkStatus();
}

absl::StatusOr<ListenSocket> Server::OpenSocket(
    absl::string_view flag, absl::string_view text,
    std::optional<ListenSocket> inherited) const {
  if (inherited.has_value()) {
    NEUMF_RETURN_IF_ERROR(
        Annotate(CheckExposure(inherited->address()),
                 absl::StrCat("the socket passed for ", flag)));
    return *std::move(inherited);
  }
  const absl::StatusOr<ListenAddress> address = ListenAddress::Parse(text);
  if (!address.ok()) return Annotate(address.status(), flag);
  NEUMF_RETURN_IF_ERROR(Annotate(CheckExposure(*address), flag));
  absl::StatusOr<ListenSocket> socket = ListenSocket::Open(*address);
  if (!socket.ok()) return Annotate(socket.status(), flag);
  return socket;
}

absl::Status Server::CheckExposure(const ListenAddress& address) const {
  if (tls_ != nullptr) return absl::OkStatus();
  NEUMF_RETURN_IF_ERROR(CheckReach(address, options_.allow_insecure_listen));
  if (options_.auth_tokens_file.empty()) return absl::OkStatus();
  return CheckTokenReach(address, options_.allow_insecure_tokens);
}

absl::Status Server::StartMetrics() {
  constexpr char kFlag[] = "--metrics_listen";
  const auto address = ListenAddress::Parse(options_.metrics_listen);
  if (!address.ok()) return Annotate(address.status(), kFlag);
  MetricsEndpoint::Options endpoint;
  if (options_.metrics_tls) {
    if (tls_ == nullptr) {
      return absl::InvalidArgumentError(
          "--metrics_tls: needs --tls_cert and --tls_key");
    }
    endpoint.tls = tls_.get();
  } else {
    NEUMF_RETURN_IF_ERROR(
        Annotate(CheckReach(*address, options_.allow_insecure_listen), kFlag));
  }
  if (options_.metrics_auth) {
    if (options_.auth_tokens_file.empty()) {
      return absl::InvalidArgumentError(
          "--metrics_auth: needs --auth_tokens_file");
    }
    if (!options_.metrics_tls) {
      NEUMF_RETURN_IF_ERROR(Annotate(
          CheckTokenReach(*address, options_.allow_insecure_tokens), kFlag));
    }
    endpoint.allows = [this](const std::string& name,
                             const std::string& token) {
      return authenticator_.AllowsMetrics(name, token);
    };
  }
  auto metrics =
      MetricsEndpoint::Start(*address, counters_.registry(), endpoint);
  if (!metrics.ok()) return Annotate(metrics.status(), kFlag);
  metrics_ = *std::move(metrics);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<grpc::Server>> Server::StartGrpc(
    ListenSocket socket, size_t max_connections, const Services& services) {
  grpc::ServerBuilder builder;
  ConfigureServer(options_.connection_times, request_memory_, &builder);
  builder.SetContextAllocator(intake_.MakeContexts());
  builder.RegisterService(services.main);
  builder.RegisterService(services.health);
  if (options_.reflection) services.reflection->Register(&builder);
  builder.RegisterCallbackGenericService(services.others);
  const std::string address = socket.address().ToString();
  const bool encrypted = tls_ != nullptr && !socket.address().is_unix();
  acceptor_->Listen(
      std::move(socket), max_connections,
      encrypted ? tls_->ForServer() : grpc::InsecureServerCredentials(),
      &builder);
  // Here gRPC starts the threads that read and write. Each call wakes one of
  // them; were it to take a processor from the scorer each time, a flood of
  // calls that are refused would leave that a third less to score with.
  const ScopedBatchThreads batch_threads;
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) {
    return absl::UnavailableError(
        absl::StrCat("gRPC cannot serve on ", address));
  }
  return server;
}

absl::Status Server::LoadFirst() {
  absl::Status loaded = watcher_.LoadFirst();
  return options_.wait_for_checkpoint ? absl::OkStatus() : loaded;
}

absl::Status Server::AnnounceReady() {
  phase_ = Phase::kReady;
  UpdateHealth();
  watcher_.Start();
  return Annotate(WritePortFile(), "--port_file");
}

// Whoever waits for the file would take one of an earlier run for ours; and a
// wrong path should be told now, not after a long load.
absl::Status Server::ClearPortFile() {
  if (options_.port_file.empty()) return absl::OkStatus();
  absl::Status removed = files_->Remove(options_.port_file);
  if (!removed.ok() && !absl::IsNotFound(removed)) return removed;
  const std::string trial = absl::StrCat(options_.port_file, ".trial");
  NEUMF_RETURN_IF_ERROR(WriteFileAtomically(*files_, trial, ""));
  return files_->Remove(trial);
}

absl::Status Server::WritePortFile() {
  if (options_.port_file.empty()) return absl::OkStatus();
  return WriteFileAtomically(
      *files_, options_.port_file,
      absl::StrCat("grpc=", grpc_address_.ToString(),
                   "\nmetrics=", metrics_address().ToString(),
                   "\nadmin=", admin_address_.ToString(), "\n"));
}

bool Server::IsServing() const {
  const auto snapshot = snapshots_.Get();
  return phase_ == Phase::kReady && snapshot != nullptr &&
         !device_.IsDead(*snapshot) &&
         clock_->MonotonicNow() - batcher_.last_heartbeat() < kHeartbeatLimit;
}

void Server::UpdateHealth() {
  data_health_.Update();
  admin_health_.Update();
}

void Server::StartSelfProbe() {
  HealthProbe::Target target;
  target.address = grpc_address_;
  target.encrypted = tls_ != nullptr && !grpc_address_.is_unix();
  target.wants_certificate = target.encrypted && tls_->verifies_clients();
  listener_probe_ = std::make_unique<HealthProbe>(target, kProbeTimeout);
  self_probe_ =
      std::make_unique<SelfProbe>(options_.self_probe_interval, clock_.get(),
                                  &counters_, [this] { return ProbeSelf(); });
}

absl::Status Server::ProbeSelf() const {
  if (clock_->MonotonicNow() - batcher_.last_heartbeat() >= kHeartbeatLimit) {
    return absl::UnavailableError("the batcher is stuck in its scorer");
  }
  return Annotate(listener_probe_->Run(), grpc_address_.ToString());
}

ServiceManager::Report Server::Report() const {
  const auto snapshot = snapshots_.Get();
  const Phase phase = phase_;
  if (!self_probe_->live()) return {false, "stuck, see the log"};
  if (phase == Phase::kLeaving) return {true, "draining"};
  if (snapshot == nullptr) {
    return {true, phase == Phase::kReady ? "waiting for a checkpoint"
                                         : "loading the first checkpoint"};
  }
  return {true, absl::StrCat("serving version ", snapshot->version)};
}

void Server::Drain() {
  if (health_updates_ == nullptr) return;  // never began, or done already
  const bool was_ready = phase_.exchange(Phase::kLeaving) == Phase::kReady;
  const absl::Duration begin = clock_->MonotonicNow();
  watcher_.RequestStop();
  if (was_ready) {
    LogEvent("drain_started")
        .With("timeout", absl::FormatDuration(options_.drain_timeout));
    UpdateHealth();
    absl::SleepFor(options_.drain_delay);
  }
  listener_probe_->Cancel();
  self_probe_->Stop();
  acceptor_->StopAccepting();
  DrainCalls();
  health_updates_.reset();
  deadlines_.reset();
  credential_updates_.reset();
  takedown_updates_.reset();
  batcher_.Stop();
  if (shadows_ != nullptr) shadows_->Stop();
  watcher_.Stop();
  data_server_.reset();
  admin_server_.reset();
  request_log_.Stop();
  acceptor_.reset();
  metrics_.reset();
  if (!was_ready) return;
  LogEvent("drained").WithNumber(
      "seconds", absl::ToDoubleSeconds(clock_->MonotonicNow() - begin));
}

// gRPC's own Shutdown() comes last, when there is nothing left for it: it
// answers calls that arrive meanwhile with CANCELLED, which no client tries
// again, and waits for every reactor, however long that takes. It alone sends
// GOAWAY, so connections end without one.
void Server::DrainCalls() {
  calls_.StartDraining();
  data_health_.EndWatches();
  admin_health_.EndWatches();
  data_reflection_.EndStreams();
  admin_reflection_.EndStreams();
  models_.EndWatches();
  const auto finished_within = [this](absl::Duration time) {
    return calls_.WaitUntilEmpty(*clock_, clock_->MonotonicNow() + time);
  };
  if (!finished_within(options_.drain_timeout)) {
    calls_.FinishAll(Draining());
    finished_within(kGoodbye);
  }
  acceptor_->EndConnections(kGoodbye);
  ShutDownWithin(kGoodbye, data_server_.get());
  ShutDownWithin(kGoodbye, admin_server_.get());
}

}  // namespace neumf
