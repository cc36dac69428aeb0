#include "tests/scoring/cuda/tiny_exact_model.h"

#include <algorithm>

namespace neumf::cuda {
namespace {

constexpr float kPadding = 1e30F;

}  // namespace

TinyExactModel::TinyExactModel(const TinyModel& tiny) {
  const ModelShape& shape = tiny.model.shape;
  const ScoreNetwork& network = tiny.model.network;
  model_.num_items = static_cast<uint32_t>(shape.num_items);
  model_.gmf_width = shape.gmf_width;
  model_.tower_width = shape.tower_width();
  model_.head_width = static_cast<uint32_t>(network.head_weight.size());
  for (uint32_t width : shape.tower_widths) {
    model_.widest = std::max(model_.widest, width);
  }
  model_.num_layers = static_cast<uint32_t>(network.layers.size());
  for (size_t l = 0; l < network.layers.size(); ++l) {
    const DenseLayer& layer = network.layers[l];
    const uint32_t stride = PaddedOuts(layer.out);
    std::vector<float>& weight = weights_.emplace_back(
        std::vector<float>(size_t{layer.in} * stride, kPadding));
    std::vector<float>& bias =
        biases_.emplace_back(std::vector<float>(stride, kPadding));
    for (uint32_t o = 0; o < layer.out; ++o) {
      bias[o] = layer.bias[o];
      for (uint32_t k = 0; k < layer.in; ++k) {
        weight[k * stride + o] = layer.weight[o * layer.in + k];
      }
    }
    model_.layers[l] = {layer.in, layer.out, weight.data(), bias.data()};
  }
  model_.head_weight = network.head_weight.data();
  model_.head_bias = network.head_bias;
  model_.item_tower = tiny.items.tower.data();
  model_.item_gmf = tiny.items.gmf.data();
  if (shape.has_item_bias) model_.item_bias = tiny.items.bias.data();
}

}  // namespace neumf::cuda
