#pragma once

// Calls from a request log (request_log.proto), to be made again.
//
//   NEUMF_ASSIGN_OR_RETURN(RecordedCalls calls, ParseRequestLog(text));
//   if (calls.has_hashed_users()) NameUsers(user_ids, salt, &calls);

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "neumf/v1/request_log.pb.h"

namespace neumf {

struct RecordedCalls {
  // In the order in which they came.
  std::vector<v1::LoggedCall> calls;
  size_t num_broken_lines = 0;
  size_t num_left_out = 0;  // by NameUsers()

  bool has_hashed_users() const;
  // How they ended, by the name of the status code.
  std::map<std::string, size_t> CountCodes() const;
};

// INVALID_ARGUMENT when no line is a call: lines that a full disk cut short are
// left out, fields that a newer server writes are not looked at.
absl::StatusOr<RecordedCalls> ParseRequestLog(absl::string_view text);

// Puts ids in the place of hashes. With the salt of the log each hash becomes
// the id that it stands for, and calls about users that are not among
// `user_ids` are removed; FAILED_PRECONDITION when those were all of them.
// Without it each hash becomes one of `user_ids`, the same one everywhere.
// REQUIRES: there are some.
absl::Status NameUsers(absl::Span<const std::string> user_ids,
                       const std::optional<std::string>& salt,
                       RecordedCalls* recorded);

// When a call came.
absl::Time ArrivalOf(const v1::LoggedCall& call);

}  // namespace neumf
