#pragma once

// The HTTP endpoint that Prometheus scrapes: /metrics of one registry, over TLS
// where that is asked for. The fence for libmicrohttpd.
//
// One thread serves all connections, so that those that ask for nothing hold up
// nobody, and a flood takes no more than one core. A connection has one answer,
// and a limit of time from its start to its end; the oldest is cut to make room
// for the newest, so a scrape comes through beside any number of others.

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/listen_address.h"
#include "server/tls_credentials.h"
#include "server/unique_fd.h"

struct MHD_Connection;
struct MHD_Daemon;

namespace prometheus {
class Collectable;
}  // namespace prometheus

namespace neumf {

class MetricsEndpoint {
 public:
  struct Options {
    // Whether HTTP's basic authentication lets somebody scrape; without it
    // everybody may. From the endpoint's thread.
    std::function<bool(const std::string& user, const std::string& password)>
        allows;
    // Null: plain text. Otherwise it must outlive the endpoint.
    const TlsCredentials* tls = nullptr;
    // What a connection has for handshake, request and answer.
    absl::Duration time_limit = absl::Seconds(10);
  };

  // ALREADY_EXISTS when the address is in use; INVALID_ARGUMENT when it is a
  // unix socket, or when GnuTLS cannot use the certificate or its key.
  static absl::StatusOr<std::unique_ptr<MetricsEndpoint>> Start(
      const ListenAddress& address,
      std::shared_ptr<prometheus::Collectable> registry,
      const Options& options);
  ~MetricsEndpoint();

  // With the port that was taken.
  const ListenAddress& address() const { return socket_.address(); }

 private:
  // libmicrohttpd's callbacks, on our thread.
  struct Callbacks;
  struct Connection {
    MHD_Connection* id;
    int fd;
    std::chrono::steady_clock::time_point end;
  };

  MetricsEndpoint(ListenSocket socket,
                  std::shared_ptr<prometheus::Collectable> registry,
                  const Options& options);

  absl::Status StartDaemon();
  void Run();
  // How long Run() may sleep: -1 is until something comes.
  int SleepMs() const;
  void CutLate();
  // Whoever waits for the oldest connection reads its end.
  void CutOldest();

  const ListenSocket socket_;
  const std::shared_ptr<prometheus::Collectable> registry_;
  const Options options_;
  const UniqueFd stop_;  // readable: Run() returns
  MHD_Daemon* daemon_ = nullptr;
  // Those that were not cut, oldest first. Run()'s.
  std::deque<Connection> connections_;
  std::thread thread_;
};

}  // namespace neumf
