#pragma once

// Ranking metrics of one user, from the 0-based places of the held-out items.

#include <cstdint>

namespace neumf {

// 1 when the item stands among the first k, else 0.
double HitAtK(uint64_t place, uint64_t k);

// The share of the other candidates that stand below the item:
// (candidates - 1 - place) / (candidates - 1). 1 with a single candidate.
// REQUIRES: place < num_candidates.
double Auc(uint64_t place, uint64_t num_candidates);

}  // namespace neumf
