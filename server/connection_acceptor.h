#pragma once

// Accepts connections for gRPC servers, on one thread for all of them.
//
// gRPC 1.51 stops listening for ever once accept() meets a full descriptor
// table (CVE-2023-4785), and limits connections nowhere. So we accept ourselves
// and hand connections over. gRPC does not say when a connection ends: a
// duplicate of its descriptor waits in our epoll for the hang-up, which makes
// two descriptors a connection.
//
//   ConnectionAcceptor acceptor({}, &resets, &metrics);
//   acceptor.Listen(std::move(socket), max_connections, &builder);
//   ... builder.BuildAndStart() ...
//   acceptor.Start();
//   acceptor.StopAccepting();  // before grpc::Server::Shutdown()
//   ... let calls end ...
//   acceptor.EndConnections(grace);
//   ... grpc::Server::Shutdown(), and this dies after the grpc::Server ...
//
// A connection that is handed over after Shutdown would hang for as long as the
// duplicate lives, hence the order. Belongs to one thread.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/time/time.h"
#include "base/mutex.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "server/held_requests.h"
#include "server/listen_address.h"
#include "server/reset_guard.h"
#include "server/sender.h"
#include "server/server_metrics.h"
#include "server/unique_fd.h"

namespace neumf {

// How many connections leave room for everything else, when the process may
// have `max_descriptors` open: at most 4096, at least 1.
size_t DefaultMaxConnections(size_t max_descriptors);
// The same for the limit that the process runs under.
size_t DefaultMaxConnections();

class ConnectionAcceptor {
 public:
  struct Options {
    // Connections of one PeerNetwork() above this, on all listeners together,
    // are refused; 0: there is no such limit.
    size_t max_per_network = 0;
    // Of requests that no handler has seen. When connections hold more, those
    // that hold most are ended.
    int64_t max_held_bytes = std::numeric_limits<int64_t>::max();
  };

  // `resets` counts the calls of all connections; it and `metrics` must outlive
  // this.
  ConnectionAcceptor(const Options& options, ResetGuard* resets,
                     ServerMetrics* metrics);
  ~ConnectionAcceptor();

  // `credentials` say how those connections are secured; they must outlive the
  // server that is built.
  // Connections above `max_connections` on `socket` are closed at once, counted
  // and, once a minute at most, logged.
  // REQUIRES: not started; `builder` has not built yet.
  void Listen(ListenSocket socket, size_t max_connections,
              std::shared_ptr<grpc::ServerCredentials> credentials,
              grpc::ServerBuilder* builder);

  // Begins to accept. REQUIRES: the servers run.
  void Start();

  // Closes the listening sockets; no connection is handed over once it returns.
  // Connections that are there are watched until this dies. Idempotent.
  void StopAccepting();

  // Hangs up on all connections: answers that were written still arrive. Those
  // whose peers do not hang up, too, within `grace` are cut. REQUIRES:
  // StopAccepting() was called.
  void EndConnections(absl::Duration grace);

  // The connection of `peer`, as grpc::ServerContext::peer() says it, has that
  // many calls: ends it soon after this returns, if no honest client has so
  // many. Connections of unix sockets share a name and are judged together; the
  // one is ended then whose input piles up most. Any thread.
  void Cut(const std::string& peer, int64_t num_calls);
  // Ends the connection whose input piles up most, if it is more than a client
  // leaves there that calls and waits. Any thread.
  void CutFullest();

 private:
  struct Listener;
  struct Flood {
    std::string peer;
    int64_t num_calls = 0;
  };
  struct Connection {
    UniqueFd duplicate;
    Listener* listener = nullptr;
    std::string peer;
    std::string network;
    std::unique_ptr<Sender> sender;
  };

  void Run();
  void HandleEvent(int fd);
  void AcceptFrom(Listener* listener);
  // False when the connection is one too many, which is counted.
  bool HasRoom(const Listener& listener, const std::string& network);
  void CountRefusal(const Listener& listener, ConnectionRefusal reason);
  // False when the system has no room for it.
  bool HandOver(Listener* listener, UniqueFd connection,
                const sockaddr_storage& peer);
  void CutFloods();
  void CutFlood(const Flood& flood);
  // Ends connections that make us hold too much.
  void LookAtSenders();
  void CutConnection(int duplicate, const char* event);
  void WaitForDescriptors();
  void CloseListeners();
  void ShutDownConnections(int how);
  void ForgetConnection(int duplicate);
  void ConnectionsChanged();

  const Options options_;
  ResetGuard* const resets_;
  ServerMetrics* const metrics_;
  HeldRequests held_;
  const UniqueFd epoll_;
  const UniqueFd wake_;  // eventfd: `stage_` or `floods_` has changed

  // The thread's alone while it runs.
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::unordered_map<int, Connection>
      connections_;  // by the duplicate's number
  std::unordered_map<std::string, size_t> num_of_network_;  // if limited
  std::chrono::steady_clock::time_point next_refusal_log_;
  std::chrono::steady_clock::time_point next_cut_log_;
  std::chrono::steady_clock::time_point next_look_;

  enum class Stage { kAccepting, kWatching, kHangingUp, kCutting, kStopped };
  void EnterStage(Stage stage);
  void Wake();
  std::atomic<Stage> stage_{Stage::kAccepting};

  Mutex mutex_;
  CondVar changed_;
  bool listeners_closed_ ABSL_GUARDED_BY(mutex_) = false;
  size_t num_connections_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Flood> floods_ ABSL_GUARDED_BY(mutex_);

  std::thread thread_;
};

}  // namespace neumf
