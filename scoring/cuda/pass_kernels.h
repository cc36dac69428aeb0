#pragma once

// The kernels that answer a pass (kernels/views.h), in their order and with
// their grids, for one model on one device.
//
//   start: users in halves, error bounds, empty lists
//   of each level: scan into the lists; raise the thresholds
//   score the candidates in float32; sort the best
//
// All functions queue and return. Immutable: any number of threads may call.

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "scoring/cuda/device/device.h"
#include "scoring/cuda/kernels/exact_score.h"
#include "scoring/cuda/kernels/radix_rank.h"
#include "scoring/cuda/kernels/views.h"
#include "scoring/cuda/levels.h"
#include "scoring/cuda/tower_fit.h"

namespace neumf::cuda {

// A model's coarse form and the kernel that scans it.
struct CoarseScanner {
  TunedTower tower = TunedTower::kUntuned;
  bool is_wide = false;  // kernels/scan_wide.h
  CoarseModel model;
};

class PassKernels {
 public:
  // What float32 scoring takes of the device's memory besides the pass's; 0
  // where shared memory holds it.
  static uint64_t ScratchBytes(const ExactModel& exact);
  // Users that a pass of the model may have: more would take more scratch.
  static uint32_t MaxUsers(const ExactModel& exact);

  // Whether there is a scan by warpgroups for this tower (Device::has_wide_mma).
  static bool HasWideScan(TunedTower tower) {
    return tower == TunedTower::kA || tower == TunedTower::kB ||
           tower == TunedTower::kC;
  }

  // Without `coarse` the catalog is scanned in float32.
  PassKernels(const Device& device, const ExactModel& exact,
              const std::optional<CoarseScanner>& coarse);

  bool is_coarse() const { return coarse_.has_value(); }
  // Whether the kernels have the shared memory for passes of `users`.
  bool HaveRoomFor(uint32_t users) const;

  // Brings the code of all that a pass may start to the device (launch.h).
  absl::Status Load() const;

  // A whole pass. Without `scans` no query is of kind kScan.
  absl::Status QueuePass(Stream& stream, const Pass& pass,
                         const ExactScratch& scratch, const Levels& levels,
                         bool scans) const;
  // Answers these users of a pass once more, in float32 throughout, over the
  // same input; `memory` as radix_rank.h has it.
  absl::Status QueueAgain(Stream& stream, const Pass& pass,
                          const ExactScratch& scratch, const RadixUsers& users,
                          const RadixMemory& memory) const;

  // Steps of QueuePass(), for those who look at what is between.
  absl::Status QueueStart(Stream& stream, const Pass& pass) const;
  absl::Status QueueScan(Stream& stream, const Pass& pass,
                         const ExactScratch& scratch, const Level& level) const;
  absl::Status QueueRescore(Stream& stream, const Pass& pass,
                            const ExactScratch& scratch) const;

 private:
  uint32_t NumChunks(const Level& level) const;
  // Blocks of Kernel, which scores in float32, that run at once.
  template <typename Kernel>
  Grid ExactGrid() const;
  template <typename Kernel>
  absl::Status QueueCoarse(Stream& stream, const Pass& pass,
                           const Level& level) const;

  const Device& device_;
  const ExactModel exact_;
  const std::optional<CoarseScanner> coarse_;
};

}  // namespace neumf::cuda
