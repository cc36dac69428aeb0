#include "server/call_registry.h"

#include <utility>

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
  const auto status = absl::DeadlineExceededError("the deadline has passed");
  for (const auto& call : CallsDue(&LiveCall::deadline, now)) {
    call->FinishWithError(status);
  }
  for (const auto& call : CallsDue(&LiveCall::cut_time, now)) call->Cut();
}

void CallRegistry::FinishAll(const absl::Status& status) {
  for (const auto& call :
       CallsDue(&LiveCall::deadline, absl::InfiniteDuration())) {
    call->FinishWithError(status);
  }
}

CallRegistry::Calls CallRegistry::CallsDue(absl::Duration (LiveCall::*time)()
                                               const,
                                           absl::Duration now) {
  Calls due;
  MutexLock lock(&mutex_);
  for (const auto& call : calls_) {
    if (((*call).*time)() <= now) due.push_back(call);
  }
  return due;
}

}  // namespace neumf
