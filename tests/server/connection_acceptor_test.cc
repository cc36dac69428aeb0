#include "server/connection_acceptor.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/held_requests.h"
#include "tests/server/metric_reader.h"
#include "tests/server/running_server.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

std::atomic<int> num_trims{0};

}  // namespace
}  // namespace neumf

// Stands before the C library's: how much a trim brings is malloc's affair, that
// there is one is ours.
int malloc_trim(size_t /*pad*/) noexcept {
  ++neumf::num_trims;
  return 0;
}

namespace neumf {
namespace {

TEST(DefaultMaxConnectionsTest, LeavesDescriptorsForTheRest) {
  EXPECT_EQ(DefaultMaxConnections(64), 12U);
  EXPECT_EQ(DefaultMaxConnections(1024), 384U);
  EXPECT_EQ(DefaultMaxConnections(1 << 20), 4096U);
  EXPECT_EQ(DefaultMaxConnections(0), 1U);
}

// A server that takes two connections, on a unix socket.
class ConnectionAcceptorTest : public testing::Test {
 protected:
  ConnectionAcceptorTest() {
    server_.options.listen = "unix:" + server_.directory().Path("socket");
    server_.options.max_connections = 2;
    server_.options.wait_for_checkpoint = true;
    server_.Start();
  }

  UniqueFd Connect() {
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    const std::string path = server_.server().grpc_address().path();
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address),
                      sizeof(address)),
              0);
    const timeval patience = {30, 0};
    EXPECT_EQ(setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience,
                         sizeof(patience)),
              0);
    return fd;
  }

  // gRPC greets with its settings; a connection above the cap just ends.
  static bool IsGreeted(const UniqueFd& connection) {
    char byte = 0;
    return read(connection.get(), &byte, 1) == 1;
  }

  // Whether it ends after what the server still says.
  static bool Ends(const UniqueFd& connection) {
    char byte = 0;
    ssize_t size = 1;
    while (size == 1) size = read(connection.get(), &byte, 1);
    return size == 0;
  }

  RunningServer server_;
};

TEST_F(ConnectionAcceptorTest, UnixSocketsCarryCalls) {
  grpc::health::v1::HealthCheckResponse response;
  EXPECT_TRUE(
      server_.health()->Check(PatientContext().get(), {}, &response).ok());
}

TEST_F(ConnectionAcceptorTest, ClosesConnectionsAboveTheCap) {
  const UniqueFd first = Connect();
  const UniqueFd second = Connect();
  EXPECT_TRUE(IsGreeted(first));
  EXPECT_TRUE(IsGreeted(second));
  EXPECT_TRUE(Ends(Connect()));
  EXPECT_EQ(
      ReadMetric(server_.server().counters(), "neumf_connections_refused_total",
                 {{"reason", "total"}}),
      1);
}

TEST_F(ConnectionAcceptorTest, AnEndedConnectionMakesRoom) {
  // Far more than there is room for; each must be seen to end.
  for (int i = 0; i < 100; ++i) {
    UniqueFd connection;
    ASSERT_TRUE(Eventually([&] {
      connection = Connect();
      return IsGreeted(connection);
    }));
  }
}

TEST_F(ConnectionAcceptorTest, ASilentConnectionDoesNotHoldUpTheDrain) {
  const UniqueFd connection = Connect();
  EXPECT_TRUE(IsGreeted(connection));
  EXPECT_TRUE(server_.Drain());
  EXPECT_TRUE(Ends(connection));
}

// The processor time that this process has had.
double ProcessorSeconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

// Who connects during a drain waits for the next server.
TEST(AdoptedListenerTest, IsLeftAloneOnceItIsClosed) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const ListenAddress any,
                             ListenAddress::Parse("127.0.0.1:0"));
  NEUMF_ASSERT_OK_AND_ASSIGN(const ListenSocket owner, ListenSocket::Open(any));
  NEUMF_ASSERT_OK_AND_ASSIGN(ListenSocket adopted,
                             ListenSocket::Adopt(UniqueFd(dup(owner.fd()))));
  ServerMetrics metrics;
  grpc::health::v1::Health::CallbackService service;
  grpc::ServerBuilder builder;
  builder.RegisterService(&service);
  ResetGuard resets([](const std::string&, int64_t) {});
  ConnectionAcceptor acceptor({}, &resets, &metrics);
  acceptor.Listen(std::move(adopted), /*max_connections=*/2,
                  grpc::InsecureServerCredentials(), &builder);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  ASSERT_NE(server, nullptr);
  acceptor.Start();
  acceptor.StopAccepting();
  NEUMF_ASSERT_OK_AND_ASSIGN(const UniqueFd waiting,
                             StartConnecting(owner.address()));
  pollfd pending = {owner.fd(), POLLIN, 0};
  ASSERT_EQ(poll(&pending, 1, /*timeout=*/30'000), 1);
  const double before = ProcessorSeconds();
  absl::SleepFor(absl::Milliseconds(400));
  EXPECT_LT(ProcessorSeconds() - before, 0.2);
}

// Whether a call gets an answer on a connection of its own.
bool IsServed(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::health::v1::HealthCheckResponse response;
  return grpc::health::v1::Health::NewStub(channel)
      ->Check(PatientContext().get(), {}, &response)
      .ok();
}

TEST(ConnectionsPerIpTest, AreCountedOnBothListeners) {
  RunningServer server;
  server.options.max_connections_per_ip = 2;
  server.options.wait_for_checkpoint = true;
  server.Start();
  grpc::health::v1::HealthCheckResponse response;
  ASSERT_TRUE(
      server.admin_health()->Check(PatientContext().get(), {}, &response).ok());
  {
    const auto second = server.NewChannel();
    EXPECT_TRUE(IsServed(second));
    EXPECT_FALSE(IsServed(server.NewChannel()));
    EXPECT_GE(
        ReadMetric(server.server().counters(),
                   "neumf_connections_refused_total", {{"reason", "per_ip"}}),
        1);
  }
  EXPECT_TRUE(Eventually([&] { return IsServed(server.NewChannel()); }));
}

constexpr char kSettings = 4;
constexpr char kPing = 6;
constexpr char kUnknown = 0x7f;

// A frame of HTTP/2 that belongs to no stream.
std::string Frame(char kind, const std::string& payload) {
  const auto size = payload.size();
  return std::string{static_cast<char>(size >> 16),
                     static_cast<char>(size >> 8),
                     static_cast<char>(size),
                     kind,
                     0,
                     0,
                     0,
                     0,
                     0} +
         payload;
}

// The server has read all of it, and no handler will ever see it.
void HoldAndLeave(const ListenAddress& address, size_t num_bytes) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const UniqueFd connection,
                             StartConnecting(address));
  ASSERT_EQ(fcntl(connection.get(), F_SETFL, 0), 0);
  const timeval patience = {30, 0};
  for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO}) {
    ASSERT_EQ(setsockopt(connection.get(), SOL_SOCKET, option, &patience,
                         sizeof(patience)),
              0);
  }
  const std::string mark = "All read";
  std::string text = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + Frame(kSettings, "");
  while (text.size() < num_bytes) {
    text += Frame(kUnknown, std::string(1 << 14, 'x'));
  }
  text += Frame(kPing, mark);
  ASSERT_EQ(send(connection.get(), text.data(), text.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(text.size()));
  std::string heard;
  while (heard.find(mark) == std::string::npos) {
    char byte = 0;
    ASSERT_EQ(read(connection.get(), &byte, 1), 1);
    heard += byte;
  }
}

// So little that no look finds much.
TEST(HeldMemoryTest, IsGivenBackAfterAConnectionThatHeldSome) {
  RunningServer server;
  server.options.wait_for_checkpoint = true;
  server.Start();
  const int num_before = num_trims;
  ASSERT_NO_FATAL_FAILURE(
      HoldAndLeave(server.server().grpc_address(), 2 * HeldRequests::kLittle));
  EXPECT_TRUE(Eventually([&] { return num_trims > num_before; }));
}

}  // namespace
}  // namespace neumf
