#pragma once

// grpc.health.v1.Health for one gRPC server.
//
// gRPC's default health service says SERVING before there is a model, so we
// serve our own. It answers without the queue: a full server is healthy.

#include <functional>
#include <string>

#include "grpc/health/v1/health.grpc.pb.h"
#include "server/call_record.h"
#include "server/watch_call.h"

namespace neumf {

class HealthService
    : public grpc::health::v1::Health::WithRawCallbackMethod_Check<
          grpc::health::v1::Health::WithRawCallbackMethod_Watch<
              grpc::health::v1::Health::Service>> {
 public:
  // Knows "" and `service`, both as healthy as `is_serving` says, which any
  // thread may call and which must not block.
  HealthService(const CallParts& calls, std::string service,
                std::function<bool()> is_serving);

  // Tells those who watch, if it has changed. Call it now and then, and at once
  // when it matters. Any thread.
  void Update();

  // Ends all Watch streams after their last message with UNAVAILABLE, so that
  // they do not hold up the end of the server. Any thread.
  void EndWatches();

  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* Watch(
      grpc::CallbackServerContext* context,
      const grpc::ByteBuffer* request) override;

 private:
  bool Knows(const std::string& service) const;
  WatchCall::ServingStatus CurrentStatus() const;

  const CallParts calls_;
  const std::string service_;
  const std::function<bool()> is_serving_;
  CallList<WatchCall> watches_;          // of the services that we know
  CallList<WatchCall> unknown_watches_;  // of the others
};

}  // namespace neumf
