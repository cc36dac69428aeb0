#include "server/watch_call.h"

#include "server/unary_call.h"

namespace neumf {

WatchCall::WatchCall(const CallParts& parts,
                     grpc::CallbackServerContext* context,
                     CallList<WatchCall>* list)
    : StreamCall(parts, RpcMethod::kHealthWatch, context), list_(list) {}

void WatchCall::Show(ServingStatus status) {
  {
    MutexLock lock(&status_mutex_);
    wanted_ = status;
  }
  Advance();
}

std::optional<grpc::ByteBuffer> WatchCall::NextMessage() {
  MutexLock lock(&status_mutex_);
  if (wanted_ == shown_) return std::nullopt;
  shown_ = wanted_;
  grpc::health::v1::HealthCheckResponse response;
  response.set_status(*shown_);
  return SerializeToBuffer(response);
}

void WatchCall::Ended() { list_->Remove(this); }

}  // namespace neumf
