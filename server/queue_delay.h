#pragma once

// Tells a queue that stands from one that a burst has filled: CoDel (Nichols
// and Jacobson, "Controlling Queue Delay", ACM Queue 10(5), 2012), in the form
// for servers that folly's Codel and Facebook's "Fail at Scale" (ACM Queue
// 13(8), 2015) gave it.
//
// A burst is worked off within an interval, so that at some time in it somebody
// hardly waits. Where even the shortest wait of an interval was above the
// target, more comes than can be served, and a longer queue would serve nobody
// better: from then on nobody shall begin to wait for long.
//
// The original drops what has waited; here it is refused when it comes, since
// its wait is known. So the waits themselves no longer tell when the overload is
// over, but the refusals do: it is when none was needed for a while.
//
// The interval is longer than those of the sources (100 ms): a machine whose
// neighbours take its time, or whose disk is written, may give nothing for a
// tenth of a second, and what has piled up takes as long again to be worked
// off. Callers who are in a hurry lose nothing by it: they say so by their
// deadlines, and are refused by those (load_control.h).
//
// For one thread at a time.

#include "absl/time/time.h"

namespace neumf {

class QueueDelay {
 public:
  static constexpr absl::Duration kInterval = absl::Milliseconds(500);
  // Without a refusal, after which an overload is over.
  static constexpr absl::Duration kCalm = absl::Milliseconds(100);
  static constexpr absl::Duration kShortestTarget = absl::Milliseconds(5);

  // A call has waited for `wait` when it left the queue at `now`; `batch_time`
  // is what a full batch takes to score, twice of which is no standing queue.
  void Observe(absl::Duration wait, absl::Duration batch_time,
               absl::Duration now);
  // Nothing waits: there is no standing queue.
  void Emptied() { shortest_ = absl::ZeroDuration(); }

  // True of a call that comes at `now` and has to be refused, since it would
  // wait for too long. In an overload, that is for longer than two targets.
  bool Refuses(absl::Duration wait, absl::Duration now);
  // After which a call is dropped all the same: something took longer than was
  // expected. InfiniteDuration() unless overloaded.
  absl::Duration longest_wait() const {
    return overloaded_ ? kInterval + 2 * target_ : absl::InfiniteDuration();
  }

 private:
  absl::Duration target_ = kShortestTarget;
  absl::Duration interval_end_ = absl::ZeroDuration();
  absl::Duration shortest_ = absl::InfiniteDuration();  // of this interval
  bool overloaded_ = false;
  absl::Duration last_refusal_ = absl::ZeroDuration();  // of this overload
};

}  // namespace neumf
