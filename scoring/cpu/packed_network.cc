#include "scoring/cpu/packed_network.h"

#include <algorithm>

namespace neumf {
namespace {

size_t PaddedWidth(size_t width, const GroupWidths& widths) {
  return CountOutputs(CutIntoGroups(width, widths), widths);
}

size_t PackedFloats(const DenseLayer& layer, const GroupWidths& widths) {
  return PaddedWidth(layer.out, widths) * (size_t{layer.in} + 1);
}

size_t PackedFloats(const ScoreNetwork& network, const GroupWidths& widths) {
  size_t count = PaddedWidth(network.head_weight.size(), widths);
  for (const DenseLayer& layer : network.layers) {
    count += PackedFloats(layer, widths);
  }
  return count;
}

size_t WidestLayer(const ModelShape& shape, const GroupWidths& widths) {
  size_t widest = 0;
  for (uint32_t width : shape.tower_widths) {
    widest = std::max(widest, PaddedWidth(width, widths));
  }
  return widest;
}

// Writes PackedFloats() floats to `to`, which holds zeros: the weights, then
// the biases.
KernelLayer PackLayer(const DenseLayer& layer, const GroupWidths& widths,
                      float* to) {
  KernelLayer packed;
  packed.in = layer.in;
  packed.groups = CutIntoGroups(layer.out, widths);
  packed.out = CountOutputs(packed.groups, widths);
  float* const bias = to + packed.out * packed.in;
  for (size_t o = 0; o < layer.out; ++o) {
    PackOutput(packed.groups, widths, o, layer.weight.data() + o * layer.in,
               layer.in, to);
    bias[o] = layer.bias[o];
  }
  packed.weight = to;
  packed.bias = bias;
  return packed;
}

}  // namespace

uint64_t PackedNetwork::MappedBytes(const ScoreNetwork& network,
                                    const GroupWidths& widths) {
  return neumf::MappedBytes(PackedFloats(network, widths), sizeof(float));
}

PackedNetwork::PackedNetwork(const ModelShape& shape,
                             const ScoreNetwork& network,
                             const GroupWidths& widths)
    : weights_(PackedFloats(network, widths)) {
  float* to = weights_.data();
  for (const DenseLayer& layer : network.layers) {
    layers_.push_back(PackLayer(layer, widths, to));
    to += PackedFloats(layer, widths);
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
  view_.widest_layer = WidestLayer(shape, widths);
}

}  // namespace neumf
