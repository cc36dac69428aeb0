#include "server/stream_call.h"

#include <optional>
#include <utility>

#include "server/grpc_status.h"

namespace neumf {

StreamCall::StreamCall(const CallParts& parts, RpcMethod method,
                       grpc::CallbackServerContext* context)
    : record_(parts, method, context), context_(context) {}

void StreamCall::FinishWithError(const absl::Status& status) {
  {
    MutexLock lock(&mutex_);
    if (!end_.has_value()) end_ = status;
    record_.Ending();
  }
  Advance();
}

StreamCall::Action StreamCall::NextAction() {
  if (busy_) return Action::kNone;
  std::optional<grpc::ByteBuffer> message;
  if (!broken_) message = NextMessage();
  if (message.has_value()) {
    message_ = *std::move(message);
    return Action::kWrite;
  }
  return end_.has_value() ? Action::kFinish : Action::kNone;
}

// gRPC may call back from within Start... and Finish, hence outside the lock.
void StreamCall::Advance() {
  Action action;
  absl::Status end;
  {
    MutexLock lock(&mutex_);
    action = NextAction();
    if (action == Action::kNone) return;
    busy_ = true;  // after the end for ever
    if (action == Action::kFinish) end = *end_;
  }
  if (action == Action::kWrite) {
    StartWrite(&message_);
  } else {
    AddRetryPushback(end, context_);
    record_.Finished(end.code());
    Finish(ToGrpcStatus(end));
  }
}

void StreamCall::OnWriteDone(bool ok) {
  if (ok) record_.MessageSent();
  {
    MutexLock lock(&mutex_);
    busy_ = false;
    broken_ = broken_ || !ok;
  }
  Advance();
}

void StreamCall::OnCancel() {
  {
    MutexLock lock(&mutex_);
    broken_ = true;
  }
  FinishWithError(record_.Cancelled());
}

void StreamCall::OnDone() {
  record_.Done();
  Ended();
  record_.parts().registry->Unregister(this);
}

}  // namespace neumf
