#pragma once

// The first kernel of a pass: makes the users of its queries coarse, bounds the
// error of their coarse scores (error_bound.h), and sets what a scan starts
// from: thresholds, margins, empty lists. A user of a whole-catalog query whose
// error has no bound is left out of the scan, with Outcome::kUnbounded.

#include <cstdint>

#include "scoring/cuda/device/annotations.h"
#include "scoring/cuda/device/thread.h"
#include "scoring/cuda/kernels/views.h"

namespace neumf::cuda {

// A block a user: grid.blocks = pass.max_users.
struct PrepareUsers {
  static constexpr uint32_t kThreads = 128;
  static constexpr uint32_t kMinBlocks = 4;

  CoarseModel model;
  Pass pass;
  uint32_t gmf_width = 0;    // G
  uint32_t tower_width = 0;  // H

  // Dynamic shared memory.
  static uint32_t SharedBytes(const CoarseModel& model);

  template <typename Thread>
  NEUMF_DEVICE void operator()(Thread& thread) const;
};

// The same where scans are exact: only what they start from. A thread a user.
struct PrepareExact {
  static constexpr uint32_t kThreads = 128;
  static constexpr uint32_t kMinBlocks = 1;

  Pass pass;

  template <typename Thread>
  NEUMF_DEVICE void operator()(Thread& thread) const;
};

}  // namespace neumf::cuda
