#include "server/metrics_endpoint.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <memory>
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
using testing::IsEmpty;
using testing::Not;

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

std::string ReadAll(const UniqueFd& from) {
  std::string all;
  std::string part(1 << 16, '\0');
  for (;;) {
    const ssize_t count = recv(from.get(), part.data(), part.size(), 0);
    if (count <= 0) return all;
    all.append(part, 0, static_cast<size_t>(count));
  }
}

// All that comes back until the other side hangs up.
std::string Ask(const ListenAddress& whom, const std::string& request) {
  const UniqueFd fd = Connect(whom);
  NEUMF_CHECK(send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) ==
              static_cast<ssize_t>(request.size()));
  return ReadAll(fd);
}

std::string Scrape(const ListenAddress& from) {
  return Ask(from, "GET /metrics HTTP/1.0\r\n\r\n");
}

class MetricsEndpointTest : public testing::Test {
 protected:
  std::unique_ptr<MetricsEndpoint> Start(absl::Duration time_limit) {
    MetricsEndpoint::Options options;
    options.time_limit = time_limit;
    auto endpoint = MetricsEndpoint::Start(Address("127.0.0.1:0"),
                                           metrics_.registry(), options);
    NEUMF_CHECK(endpoint.ok());
    return *std::move(endpoint);
  }

  const ServerMetrics metrics_;
};

TEST_F(MetricsEndpointTest, AnswersGetAndHeadOfOnePathOnly) {
  const auto endpoint = Start(absl::Hours(1));
  const ListenAddress& address = endpoint->address();
  EXPECT_THAT(Ask(address, "GET /metrics?a=b HTTP/1.1\r\nHost: x\r\n\r\n"),
              AllOf(HasSubstr("200 OK"), HasSubstr("version=0.0.4"),
                    HasSubstr("neumf_reload_total")));
  EXPECT_THAT(Ask(address, "HEAD /metrics HTTP/1.0\r\n\r\n"),
              AllOf(HasSubstr("200 OK"), Not(HasSubstr("neumf_reload_total"))));
  EXPECT_THAT(Ask(address, "GET /metrics/ HTTP/1.0\r\n\r\n"),
              HasSubstr("404 Not Found"));
  EXPECT_THAT(Ask(address, "DELETE /metrics HTTP/1.0\r\n\r\n"),
              AllOf(HasSubstr("405 "), HasSubstr("Allow: GET, HEAD")));
}

TEST_F(MetricsEndpointTest, RefusesARequestThatNeverEnds) {
  const auto endpoint = Start(absl::Hours(1));
  const std::string large(64 << 10, 'a');
  const UniqueFd flood = Connect(endpoint->address());
  const std::string request = "GET /metrics HTTP/1.1\r\nx: " + large;
  // Some of it may meet a connection that is closed already.
  (void)send(flood.get(), request.data(), request.size(), MSG_NOSIGNAL);
  ReadAll(flood);  // comes to an end
  EXPECT_THAT(Scrape(endpoint->address()), HasSubstr("200 OK"));
}

TEST_F(MetricsEndpointTest, ConnectionsThatNeverEndDoNotHoldUpAScrape) {
  // Not one of them makes room by ending.
  const auto endpoint = Start(absl::Hours(1));
  std::vector<UniqueFd> idle(300);
  for (UniqueFd& connection : idle) connection = Connect(endpoint->address());
  EXPECT_THAT(Scrape(endpoint->address()),
              AllOf(HasSubstr("200 OK"), HasSubstr("neumf_reload_total")));
  // The oldest had to go.
  EXPECT_THAT(ReadAll(idle.front()), IsEmpty());
}

TEST_F(MetricsEndpointTest, AConnectionThatAsksTooSlowlyIsClosed) {
  const auto endpoint = Start(absl::Milliseconds(50));
  const UniqueFd idle = Connect(endpoint->address());
  const UniqueFd slow = Connect(endpoint->address());
  (void)send(slow.get(), "GET /m", 6, MSG_NOSIGNAL);
  EXPECT_THAT(ReadAll(idle), IsEmpty());
  EXPECT_THAT(ReadAll(slow), IsEmpty());
}

TEST_F(MetricsEndpointTest, EndsWithConnectionsOpen) {
  auto endpoint = Start(absl::Hours(1));
  const UniqueFd idle = Connect(endpoint->address());
  Scrape(endpoint->address());  // so that it was accepted
  endpoint.reset();
  EXPECT_THAT(ReadAll(idle), IsEmpty());
}

TEST_F(MetricsEndpointTest, SaysWhatItCannotListenOn) {
  EXPECT_THAT(MetricsEndpoint::Start(Address("unix:/nowhere/metrics"),
                                     metrics_.registry(), {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("unix:/nowhere/metrics"),
                             HasSubstr("HOST:PORT only"))));
  NEUMF_ASSERT_OK_AND_ASSIGN(const ListenSocket taken,
                             ListenSocket::Open(Address("127.0.0.1:0")));
  EXPECT_THAT(MetricsEndpoint::Start(taken.address(), metrics_.registry(), {}),
              StatusIs(absl::StatusCode::kAlreadyExists,
                       HasSubstr("is in use by another process")));
}

}  // namespace
}  // namespace neumf
