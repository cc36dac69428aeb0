// neumf-server: reads its flags, runs a Server until it is told to stop.

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "google/protobuf/stubs/logging.h"
#include "server/server.h"
#include "server/server_flags.h"
#include "server/stop_signal.h"

namespace {

enum ExitCode { kDrained = 0, kBadConfiguration = 1, kNoCheckpoint = 2 };

// Beyond the drain itself; then the process ends by force.
constexpr absl::Duration kWatchdogSlack = absl::Seconds(5);

// What they print about single connections and messages is for their
// developers, and callers could fill the log with it.
void QuietLibraries() {
  // No other thread is there yet: NOLINTNEXTLINE(concurrency-mt-unsafe)
  setenv("GRPC_VERBOSITY", "ERROR", /*overwrite=*/0);
  google::protobuf::SetLogHandler(nullptr);
}

ExitCode Fail(ExitCode code, const absl::Status& status) {
  std::fprintf(stderr, "neumf-server: %s\n",
               std::string(status.message()).c_str());
  return code;
}

ExitCode Serve(const neumf::Server::Options& options) {
  // First of all: threads that exist already would take the signals.
  neumf::StopSignal stop(options.drain_delay + options.drain_timeout +
                         kWatchdogSlack);
  auto server = neumf::Server::Start(options);
  if (!server.ok()) return Fail(kBadConfiguration, server.status());
  const absl::Status serving = (*server)->ServeCheckpoints();
  if (!serving.ok()) {
    return Fail(absl::IsNotFound(serving) ? kNoCheckpoint : kBadConfiguration,
                serving);
  }
  stop.Arm();
  stop.Wait();
  (*server)->Drain();
  return kDrained;
}

}  // namespace

int main(int argc, char** argv) {
  // A log reader that goes away must not end the daemon.
  std::signal(SIGPIPE, SIG_IGN);
  QuietLibraries();
  const std::unique_ptr<neumf::FileSystem> files = neumf::MakePosixFileSystem();
  const auto command = neumf::ParseCommand(
      std::vector<std::string>(argv + 1, argv + argc), *files);
  if (!command.ok()) return Fail(kBadConfiguration, command.status());
  if (!command->text.empty()) {
    std::fputs(command->text.c_str(), stdout);
    return kDrained;
  }
  return Serve(command->options);
}
