#pragma once

// Ranking metrics of one user, from the places of the held-out items.
//
// A place is 0-based: how many candidates stand before the item. `places` are
// ascending. A midrank, the middle of the places that a group of equal scores
// shares, may end in a half and may repeat; every formula takes it. Of a list
// that was cut at a depth of D only places below D are known, and that is
// enough for every metric at k <= D.
//
// `num_held_out` counts all held-out items of the user, those without a known
// place too. REQUIRES (all): num_held_out > 0, k > 0.

#include <cstdint>

#include "absl/types/span.h"

namespace neumf {

// How many held-out items are among the first k.
double HitsAtK(absl::Span<const double> places, uint64_t k);

// Hits over k, whatever there is to hit.
double PrecisionAtK(absl::Span<const double> places, uint64_t k);

// Hits over the number of held-out items.
double RecallAtK(absl::Span<const double> places, uint64_t num_held_out,
                 uint64_t k);

// The sum of 1 / log2(place + 2) over the hits, over the largest sum there can
// be: that of the first min(k, num_held_out) places.
double NdcgAtK(absl::Span<const double> places, uint64_t num_held_out,
               uint64_t k);

// The mean over the held-out items of the precision at their places; 0 for one
// without a place.
double AveragePrecision(absl::Span<const double> places, uint64_t num_held_out);

// 1 / (place + 1) of the first; 0 without a place.
double ReciprocalRank(absl::Span<const double> places);

// The share of pairs of a held-out item and another candidate that are in the
// right order. For one item that is
// (num_candidates - 1 - place) / (num_candidates - 1); over midranks, a tie
// counts half. 1 where there is no such pair.
// REQUIRES: every held-out item has a place, below num_candidates.
double Auc(absl::Span<const double> places, uint64_t num_candidates);

// What "Dive into Deep Learning" calls AUC of several items: the first one
// counts, the others are candidates like all others.
// REQUIRES: as Auc().
double AucOfFirst(absl::Span<const double> places, uint64_t num_candidates);

}  // namespace neumf
