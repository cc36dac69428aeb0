#include "server/errors.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "google/protobuf/any.pb.h"
#include "google/protobuf/message.h"
#include "google/rpc/error_details.pb.h"

namespace neumf {
namespace {

constexpr absl::string_view kTypePrefix = "type.googleapis.com/";
constexpr char kDomain[] = "neumf";
// With kMaxFieldViolations this keeps all details below 4 KiB: they travel as
// base64 in trailers, and peers accept 8 KiB of those.
constexpr size_t kMaxDescriptionBytes = 160;

std::string TypeUrl(const google::protobuf::Message& detail) {
  return absl::StrCat(kTypePrefix, detail.GetDescriptor()->full_name());
}

void AddDetail(const google::protobuf::Message& detail, absl::Status* status) {
  status->SetPayload(TypeUrl(detail), absl::Cord(detail.SerializeAsString()));
}

google::rpc::ErrorInfo InfoOf(absl::string_view reason) {
  google::rpc::ErrorInfo info;
  info.set_reason(reason.data(), reason.size());
  info.set_domain(kDomain);
  return info;
}

void AddErrorInfo(absl::string_view reason, absl::Status* status) {
  AddDetail(InfoOf(reason), status);
}

}  // namespace

absl::Status InvalidRequest(const std::vector<FieldViolation>& violations) {
  const FieldViolation& first = violations.front();
  std::string message = absl::StrCat(first.field, ": ", first.description);
  if (violations.size() > 1) {
    absl::StrAppend(&message, " (and ", violations.size() - 1, " more)");
  }
  google::rpc::BadRequest details;
  const size_t count = std::min(violations.size(), kMaxFieldViolations);
  for (size_t i = 0; i < count; ++i) {
    auto* violation = details.add_field_violations();
    violation->set_field(violations[i].field);
    violation->set_description(
        violations[i].description.substr(0, kMaxDescriptionBytes));
  }
  absl::Status status = absl::InvalidArgumentError(message);
  AddDetail(details, &status);
  return status;
}

absl::Status UnknownUser() {
  absl::Status status = absl::NotFoundError(
      "the model does not know this user; unknown_user_policy can ask for "
      "popular items instead");
  AddErrorInfo("UNKNOWN_USER", &status);
  return status;
}

absl::Status Unauthenticated(absl::string_view reason,
                             absl::string_view message) {
  absl::Status status = absl::UnauthenticatedError(message);
  AddErrorInfo(reason, &status);
  return status;
}

absl::Status PermissionDenied(absl::string_view reason,
                              absl::string_view message) {
  absl::Status status = absl::PermissionDeniedError(message);
  AddErrorInfo(reason, &status);
  return status;
}

absl::Status QuotaExceeded(absl::string_view subject,
                           absl::string_view description) {
  absl::Status status = absl::ResourceExhaustedError(description);
  AddErrorInfo("QUOTA_EXCEEDED", &status);
  google::rpc::QuotaFailure failure;
  auto* violation = failure.add_violations();
  violation->set_subject(subject.data(), subject.size());
  violation->set_description(description.data(), description.size());
  AddDetail(failure, &status);
  return status;
}

absl::Status Unavailable(absl::string_view reason, absl::string_view message,
                         absl::Duration retry_after) {
  absl::Status status = absl::UnavailableError(message);
  AddErrorInfo(reason, &status);
  google::rpc::RetryInfo retry;
  const int64_t seconds =
      absl::IDivDuration(retry_after, absl::Seconds(1), &retry_after);
  retry.mutable_retry_delay()->set_seconds(seconds);
  retry.mutable_retry_delay()->set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(retry_after)));
  AddDetail(retry, &status);
  return status;
}

absl::Status Draining() {
  constexpr absl::Duration kRetryAfter = absl::Milliseconds(50);
  return Unavailable("DRAINING", "the server is shutting down", kRetryAfter);
}

absl::Status WithErrorInfo(absl::string_view reason, absl::Status status) {
  AddErrorInfo(reason, &status);
  return status;
}

absl::Status FailedPrecondition(absl::string_view type,
                                absl::string_view subject,
                                absl::string_view description) {
  absl::Status status = absl::FailedPreconditionError(description);
  google::rpc::PreconditionFailure failure;
  auto* violation = failure.add_violations();
  violation->set_type(type.data(), type.size());
  violation->set_subject(subject.data(), subject.size());
  description = description.substr(0, kMaxDescriptionBytes);
  violation->set_description(description.data(), description.size());
  AddDetail(failure, &status);
  return status;
}

absl::Duration RetryDelay(const absl::Status& status) {
  google::rpc::RetryInfo retry;
  const absl::optional<absl::Cord> payload = status.GetPayload(TypeUrl(retry));
  if (!payload.has_value() || !retry.ParseFromString(std::string(*payload))) {
    return absl::ZeroDuration();
  }
  return absl::Seconds(retry.retry_delay().seconds()) +
         absl::Nanoseconds(retry.retry_delay().nanos());
}

google::rpc::Status ToRpcStatus(const absl::Status& status) {
  google::rpc::Status result;
  result.set_code(static_cast<int32_t>(status.code()));
  result.set_message(status.message().data(), status.message().size());
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    google::protobuf::Any* detail = result.add_details();
    detail->set_type_url(url.data(), url.size());
    detail->set_value(std::string(payload));
  });
  const std::string info_url = TypeUrl(google::rpc::ErrorInfo());
  if (!status.GetPayload(info_url).has_value()) {
    google::rpc::ErrorInfo info =
        InfoOf(absl::StatusCodeToString(status.code()));
    google::protobuf::Any* detail = result.add_details();
    detail->set_type_url(info_url);
    detail->set_value(info.SerializeAsString());
  }
  // absl::Status shuffles its payloads; the same error shall be the same bytes.
  std::sort(
      result.mutable_details()->begin(), result.mutable_details()->end(),
      [](const auto& a, const auto& b) { return a.type_url() < b.type_url(); });
  return result;
}

}  // namespace neumf
