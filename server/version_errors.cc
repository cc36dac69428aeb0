#include "server/version_errors.h"

#include "absl/strings/str_cat.h"
#include "server/errors.h"

namespace neumf {
namespace {

constexpr absl::Duration kRetryAfter = absl::Seconds(1);

std::string Subject(uint64_t version) {
  return absl::StrCat("version ", version);
}

}  // namespace

absl::Status VersionNotFound(uint64_t version) {
  return WithErrorInfo("VERSION_NOT_FOUND",
                       absl::NotFoundError(absl::StrCat(
                           "there is no checkpoint of ", Subject(version))));
}

absl::Status VersionNotLoaded(uint64_t version, ReloadResult result,
                              absl::string_view reason) {
  const std::string text =
      absl::StrCat(Subject(version), " cannot be served: ", reason);
  switch (result) {
    case ReloadResult::kCorrupt:
      return WithErrorInfo("CORRUPT", absl::DataLossError(text));
    case ReloadResult::kIoError:
      return Unavailable("IO_ERROR", text, kRetryAfter);
    case ReloadResult::kDeviceError:
      return Unavailable("DEVICE_ERROR", text, kRetryAfter);
    default:
      return FailedPrecondition(ReloadResultName(result), Subject(version),
                                text);
  }
}

absl::Status NoPreviousVersion() {
  return FailedPrecondition(
      "NO_PREVIOUS_VERSION", "rollback",
      "there is no earlier version that is fit to be served; load one by name");
}

absl::Status LoadInProgress(uint64_t version) {
  return FailedPrecondition(
      "LOAD_IN_PROGRESS", Subject(version),
      absl::StrCat(Subject(version),
                   " is being loaded on request; wait for it or roll back"));
}

absl::Status PolicyUnreadable(absl::StatusCode code) {
  return FailedPrecondition(
      "POLICY_UNREADABLE", "serving.json",
      absl::StrCat("serving.json cannot be read (",
                   absl::StatusCodeToString(code),
                   "), so nobody knows which versions it refuses: mend or "
                   "remove it, or load a version by its number"));
}

absl::Status LoadAborted() {
  return WithErrorInfo(
      "ROLLED_BACK", absl::AbortedError("a rollback came while it was loaded"));
}

absl::Status DeviceLost() {
  return Unavailable("DEVICE_ERROR",
                     "the GPU was lost and is being brought back", kRetryAfter);
}

}  // namespace neumf
