#pragma once

// The errors that callers see, as absl::Status with google.rpc details in the
// payloads (type URL "type.googleapis.com/google.rpc.X"). grpc_status.h turns
// them into what goes over the wire. Texts say what the caller can change, and
// never name a path or an address.

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/rpc/status.pb.h"

namespace neumf {

// A field that is wrong: its path ("requests[3].user_id") and what is wrong.
struct FieldViolation {
  std::string field;
  std::string description;
};

// Callers that find more need not go on: no more of them are reported.
constexpr size_t kMaxFieldViolations = 16;

// INVALID_ARGUMENT with BadRequest. REQUIRES: at least one violation.
absl::Status InvalidRequest(const std::vector<FieldViolation>& violations);

// NOT_FOUND with ErrorInfo UNKNOWN_USER.
absl::Status UnknownUser();

// UNAUTHENTICATED and PERMISSION_DENIED with ErrorInfo; authenticator.cc and
// caller.cc have the reasons.
absl::Status Unauthenticated(absl::string_view reason,
                             absl::string_view message);
absl::Status PermissionDenied(absl::string_view reason,
                              absl::string_view message);

// RESOURCE_EXHAUSTED with QuotaFailure and ErrorInfo QUOTA_EXCEEDED: `subject`
// is whose quota. It says nothing about trying again, which a caller beyond its
// quota should not do by itself.
absl::Status QuotaExceeded(absl::string_view subject,
                           absl::string_view description);

// UNAVAILABLE with RetryInfo and ErrorInfo: `reason` is QUEUE_FULL,
// WAIT_TOO_LONG, OVERLOADED, DRAINING, NO_MODEL or SCORER_FAILED; of a version
// that was asked for, TOO_MANY_REQUESTS, IO_ERROR or DEVICE_ERROR; of
// reflection, TOO_MANY_STREAMS.
absl::Status Unavailable(absl::string_view reason, absl::string_view message,
                         absl::Duration retry_after);

// UNAVAILABLE, DRAINING: what a server that is leaving says to calls.
absl::Status Draining();

// `status` with ErrorInfo.
absl::Status WithErrorInfo(absl::string_view reason, absl::Status status);

// FAILED_PRECONDITION with PreconditionFailure: the name of the check, and what
// it was about.
absl::Status FailedPrecondition(absl::string_view type,
                                absl::string_view subject,
                                absl::string_view description);

// The RetryInfo of an error; zero when it has none.
absl::Duration RetryDelay(const absl::Status& status);

// Code, message and details: what BatchRecommend puts into a result, and what
// travels in grpc-status-details-bin. An error that gives no reason of its own
// has ErrorInfo with the name of its code.
google::rpc::Status ToRpcStatus(const absl::Status& status);

}  // namespace neumf
