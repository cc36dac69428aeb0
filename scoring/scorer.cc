#include "scoring/scorer.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "scoring/cpu/cpu_scorer.h"
#include "scoring/reference/reference_scorer.h"

namespace neumf {
namespace {

absl::Status CheckLayer(const DenseLayer& layer, uint32_t in, uint32_t out,
                        size_t number) {
  if (layer.in == in && layer.out == out &&
      layer.weight.size() == uint64_t{in} * out && layer.bias.size() == out) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "tower.", number, ": the model's shape asks for weights [", out, ", ", in,
      "] and a bias of ", out, ", the network has [", layer.out, ", ", layer.in,
      "], ", layer.weight.size(), " weights and ", layer.bias.size(),
      " biases"));
}

absl::Status CheckNetwork(const ModelShape& shape,
                          const ScoreNetwork& network) {
  const std::vector<uint32_t>& widths = shape.tower_widths;
  const size_t num_layers = widths.empty() ? 0 : widths.size() - 1;
  if (network.layers.size() != num_layers) {
    return absl::InvalidArgumentError(
        absl::StrCat("the model's shape asks for ", num_layers,
                     " tower layers after the first, the network has ",
                     network.layers.size()));
  }
  for (size_t i = 0; i < num_layers; ++i) {
    NEUMF_RETURN_IF_ERROR(
        CheckLayer(network.layers[i], widths[i], widths[i + 1], i + 2));
  }
  const size_t head_width = widths.empty() ? 0 : widths.back();
  if (network.head_weight.size() != head_width) {
    return absl::InvalidArgumentError(
        absl::StrCat("head.weight: the model's shape asks for ", head_width,
                     " values, the network has ", network.head_weight.size()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<ScorerBuilder>> MakeScorerBuilder(
    Backend backend, const ModelShape& shape, const ScoreNetwork& network,
    const ScorerOptions& options) {
  NEUMF_RETURN_IF_ERROR(ValidateShape(shape));
  NEUMF_RETURN_IF_ERROR(CheckNetwork(shape, network));
  if (backend == Backend::kCpu) {
    auto builder = MaybeMakeCpuScorerBuilder(shape, network, options);
    if (builder != nullptr) return builder;
  }
  return MakeReferenceScorerBuilder(shape, network);
}

}  // namespace neumf
