#pragma once

// neumf.v1.ModelService, for the admin listener. It answers before the first
// model is loaded; while draining it still lists, and changes nothing.

#include <functional>

#include "neumf/v1/model_service.grpc.pb.h"
#include "server/call_list.h"
#include "server/call_record.h"
#include "server/version_history.h"
#include "server/version_requests.h"
#include "server/version_watch.h"

namespace neumf {

class ModelService
    : public v1::ModelService::WithRawCallbackMethod_ListModelVersions<
          v1::ModelService::WithRawCallbackMethod_LoadModelVersion<
              v1::ModelService::WithRawCallbackMethod_RollbackModelVersion<
                  v1::ModelService::WithRawCallbackMethod_WatchModelVersions<
                      v1::ModelService::Service>>>> {
 public:
  // `history` must outlive the server that this is registered with. `request`
  // must not block; requests are answered by another thread.
  ModelService(const CallParts& calls, const VersionHistory* history,
               std::function<void(VersionRequest)> request);

  // Sends what has changed in the history. Any thread.
  void ShowChanges();
  // Watches end with UNAVAILABLE.
  void EndWatches();

  grpc::ServerUnaryReactor* ListModelVersions(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
      grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* LoadModelVersion(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
      grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* RollbackModelVersion(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
      grpc::ByteBuffer* response) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* WatchModelVersions(
      grpc::CallbackServerContext* context,
      const grpc::ByteBuffer* request) override;

 private:
  const CallParts calls_;
  const VersionHistory* const history_;
  const std::function<void(VersionRequest)> request_;
  CallList<VersionWatch> watches_;
};

}  // namespace neumf
