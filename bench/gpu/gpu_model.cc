#include "bench/gpu/gpu_model.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "scoring/cuda/cuda_scorer.h"

namespace neumf {

absl::StatusOr<std::unique_ptr<Scorer>> MakeGpuScorer(
    const ModelShape& shape, const ScoreNetwork& network, RowSource rows) {
  NEUMF_ASSIGN_OR_RETURN(const auto builder,
                         MakeCudaScorerBuilder(shape, network, {}));
  NEUMF_RETURN_IF_ERROR(
      rows([&](const ItemRows& some) { return builder->Add(some); }));
  return builder->Build();
}

absl::StatusOr<std::unique_ptr<GpuPasses>> GpuPasses::Make(
    cuda::Device& device, const ModelShape& shape, const ScoreNetwork& network,
    RowSource rows) {
  NEUMF_ASSIGN_OR_RETURN(auto model,
                         cuda::CudaModel::Make(device, shape, network, {}));
  NEUMF_RETURN_IF_ERROR(
      rows([&](const ItemRows& some) { return model->Add(some); }));
  NEUMF_RETURN_IF_ERROR(model->Finish());
  NEUMF_ASSIGN_OR_RETURN(cuda::DeviceClock clock,
                         cuda::DeviceClock::Make(device));
  return std::unique_ptr<GpuPasses>(
      new GpuPasses(std::move(model), std::move(clock)));
}

absl::StatusOr<double> GpuPasses::DeviceSeconds(
    absl::Span<const RankQuery> queries, uint32_t rounds) const {
  const cuda::PassSizes& sizes = model_->sizes();
  if (sizes.Take(queries, model_->shape()) < queries.size()) {
    return absl::FailedPreconditionError("more than a pass of queries");
  }
  uint32_t max_k = 1;
  for (const RankQuery& query : queries) max_k = std::max(max_k, query.k);
  const auto workspace = model_->workspaces().Take();
  return clock_.Seconds(
      (*workspace).stream(), rounds,
      [&] { return (*workspace).Begin(queries, sizes.Of(max_k)); },
      [&] { return (*workspace).Finish(); });
}

}  // namespace neumf
