// neumf-server: reads its flags, runs a Server until it is told to stop.

#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "google/protobuf/stubs/logging.h"
#include "server/grpc_log.h"
#include "server/inherited_sockets.h"
#include "server/server.h"
#include "server/server_flags.h"
#include "server/service_manager.h"
#include "server/stop_signal.h"

namespace {

enum ExitCode { kDrained = 0, kBadConfiguration = 1, kNoCheckpoint = 2 };

// Beyond the drain itself; then the process ends by force.
constexpr absl::Duration kWatchdogSlack = absl::Seconds(5);
// Of the process, without connections. gRPC aborts when it finds too few.
constexpr rlim_t kLeastDescriptors = 32;

// What they print about single connections and messages is for their
// developers, and callers could fill the log with it.
void QuietLibraries() {
  // No other thread is there yet: NOLINTNEXTLINE(concurrency-mt-unsafe)
  setenv("GRPC_VERBOSITY", "ERROR", /*overwrite=*/0);
  neumf::LogGrpcErrorsAsEvents();
  google::protobuf::SetLogHandler(nullptr);
}

// Debian's build of Abseil looks for deadlocks at each of gRPC's locks, which
// takes some 4 % of a request.
void TrustLibraries() {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

// Always one line: a flag may hold any character.
ExitCode Fail(ExitCode code, absl::string_view message) {
  std::string line;
  for (const char& c : message) {
    const bool is_control = absl::ascii_iscntrl(static_cast<unsigned char>(c));
    line += is_control ? absl::CEscape({&c, 1}) : std::string(1, c);
  }
  std::fprintf(stderr, "neumf-server: %s\n", line.c_str());
  return code;
}

absl::Status CheckDescriptors() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
      limit.rlim_cur >= kLeastDescriptors) {
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError(
      absl::StrCat("the limit of open files is ", limit.rlim_cur, ", at least ",
                   kLeastDescriptors, " are needed (ulimit -n)"));
}

ExitCode Serve(const neumf::Server::Options& options) {
  const absl::Status descriptors = CheckDescriptors();
  if (!descriptors.ok()) return Fail(kBadConfiguration, descriptors.message());
  auto inherited = neumf::TakeInheritedSockets();
  if (!inherited.ok()) {
    return Fail(kBadConfiguration, inherited.status().message());
  }
  // Before all threads: those that exist already would take the signals.
  const auto stop = neumf::StopSignal::Create(
      options.drain_delay + options.drain_timeout + kWatchdogSlack);
  if (!stop.ok()) return Fail(kBadConfiguration, stop.status().message());
  const auto server = neumf::Server::Start(options, *std::move(inherited));
  if (!server.ok()) return Fail(kBadConfiguration, server.status().message());
  const auto clock = neumf::MakeRealClock();
  const auto manager = neumf::ServiceManager::FromEnvironment(clock.get());
  manager->KeepInformed([&server] { return (*server)->Report(); });
  (*stop)->WhenStoppedEarly([&server] { (*server)->AbandonLoad(); });
  const absl::Status loaded = (*server)->LoadFirst();
  (*stop)->WhenStoppedEarly(nullptr);
  if (!loaded.ok()) {
    (*stop)->DrainBegins();  // as the server's destructor drains it
    return Fail(kNoCheckpoint, loaded.message());
  }

  (*stop)->Arm();
  const absl::Status ready = (*server)->AnnounceReady();
  if (ready.ok()) {
    manager->Ready();
    (*stop)->Wait();
    manager->Stopping();
  } else {
    (*stop)->DrainBegins();
  }
  (*server)->Drain();
  return ready.ok() ? kDrained : Fail(kBadConfiguration, ready.message());
}

int Run(const std::vector<std::string>& args) {
  const std::unique_ptr<neumf::FileSystem> files = neumf::MakePosixFileSystem();
  const auto command = neumf::ParseCommand(args, *files);
  if (!command.ok()) return Fail(kBadConfiguration, command.status().message());
  if (command->text.empty()) return Serve(command->options);
  std::fputs(command->text.c_str(), stdout);
  return kDrained;
}

}  // namespace

int main(int argc, char** argv) {
  // A log reader that goes away must not end the daemon.
  std::signal(SIGPIPE, SIG_IGN);
  QuietLibraries();
  TrustLibraries();
  try {
    return Run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    // Threads or memory ran out; what serves has fences of its own.
    return Fail(kBadConfiguration,
                absl::StrCat("cannot start: ", error.what()));
  }
}
