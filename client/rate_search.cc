#include "client/rate_search.h"

#include <algorithm>
#include <cmath>

#include "base/logging.h"
#include "base/status_macros.h"

namespace neumf {

absl::StatusOr<RateSearchResult> FindHighestRate(
    double start, double lowest, double precision,
    absl::FunctionRef<absl::StatusOr<RateVerdict>(double rate)> trial) {
  NEUMF_CHECK(lowest > 0 && lowest <= start && precision > 0);
  double kept = 0;
  double missed = 0;  // 0: none yet
  RateVerdict why_missed = RateVerdict::kMissed;
  double rate = start;
  while (true) {
    NEUMF_ASSIGN_OR_RETURN(const RateVerdict verdict, trial(rate));
    if (verdict == RateVerdict::kKept) {
      kept = rate;
    } else {
      missed = rate;
      why_missed = verdict;
    }
    if (kept == 0) {
      if (missed <= lowest) break;
      rate = std::max(missed / 2, lowest);
    } else if (missed == 0) {
      rate = kept * 2;
    } else if (missed <= kept * (1 + precision)) {
      break;
    } else {
      // Rates matter by their ratio.
      rate = std::sqrt(kept * missed);
    }
  }
  return RateSearchResult{kept, why_missed == RateVerdict::kClientTooSlow};
}

}  // namespace neumf
