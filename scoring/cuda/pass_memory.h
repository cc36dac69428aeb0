#pragma once

// The memory of one pass at a time: its input, its candidates, its results, and
// what the kernels need beside them.
//
// For one thread at a time.

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "scoring/cuda/device/device.h"
#include "scoring/cuda/kernels/exact_score.h"
#include "scoring/cuda/kernels/radix_rank.h"
#include "scoring/cuda/kernels/views.h"

namespace neumf::cuda {

// How much there is at first.
struct PassMemorySizes {
  uint32_t max_users = 0;       // a multiple of kGroupUsers
  uint64_t num_candidates = 0;  // of all users together
  uint64_t num_results = 0;     // the same
  uint64_t input_bytes = 0;
  uint64_t scratch_bytes = 0;
  // Of the coarse form; 0 without one.
  uint32_t coarse_tower_width = 0;
  uint32_t gmf_steps = 0;

  // Of the device's memory.
  uint64_t DeviceBytes() const;
};

class PassMemory {
 public:
  PassMemory() = default;  // nothing
  static absl::StatusOr<PassMemory> Make(Device& device,
                                         const PassMemorySizes& sizes);

  // Grows what is too small, to twice its size or more; what it held is lost.
  // True when something was moved, which may also be after an error.
  absl::StatusOr<bool> Reserve(uint64_t input_bytes, uint64_t num_candidates,
                               uint64_t num_results);

  // For passes of up to `max_users`. REQUIRES: so many candidates are there.
  Pass MakePass(uint32_t max_users, uint32_t capacity) const;
  ExactScratch scratch() const { return {scratch_.as<float>()}; }
  RadixMemory radix() const;
  // Queues what radix() needs before users are ranked again: a histogram of 0.
  absl::Status ClearHistogram(Stream& stream) const;

  // Pinned; the same on the device is Pass::input.
  std::byte* input() const { return pinned_input_.as<std::byte>(); }
  const PassResult* results() const { return pinned_results(); }
  const PassEntry* entries() const { return pinned_entries_.as<PassEntry>(); }

  // Queue copies between both.
  absl::Status CopyInput(Stream& stream, uint64_t bytes) const;
  absl::Status CopyResults(Stream& stream, uint32_t num_users,
                           uint64_t num_entries) const;

 private:
  PassResult* pinned_results() const {
    return pinned_results_.as<PassResult>();
  }

  Device* device_ = nullptr;
  PassMemorySizes sizes_;
  Memory users_;  // all that is there for each of max_users
  Memory radix_;
  Memory scratch_;
  Memory input_;
  Memory candidates_;
  Memory entries_;
  Memory pinned_input_;
  Memory pinned_results_;
  Memory pinned_entries_;
};

}  // namespace neumf::cuda
