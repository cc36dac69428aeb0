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

ScorerMemory PredictScorerMemory(Backend backend, const ModelShape& shape,
                                 const ScoreNetwork& network,
                                 const ScorerOptions& options) {
  if (backend == Backend::kCpu) {
    const auto memory = PredictCpuScorerMemory(shape, network, options);
    if (memory.has_value()) return *memory;
  }
  return PredictReferenceScorerMemory(shape, network);
}

}  // namespace neumf
