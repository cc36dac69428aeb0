#include "eval/ranking_metrics.h"

#include <algorithm>
#include <cmath>

namespace neumf {
namespace {

double Discount(double place) { return 1 / std::log2(place + 2); }

// Places among the first k, as they are sorted.
absl::Span<const double> FirstK(absl::Span<const double> places, uint64_t k) {
  const auto* const end =
      std::lower_bound(places.begin(), places.end(), static_cast<double>(k));
  return places.first(static_cast<size_t>(end - places.begin()));
}

}  // namespace

double HitsAtK(absl::Span<const double> places, uint64_t k) {
  return static_cast<double>(FirstK(places, k).size());
}

double PrecisionAtK(absl::Span<const double> places, uint64_t k) {
  return HitsAtK(places, k) / static_cast<double>(k);
}

double RecallAtK(absl::Span<const double> places, uint64_t num_held_out,
                 uint64_t k) {
  return HitsAtK(places, k) / static_cast<double>(num_held_out);
}

double NdcgAtK(absl::Span<const double> places, uint64_t num_held_out,
               uint64_t k) {
  double gain = 0;
  for (const double place : FirstK(places, k)) gain += Discount(place);
  double ideal = 0;
  const uint64_t num_ideal = std::min(k, num_held_out);
  for (uint64_t i = 0; i < num_ideal; ++i) {
    ideal += Discount(static_cast<double>(i));
  }
  return gain / ideal;
}

double AveragePrecision(absl::Span<const double> places,
                        uint64_t num_held_out) {
  double sum = 0;
  for (size_t i = 0; i < places.size(); ++i) {
    sum += static_cast<double>(i + 1) / (places[i] + 1);
  }
  return sum / static_cast<double>(num_held_out);
}

double ReciprocalRank(absl::Span<const double> places) {
  return places.empty() ? 0 : 1 / (places.front() + 1);
}

double Auc(absl::Span<const double> places, uint64_t num_candidates) {
  const uint64_t num_others = num_candidates - places.size();
  if (num_others == 0) return 1;
  double num_wrong = 0;
  for (size_t i = 0; i < places.size(); ++i) {
    num_wrong += places[i] - static_cast<double>(i);
  }
  const double num_pairs =
      static_cast<double>(places.size()) * static_cast<double>(num_others);
  return (num_pairs - num_wrong) / num_pairs;
}

double AucOfFirst(absl::Span<const double> places, uint64_t num_candidates) {
  return Auc(places.first(1), num_candidates);
}

}  // namespace neumf
