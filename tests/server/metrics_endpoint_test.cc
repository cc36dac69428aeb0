#include "server/metrics_endpoint.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "base/logging.h"
#include "server/server_metrics.h"
#include "server/unique_fd.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::AllOf;
using testing::HasSubstr;

ListenAddress Address(const std::string& text) {
  const auto address = ListenAddress::Parse(text);
  NEUMF_CHECK(address.ok());
  return *address;
}

UniqueFd Connect(const ListenAddress& to) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(to.port()));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  NEUMF_CHECK(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address),
                      sizeof(address)) == 0);
  return fd;
}

// All that comes back until the other side hangs up.
std::string Scrape(const ListenAddress& from) {
  const UniqueFd fd = Connect(from);
  const std::string request = "GET /metrics HTTP/1.0\r\n\r\n";
  NEUMF_CHECK(send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) ==
              static_cast<ssize_t>(request.size()));
  std::string answer;
  std::string part(1 << 16, '\0');
  for (;;) {
    const ssize_t count = recv(fd.get(), part.data(), part.size(), 0);
    if (count <= 0) return answer;
    answer.append(part, 0, static_cast<size_t>(count));
  }
}

TEST(MetricsEndpointTest, IdleConnectionsDoNotHoldUpAScrape) {
  const ServerMetrics metrics;
  // Not one of them makes room by ending.
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const auto endpoint,
      MetricsEndpoint::Start(Address("127.0.0.1:0"), metrics.registry(),
                             /*allows=*/nullptr, absl::Hours(1)));
  std::vector<UniqueFd> idle(10);
  for (UniqueFd& connection : idle) connection = Connect(endpoint->address());
  EXPECT_THAT(Scrape(endpoint->address()),
              AllOf(HasSubstr("200 OK"), HasSubstr("neumf_reload_total")));
  idle.clear();
}

TEST(MetricsEndpointTest, AConnectionThatAsksForNothingIsClosed) {
  const ServerMetrics metrics;
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const auto endpoint,
      MetricsEndpoint::Start(Address("127.0.0.1:0"), metrics.registry(),
                             /*allows=*/nullptr, absl::Milliseconds(50)));
  const UniqueFd idle = Connect(endpoint->address());
  char byte = 0;
  EXPECT_LE(recv(idle.get(), &byte, 1, 0), 0);
}

TEST(MetricsEndpointTest, SaysWhatItCannotListenOn) {
  const ServerMetrics metrics;
  for (const char* text : {"[::1]:0", "unix:/nowhere/metrics"}) {
    EXPECT_THAT(MetricsEndpoint::Start(Address(text), metrics.registry()),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(text), HasSubstr("IPv4 only"))));
  }
  NEUMF_ASSERT_OK_AND_ASSIGN(const ListenSocket taken,
                             ListenSocket::Open(Address("127.0.0.1:0")));
  EXPECT_THAT(MetricsEndpoint::Start(taken.address(), metrics.registry()),
              StatusIs(absl::StatusCode::kAlreadyExists,
                       HasSubstr("is in use by another process")));
}

}  // namespace
}  // namespace neumf
