#include "server/recommendation_service.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "grpcpp/support/proto_buffer_reader.h"
#include "server/errors.h"

namespace neumf {
namespace {

constexpr absl::Duration kRetryWithoutModel = absl::Seconds(1);

// Upper bounds of bytes on the wire: an item beside its id, an answer beside its
// items, and an error with all of its details.
constexpr int64_t kItemBytes = 12;
constexpr int64_t kResponseBytes = 64;
constexpr int64_t kErrorBytes = 1280;

// Answers that hold seen items tell what the user has done.
absl::Status CheckSeenPolicy(const v1::RecommendRequest& request,
                             const Caller& caller) {
  const bool tells = request.seen_policy() == v1::SEEN_POLICY_KEEP ||
                     request.seen_policy() == v1::SEEN_POLICY_ONLY;
  return tells ? CheckRight(caller, Right::kRecommendSeen) : absl::OkStatus();
}

void SetRequest(const v1::RecommendRequest& request, v1::LoggedCall* logged) {
  *logged->mutable_recommend() = request;
}
void SetRequest(const v1::BatchRecommendRequest& request,
                v1::LoggedCall* logged) {
  *logged->mutable_batch_recommend() = request;
}

}  // namespace

RecommendationService::RecommendationService(const RequestLimits& limits,
                                             const Parts& parts)
    : limits_(limits), parts_(parts) {}

grpc::ServerUnaryReactor* RecommendationService::Recommend(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
    grpc::ByteBuffer* response) {
  return Handle<RecommendCall>(RpcMethod::kRecommend, context, *request,
                               response);
}

grpc::ServerUnaryReactor* RecommendationService::BatchRecommend(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
    grpc::ByteBuffer* response) {
  return Handle<BatchCall>(RpcMethod::kBatchRecommend, context, *request,
                           response);
}

template <typename Call>
grpc::ServerUnaryReactor* RecommendationService::Handle(
    RpcMethod method, grpc::CallbackServerContext* context,
    const grpc::ByteBuffer& request, grpc::ByteBuffer* response) {
  CallParts parts = parts_.calls.With(request);
  parts.default_deadline = method == RpcMethod::kBatchRecommend
                               ? limits_.default_batch_deadline
                               : limits_.default_deadline;
  const auto call = StartCall<Call>(parts, method, context, response);
  const absl::StatusOr<Caller> caller =
      parts_.calls.Authorize(*context, Right::kRecommend);
  if (caller.ok()) call->set_caller(caller->name);
  absl::Status status = caller.status();
  if (status.ok()) status = Welcome(*context, call->record());
  if (status.ok()) status = Admit(request, *caller, call.get());
  if (status.ok()) {
    // Who finds no room gets nothing for what Admit() has taken.
    call->set_quotas(parts_.quotas);
    status = call->Proceed(parts_.batcher);
  }
  if (!status.ok()) call->Fail(status);
  return call.get();
}

absl::Status RecommendationService::Welcome(
    const grpc::CallbackServerContext& context,
    const CallRecord& record) const {
  ServerMetrics* const metrics = parts_.calls.metrics;
  if (parts_.calls.registry->draining()) {
    metrics->RequestShed(ShedReason::kDraining);
    return Draining();
  }
  if (context.IsCancelled()) {
    metrics->RequestCancelled(Stage::kAdmission);
    return absl::CancelledError("the caller has cancelled the call");
  }
  if (record.deadline() <= record.started()) {
    metrics->RequestExpired(Stage::kAdmission);
    return absl::DeadlineExceededError("the deadline had passed on arrival");
  }
  return absl::OkStatus();
}

absl::Status RecommendationService::Admit(const grpc::ByteBuffer& bytes,
                                          const Caller& caller,
                                          RecommendCall* call) const {
  v1::RecommendRequest request;
  NEUMF_RETURN_IF_ERROR(ParseBuffer(bytes, &request));
  Sample(request, call);
  NEUMF_RETURN_IF_ERROR(CheckRequest(request, limits_));
  NEUMF_RETURN_IF_ERROR(CheckSeenPolicy(request, caller));
  NEUMF_RETURN_IF_ERROR(PinSnapshot(call));
  NEUMF_RETURN_IF_ERROR(parts_.quotas->Take(caller, 1));
  JoinTrial(request.user_id(), call);
  LogVersion(call);
  NEUMF_ASSIGN_OR_RETURN(ResolvedQuery query, ResolveFor(request, *call));
  call->Admit(std::move(query));
  if (call->arm() == VersionTrial::Arm::kShadow) {
    call->set_shadow(parts_.shadows, std::move(request));
  }
  return absl::OkStatus();
}

absl::Status RecommendationService::Admit(const grpc::ByteBuffer& bytes,
                                          const Caller& caller,
                                          BatchCall* call) const {
  grpc::ByteBuffer counted(bytes);  // shares them
  grpc::ProtoBufferReader reader(&counted);
  const BatchOutline outline = OutlineBatch(&reader);
  NEUMF_RETURN_IF_ERROR(CheckBatch(outline, limits_));
  NEUMF_RETURN_IF_ERROR(PinSnapshot(call));
  // What finds no room shall cost neither quota nor the time to parse it and to
  // look up its ids. The queue may fill up until it joins: Proceed() asks again.
  NEUMF_RETURN_IF_ERROR(call->CheckRoom(
      parts_.batcher, static_cast<size_t>(outline.num_requests)));
  NEUMF_RETURN_IF_ERROR(parts_.quotas->Take(caller, outline.num_requests));
  v1::BatchRecommendRequest batch;
  NEUMF_RETURN_IF_ERROR(ParseBuffer(bytes, &batch));
  Sample(batch, call);
  LogVersion(call);
  NEUMF_RETURN_IF_ERROR(CheckAnswerSize(batch, call->snapshot()));
  for (int i = 0; i < batch.requests_size(); ++i) {
    const v1::RecommendRequest& request = batch.requests(i);
    absl::Status checked =
        CheckRequest(request, limits_, absl::StrCat("requests[", i, "]."));
    if (checked.ok()) checked = CheckSeenPolicy(request, caller);
    if (checked.ok()) {
      call->Admit(ResolveFor(request, *call));
    } else {
      call->Admit(checked);
    }
  }
  return absl::OkStatus();
}

void RecommendationService::LogVersion(ScoringCall* call) {
  if (call->logged() == nullptr) return;
  call->logged()->set_model_version(call->snapshot().version_text);
}

template <typename Request>
void RecommendationService::Sample(const Request& request,
                                   ScoringCall* call) const {
  RequestLog* const log = parts_.calls.request_log;
  if (log == nullptr || !log->Samples()) return;
  auto logged = std::make_unique<v1::LoggedCall>();
  SetRequest(request, logged.get());
  call->set_logged(std::move(logged));
}

absl::Status RecommendationService::PinSnapshot(ScoringCall* call) const {
  std::shared_ptr<const Snapshot> snapshot = parts_.snapshots->Get();
  if (snapshot == nullptr) {
    parts_.calls.metrics->RequestShed(ShedReason::kNoModel);
    return Unavailable("NO_MODEL", "no model is loaded yet",
                       kRetryWithoutModel);
  }
  call->set_snapshot(std::move(snapshot));
  return absl::OkStatus();
}

void RecommendationService::JoinTrial(const std::string& user_id,
                                      RecommendCall* call) const {
  std::shared_ptr<VersionTrial> trial = parts_.trials->Get();
  if (trial == nullptr) return;
  const VersionTrial::Arm arm = trial->ArmOf(user_id);
  std::shared_ptr<const Snapshot> candidate = trial->candidate();
  if (arm == VersionTrial::Arm::kNone || candidate == nullptr) return;
  if (arm == VersionTrial::Arm::kCandidate) {
    call->set_snapshot(std::move(candidate));
  }
  call->set_trial(std::move(trial), arm);
}

absl::StatusOr<ResolvedQuery> RecommendationService::ResolveFor(
    const v1::RecommendRequest& request, const ScoringCall& call) const {
  absl::StatusOr<ResolvedQuery> query =
      Resolve(request, limits_, call.snapshot(), call.blocked());
  if (absl::IsNotFound(query.status())) parts_.calls.metrics->UnknownUser();
  return query;
}

absl::Status RecommendationService::CheckAnswerSize(
    const v1::BatchRecommendRequest& batch, const Snapshot& snapshot) const {
  const auto item_bytes =
      kItemBytes + static_cast<int64_t>(snapshot.item_ids->longest_id_bytes());
  const auto num_items = static_cast<int64_t>(snapshot.shape().num_items);
  int64_t bytes = 0;
  for (const v1::RecommendRequest& request : batch.requests()) {
    // One that is out of its range fails alone, and early.
    const bool in_range = request.k() > 0 && request.k() <= limits_.max_k;
    const int64_t k = in_range ? request.k() : limits_.default_k;
    const int64_t most_items = std::min(k, num_items);
    bytes += std::max(kErrorBytes, kResponseBytes + most_items * item_bytes);
  }
  if (bytes <= kMaxAnswerBytes) return absl::OkStatus();
  return InvalidRequest(
      {{"requests",
        "the answer could exceed 4 MiB: ask for fewer items in all"}});
}

}  // namespace neumf
