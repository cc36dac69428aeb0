#pragma once

// The scoring function once more, in float64 and written from the formula of
// model/serving_model.h alone: what bounds the rounding of the float32
// backends.

#include <cstdint>

#include "tests/support/tiny_model.h"

namespace neumf {

// How far float32 scores may lie from the twin's, as a fraction of 1 plus the
// catalog's largest |score|. Rounding was seen to reach a seventh of it, on a
// tower six layers deep and 256 wide.
constexpr double kFloat32Tolerance = 1e-5;

double ScoreInFloat64(const TinyModel& tiny, uint64_t user, uint64_t item);

}  // namespace neumf
