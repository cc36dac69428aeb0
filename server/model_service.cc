#include "server/model_service.h"

#include <utility>

#include "server/unary_call.h"

namespace neumf {

ModelService::ModelService(const CallParts& calls,
                           const VersionHistory* history)
    : calls_(calls), history_(history) {}

grpc::ServerUnaryReactor* ModelService::ListModelVersions(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
    grpc::ByteBuffer* response) {
  const auto call = StartCall<UnaryCall>(calls_, RpcMethod::kListModelVersions,
                                         context, response);
  absl::Status status = calls_.Authorize(*context, Right::kModelsRead).status();
  v1::ListModelVersionsRequest parsed;
  if (status.ok()) status = ParseBuffer(*request, &parsed);
  if (!status.ok()) {
    call->FinishWithError(status);
    return call.get();
  }
  v1::ListModelVersionsResponse answer;
  for (v1::ModelVersion& version : history_->List()) {
    *answer.add_versions() = std::move(version);
  }
  call->FinishWithAnswer(answer);
  return call.get();
}

}  // namespace neumf
