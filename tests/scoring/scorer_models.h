#pragma once

// Models whose scores a test knows, beside random ones.

#include <cstdint>
#include <vector>

#include "tests/support/tiny_model.h"

namespace neumf {

using Widths = std::vector<uint32_t>;

// Three users who have seen up to 40 items.
TinyModelOptions Sized(uint64_t num_items, uint32_t gmf_width,
                       const Widths& tower_widths);

// The same score for every item; nobody has seen anything.
TinyModel ConstantModel(uint64_t num_items);

// Item i scores scores[i] for every user; nobody has seen anything.
TinyModel ModelWithScores(const std::vector<float>& scores);

// `tiny` with every table but the item's GMF half, every bias and the head's
// bias multiplied by `factor`. With ReLU, and a power of two, that multiplies
// scores by `factor`, exactly as long as nothing overflows or gets denormal.
TinyModel Scaled(TinyModel tiny, float factor);

}  // namespace neumf
