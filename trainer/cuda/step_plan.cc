#include "trainer/cuda/step_plan.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "trainer/cuda/kernels/tile.h"

namespace neumf {
namespace {

absl::Status Refuse(absl::string_view what) {
  return absl::UnimplementedError(absl::StrCat("a GPU trains no ", what));
}

absl::Status CheckModel(const ModelSpec& spec) {
  if (spec.cosine) return Refuse("--similarity cosine");
  if (spec.linear_width > 0) return Refuse("--linear_width");
  if (spec.has_tower() && spec.activation != Activation::kRelu) {
    return Refuse("--activation but relu");
  }
  if (spec.user_bias || spec.item_bias) return Refuse("--biases item or all");
  if (spec.num_user_features + spec.num_item_features > 0) {
    return Refuse("features");
  }
  if (spec.feature_interactions) return Refuse("--model fm");
  if (spec.has_history()) return Refuse("--history");
  return absl::OkStatus();
}

absl::Status CheckLoss(const StepOptions& step) {
  if (step.loss.kind != LossKind::kBce) return Refuse("--loss but bce");
  if (step.loss.hard_negatives > 0) return Refuse("--hard_negatives");
  if (step.l2 > 0 || step.l2_negative > 0) {
    return Refuse("--l2 or --l2_negative");
  }
  if (step.dropout > 0) return Refuse("--dropout");
  return absl::OkStatus();
}

absl::Status CheckBatches(const StepPlan& plan) {
  if (plan.batches.form != BatchForm::kPairs) {
    return Refuse("--batches but pairs");
  }
  if (plan.sampler.kind != SamplerKind::kReject &&
      plan.sampler.kind != SamplerKind::kUniform) {
    return Refuse("--sampler but reject and uniform");
  }
  if (plan.optimizer.updates != Updates::kDense) {
    return Refuse("--updates rows");
  }
  if (plan.batches.num_negatives >= cuda::kMaxTilePairs) {
    return Refuse(absl::StrCat("--negatives above ", cuda::kMaxTilePairs - 1));
  }
  const uint64_t num_pairs =
      uint64_t{plan.batches.batch_size} * (1 + plan.batches.num_negatives);
  constexpr uint64_t kMaxPairs = std::numeric_limits<int32_t>::max();
  if (num_pairs > kMaxPairs) {
    return Refuse(absl::StrCat("batch of more than ", kMaxPairs, " examples"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckDeviceTrains(const StepPlan& plan) {
  NEUMF_RETURN_IF_ERROR(CheckModel(plan.spec));
  NEUMF_RETURN_IF_ERROR(CheckLoss(plan.step));
  return CheckBatches(plan);
}

}  // namespace neumf
