#pragma once

// Ranking metrics of one user, from the 0-based place of the held-out item. A
// place is that of an order; a midrank, the middle of the places that a group
// of equal scores shares, may end in a half.

#include <cstdint>

namespace neumf {

// 1 when the item stands among the first k, else 0.
double HitAtK(double place, uint64_t k);

// The share of the other candidates that stand below the item:
// (candidates - 1 - place) / (candidates - 1). 1 with a single candidate.
// REQUIRES: place < num_candidates.
double Auc(double place, uint64_t num_candidates);

}  // namespace neumf
