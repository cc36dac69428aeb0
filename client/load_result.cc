#include "client/load_result.h"

#include <numeric>

namespace neumf {

LoadResult::LoadResult(double offered_rate, absl::Duration duration,
                       absl::Duration deadline)
    : offered_rate_(offered_rate), duration_(duration), deadline_(deadline) {}

void LoadResult::RecordCall(absl::StatusCode code, absl::Duration latency) {
  const auto number = static_cast<size_t>(code);
  const bool known = number < num_calls_.size();
  ++num_calls_[known ? number
                     : static_cast<size_t>(absl::StatusCode::kUnknown)];
  switch (code) {
    case absl::StatusCode::kOk:
      answered_.Record(latency);
      if (latency <= deadline_) ++answers_in_time_;
      break;
    case absl::StatusCode::kUnavailable:
      refused_.Record(latency);
      break;
    default:
      failed_.Record(latency);
      break;
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
