#include "server/reset_guard.h"

#include <utility>

namespace neumf {

ResetGuard::ResetGuard(std::function<void(const std::string&, int64_t)> report)
    : report_(std::move(report)) {}

ResetGuard::Peer* ResetGuard::CallBegan(const std::string& name,
                                        int64_t bytes) {
  Peer* peer = nullptr;
  int64_t excess = 0;
  {
    MutexLock lock(&mutex_);
    peer = &*peers_.try_emplace(name).first;
    peer->second.handled_bytes += bytes;
    excess = ++peer->second.num_calls - kMostCalls - 1;
  }
  if (excess >= 0 && excess % kCallsBetweenReports == 0) {
    report_(name, excess + kMostCalls + 1);
  }
  return peer;
}

void ResetGuard::CallEnded(Peer* peer) {
  MutexLock lock(&mutex_);
  --peer->second.num_calls;
  Forget(peer);
}

void ResetGuard::MessageCame(Peer* peer, int64_t bytes) {
  MutexLock lock(&mutex_);
  peer->second.handled_bytes += bytes;
}

ResetGuard::Peer* ResetGuard::Connected(const std::string& name) {
  MutexLock lock(&mutex_);
  Peer* const peer = &*peers_.try_emplace(name).first;
  ++peer->second.num_connections;
  return peer;
}

void ResetGuard::Disconnected(Peer* peer) {
  MutexLock lock(&mutex_);
  --peer->second.num_connections;
  Forget(peer);
}

int64_t ResetGuard::HandledBytes(const Peer* peer) {
  MutexLock lock(&mutex_);
  return peer->second.handled_bytes;
}

void ResetGuard::Forget(Peer* peer) {
  if (peer->second.num_calls > 0 || peer->second.num_connections > 0) return;
  peers_.erase(peers_.find(peer->first));
}

}  // namespace neumf
