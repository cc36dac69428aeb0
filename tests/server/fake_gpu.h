#pragma once

// A GPU that a test holds in its hand: it is absent, full or broken when told
// to. What it scores has the bits of the reference.
//
//   FakeGpu gpu;
//   options.gpu = gpu.functions();
//   gpu.Break();      // its scorers answer UNAVAILABLE, those of now for ever
//
// Any thread may call any method.

#include <memory>

#include "absl/status/status.h"
#include "base/mutex.h"
#include "server/gpu.h"

namespace neumf {

class FakeGpu {
 public:
  static constexpr uint64_t kTotalBytes = 1'000'000;
  static constexpr uint64_t kFreeBytes = 400'000;

  // They and what they make may outlive this.
  Gpu functions() const;

  // What `find` says from now on.
  void SetFound(const absl::Status& status);
  // What `bytes_needed` says from now on; before that nothing is.
  void SetBytesNeeded(uint64_t bytes);
  // What `make_builder` says from now on; OK: makes one.
  void SetVerdict(const absl::Status& status);
  // Everything on it is dead, and what is put there before a reset.
  void Break();
  // The same, as soon as the next scorer is made.
  void BreakNextBuild();
  // Says this once, when rows are added, or when a scorer is made.
  void FailNextAdd(const absl::Status& status);
  void FailNextBuild(const absl::Status& status);
  // The next so many resets fail.
  void FailResets(int times);

  int num_resets() const;
  int num_ranks() const;  // calls of Rank()

 private:
  class FakeScorer;
  class FakeBuilder;
  struct State {
    mutable Mutex mutex;
    absl::Status found ABSL_GUARDED_BY(mutex);
    uint64_t bytes_needed ABSL_GUARDED_BY(mutex) = 0;
    absl::Status verdict ABSL_GUARDED_BY(mutex);
    absl::Status next_add ABSL_GUARDED_BY(mutex);
    absl::Status next_build ABSL_GUARDED_BY(mutex);
    bool broken ABSL_GUARDED_BY(mutex) = false;
    bool breaks_next_build ABSL_GUARDED_BY(mutex) = false;
    int failing_resets ABSL_GUARDED_BY(mutex) = 0;
    int num_resets ABSL_GUARDED_BY(mutex) = 0;
    int num_ranks ABSL_GUARDED_BY(mutex) = 0;
  };

  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace neumf
