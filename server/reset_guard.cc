#include "server/reset_guard.h"

#include <utility>

namespace neumf {

ResetGuard::ResetGuard(std::function<void(const std::string&, int64_t)> report)
    : report_(std::move(report)) {}

ResetGuard::Peer* ResetGuard::CallBegan(const std::string& name) {
  Peer* peer = nullptr;
  int64_t excess = 0;
  {
    MutexLock lock(&mutex_);
    peer = &*calls_.try_emplace(name, 0).first;
    excess = ++peer->second - kMostCalls - 1;
  }
  if (excess >= 0 && excess % kCallsBetweenReports == 0) {
    report_(name, excess + kMostCalls + 1);
  }
  return peer;
}

void ResetGuard::CallEnded(Peer* peer) {
  MutexLock lock(&mutex_);
  if (--peer->second == 0) calls_.erase(peer->first);
}

}  // namespace neumf
