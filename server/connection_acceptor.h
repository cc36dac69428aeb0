#pragma once

// Accepts connections for gRPC servers, on one thread for all of them.
//
// gRPC 1.51 stops listening for ever once accept() meets a full descriptor
// table (CVE-2023-4785), and limits connections nowhere. So we accept ourselves
// and hand connections over. gRPC does not say when a connection ends: a
// duplicate of its descriptor waits in our epoll for the hang-up, which makes
// two descriptors a connection.
//
//   ConnectionAcceptor acceptor(&metrics);
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
#include <memory>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/time/time.h"
#include "base/mutex.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "server/listen_address.h"
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
  // `metrics` must outlive this.
  explicit ConnectionAcceptor(ServerMetrics* metrics);
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

 private:
  struct Listener;
  struct Connection {
    UniqueFd duplicate;
    Listener* listener = nullptr;
  };

  void Run();
  void HandleEvent(int fd);
  void AcceptFrom(Listener* listener);
  void CountRefusal(const Listener& listener);
  // False when the system has no room for it.
  bool HandOver(Listener* listener, UniqueFd connection);
  void WaitForDescriptors();
  void CloseListeners();
  void ShutDownConnections(int how);
  void ForgetConnection(int duplicate);
  void ConnectionsChanged();

  ServerMetrics* const metrics_;
  const UniqueFd epoll_;
  const UniqueFd wake_;  // eventfd: `stage_` has changed

  // The thread's alone while it runs.
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::unordered_map<int, Connection>
      connections_;  // by the duplicate's number
  std::chrono::steady_clock::time_point next_refusal_log_;

  enum class Stage { kAccepting, kWatching, kHangingUp, kCutting, kStopped };
  void EnterStage(Stage stage);
  std::atomic<Stage> stage_{Stage::kAccepting};

  Mutex mutex_;
  CondVar changed_;
  bool listeners_closed_ ABSL_GUARDED_BY(mutex_) = false;
  size_t num_connections_ ABSL_GUARDED_BY(mutex_) = 0;

  std::thread thread_;
};

}  // namespace neumf
