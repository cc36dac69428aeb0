#include "scoring/cuda/coarse_scales.h"

#include <algorithm>
#include <cmath>

namespace neumf::cuda {
namespace {

// Scales of activations and scores are 2^kLeast to 2^kMost: a sum of 2^40 in
// the coarse network is one of 2^120 in the exact one, at most, and what float32
// loses among its denormals stays below 2^-89 (kernels/error_bound.h).
constexpr int kLeast = -80;
constexpr int kMost = 60;
// Those of single factors: powers of two that float32 holds.
constexpr int kMostOfFactor = 100;

// What the largest numbers are brought below, as powers of two. Items of the
// tower, where users are taken to be as large:
constexpr int kItems = 10;
// Sums of a layer, and its weights:
constexpr int kSums = 11;
constexpr int kWeights = 14;
// Head weights, at least and at most; items' gmf, wanted and at most; what a
// score starts with.
constexpr int kLeastHead = 0;
constexpr int kMostHead = 14;
constexpr int kGmf = 8;
constexpr int kMostGmf = 12;
constexpr int kStart = 36;

// The least power of two above |x|, as its exponent; that of the smallest
// float32 for 0, which any scale suits.
int ExponentOf(double x) { return x == 0 ? -149 : std::ilogb(x) + 1; }

int Clamp(int x, int least, int most) {
  return std::min(std::max(x, least), most);
}

float PowerOf2(int exponent) { return std::ldexp(1.0F, exponent); }

double LargestOf(const ColumnRange& range) {
  return std::max(std::fabs(double{range.low}), std::fabs(double{range.high}));
}

double LargestOf(const std::vector<ColumnRange>& ranges) {
  double largest = 0;
  for (const ColumnRange& range : ranges) {
    largest = std::max(largest, LargestOf(range));
  }
  return largest;
}

double LargestOf(const std::vector<float>& values) {
  double largest = 0;
  for (const float value : values) {
    largest = std::max(largest, std::fabs(double{value}));
  }
  return largest;
}

// What a layer's sums reach, for inputs in [0, reach].
std::vector<double> Reach(const DenseLayer& layer,
                          const std::vector<double>& reach) {
  std::vector<double> sums(layer.bias.begin(), layer.bias.end());
  for (uint32_t o = 0; o < layer.out; ++o) {
    for (uint32_t k = 0; k < layer.in; ++k) {
      const double weight = layer.weight[uint64_t{o} * layer.in + k];
      sums[o] += std::max(weight, 0.0) * reach[k];
    }
    sums[o] = std::max(sums[o], 0.0);
  }
  return sums;
}

// Takes the scales of the layers; returns the exponent of the last one's
// activations.
int ScaleTower(const ScoreNetwork& network, const ItemRanges& ranges,
               CoarseScales* scales) {
  const double largest = LargestOf(ranges.tower);
  int scale =
      Clamp(largest == 0 ? 0 : kItems - ExponentOf(largest), kLeast, kMost);
  scales->tower = PowerOf2(scale);
  std::vector<double> reach;  // unscaled
  for (const ColumnRange& range : ranges.tower) {
    reach.push_back(2 * LargestOf(range));
  }
  for (const DenseLayer& layer : network.layers) {
    reach = Reach(layer, reach);
    double sums = LargestOf(layer.bias);
    for (const double sum : reach) sums = std::max(sums, sum);
    const int weights = ExponentOf(LargestOf(layer.weight));
    // With all sums 0 any scale does.
    const int wanted = sums == 0 ? scale : kSums - ExponentOf(sums);
    const int factor = Clamp(std::min(wanted - scale, kWeights - weights),
                             -kMostOfFactor, kMostOfFactor);
    const int next = Clamp(scale + factor, kLeast, kMost);
    scales->weights.push_back(PowerOf2(next - scale));
    scale = next;
  }
  return scale;
}

}  // namespace

CoarseScales ChooseCoarseScales(const ModelShape& shape,
                                const ScoreNetwork& network,
                                const ItemRanges& ranges) {
  CoarseScales scales;
  const int gmf = ExponentOf(LargestOf(ranges.gmf));
  const int start =
      ExponentOf(std::fabs(double{network.head_bias}) + LargestOf(ranges.bias));
  // Users' gmf is taken to be as large as that of items, and both get the same
  // scale, as far as head and biases let the score have its square.
  int score = 2 * (kGmf - gmf);
  int tower = 0;
  if (shape.has_tower()) {
    tower = ScaleTower(network, ranges, &scales);
    const int head = ExponentOf(LargestOf(network.head_weight));
    score = Clamp(score, tower + kLeastHead - head, tower + kMostHead - head);
  }
  score = Clamp(std::min(score, kStart - start), kLeast, kMost);
  if (shape.has_tower()) {
    score = Clamp(score, tower - kMostOfFactor, tower + kMostOfFactor);
    scales.head = PowerOf2(score - tower);
  }
  const int half_of_score = score >= 0 ? score / 2 : (score - 1) / 2;
  const int item = Clamp(Clamp(half_of_score, -gmf, kMostGmf - gmf),
                         std::max(score, 0) - kMostOfFactor,
                         std::min(score, 0) + kMostOfFactor);
  scales.item_gmf = PowerOf2(item);
  scales.user_gmf = PowerOf2(score - item);
  scales.score = PowerOf2(score);
  return scales;
}

}  // namespace neumf::cuda
