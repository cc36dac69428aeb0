#include "eval/ranking_metrics.h"

namespace neumf {

double HitAtK(double place, uint64_t k) {
  return place < static_cast<double>(k) ? 1 : 0;
}

double Auc(double place, uint64_t num_candidates) {
  if (num_candidates == 1) return 1;
  const auto num_others = static_cast<double>(num_candidates - 1);
  return (num_others - place) / num_others;
}

}  // namespace neumf
