#include "scoring/scorer.h"

#include "base/status_macros.h"
#include "scoring/cpu/cpu_scorer.h"
#include "scoring/reference/reference_scorer.h"

namespace neumf {

absl::StatusOr<std::unique_ptr<ScorerBuilder>> MakeScorerBuilder(
    Backend backend, const ModelShape& shape, const ScoreNetwork& network,
    const ScorerOptions& options) {
  NEUMF_RETURN_IF_ERROR(ValidateShape(shape));
  NEUMF_RETURN_IF_ERROR(Validate(shape, network));
  if (backend == Backend::kCpu) {
    auto builder = MaybeMakeCpuScorerBuilder(shape, network, options);
    if (builder != nullptr) return builder;
  }
  return MakeReferenceScorerBuilder(shape, network);
}

}  // namespace neumf
