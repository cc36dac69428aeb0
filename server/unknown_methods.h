#pragma once

// Answers calls of methods that no service has: UNIMPLEMENTED, as gRPC does by
// itself, but with details and counted, so that a client of another version
// shows in the metrics. One for each grpc::Server.

#include "grpcpp/generic/async_generic_service.h"
#include "server/call_record.h"

namespace neumf {

class UnknownMethods : public grpc::CallbackGenericService {
 public:
  explicit UnknownMethods(const CallParts& parts) : parts_(parts) {}

 private:
  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override;

  const CallParts parts_;
};

}  // namespace neumf
