#include "scoring/cpu/packed_network.h"

#include <algorithm>

namespace neumf {
namespace {

size_t PackedFloats(const DenseLayer& layer) {
  return GroupedWidth(layer.out) * (size_t{layer.in} + 1);
}

size_t PackedFloats(const ScoreNetwork& network) {
  size_t count = network.head_weight.size();
  for (const DenseLayer& layer : network.layers) count += PackedFloats(layer);
  return count;
}

size_t WidestLayer(const ModelShape& shape) {
  size_t widest = 0;
  for (uint32_t width : shape.tower_widths) {
    widest = std::max(widest, GroupedWidth(width));
  }
  return widest;
}

// Writes PackedFloats(layer) floats to `to`, which holds zeros: the weights,
// then the biases.
KernelLayer PackLayer(const DenseLayer& layer, float* to) {
  float* const bias = to + GroupedWidth(layer.out) * layer.in;
  for (size_t o = 0; o < layer.out; ++o) {
    const size_t group = o / kGroupOutputs;
    float* const column =
        to + group * layer.in * kGroupOutputs + o % kGroupOutputs;
    for (size_t k = 0; k < layer.in; ++k) {
      column[k * kGroupOutputs] = layer.weight[o * layer.in + k];
    }
    bias[o] = layer.bias[o];
  }
  KernelLayer packed;
  packed.in = layer.in;
  packed.groups = GroupedWidth(layer.out) / kGroupOutputs;
  packed.weight = to;
  packed.bias = bias;
  return packed;
}

}  // namespace

PackedNetwork::PackedNetwork(const ModelShape& shape,
                             const ScoreNetwork& network)
    : weights_(PackedFloats(network)) {
  float* to = weights_.data();
  for (const DenseLayer& layer : network.layers) {
    layers_.push_back(PackLayer(layer, to));
    to += PackedFloats(layer);
  }
  std::copy(network.head_weight.begin(), network.head_weight.end(), to);

  view_.activation = network.activation;
  view_.gmf_width = shape.gmf_width;
  view_.tower_width = shape.tower_width();
  view_.has_item_bias = shape.has_item_bias;
  view_.layers = layers_.data();
  view_.num_layers = layers_.size();
  view_.head_weight = to;
  view_.head_width = network.head_weight.size();
  view_.head_bias = network.head_bias;
  view_.widest_layer = WidestLayer(shape);
}

}  // namespace neumf
