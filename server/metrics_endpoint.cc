#include "server/metrics_endpoint.h"

#include <fcntl.h>
#include <microhttpd.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "prometheus/collectable.h"
#include "prometheus/text_serializer.h"
#include "server/metrics_tls.h"

namespace neumf {
namespace {

using SteadyClock = std::chrono::steady_clock;

// More than any set of scrapers opens at once.
constexpr size_t kMostConnections = 64;
// Those that were cut count until libmicrohttpd has seen it.
constexpr unsigned kMostWithCut = 2 * kMostConnections;
// For the head of a request; a longer one is answered with 431 or 414.
constexpr size_t kBytesPerConnection = 16 << 10;
// What clients show to whoever is asked for a password.
constexpr char kRealm[] = "neumf";
constexpr char kPath[] = "/metrics";
// The versions and ciphers that other servers of today offer.
constexpr char kTlsPriorities[] =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE";

struct FreeResponse {
  void operator()(MHD_Response* response) const {
    MHD_destroy_response(response);
  }
};
using Response = std::unique_ptr<MHD_Response, FreeResponse>;

Response MakeResponse(const std::string& text) {
  Response response(MHD_create_response_from_buffer(
      text.size(), const_cast<char*>(text.data()), MHD_RESPMEM_MUST_COPY));
  NEUMF_CHECK(response != nullptr);
  // A connection that stays would be one more to hold.
  MHD_add_response_header(response.get(), MHD_HTTP_HEADER_CONNECTION, "close");
  MHD_add_response_header(response.get(), MHD_HTTP_HEADER_CONTENT_TYPE,
                          "text/plain; version=0.0.4; charset=utf-8");
  return response;
}

struct Credentials {
  std::string user;
  std::string password;
};

// Empty where the request shows none.
Credentials ShownBy(MHD_Connection* connection) {
  char* password = nullptr;
  char* const user =
      MHD_basic_auth_get_username_password(connection, &password);
  Credentials shown = {user == nullptr ? "" : user,
                       password == nullptr ? "" : password};
  MHD_free(user);
  MHD_free(password);
  return shown;
}

}  // namespace

struct MetricsEndpoint::Callbacks {
  static MHD_Result Answer(void* self, MHD_Connection* connection,
                           const char* path, const char* method,
                           const char* /*version*/, const char* /*body*/,
                           size_t* /*body_size*/, void** /*state*/) {
    const auto& endpoint = *static_cast<MetricsEndpoint*>(self);
    if (absl::string_view(path) != kPath) {
      return MHD_queue_response(connection, MHD_HTTP_NOT_FOUND,
                                MakeResponse("only /metrics is here\n").get());
    }
    const absl::string_view verb = method;
    if (verb != MHD_HTTP_METHOD_GET && verb != MHD_HTTP_METHOD_HEAD) {
      const Response response = MakeResponse("only GET and HEAD\n");
      MHD_add_response_header(response.get(), MHD_HTTP_HEADER_ALLOW,
                              "GET, HEAD");
      return MHD_queue_response(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
                                response.get());
    }
    if (endpoint.options_.allows) {
      const Credentials shown = ShownBy(connection);
      if (!endpoint.options_.allows(shown.user, shown.password)) {
        return MHD_queue_basic_auth_fail_response(
            connection, kRealm, MakeResponse("not for you\n").get());
      }
    }
    const std::string text =
        prometheus::TextSerializer().Serialize(endpoint.registry_->Collect());
    return MHD_queue_response(connection, MHD_HTTP_OK,
                              MakeResponse(text).get());
  }

  static void Notify(void* self, MHD_Connection* connection, void** /*state*/,
                     MHD_ConnectionNotificationCode what) {
    auto* const endpoint = static_cast<MetricsEndpoint*>(self);
    auto& open = endpoint->connections_;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
      open.erase(std::remove_if(open.begin(), open.end(),
                                [connection](const Connection& c) {
                                  return c.id == connection;
                                }),
                 open.end());
      return;
    }
    if (open.size() >= kMostConnections) endpoint->CutOldest();
    const int fd =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)
            ->connect_fd;
    open.push_back({connection, fd,
                    SteadyClock::now() + absl::ToChronoMilliseconds(
                                             endpoint->options_.time_limit)});
  }
};

absl::StatusOr<std::unique_ptr<MetricsEndpoint>> MetricsEndpoint::Start(
    const ListenAddress& address,
    std::shared_ptr<prometheus::Collectable> registry, const Options& options) {
  if (address.is_unix()) {
    return absl::InvalidArgumentError(absl::StrCat(
        address.ToString(), ": metrics are served at HOST:PORT only"));
  }
  if (options.tls != nullptr) {
    NEUMF_RETURN_IF_ERROR(CheckForGnuTls(*options.tls->current().material));
  }
  NEUMF_ASSIGN_OR_RETURN(ListenSocket socket, ListenSocket::Open(address));
  auto endpoint = absl::WrapUnique(
      new MetricsEndpoint(std::move(socket), std::move(registry), options));
  NEUMF_RETURN_IF_ERROR(endpoint->StartDaemon());
  endpoint->thread_ = std::thread([e = endpoint.get()] { e->Run(); });
  return endpoint;
}

MetricsEndpoint::MetricsEndpoint(
    ListenSocket socket, std::shared_ptr<prometheus::Collectable> registry,
    const Options& options)
    : socket_(std::move(socket)),
      registry_(std::move(registry)),
      options_(options),
      stop_(eventfd(0, EFD_CLOEXEC)) {
  NEUMF_CHECK(stop_.valid());
}

absl::Status MetricsEndpoint::StartDaemon() {
  // Its own descriptor, since libmicrohttpd closes it.
  UniqueFd listening(fcntl(socket_.fd(), F_DUPFD_CLOEXEC, 0));
  if (!listening.valid()) return ErrnoStatus(errno, "dup");
  std::vector<MHD_OptionItem> more;
  unsigned flags = MHD_USE_EPOLL;  // and no thread of its own
  if (options_.tls != nullptr) {
    flags |= MHD_USE_TLS;
    more.push_back({MHD_OPTION_HTTPS_CERT_CALLBACK2, 0,
                    reinterpret_cast<void*>(&GnuTlsHandshakes::Retrieve)});
    more.push_back(
        {MHD_OPTION_HTTPS_PRIORITIES, 0, const_cast<char*>(kTlsPriorities)});
  }
  more.push_back({MHD_OPTION_END, 0, nullptr});
  daemon_ = MHD_start_daemon(
      flags, /*port=*/0, nullptr, nullptr, &Callbacks::Answer, this,
      MHD_OPTION_LISTEN_SOCKET, listening.get(), MHD_OPTION_CONNECTION_LIMIT,
      kMostWithCut, MHD_OPTION_CONNECTION_MEMORY_LIMIT, kBytesPerConnection,
      MHD_OPTION_NOTIFY_CONNECTION, &Callbacks::Notify, this, MHD_OPTION_ARRAY,
      more.data(), MHD_OPTION_END);
  if (daemon_ == nullptr) {
    return absl::UnavailableError(
        absl::StrCat("libmicrohttpd cannot serve on ", address().ToString()));
  }
  (void)listening.Release();
  return absl::OkStatus();
}

MetricsEndpoint::~MetricsEndpoint() {
  if (thread_.joinable()) {
    NEUMF_CHECK(eventfd_write(stop_.get(), 1) == 0);
    thread_.join();
  }
  if (daemon_ != nullptr) MHD_stop_daemon(daemon_);
}

void MetricsEndpoint::Run() {
  SetThreadName("metrics");
  const GnuTlsHandshakes handshakes(options_.tls);
  const int epoll =
      MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
  pollfd watched[] = {{stop_.get(), POLLIN, 0}, {epoll, POLLIN, 0}};
  for (;;) {
    (void)poll(watched, 2, SleepMs());  // an interrupt is one more look
    if (watched[0].revents != 0) return;
    CutLate();
    MHD_run(daemon_);
  }
}

int MetricsEndpoint::SleepMs() const {
  MHD_UNSIGNED_LONG_LONG limit_ms = 0;
  if (MHD_get_timeout(daemon_, &limit_ms) == MHD_YES && limit_ms == 0) return 0;
  if (connections_.empty()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(
      connections_.front().end - SteadyClock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, 60'000));
}

void MetricsEndpoint::CutLate() {
  const auto now = SteadyClock::now();
  while (!connections_.empty() && connections_.front().end <= now) CutOldest();
}

void MetricsEndpoint::CutOldest() {
  // libmicrohttpd reads the end of it, too, and closes the descriptor.
  (void)shutdown(connections_.front().fd, SHUT_RDWR);
  connections_.pop_front();
}

}  // namespace neumf
