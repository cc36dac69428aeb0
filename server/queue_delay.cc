#include "server/queue_delay.h"

#include <algorithm>

namespace neumf {

void QueueDelay::Observe(absl::Duration wait, absl::Duration batch_time,
                         absl::Duration now) {
  target_ = std::max(kShortestTarget, 2 * batch_time);
  if (now >= interval_end_) {
    // An interval that ended long ago says nothing about the present.
    const bool recent = now < interval_end_ + kInterval;
    if (recent && shortest_ != absl::InfiniteDuration() &&
        shortest_ > target_) {
      if (!overloaded_) last_refusal_ = now;
      overloaded_ = true;
    }
    interval_end_ = now + kInterval;
    shortest_ = absl::InfiniteDuration();
  }
  shortest_ = std::min(shortest_, wait);
}

bool QueueDelay::Refuses(absl::Duration wait, absl::Duration now) {
  if (!overloaded_) return false;
  if (wait > 2 * target_) {
    last_refusal_ = now;
    return true;
  }
  if (now >= last_refusal_ + kCalm) overloaded_ = false;
  return false;
}

}  // namespace neumf
