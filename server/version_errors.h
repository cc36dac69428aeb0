#pragma once

// What callers are told when a version cannot be served. Texts name files by
// their versions, never by a path.

#include <cstdint>

#include "absl/status/status.h"
#include "server/server_metrics.h"

namespace neumf {

// NOT_FOUND with ErrorInfo VERSION_NOT_FOUND.
absl::Status VersionNotFound(uint64_t version);

// A load that ended with `result`: DATA_LOSS with ErrorInfo CORRUPT;
// UNAVAILABLE with RetryInfo for errors that pass by themselves; for all else
// FAILED_PRECONDITION with PreconditionFailure, whose type is the result's
// name.
absl::Status VersionNotLoaded(uint64_t version, ReloadResult result,
                              absl::string_view reason);

// FAILED_PRECONDITION with PreconditionFailure NO_PREVIOUS_VERSION.
absl::Status NoPreviousVersion();
// The same with LOAD_IN_PROGRESS: somebody else wants `version`.
absl::Status LoadInProgress(uint64_t version);

// The same with POLICY_UNREADABLE, of a serving.json that was met with `code`:
// what it refuses for the fleet is not known.
absl::Status PolicyUnreadable(absl::StatusCode code);

// ABORTED with ErrorInfo ROLLED_BACK: a rollback ended the load.
absl::Status LoadAborted();

// UNAVAILABLE with RetryInfo: the GPU that was to score is lost.
absl::Status DeviceLost();

}  // namespace neumf
