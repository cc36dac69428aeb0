#include "client/recorded_calls.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_split.h"
#include "base/pseudonyms.h"
#include "base/sha256.h"
#include "google/protobuf/util/json_util.h"

namespace neumf {
namespace {

// Gives the id for a hash; none when it is not known.
using Naming = std::function<std::optional<std::string>(const std::string&)>;

bool NameUser(const Naming& naming, v1::RecommendRequest* request) {
  std::optional<std::string> id = naming(request->user_id());
  if (!id.has_value()) return false;
  request->set_user_id(*std::move(id));
  return true;
}

// False when a user of the call is not known.
bool NameUsersOf(const Naming& naming, v1::LoggedCall* call) {
  if (!call->users_hashed()) return true;
  call->set_users_hashed(false);
  if (call->has_recommend()) return NameUser(naming, call->mutable_recommend());
  auto& requests = *call->mutable_batch_recommend()->mutable_requests();
  return std::all_of(requests.begin(), requests.end(),
                     [&](auto& request) { return NameUser(naming, &request); });
}

}  // namespace

bool RecordedCalls::has_hashed_users() const {
  return std::any_of(calls.begin(), calls.end(),
                     [](const auto& call) { return call.users_hashed(); });
}

std::map<std::string, size_t> RecordedCalls::CountCodes() const {
  std::map<std::string, size_t> counts;
  for (const v1::LoggedCall& call : calls) ++counts[call.code()];
  return counts;
}

absl::Time ArrivalOf(const v1::LoggedCall& call) {
  return absl::FromUnixSeconds(call.time().seconds()) +
         absl::Nanoseconds(call.time().nanos());
}

absl::StatusOr<RecordedCalls> ParseRequestLog(absl::string_view text) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  RecordedCalls recorded;
  for (const absl::string_view line :
       absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    v1::LoggedCall call;
    const auto parsed = google::protobuf::util::JsonStringToMessage(
        std::string(line), &call, options);
    const bool is_call =
        parsed.ok() && call.request_case() != v1::LoggedCall::REQUEST_NOT_SET;
    if (is_call) {
      recorded.calls.push_back(std::move(call));
    } else {
      ++recorded.num_broken_lines;
    }
  }
  if (recorded.calls.empty()) {
    return absl::InvalidArgumentError("no line of it is a call");
  }
  std::stable_sort(
      recorded.calls.begin(), recorded.calls.end(),
      [](const auto& a, const auto& b) { return ArrivalOf(a) < ArrivalOf(b); });
  return recorded;
}

absl::Status NameUsers(absl::Span<const std::string> user_ids,
                       const std::optional<std::string>& salt,
                       RecordedCalls* recorded) {
  absl::flat_hash_map<std::string, std::string> id_of;
  if (salt.has_value()) {
    const Pseudonyms pseudonyms(*salt);
    for (const std::string& id : user_ids) id_of[pseudonyms.Of(id)] = id;
  }
  const Naming naming =
      [&](const std::string& hash) -> std::optional<std::string> {
    if (!salt.has_value()) return user_ids[IdHash(hash) % user_ids.size()];
    const auto found = id_of.find(hash);
    if (found == id_of.end()) return std::nullopt;
    return found->second;
  };
  std::vector<v1::LoggedCall> named;
  for (v1::LoggedCall& call : recorded->calls) {
    if (NameUsersOf(naming, &call)) named.push_back(std::move(call));
  }
  recorded->num_left_out += recorded->calls.size() - named.size();
  recorded->calls = std::move(named);
  if (!recorded->calls.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "none of the users has a hash of the log: the salt is another one, or "
      "the "
      "users are");
}

}  // namespace neumf
