#pragma once

// The speed of the CUDA scorer: whole rankings, the best 100 of each user with
// 200 seen items left out, against what the GPU can do.

#include <string>

#include "absl/status/status.h"
#include "bench/figures.h"

namespace neumf {

struct SpeedOptions {
  std::string towers;  // directory with trained towers
  // Not empty: the models of 1m items are written there, each to a directory of
  // its tower's name, with their users and their answers, for other programs to
  // rank them too.
  std::string export_to;
  bool quick = false;
};

// gpu.copy_bytes_per_second, gpu.mma_macs_per_second, gpu.wgmma_...: probes
// gpu.<tower>.1m.k100.b256.pairs_per_second   calls of Rank(), one at a time
// gpu.<tower>.1m.k100.b1.device_us            a pass of one user
// gpu.A.10m.k100.b1.device_us, gpu.A.100m.k100.b1.device_us
// gpu.A.100m.k100.b256.device_us_per_user     where the GPU has the memory
// The first error ends it.
absl::Status MeasureSpeed(const SpeedOptions& options,
                          const FigureWriter& figures);

}  // namespace neumf
