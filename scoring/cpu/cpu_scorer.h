#pragma once

// The CPU backend: the catalog in blocks of 16 items, scanned once for a batch
// of users by a vector kernel, with the selection of the best K right behind
// it.
//
// The catalog is cut into pieces that stay in a core's cache while every user
// of the batch is scored against them; threads share the pieces and merge what
// they found by the total order of scorer.h, so the answer does not depend on
// their number.

#include <memory>
#include <optional>

#include "scoring/scorer.h"

namespace neumf {

// Null when this machine's instruction set cannot give the reference's bits
// (FindBlockKernel()). REQUIRES: `network` fits `shape`.
std::unique_ptr<ScorerBuilder> MaybeMakeCpuScorerBuilder(
    const ModelShape& shape, const ScoreNetwork& network,
    const ScorerOptions& options);

// What it would take; none where it would be null.
std::optional<ScorerMemory> PredictCpuScorerMemory(
    const ModelShape& shape, const ScoreNetwork& network,
    const ScorerOptions& options);

}  // namespace neumf
