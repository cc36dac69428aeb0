#include "server/call_registry.h"

#include <utility>
#include <vector>

namespace neumf {

void CallRegistry::Register(std::shared_ptr<LiveCall> call) {
  std::list<std::shared_ptr<LiveCall>> node;
  node.push_back(std::move(call));
  MutexLock lock(&mutex_);
  node.front()->place_ = node.begin();
  calls_.splice(calls_.end(), node);
}

void CallRegistry::Unregister(LiveCall* call) {
  std::list<std::shared_ptr<LiveCall>> node;  // outlives the lock
  MutexLock lock(&mutex_);
  node.splice(node.begin(), calls_, call->place_);
  if (calls_.empty()) emptied_.SignalAll();
}

bool CallRegistry::WaitUntilEmpty(const Clock& clock, absl::Duration deadline) {
  MutexLock lock(&mutex_);
  while (!calls_.empty()) {
    if (clock.MonotonicNow() >= deadline) return false;
    clock.WaitUntil(&emptied_, &mutex_, deadline);
  }
  return true;
}

void CallRegistry::FinishExpired(absl::Duration now) {
  FinishUntil(now, absl::DeadlineExceededError("the deadline has passed"));
}

void CallRegistry::FinishAll(const absl::Status& status) {
  FinishUntil(absl::InfiniteDuration(), status);
}

void CallRegistry::FinishUntil(absl::Duration deadline,
                               const absl::Status& status) {
  std::vector<std::shared_ptr<LiveCall>> calls;
  {
    MutexLock lock(&mutex_);
    for (const auto& call : calls_) {
      if (call->deadline() <= deadline) calls.push_back(call);
    }
  }
  for (const auto& call : calls) call->FinishWithError(status);
}

}  // namespace neumf
