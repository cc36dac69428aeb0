#include "server/connection_acceptor.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <utility>

#include "base/logging.h"
#include "base/thread_pool.h"

namespace neumf {
namespace {

using GrpcAcceptor = grpc::experimental::ExternalConnectionAcceptor;

constexpr size_t kMostConnections = 4096;
// For checkpoints, logs, metrics and what libraries keep open.
constexpr size_t kSpareDescriptors = 256;
constexpr int kDescriptorPauseMillis = 20;
// Of one listener in a row, so that others and hang-ups have their turn.
constexpr int kAcceptsInARow = 64;
// A flood is one line of the log a minute.
constexpr std::chrono::minutes kRefusalLogInterval(1);

// False when the system has no room for it.
bool Watch(int epoll, int fd, uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.fd = fd;
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

bool OutOfDescriptors(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS ||
         error == ENOMEM;
}

}  // namespace

size_t DefaultMaxConnections(size_t max_descriptors) {
  const size_t spare = std::min(kSpareDescriptors, max_descriptors / 8 * 5);
  return std::clamp<size_t>((max_descriptors - spare) / 2, 1, kMostConnections);
}

size_t DefaultMaxConnections() {
  rlimit limit = {};
  NEUMF_CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  return DefaultMaxConnections(limit.rlim_cur);
}

struct ConnectionAcceptor::Listener {
  ListenSocket socket;
  size_t max_connections;
  std::unique_ptr<GrpcAcceptor> grpc;
  size_t num_connections = 0;
};

ConnectionAcceptor::ConnectionAcceptor(ServerMetrics* metrics)
    : metrics_(metrics),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  NEUMF_CHECK(Watch(epoll_.get(), wake_.get(), EPOLLIN));
}

ConnectionAcceptor::~ConnectionAcceptor() {
  if (!thread_.joinable()) return;
  EnterStage(Stage::kStopped);
  thread_.join();
}

void ConnectionAcceptor::Listen(
    ListenSocket socket, size_t max_connections,
    std::shared_ptr<grpc::ServerCredentials> credentials,
    grpc::ServerBuilder* builder) {
  auto grpc = builder->experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
      std::move(credentials));
  listeners_.push_back(std::make_unique<Listener>(
      Listener{std::move(socket), max_connections, std::move(grpc), 0}));
}

void ConnectionAcceptor::Start() {
  for (const auto& listener : listeners_) {
    NEUMF_CHECK(Watch(epoll_.get(), listener->socket.fd(), EPOLLIN));
  }
  thread_ = std::thread([this] { Run(); });
}

void ConnectionAcceptor::StopAccepting() {
  if (!thread_.joinable()) {
    CloseListeners();
    return;
  }
  EnterStage(Stage::kWatching);
  MutexLock lock(&mutex_);
  while (!listeners_closed_) changed_.Wait(&mutex_);
}

void ConnectionAcceptor::EndConnections(absl::Duration grace) {
  if (!thread_.joinable()) return;
  EnterStage(Stage::kHangingUp);
  {
    MutexLock lock(&mutex_);
    const auto until =
        std::chrono::steady_clock::now() + absl::ToChronoMilliseconds(grace);
    while (num_connections_ > 0 && std::chrono::steady_clock::now() < until) {
      changed_.WaitFor(&mutex_, until - std::chrono::steady_clock::now());
    }
  }
  EnterStage(Stage::kCutting);
}

void ConnectionAcceptor::EnterStage(Stage stage) {
  stage_ = stage;
  const uint64_t one = 1;
  NEUMF_CHECK(write(wake_.get(), &one, sizeof(one)) == sizeof(one));
}

void ConnectionAcceptor::Run() {
  SetThreadName("accept");
  std::array<epoll_event, 64> events;
  while (stage_ != Stage::kStopped) {
    const int count = epoll_wait(epoll_.get(), events.data(),
                                 static_cast<int>(events.size()), -1);
    // Hang-ups first: they free descriptors that accept() may want.
    for (int i = 0; i < count; ++i) {
      if ((events[i].events & ~EPOLLIN) != 0)
        ForgetConnection(events[i].data.fd);
    }
    for (int i = 0; i < count; ++i) {
      if ((events[i].events & EPOLLIN) != 0) HandleEvent(events[i].data.fd);
    }
  }
}

void ConnectionAcceptor::HandleEvent(int fd) {
  if (fd == wake_.get()) {
    uint64_t count = 0;
    // Only to make it quiet again; the stage says what to do.
    [[maybe_unused]] const ssize_t size =
        read(wake_.get(), &count, sizeof(count));
    if (stage_ != Stage::kAccepting) CloseListeners();
    if (stage_ == Stage::kHangingUp) ShutDownConnections(SHUT_WR);
    if (stage_ == Stage::kCutting) ShutDownConnections(SHUT_RDWR);
    return;
  }
  for (const auto& listener : listeners_) {
    if (listener->socket.fd() == fd) return AcceptFrom(listener.get());
  }
}

void ConnectionAcceptor::AcceptFrom(Listener* listener) {
  for (int i = 0; i < kAcceptsInARow; ++i) {
    UniqueFd connection(accept4(listener->socket.fd(), nullptr, nullptr,
                                SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!connection.valid()) {
      if (OutOfDescriptors(errno)) WaitForDescriptors();
      return;  // other errors are those of the peer, or none is left
    }
    if (listener->num_connections >= listener->max_connections) {
      CountRefusal(*listener);
    } else if (!HandOver(listener, std::move(connection))) {
      return WaitForDescriptors();
    }
  }
}

void ConnectionAcceptor::CountRefusal(const Listener& listener) {
  metrics_->ConnectionRefused();
  const auto now = std::chrono::steady_clock::now();
  if (now < next_refusal_log_) return;
  next_refusal_log_ = now + kRefusalLogInterval;
  LogEvent("overloaded")
      .With("reason", "connections")
      .With("listener", listener.socket.address().ToString())
      .WithNumber("max_connections", listener.max_connections);
}

bool ConnectionAcceptor::HandOver(Listener* listener, UniqueFd connection) {
  UniqueFd duplicate(fcntl(connection.get(), F_DUPFD_CLOEXEC, 0));
  const int number = duplicate.get();
  if (!Watch(epoll_.get(), number, EPOLLRDHUP | EPOLLHUP | EPOLLET)) {
    return false;
  }
  connections_[number] = Connection{std::move(duplicate), listener};
  ++listener->num_connections;
  ConnectionsChanged();

  GrpcAcceptor::NewConnectionParameters parameters;
  parameters.listener_fd = listener->socket.fd();
  parameters.fd = connection.Release();
  listener->grpc->HandleNewConnection(&parameters);
  return true;
}

void ConnectionAcceptor::WaitForDescriptors() {
  metrics_->AcceptFailed();
  // The pending connection keeps the listener readable: without a pause this
  // would spin until somebody hangs up.
  pollfd wake = {wake_.get(), POLLIN, 0};
  poll(&wake, 1, kDescriptorPauseMillis);
}

void ConnectionAcceptor::CloseListeners() {
  for (const auto& listener : listeners_) {
    // Closing takes it out of the epoll set as well.
    const ListenSocket closing = std::move(listener->socket);
  }
  MutexLock lock(&mutex_);
  listeners_closed_ = true;
  changed_.SignalAll();
}

void ConnectionAcceptor::ForgetConnection(int duplicate) {
  const auto found = connections_.find(duplicate);
  if (found == connections_.end()) return;
  --found->second.listener->num_connections;
  // To close it is not enough: epoll watches the connection itself, which lives
  // on in gRPC's descriptor, and would report it under a number used again.
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, duplicate, nullptr);
  connections_.erase(found);
  ConnectionsChanged();
}

void ConnectionAcceptor::ShutDownConnections(int how) {
  for (const auto& entry : connections_) shutdown(entry.first, how);
}

void ConnectionAcceptor::ConnectionsChanged() {
  metrics_->SetConnections(connections_.size());
  MutexLock lock(&mutex_);
  num_connections_ = connections_.size();
  changed_.SignalAll();
}

}  // namespace neumf
