#include "tests/scoring/scorer_models.h"

#include <algorithm>

#include "absl/types/span.h"

namespace neumf {
namespace {

absl::Span<float> AllOf(AlignedMatrix& matrix) {
  return absl::MakeSpan(matrix.data(), matrix.size());
}

void Fill(absl::Span<float> values, float value) {
  std::fill(values.begin(), values.end(), value);
}

}  // namespace

TinyModelOptions Sized(uint64_t num_items, uint32_t gmf_width,
                       const Widths& tower_widths) {
  TinyModelOptions options;
  options.num_items = num_items;
  options.gmf_width = gmf_width;
  options.tower_widths = tower_widths;
  options.seen_per_user = std::min<uint64_t>(num_items / 3, 40);
  options.num_users = 3;
  return options;
}

TinyModel ConstantModel(uint64_t num_items) {
  TinyModelOptions options = Sized(num_items, 1, {});
  options.seen_per_user = 0;
  options.item_bias = false;
  TinyModel tiny = MakeTinyModel(options);
  Fill(AllOf(tiny.items.gmf), 1);
  return tiny;
}

TinyModel ModelWithScores(const std::vector<float>& scores) {
  TinyModel tiny = ConstantModel(scores.size());
  tiny.model.network.head_bias = 0;
  Fill(AllOf(tiny.model.users.gmf), 1);
  std::copy(scores.begin(), scores.end(), tiny.items.gmf.data());
  return tiny;
}

TinyModel Scaled(TinyModel tiny, float factor) {
  const auto scale = [factor](absl::Span<float> values) {
    for (float& value : values) value *= factor;
  };
  scale(AllOf(tiny.model.users.gmf));
  scale(AllOf(tiny.model.users.tower));
  scale(AllOf(tiny.items.tower));
  scale(absl::MakeSpan(tiny.items.bias));
  for (DenseLayer& layer : tiny.model.network.layers) {
    scale(absl::MakeSpan(layer.bias));
  }
  tiny.model.network.head_bias *= factor;
  return tiny;
}

}  // namespace neumf
