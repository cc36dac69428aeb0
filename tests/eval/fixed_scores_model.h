#pragma once

// The simplest model that is one: item i scores item_scores[i] for every user.

#include <memory>
#include <vector>

#include "scoring/scorer.h"

namespace neumf {

class FixedScoresModel {
 public:
  explicit FixedScoresModel(std::vector<float> item_scores);

  const Scorer& scorer() const { return *scorer_; }
  // [G] with G = 1: the vector of any user.
  const float* user_gmf() const { return &one_; }

 private:
  const float one_ = 1;
  std::unique_ptr<Scorer> scorer_;
};

}  // namespace neumf
