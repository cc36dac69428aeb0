#include "base/status_macros.h"
#include "bench/peers.h"
#include "scoring/torch/torch_scorer.h"

namespace neumf {
namespace {

absl::StatusOr<std::unique_ptr<Scorer>> MakeTorch(const BenchModel& model,
                                                  TorchForm form,
                                                  size_t num_threads) {
  TorchScorerOptions options;
  options.form = form;
  options.num_threads = static_cast<int>(num_threads);
  NEUMF_ASSIGN_OR_RETURN(
      auto builder,
      MakeTorchScorerBuilder(model.shape, model.network, options));
  NEUMF_RETURN_IF_ERROR(StreamItemTables(
      model.items, [&](const ItemRows& rows) { return builder->Add(rows); }));
  return builder->Build();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Scorer>> MakeTorchSplit(const BenchModel& model,
                                                       size_t num_threads) {
  return MakeTorch(model, TorchForm::kSplit, num_threads);
}

absl::StatusOr<std::unique_ptr<Scorer>> MakeTorchEager(const BenchModel& model,
                                                       size_t num_threads) {
  return MakeTorch(model, TorchForm::kEager, num_threads);
}

}  // namespace neumf
