#include "server/queue_delay.h"

#include <algorithm>

namespace neumf {

void QueueDelay::Observe(absl::Duration wait, absl::Duration batch_time,
                         absl::Duration now) {
  target_ = std::max(kShortestTarget, 2 * batch_time);
  if (now >= interval_end_) {
    // An interval that ended long ago says nothing about the present.
    const bool recent = now < interval_end_ + kInterval;
    overloaded_ =
        recent && shortest_ != absl::InfiniteDuration() && shortest_ > target_;
    interval_end_ = now + kInterval;
    shortest_ = absl::InfiniteDuration();
  }
  shortest_ = std::min(shortest_, wait);
}

}  // namespace neumf
