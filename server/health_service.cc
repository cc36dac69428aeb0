#include "server/health_service.h"

#include <utility>

#include "server/errors.h"
#include "server/unary_call.h"

namespace neumf {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

}  // namespace

HealthService::HealthService(const CallParts& calls, std::string service,
                             std::function<bool()> is_serving)
    : calls_(calls),
      service_(std::move(service)),
      is_serving_(std::move(is_serving)) {}

void HealthService::Update() {
  const WatchCall::ServingStatus status = CurrentStatus();
  for (const auto& watch : watches_.All()) watch->Show(status);
}

void HealthService::EndWatches() {
  for (const auto* const list : {&watches_, &unknown_watches_}) {
    for (const auto& watch : list->All()) watch->FinishWithError(Draining());
  }
}

grpc::ServerUnaryReactor* HealthService::Check(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
    grpc::ByteBuffer* response) {
  const auto call = StartCall<UnaryCall>(
      calls_.With(*request), RpcMethod::kHealthCheck, context, response);
  HealthCheckRequest parsed;
  absl::Status status = ParseBuffer(*request, &parsed);
  if (status.ok() && !Knows(parsed.service())) {
    status = absl::NotFoundError("there is no such service");
  }
  if (status.ok()) {
    HealthCheckResponse answer;
    answer.set_status(CurrentStatus());
    call->FinishWithAnswer(answer);
  } else {
    call->FinishWithError(status);
  }
  return call.get();
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* HealthService::Watch(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  HealthCheckRequest parsed;
  const absl::Status status = ParseBuffer(*request, &parsed);
  const bool known = Knows(parsed.service());
  CallList<WatchCall>* const list = known ? &watches_ : &unknown_watches_;
  const auto watch = StartCall<WatchCall>(calls_.With(*request), context, list);
  if (!status.ok()) {
    watch->FinishWithError(status);
    return watch.get();
  }
  list->Add(watch);
  // The protocol leaves the stream of an unknown service open: it may come.
  watch->Show(known ? CurrentStatus() : HealthCheckResponse::SERVICE_UNKNOWN);
  if (calls_.registry->draining()) watch->FinishWithError(Draining());
  return watch.get();
}

bool HealthService::Knows(const std::string& service) const {
  return service.empty() || service == service_;
}

WatchCall::ServingStatus HealthService::CurrentStatus() const {
  return is_serving_() ? HealthCheckResponse::SERVING
                       : HealthCheckResponse::NOT_SERVING;
}

}  // namespace neumf
