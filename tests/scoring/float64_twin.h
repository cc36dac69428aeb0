#pragma once

// The scoring function once more, in float64 and written from the formula of
// model/serving_model.h alone: what bounds the rounding of the float32
// backends.

#include <cstdint>

#include "tests/support/tiny_model.h"

namespace neumf {

struct TwinScore {
  double score = 0;
  // No float32 evaluation in any order may differ by more.
  double rounding_bound = 0;
};

TwinScore ScoreInFloat64(const TinyModel& tiny, uint64_t user, uint64_t item);

}  // namespace neumf
