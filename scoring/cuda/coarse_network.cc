#include "scoring/cuda/coarse_network.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/logging.h"
#include "scoring/cuda/device/fragments.h"
#include "scoring/cuda/device/half.h"
#include "scoring/cuda/kernels/coarse_numbers.h"
#include "scoring/cuda/kernels/error_bound.h"

namespace neumf::cuda {
namespace {

constexpr size_t kAlignment = 16;
// What activations that a network makes of zeros may reach: half of what halves
// hold, a margin for all rounding.
constexpr double kMostOfZeros = kLargestHalf / 2;

uint64_t RoundUp(uint64_t x, uint64_t multiple) {
  return (x + multiple - 1) / multiple * multiple;
}

// A matrix of coarse numbers, [in, out], zeros past what is set.
struct CoarseMatrix {
  CoarseMatrix(uint32_t inputs, uint32_t outputs)
      : in(inputs),
        out(outputs),
        half(size_t{inputs} * outputs),
        value(half.size()),
        error(half.size()) {}

  void Set(uint32_t k, uint32_t o, float number) {
    const CoarseNumber coarse = MakeCoarse(number);
    half[k * out + o] = coarse.bits;
    value[k * out + o] = coarse.value;
    error[k * out + o] = coarse.error;
  }

  // The word of rows k and k + 1 of column o.
  uint32_t Word(uint32_t k, uint32_t o) const {
    return half[k * out + o] | uint32_t{half[(k + 1) * out + o]} << 16;
  }

  uint32_t in;
  uint32_t out;
  std::vector<uint16_t> half;
  std::vector<float> value;
  std::vector<float> error;
};

CoarseMatrix MakeCoarseLayer(const DenseLayer& layer, uint32_t in, uint32_t out,
                             float scale) {
  CoarseMatrix matrix(in, out);
  for (uint32_t o = 0; o < layer.out; ++o) {
    for (uint32_t k = 0; k < layer.in; ++k) {
      matrix.Set(k, o, layer.weight[uint64_t{o} * layer.in + k] * scale);
    }
  }
  return matrix;
}

// B fragments of Mma16, [out / 8, in / 16, 32 lanes].
std::vector<Words2> Fragments(const CoarseMatrix& matrix) {
  std::vector<Words2> fragments;
  for (uint32_t first_o = 0; first_o < matrix.out; first_o += 8) {
    for (uint32_t first_k = 0; first_k < matrix.in; first_k += 16) {
      for (uint32_t lane = 0; lane < kLanes; ++lane) {
        Words2 words;
        for (uint32_t w = 0; w < 2; ++w) {
          const Place place = PlaceInB(lane, w, 0);
          words.w[w] = matrix.Word(first_k + place.row, first_o + place.column);
        }
        fragments.push_back(words);
      }
    }
  }
  return fragments;
}

// The head, [width, 1]: the words of the four lanes of each step. A head of 8 is
// a step of Mma8, without the second word.
std::vector<Words2> HeadFragments(const CoarseMatrix& head) {
  std::vector<Words2> fragments;
  for (uint32_t step = 0; step < head.in; step += 16) {
    for (uint32_t t = 0; t < 4; ++t) {
      Words2 words = {};
      for (uint32_t w = 0; w < 2; ++w) {
        const uint32_t k = step + PlaceInB(t, w, 0).row;
        if (k < head.in) words.w[w] = head.Word(k, 0);
      }
      fragments.push_back(words);
    }
  }
  return fragments;
}

std::vector<ColumnRange> Scaled(const std::vector<ColumnRange>& ranges,
                                float scale) {
  std::vector<ColumnRange> scaled;
  scaled.reserve(ranges.size());
  for (const ColumnRange& range : ranges) {
    scaled.push_back({range.low * scale, range.high * scale, 0});
  }
  return scaled;
}

template <typename T>
void Write(const std::vector<T>& values, size_t place,
           std::vector<std::byte>* image) {
  if (values.empty()) return;
  std::memcpy(image->data() + place, values.data(), values.size() * sizeof(T));
}

template <typename T>
const T* At(const std::byte* image, size_t place) {
  return reinterpret_cast<const T*>(image + place);
}

// What a layer makes of `inputs`, when it rounds nothing.
std::vector<double> ActivationsOf(const CoarseMatrix& weights,
                                  const std::vector<float>& bias,
                                  const std::vector<double>& inputs) {
  std::vector<double> sums(bias.begin(), bias.end());
  for (uint32_t k = 0; k < weights.in; ++k) {
    for (uint32_t o = 0; o < weights.out; ++o) {
      sums[o] += weights.value[k * weights.out + o] * inputs[k];
    }
  }
  for (double& sum : sums) sum = std::max(sum, 0.0);
  return sums;
}

}  // namespace

CoarseLayout::CoarseLayout(TunedTower tower, uint32_t gmf_width) {
  const auto add = [this](size_t count, size_t element_bytes) {
    const size_t place = bytes;
    bytes += RoundUp(count * element_bytes, kAlignment);
    return place;
  };
  gmf_range = add(RoundUp(gmf_width, 8), sizeof(ColumnRange));
  const absl::Span<const uint32_t> widths = TunedWidths(tower);
  if (widths.empty()) return;
  tower_range = add(widths[0], sizeof(ColumnRange));
  for (size_t l = 1; l < widths.size(); ++l) {
    Layer layer;
    layer.in = widths[l - 1];
    layer.out = widths[l];
    const size_t size = size_t{layer.in} * layer.out;
    layer.weight = add(size, sizeof(uint16_t));
    layer.bias = add(layer.out, sizeof(float));
    layer.value = add(size, sizeof(float));
    layer.error = add(size, sizeof(float));
    layers.push_back(layer);
  }
  head_width = widths.back();
  head = add(RoundUp(head_width, 16) / 4, sizeof(Words2));
  head_value = add(head_width, sizeof(float));
  head_error = add(head_width, sizeof(float));
}

CoarseBytes CoarseBytesOf(TunedTower tower, const ModelShape& shape) {
  NEUMF_CHECK(tower != TunedTower::kUntuned);
  const absl::Span<const uint32_t> widths = TunedWidths(tower);
  const uint64_t rows = RoundUp(shape.num_items, kTileItems);
  CoarseBytes bytes;
  bytes.image = CoarseLayout(tower, shape.gmf_width).bytes;
  bytes.item_tower = rows * (widths.empty() ? 0 : widths[0]) * sizeof(uint16_t);
  bytes.item_gmf = rows * RoundUp(shape.gmf_width, 8) * sizeof(uint16_t);
  bytes.item_start = rows * sizeof(float);
  return bytes;
}

std::optional<CoarseNetwork> CoarseNetwork::Make(TunedTower tower,
                                                 const ModelShape& shape,
                                                 const ScoreNetwork& network,
                                                 const ItemRanges& ranges) {
  CoarseNetwork coarse(tower, shape, network, ranges);
  if (!coarse.PackTowerWeights(network)) return std::nullopt;
  return coarse;
}

CoarseNetwork::CoarseNetwork(TunedTower tower, const ModelShape& shape,
                             const ScoreNetwork& network,
                             const ItemRanges& ranges)
    : layout_(tower, shape.gmf_width),
      scales_(ChooseCoarseScales(shape, network, ranges)),
      num_items_(static_cast<uint32_t>(shape.num_items)),
      tuned_width_(shape.has_tower() ? TunedWidths(tower)[0] : 0),
      tower_width_(shape.tower_width()),
      gmf_width_(shape.gmf_width),
      head_bias_(network.head_bias),
      image_(layout_.bytes) {
  // It ascends with the bias: the ends of the range are the largest.
  start_magnitude_ = std::max(
      std::fabs(CoarseStart(head_bias_, ranges.bias.low, scales_.score)),
      std::fabs(CoarseStart(head_bias_, ranges.bias.high, scales_.score)));
  Write(Scaled(ranges.gmf, scales_.item_gmf), layout_.gmf_range, &image_);
  if (!shape.has_tower()) return;
  Write(Scaled(ranges.tower, scales_.tower), layout_.tower_range, &image_);
  CoarseMatrix head(layout_.head_width, 1);
  for (size_t k = 0; k < network.head_weight.size(); ++k) {
    head.Set(k, 0, network.head_weight[k] * scales_.head);
  }
  Write(HeadFragments(head), layout_.head, &image_);
  Write(head.value, layout_.head_value, &image_);
  Write(head.error, layout_.head_error, &image_);
}

bool CoarseNetwork::PackTowerWeights(const ScoreNetwork& network) {
  float scale = scales_.tower;
  std::vector<double> of_zeros(tuned_width_, 0);
  for (size_t l = 0; l < network.layers.size(); ++l) {
    const CoarseLayout::Layer& place = layout_.layers[l];
    const DenseLayer& layer = network.layers[l];
    const CoarseMatrix weights =
        MakeCoarseLayer(layer, place.in, place.out, scales_.weights[l]);
    scale *= scales_.weights[l];
    std::vector<float> bias(place.out);
    for (uint32_t o = 0; o < layer.out; ++o) bias[o] = layer.bias[o] * scale;
    of_zeros = ActivationsOf(weights, bias, of_zeros);
    for (const double activation : of_zeros) {
      if (activation > kMostOfZeros) return false;
    }
    Write(Fragments(weights), place.weight, &image_);
    Write(bias, place.bias, &image_);
    Write(weights.value, place.value, &image_);
    Write(weights.error, place.error, &image_);
  }
  return true;
}

PackTowerItems CoarseNetwork::PackTower(const CoarsePlaces& places,
                                        const float* item_tower) const {
  PackTowerItems kernel;
  kernel.values = item_tower;
  kernel.num_rows = num_items_;
  kernel.width = tower_width_;
  kernel.num_steps = tuned_width_ / PackTowerItems::kStepColumns;
  kernel.scale = scales_.tower;
  kernel.words = reinterpret_cast<uint32_t*>(places.item_tower);
  kernel.ranges =
      reinterpret_cast<ColumnRange*>(places.image + layout_.tower_range);
  return kernel;
}

PackGmfItems CoarseNetwork::PackGmf(const CoarsePlaces& places,
                                    const float* item_gmf) const {
  PackGmfItems kernel;
  kernel.values = item_gmf;
  kernel.num_rows = num_items_;
  kernel.width = gmf_width_;
  kernel.num_steps = gmf_steps();
  kernel.scale = scales_.item_gmf;
  kernel.words = reinterpret_cast<uint32_t*>(places.item_gmf);
  kernel.ranges =
      reinterpret_cast<ColumnRange*>(places.image + layout_.gmf_range);
  return kernel;
}

PackItemStarts CoarseNetwork::PackStarts(const CoarsePlaces& places,
                                         const float* item_bias) const {
  return {item_bias, head_bias_, num_items_, scales_.score, places.item_start};
}

CoarseModel CoarseNetwork::ModelAt(const CoarsePlaces& places) const {
  const std::byte* const image = places.image;
  CoarseModel model;
  model.num_items = num_items_;
  model.num_tiles = (num_items_ - 1) / kTileItems + 1;
  model.gmf_steps = gmf_steps();
  model.tower_width = tuned_width_;
  model.head_width = layout_.head_width;
  model.num_layers = static_cast<uint32_t>(layout_.layers.size());
  for (uint32_t l = 0; l < model.num_layers; ++l) {
    const CoarseLayout::Layer& layer = layout_.layers[l];
    model.layers[l] = {layer.in,
                       layer.out,
                       At<Words2>(image, layer.weight),
                       At<float>(image, layer.bias),
                       At<float>(image, layer.value),
                       At<float>(image, layer.error)};
  }
  model.head = At<Words2>(image, layout_.head);
  model.head_value = At<float>(image, layout_.head_value);
  model.head_error = At<float>(image, layout_.head_error);
  model.item_tower = places.item_tower;
  model.item_gmf = places.item_gmf;
  model.item_start = places.item_start;
  model.start_magnitude = start_magnitude_;
  // The rounding of one addition.
  model.start_error = start_magnitude_ * static_cast<float>(kFloatRounding);
  model.tower_range = At<ColumnRange>(image, layout_.tower_range);
  model.gmf_range = At<ColumnRange>(image, layout_.gmf_range);
  model.tower_scale = scales_.tower;
  model.user_gmf_scale = scales_.user_gmf;
  model.score_scale = scales_.score;
  return model;
}

}  // namespace neumf::cuda
