#include "server/health_probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <thread>

#include "base/logging.h"
#include "tests/server/metric_reader.h"
#include "tests/server/running_server.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Seconds(60);

HealthProbe::Target TargetAt(const ListenAddress& address) {
  HealthProbe::Target target;
  target.address = address;
  return target;
}

ListenSocket Listen() {
  const auto address = ListenAddress::Parse("127.0.0.1:0");
  NEUMF_CHECK(address.ok());
  auto socket = ListenSocket::Open(*address);
  NEUMF_CHECK(socket.ok());
  return *std::move(socket);
}

// The next connection, once it is there.
UniqueFd Accept(const ListenSocket& listener) {
  pollfd waiting = {listener.fd(), POLLIN, 0};
  NEUMF_CHECK(poll(&waiting, 1, -1) == 1);
  return UniqueFd(accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC));
}

double ChecksAnswered(RunningServer* server) {
  return ReadMetric(server->server().counters(), "grpc_server_handled_total",
                    {{"grpc_service", "grpc.health.v1.Health"},
                     {"grpc_method", "Check"},
                     {"grpc_type", "unary"},
                     {"grpc_code", "OK"}});
}

TEST(HealthProbeTest, IsAnsweredOverTcpAndUnixSockets) {
  for (const char* scheme : {"127.0.0.1:0", "unix:"}) {
    RunningServer server;
    server.options.listen = scheme;
    if (server.options.listen == "unix:") {
      server.options.listen += server.directory().path() + "/socket";
    }
    server.options.self_probe_interval = absl::Hours(1);
    server.Publish(MakeTinyModel({}));
    server.Start();
    const HealthProbe probe(TargetAt(server.server().grpc_address()),
                            kPatience);
    NEUMF_EXPECT_OK(probe.Run());
    NEUMF_EXPECT_OK(probe.Run());
    // A call is counted once its handler is done, after the answer has left.
    EXPECT_TRUE(Eventually([&] { return ChecksAnswered(&server) >= 1; }))
        << "only connected";
  }
}

TEST(HealthProbeTest, NotServingIsAnAnswer) {
  RunningServer server;
  server.options.wait_for_checkpoint = true;
  server.Start();
  NEUMF_EXPECT_OK(
      HealthProbe(TargetAt(server.server().grpc_address()), kPatience).Run());
}

TEST(HealthProbeTest, MissesWhereNobodyAccepts) {
  const ListenSocket deaf = Listen();
  EXPECT_THAT(
      HealthProbe(TargetAt(deaf.address()), absl::Milliseconds(50)).Run(),
      StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("no answer")));
}

TEST(HealthProbeTest, MissesWhereConnectionsAreAcceptedAndNotServed) {
  const ListenSocket mute = Listen();
  UniqueFd accepted;
  std::thread accepting([&] { accepted = Accept(mute); });
  const HealthProbe probe(TargetAt(mute.address()), absl::Milliseconds(200));
  EXPECT_EQ(probe.Run().code(), absl::StatusCode::kDeadlineExceeded);
  accepting.join();
}

TEST(HealthProbeTest, MissesWhereNobodyListens) {
  const ListenAddress left = Listen().address();
  EXPECT_THAT(HealthProbe(TargetAt(left), kPatience).Run(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("refused")));
}

// As the server does at its cap of connections.
TEST(HealthProbeTest, ToBeTurnedAwayIsAnAnswer) {
  const ListenSocket full = Listen();
  HealthProbe::Target target = TargetAt(full.address());
  for (const bool encrypted : {false, true}) {
    target.encrypted = encrypted;
    std::thread accepting([&] { Accept(full).Close(); });
    NEUMF_EXPECT_OK(HealthProbe(target, kPatience).Run());
    accepting.join();
  }
}

TEST(HealthProbeTest, CanBeCancelled) {
  const ListenSocket deaf = Listen();
  HealthProbe probe(TargetAt(deaf.address()), kPatience);
  std::thread running(
      [&] { EXPECT_EQ(probe.Run().code(), absl::StatusCode::kCancelled); });
  probe.Cancel();
  running.join();
  EXPECT_EQ(probe.Run().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace neumf
