#include "server/grpc_status.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "grpcpp/support/error_details.h"
#include "server/errors.h"

namespace neumf {

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  grpc::Status result;
  grpc::SetErrorDetails(ToRpcStatus(status), &result);
  return result;
}

std::optional<std::string> RetryPushback(const absl::Status& status) {
  const absl::Duration delay = RetryDelay(status);
  if (delay <= absl::ZeroDuration()) return std::nullopt;
  return absl::StrCat(absl::ToInt64Milliseconds(delay));
}

void AddRetryPushback(const absl::Status& status,
                      grpc::CallbackServerContext* context) {
  const std::optional<std::string> pushback = RetryPushback(status);
  if (!pushback.has_value()) return;
  context->AddTrailingMetadata(kRetryPushbackTrailer, *pushback);
}

}  // namespace neumf
