#pragma once

// What kernels are compared with.

#include <vector>

#include "scoring/scorer.h"
#include "tests/support/tiny_model.h"

namespace neumf::cuda {

std::vector<Ranking> ReferenceAnswers(const TinyModel& tiny,
                                      const std::vector<RankQuery>& queries);

}  // namespace neumf::cuda
