#include "server/watch_call.h"

#include <utility>

#include "server/grpc_status.h"
#include "server/unary_call.h"

namespace neumf {

void WatchList::Add(std::shared_ptr<WatchCall> watch) {
  MutexLock lock(&mutex_);
  WatchCall* const key = watch.get();
  watches_.emplace(key, std::move(watch));
}

void WatchList::Remove(WatchCall* watch) {
  MutexLock lock(&mutex_);
  watches_.erase(watch);
}

void WatchList::ShowAll(ServingStatus status) {
  for (const auto& watch : Watches()) watch->Show(status);
}

void WatchList::FinishAll(const absl::Status& status) {
  for (const auto& watch : Watches()) watch->FinishWithError(status);
}

std::vector<std::shared_ptr<WatchCall>> WatchList::Watches() const {
  std::vector<std::shared_ptr<WatchCall>> watches;
  MutexLock lock(&mutex_);
  for (const auto& entry : watches_) watches.push_back(entry.second);
  return watches;
}

WatchCall::WatchCall(const CallParts& parts,
                     grpc::CallbackServerContext* context, WatchList* list)
    : record_(parts, RpcMethod::kHealthWatch, context), list_(list) {}

void WatchCall::Show(WatchList::ServingStatus status) {
  {
    MutexLock lock(&mutex_);
    wanted_ = status;
  }
  Advance();
}

void WatchCall::FinishWithError(const absl::Status& status) {
  {
    MutexLock lock(&mutex_);
    if (!end_.has_value()) end_ = status;
    record_.Ending();
  }
  Advance();
}

WatchCall::Action WatchCall::NextAction() {
  if (busy_) return Action::kNone;
  if (wanted_ != shown_ && !broken_) {
    shown_ = wanted_;
    return Action::kWrite;
  }
  return end_.has_value() ? Action::kFinish : Action::kNone;
}

// gRPC may call back from within Start... and Finish, hence outside the lock.
void WatchCall::Advance() {
  Action action;
  absl::Status end;
  {
    MutexLock lock(&mutex_);
    action = NextAction();
    if (action == Action::kNone) return;
    busy_ = true;  // after the end for ever
    if (action == Action::kWrite) {
      grpc::health::v1::HealthCheckResponse response;
      response.set_status(*shown_);
      message_ = SerializeToBuffer(response);
    } else {
      end = *end_;
    }
  }
  if (action == Action::kWrite) {
    StartWrite(&message_);
  } else {
    record_.Finished(end.code());
    Finish(ToGrpcStatus(end));
  }
}

void WatchCall::OnWriteDone(bool ok) {
  if (ok) record_.MessageSent();
  {
    MutexLock lock(&mutex_);
    busy_ = false;
    broken_ = broken_ || !ok;
  }
  Advance();
}

void WatchCall::OnCancel() {
  {
    MutexLock lock(&mutex_);
    broken_ = true;
  }
  FinishWithError(record_.Cancelled());
}

void WatchCall::OnDone() {
  record_.Done();
  list_->Remove(this);
  record_.parts().registry->Unregister(this);
}

}  // namespace neumf
