#pragma once

// neumf.v1.ModelService, for the admin listener. It answers before the first
// model is loaded, and while draining.

#include "neumf/v1/model_service.grpc.pb.h"
#include "server/call_record.h"
#include "server/version_history.h"

namespace neumf {

class ModelService
    : public v1::ModelService::WithRawCallbackMethod_ListModelVersions<
          v1::ModelService::Service> {
 public:
  // `history` must outlive the server that this is registered with.
  ModelService(const CallParts& calls, const VersionHistory* history);

  grpc::ServerUnaryReactor* ListModelVersions(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
      grpc::ByteBuffer* response) override;

 private:
  const CallParts calls_;
  const VersionHistory* const history_;
};

}  // namespace neumf
