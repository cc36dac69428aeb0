#include "trainer/neumf_parameters.h"

#include <cmath>

#include "base/logging.h"

namespace neumf {
namespace {

constexpr double kWeightDeviation = 0.01;

void FillUniform(double limit, Random& random, absl::Span<float> values) {
  for (float& value : values) {
    value = static_cast<float>(random.Uniform(-limit, limit));
  }
}

}  // namespace

NeuMfLayout::NeuMfLayout(const NeuMfShape& shape) {
  NEUMF_CHECK(!shape.hidden.empty());
  const auto place = [this](uint64_t rows, uint64_t cols) {
    NeuMfBlock block;
    block.offset = size;
    block.rows = rows;
    block.cols = cols;
    size += block.size();
    return block;
  };
  user_gmf = place(shape.num_users, shape.factors);
  item_gmf = place(shape.num_items, shape.factors);
  user_mlp = place(shape.num_users, shape.tower_factors);
  item_mlp = place(shape.num_items, shape.tower_factors);
  first_user_weight = place(shape.hidden[0], shape.tower_factors);
  first_item_weight = place(shape.hidden[0], shape.tower_factors);
  first_bias = place(1, shape.hidden[0]);
  for (size_t l = 1; l < shape.hidden.size(); ++l) {
    Dense layer;
    layer.weight = place(shape.hidden[l], shape.hidden[l - 1]);
    layer.bias = place(1, shape.hidden[l]);
    layers.push_back(layer);
  }
  gmf_head = place(1, shape.factors);
  mlp_head = place(1, shape.hidden.back());
}

void NeuMfParameters::Initialize(Random& random) {
  for (float& value : values_) {
    value = static_cast<float>(kWeightDeviation * random.Normal());
  }
  FillUniform(1 / std::sqrt(2.0 * shape_.tower_factors), random,
              values_of(layout_.first_bias));
  for (const NeuMfLayout::Dense& layer : layout_.layers) {
    FillUniform(1 / std::sqrt(static_cast<double>(layer.weight.cols)), random,
                values_of(layer.bias));
  }
}

}  // namespace neumf
