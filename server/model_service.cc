#include "server/model_service.h"

#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "checkpoint/checkpoint_directory.h"
#include "server/errors.h"
#include "server/unary_call.h"

namespace neumf {
namespace {

constexpr char kLargest[] = "largest";

// What the text of a LoadModelVersionRequest asks for.
absl::Status ReadVersion(const std::string& text, VersionRequest* request) {
  if (text == kLargest) {
    request->kind = VersionRequest::Kind::kLoadLargest;
    return absl::OkStatus();
  }
  const std::optional<uint64_t> version =
      ParseVersionFileName(absl::StrCat(text, ".safetensors"));
  if (!version.has_value()) {
    return InvalidRequest(
        {{"version", "must be the number of a version, or \"largest\""}});
  }
  request->kind = VersionRequest::Kind::kLoad;
  request->version = *version;
  return absl::OkStatus();
}

// Lets `request` end `call`, with an answer of type Response.
template <typename Response>
void AnswerTo(const std::shared_ptr<UnaryCall>& call, VersionRequest* request) {
  request->is_wanted = [call] { return !call->finished(); };
  request->answer = [call](absl::StatusOr<VersionAnswer> answer) {
    if (!answer.ok()) return call->FinishWithError(answer.status());
    Response response;
    if (!answer->version.version().empty()) {
      *response.mutable_version() = std::move(answer->version);
    }
    response.set_unsaved_reason(std::move(answer->unsaved_reason));
    call->FinishWithAnswer(response);
  };
}

}  // namespace

ModelService::ModelService(const CallParts& calls,
                           const VersionHistory* history,
                           std::function<void(VersionRequest)> request)
    : calls_(calls), history_(history), request_(std::move(request)) {}

void ModelService::ShowChanges() {
  for (const auto& watch : watches_.All()) watch->Advance();
}

void ModelService::EndWatches() {
  for (const auto& watch : watches_.All()) watch->FinishWithError(Draining());
}

grpc::ServerUnaryReactor* ModelService::ListModelVersions(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
    grpc::ByteBuffer* response) {
  const auto call = StartCall<UnaryCall>(
      calls_.With(*request), RpcMethod::kListModelVersions, context, response);
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

grpc::ServerUnaryReactor* ModelService::LoadModelVersion(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
    grpc::ByteBuffer* response) {
  const auto call = StartCall<UnaryCall>(
      calls_.With(*request), RpcMethod::kLoadModelVersion, context, response);
  const auto caller = calls_.Authorize(*context, Right::kModelsWrite);
  absl::Status status = caller.status();
  v1::LoadModelVersionRequest parsed;
  if (status.ok()) status = ParseBuffer(*request, &parsed);
  VersionRequest wish;
  if (status.ok()) status = ReadVersion(parsed.version(), &wish);
  if (!status.ok()) {
    call->FinishWithError(status);
    return call.get();
  }
  call->set_caller(caller->name);
  wish.caller = caller->name;
  AnswerTo<v1::LoadModelVersionResponse>(call, &wish);
  request_(std::move(wish));
  return call.get();
}

grpc::ServerUnaryReactor* ModelService::RollbackModelVersion(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
    grpc::ByteBuffer* response) {
  const auto call =
      StartCall<UnaryCall>(calls_.With(*request),
                           RpcMethod::kRollbackModelVersion, context, response);
  const auto caller = calls_.Authorize(*context, Right::kModelsWrite);
  absl::Status status = caller.status();
  v1::RollbackModelVersionRequest parsed;
  if (status.ok()) status = ParseBuffer(*request, &parsed);
  if (!status.ok()) {
    call->FinishWithError(status);
    return call.get();
  }
  call->set_caller(caller->name);
  VersionRequest wish;
  wish.kind = VersionRequest::Kind::kRollback;
  wish.caller = caller->name;
  AnswerTo<v1::RollbackModelVersionResponse>(call, &wish);
  request_(std::move(wish));
  return call.get();
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* ModelService::WatchModelVersions(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  const auto watch = StartCall<VersionWatch>(calls_.With(*request), context,
                                             history_, &watches_);
  absl::Status status = calls_.Authorize(*context, Right::kModelsRead).status();
  v1::WatchModelVersionsRequest parsed;
  if (status.ok()) status = ParseBuffer(*request, &parsed);
  if (!status.ok()) {
    watch->FinishWithError(status);
    return watch.get();
  }
  watches_.Add(watch);
  watch->Begin();
  if (calls_.registry->draining()) watch->FinishWithError(Draining());
  return watch.get();
}

}  // namespace neumf
