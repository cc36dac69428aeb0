#pragma once

// Health Watches: streams that show the latest status, and skip those that
// changed while a message was under way.

#include <optional>

#include "base/mutex.h"
#include "grpc/health/v1/health.pb.h"
#include "server/call_list.h"
#include "server/stream_call.h"

namespace neumf {

class WatchCall : public StreamCall {
 public:
  using ServingStatus = grpc::health::v1::HealthCheckResponse::ServingStatus;

  // By StartCall() only. `list` must outlive it; it takes itself off there.
  WatchCall(const CallParts& parts, grpc::CallbackServerContext* context,
            CallList<WatchCall>* list);

  // Any thread.
  void Show(ServingStatus status);

 private:
  std::optional<grpc::ByteBuffer> NextMessage() override;
  void Ended() override;

  CallList<WatchCall>* const list_;

  Mutex status_mutex_;
  std::optional<ServingStatus> shown_ ABSL_GUARDED_BY(status_mutex_);
  std::optional<ServingStatus> wanted_ ABSL_GUARDED_BY(status_mutex_);
};

}  // namespace neumf
