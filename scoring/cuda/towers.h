#pragma once

// The towers for which the coarse scan is tuned: their activations stay in
// registers from the first layer to the score. A smaller tower of as many
// layers rides in one of them, padded with zeros, which change no score; any
// other is scanned in float32 (kernels/scan_exact.h).

#include <array>
#include <cstdint>

#include "scoring/cuda/device/annotations.h"

namespace neumf::cuda {

// Widths of layers 1, 2 and 3; multiples of 16, the last one of 8. 0: no such
// layer; all 0: no tower.
template <uint32_t kWidth1, uint32_t kWidth2, uint32_t kWidth3>
struct Tower {
  static constexpr uint32_t kWidths[3] = {kWidth1, kWidth2, kWidth3};
  static constexpr uint32_t kInput = kWidth1;
  static constexpr uint32_t kLayers =  // to multiply: layers 2 and 3
      (kWidth2 > 0 ? 1 : 0) + (kWidth3 > 0 ? 1 : 0);
  static constexpr uint32_t kHead = kWidth3 > 0   ? kWidth3
                                    : kWidth2 > 0 ? kWidth2
                                                  : kWidth1;
};

using NoTower = Tower<0, 0, 0>;
using TowerA = Tower<32, 16, 8>;
using TowerB = Tower<64, 32, 16>;
using TowerC = Tower<128, 64, 0>;

}  // namespace neumf::cuda
