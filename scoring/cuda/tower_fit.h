#pragma once

// Which tuned tower (towers.h) scans a model's catalog.

#include <cstdint>

#include "absl/types/span.h"
#include "model/serving_model.h"

namespace neumf::cuda {

enum class TunedTower {
  kUntuned,  // no tuned tower holds the model: it is scanned in float32
  kDot,      // NoTower
  kA,        // TowerA, and so on
  kB,
  kC,
};

// The cheapest that holds the model: of as many layers, none of them narrower.
// All of them know only ReLU.
TunedTower FitTower(const ModelShape& shape, const ScoreNetwork& network);

// Its layers' widths, layer 1 first; none for kUntuned and kDot.
absl::Span<const uint32_t> TunedWidths(TunedTower tower);

}  // namespace neumf::cuda
