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
#include <limits>
#include <utility>

#include "base/logging.h"
#include "base/thread_pool.h"
#include "server/grpc_server.h"
#include "server/peer_name.h"
#include "server/tcp_progress.h"

namespace neumf {
namespace {

using GrpcAcceptor = grpc::experimental::ExternalConnectionAcceptor;

constexpr size_t kMostConnections = 4096;
// For checkpoints, logs, metrics and what libraries keep open.
constexpr size_t kSpareDescriptors = 256;
constexpr int kDescriptorPauseMillis = 20;
// Of one listener in a row, so that others and hang-ups have their turn.
constexpr int kAcceptsInARow = 64;
// Between two looks at all connections; longer where there are many.
constexpr std::chrono::milliseconds kLookInterval(100);
constexpr size_t kConnectionsALook = 256;
// A flood is one line of the log a minute.
constexpr std::chrono::minutes kFloodLogInterval(1);

// True once in that time; `next` is when again.
bool IsTimeToLog(std::chrono::steady_clock::time_point* next) {
  const auto now = std::chrono::steady_clock::now();
  if (now < *next) return false;
  *next = now + kFloodLogInterval;
  return true;
}

// Twice what a client has on its way whose 256 streams ask small questions. One
// that asks large ones may have more there until we read, but is not the fullest
// then: a flood fills its socket.
constexpr int kUnreadOfFlood = 32 << 10;
// Stands for all of them.
constexpr char kAnyPeer[] = "";

// False when the system has no room for it.
bool Watch(int epoll, int fd, uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.fd = fd;
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

// Ends a connection with all that is on its way: gRPC would work through
// megabytes of it first, and the peer would go on to send.
void Disconnect(int fd) {
  const sockaddr nobody = {AF_UNSPEC, {}};
  // Resets a connection of TCP, and is an error for unix sockets.
  (void)connect(fd, &nobody, sizeof(nobody));
  shutdown(fd, SHUT_RDWR);
  constexpr size_t kAll = 1 << 30;
  while (recv(fd, nullptr, kAll, MSG_DONTWAIT | MSG_TRUNC) > 0) {
  }
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

ConnectionAcceptor::ConnectionAcceptor(const Options& options,
                                       ResetGuard* resets,
                                       ServerMetrics* metrics)
    : options_(options),
      resets_(resets),
      metrics_(metrics),
      held_(options.max_held_bytes),
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

void ConnectionAcceptor::Cut(const std::string& peer, int64_t num_calls) {
  {
    MutexLock lock(&mutex_);
    floods_.push_back({peer, num_calls});
  }
  Wake();
}

void ConnectionAcceptor::CutFullest() {
  Cut(kAnyPeer, std::numeric_limits<int64_t>::max());
}

void ConnectionAcceptor::EnterStage(Stage stage) {
  stage_ = stage;
  Wake();
}

void ConnectionAcceptor::Wake() {
  const uint64_t one = 1;
  NEUMF_CHECK(write(wake_.get(), &one, sizeof(one)) == sizeof(one));
}

void ConnectionAcceptor::Run() {
  SetThreadName("accept");
  std::array<epoll_event, 64> events;
  while (stage_ != Stage::kStopped) {
    const bool may_sleep = connections_.empty() && !held_.is_settling();
    const int patience =
        may_sleep ? -1 : static_cast<int>(kLookInterval.count());
    const int count = epoll_wait(epoll_.get(), events.data(),
                                 static_cast<int>(events.size()), patience);
    LookAtSenders();
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
    // Only to make it quiet again.
    [[maybe_unused]] const ssize_t size =
        read(wake_.get(), &count, sizeof(count));
    CutFloods();
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
    sockaddr_storage peer = {};
    socklen_t length = sizeof(peer);
    UniqueFd connection(accept4(listener->socket.fd(),
                                reinterpret_cast<sockaddr*>(&peer), &length,
                                SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!connection.valid()) {
      if (OutOfDescriptors(errno)) WaitForDescriptors();
      return;  // other errors are those of the peer, or none is left
    }
    if (!HasRoom(*listener, PeerNetwork(peer))) continue;
    if (!HandOver(listener, std::move(connection), peer)) {
      return WaitForDescriptors();
    }
  }
}

bool ConnectionAcceptor::HasRoom(const Listener& listener,
                                 const std::string& network) {
  if (listener.num_connections >= listener.max_connections) {
    CountRefusal(listener, ConnectionRefusal::kTotal);
    return false;
  }
  if (options_.max_per_network == 0 || network.empty()) return true;
  const auto found = num_of_network_.find(network);
  if (found == num_of_network_.end() ||
      found->second < options_.max_per_network) {
    return true;
  }
  CountRefusal(listener, ConnectionRefusal::kPerIp);
  return false;
}

void ConnectionAcceptor::CountRefusal(const Listener& listener,
                                      ConnectionRefusal reason) {
  metrics_->ConnectionRefused(reason);
  if (!IsTimeToLog(&next_refusal_log_)) return;
  LogEvent event("overloaded");
  event.With("reason", "connections")
      .With("listener", listener.socket.address().ToString());
  if (reason == ConnectionRefusal::kTotal) {
    event.WithNumber("max_connections", listener.max_connections);
  } else {
    event.WithNumber("max_connections_per_ip", options_.max_per_network);
  }
}

bool ConnectionAcceptor::HandOver(Listener* listener, UniqueFd connection,
                                  const sockaddr_storage& peer) {
  UniqueFd duplicate(fcntl(connection.get(), F_DUPFD_CLOEXEC, 0));
  const int number = duplicate.get();
  if (!Watch(epoll_.get(), number, EPOLLRDHUP | EPOLLHUP | EPOLLET)) {
    return false;
  }
  auto sender = std::make_unique<Sender>(number, PeerName(peer), resets_);
  connections_[number] =
      Connection{std::move(duplicate), listener, PeerName(peer),
                 PeerNetwork(peer), std::move(sender)};
  ++listener->num_connections;
  if (options_.max_per_network > 0) ++num_of_network_[PeerNetwork(peer)];
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
    const ListenSocket closing = std::move(listener->socket);
    // To close it is not enough where the service manager has it, too: epoll
    // would go on to report who waits there for the next server.
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, closing.fd(), nullptr);
  }
  MutexLock lock(&mutex_);
  listeners_closed_ = true;
  changed_.SignalAll();
}

void ConnectionAcceptor::ForgetConnection(int duplicate) {
  const auto found = connections_.find(duplicate);
  if (found == connections_.end()) return;
  --found->second.listener->num_connections;
  // It may have come and gone between two looks.
  found->second.sender->Look();
  held_.Ended(found->second.sender->held_bytes(),
              std::chrono::steady_clock::now());
  const auto network = num_of_network_.find(found->second.network);
  if (network != num_of_network_.end() && --network->second == 0) {
    num_of_network_.erase(network);
  }
  // To close it is not enough: epoll watches the connection itself, which lives
  // on in gRPC's descriptor, and would report it under a number used again.
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, duplicate, nullptr);
  connections_.erase(found);
  ConnectionsChanged();
}

void ConnectionAcceptor::ShutDownConnections(int how) {
  for (const auto& entry : connections_) shutdown(entry.first, how);
}

void ConnectionAcceptor::CutFloods() {
  std::vector<Flood> floods;
  {
    MutexLock lock(&mutex_);
    floods.swap(floods_);
  }
  for (const Flood& flood : floods) CutFlood(flood);
}

void ConnectionAcceptor::CutFlood(const Flood& flood) {
  const bool is_any = flood.peer == kAnyPeer;
  // One of many has to show itself; the others may have no part in it.
  int most_unread = is_any || flood.peer == kUnixPeer ? kUnreadOfFlood : -1;
  int64_t num_honest = ResetGuard::kMostCalls - kMaxStreamsPerConnection;
  const Connection* fullest = nullptr;
  for (const auto& entry : connections_) {
    if (!is_any && entry.second.peer != flood.peer) continue;
    num_honest += kMaxStreamsPerConnection;
    const int unread = NumUnread(entry.first);
    if (unread <= most_unread) continue;
    most_unread = unread;
    fullest = &entry.second;
  }
  // Null: it is gone by itself, or never was a flood.
  if (fullest == nullptr || flood.num_calls <= num_honest) return;
  CutConnection(fullest->duplicate.get(), "rapid_reset");
}

void ConnectionAcceptor::LookAtSenders() {
  const auto now = std::chrono::steady_clock::now();
  if (now < next_look_) return;
  next_look_ =
      now + kLookInterval * (1 + connections_.size() / kConnectionsALook);
  std::vector<int> monologues;
  for (auto& [duplicate, connection] : connections_) {
    connection.sender->Look();
    if (connection.sender->is_monologue()) monologues.push_back(duplicate);
  }
  for (const int duplicate : monologues) {
    CutConnection(duplicate, "endless_headers");
  }
  std::vector<HeldRequests::Holder> holders;
  for (const auto& [duplicate, connection] : connections_) {
    holders.push_back({duplicate, connection.sender->held_bytes()});
  }
  for (const int duplicate : held_.TakeStock(std::move(holders), now)) {
    CutConnection(duplicate, "half_messages");
  }
}

void ConnectionAcceptor::CutConnection(int duplicate, const char* event) {
  const std::string peer = connections_[duplicate].peer;
  Disconnect(duplicate);
  ForgetConnection(duplicate);
  held_.Cut(std::chrono::steady_clock::now());
  metrics_->ConnectionCut();
  if (IsTimeToLog(&next_cut_log_)) LogEvent(event).With("peer", peer);
}

void ConnectionAcceptor::ConnectionsChanged() {
  metrics_->SetConnections(connections_.size());
  MutexLock lock(&mutex_);
  num_connections_ = connections_.size();
  changed_.SignalAll();
}

}  // namespace neumf
