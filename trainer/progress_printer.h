#pragma once

// Shows how training goes on stderr: one line that is rewritten in place on a
// terminal, one line an epoch elsewhere.
//
//   epoch 3/10  71%  812,345 examples/s  loss 0.2412  2 s left

#include <cstdio>
#include <string>

#include "absl/time/time.h"
#include "trainer/training_progress.h"

namespace neumf {

// Belongs to one thread.
class ProgressPrinter {
 public:
  // `out` stays the caller's.
  ProgressPrinter(std::FILE* out, bool is_terminal)
      : out_(out), is_terminal_(is_terminal) {}

  void Show(const TrainingProgress& progress);

 private:
  std::FILE* const out_;
  const bool is_terminal_;
  absl::Duration last_shown_ = -absl::InfiniteDuration();
};

std::string ProgressLine(const TrainingProgress& progress);

}  // namespace neumf
