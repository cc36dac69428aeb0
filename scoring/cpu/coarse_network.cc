#include "scoring/cpu/coarse_network.h"

#include <algorithm>

#include "scoring/cpu/coarse_kernel.h"

namespace neumf {
namespace {

size_t RoundUp(size_t value, size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

CoarseWeights Transpose(const DenseLayer& layer, size_t padded_in) {
  CoarseWeights weights;
  weights.in = padded_in;
  weights.out = RoundUp(layer.out, kCoarseGroup);
  weights.weight = AlignedBuffer(weights.in * weights.out);
  weights.bias.assign(layer.bias.begin(), layer.bias.end());
  weights.bias.resize(weights.out);
  for (size_t o = 0; o < layer.out; ++o) {
    for (size_t k = 0; k < layer.in; ++k) {
      weights.weight[k * weights.out + o] = layer.weight[o * layer.in + k];
    }
  }
  return weights;
}

}  // namespace

CoarseNetwork::CoarseNetwork(const ModelShape& shape,
                             const ScoreNetwork& network)
    : gmf_width(shape.gmf_width),
      tower_width(shape.tower_width()),
      head_weight(network.head_weight.begin(), network.head_weight.end()),
      head_bias(network.head_bias),
      widest_layer(RoundUp(tower_width, kCoarseQuad)) {
  size_t in = widest_layer;
  for (const DenseLayer& layer : network.layers) {
    layers.push_back(Transpose(layer, in));
    in = layers.back().out;
    widest_layer = std::max(widest_layer, in);
  }
  head_weight.resize(in);
}

uint64_t CoarseNetwork::MappedBytes(const ModelShape& shape,
                                    const ScoreNetwork& network) {
  uint64_t bytes = 0;
  size_t in = RoundUp(shape.tower_width(), kCoarseQuad);
  for (const DenseLayer& layer : network.layers) {
    const size_t out = RoundUp(layer.out, kCoarseGroup);
    bytes += neumf::MappedBytes(in * out, sizeof(float));
    in = out;
  }
  return bytes;
}

uint64_t CoarseNetwork::resident_bytes() const {
  uint64_t bytes = 0;
  for (const CoarseWeights& layer : layers) bytes += layer.weight.size_bytes();
  return bytes;
}

}  // namespace neumf
