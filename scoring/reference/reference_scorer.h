#pragma once

// The truth that every backend is held to: plain loops in the order of
// operations of scorer.h, one std::fma a product, a full sort. Never optimized;
// it shares nothing with the other backends but the activation.

#include <memory>

#include "scoring/scorer.h"

namespace neumf {

// REQUIRES: `network` fits `shape`.
std::unique_ptr<ScorerBuilder> MakeReferenceScorerBuilder(
    const ModelShape& shape, const ScoreNetwork& network);

// What it would take.
ScorerMemory PredictReferenceScorerMemory(const ModelShape& shape,
                                          const ScoreNetwork& network);

}  // namespace neumf
