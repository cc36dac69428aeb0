#include "client/load_result.h"

#include <numeric>
#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "google/rpc/error_details.pb.h"

namespace neumf {
namespace {

constexpr char kErrorInfoUrl[] = "type.googleapis.com/google.rpc.ErrorInfo";

// The reason that a neumf-server gives; empty where another one failed, or
// gRPC itself.
std::string ReasonOf(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kErrorInfoUrl);
  google::rpc::ErrorInfo info;
  const bool ours = payload.has_value() &&
                    info.ParseFromString(std::string(*payload)) &&
                    info.domain() == "neumf";
  return ours ? info.reason() : "";
}

bool IsOverload(absl::string_view reason) {
  return reason == "QUEUE_FULL" || reason == "WAIT_TOO_LONG" ||
         reason == "OVERLOADED";
}

}  // namespace

LoadResult::LoadResult(double offered_rate, absl::Duration duration,
                       absl::Duration deadline)
    : offered_rate_(offered_rate), duration_(duration), deadline_(deadline) {}

void LoadResult::RecordCall(const absl::Status& status,
                            absl::Duration latency) {
  const auto number = static_cast<size_t>(status.code());
  const bool known = number < num_calls_.size();
  ++num_calls_[known ? number
                     : static_cast<size_t>(absl::StatusCode::kUnknown)];
  if (status.ok()) {
    answered_.Record(latency);
    if (latency <= deadline_) ++answers_in_time_;
    return;
  }
  const std::string reason = ReasonOf(status);
  if (absl::IsUnavailable(status) && IsOverload(reason)) {
    refused_.Record(latency);
  } else if (absl::IsResourceExhausted(status) && reason == "QUOTA_EXCEEDED") {
    over_quota_.Record(latency);
  } else {
    failed_.Record(latency);
  }
}

int64_t LoadResult::num_calls() const {
  return std::accumulate(num_calls_.begin(), num_calls_.end(), int64_t{0});
}

int64_t LoadResult::num_calls(absl::StatusCode code) const {
  return num_calls_[static_cast<size_t>(code)];
}

double LoadResult::goodput() const {
  return static_cast<double>(answers_in_time_) /
         absl::ToDoubleSeconds(duration_);
}

absl::Duration LoadResult::Quantile(double q) const {
  const int64_t rank = RankOfQuantile(q, num_calls());
  return rank <= answered_.count() ? answered_.AtRank(rank)
                                   : absl::InfiniteDuration();
}

}  // namespace neumf
