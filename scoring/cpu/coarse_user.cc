#include "scoring/cpu/coarse_user.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

namespace neumf {
namespace {

constexpr double kLargestWeight = 127;
// A float32 operation is off by half a unit in the last place, or, where its
// result is denormal, by less than the smallest number.
constexpr double kRelativeRounding = 1.0 / (1 << 24);
constexpr double kAbsoluteRounding = FLT_TRUE_MIN;
// For sums of float32 roundings that are bounded to first order, and for the
// rounding of double in what is computed here.
constexpr double kSlack = 1.001;
// Bytes reach a little further than the values that they stand for.
constexpr double kHeadroom = 1.02;
// A sum of 32 bits must hold a bias of the size of all its terms: steps are at
// least that over 2^29. Weights of 127 times 4096 bytes add 2^27 at most.
constexpr double kLeastStepOfMagnitude = 1.0 / (1 << 29);
// Where all terms are 0, of what is left to round.
constexpr double kLeastStep = kAbsoluteRounding / (1 << 20);

double Positive(double x) { return x > 0 ? x : 0; }

// The nearest integer, by the bits that are left beside 1.5 * 2^52: a loop that
// calls no function is vectorized.
double Round(double x) {
  constexpr double kNoFractions = 6755399441055744.0;
  return (x + kNoFractions) - kNoFractions;
}

}  // namespace

CoarseSums::CoarseSums(size_t widest)
    : low(widest),
      high(widest),
      magnitude(widest),
      step(widest),
      inverse_step(widest),
      bias(widest),
      error(widest) {}

CoarseUser::CoarseUser(const CoarseNetwork& network, const CoarseRanges& ranges)
    : network_(network),
      ranges_(ranges),
      offsets_(network.layers[0].in / kCoarseQuad),
      layers_(network.layers.size()),
      head_(network.head_weight.size()),
      units_(network.widest_layer),
      sums_(network.widest_layer),
      words_(network.widest_layer) {
  for (size_t l = 0; l < layers_.size(); ++l) {
    const CoarseWeights& weights = network.layers[l];
    Layer& layer = layers_[l];
    layer.weight.resize(weights.in / kCoarseQuad * weights.out);
    layer.bias.resize(weights.out);
    layer.shift.resize(weights.out);
    views_.push_back({weights.in / kCoarseQuad, weights.out / kCoarseGroup,
                      layer.weight.data(), layer.bias.data(),
                      layer.shift.data()});
  }
}

bool CoarseUser::Prepare(const RankQuery& query) {
  user_gmf_ = query.user_gmf;
  magnitude_ = 0;
  QuantizeFirstLayer(query.user_tower);
  for (size_t l = 0; l < layers_.size(); ++l) {
    const CoarseWeights& weights = network_.layers[l];
    const bool is_last = l + 1 == layers_.size();
    BoundSums(weights);
    if (!IsInRange()) return false;
    if (!is_last) FitSteps(weights, &layers_[l]);
    QuantizeWeights(weights, &layers_[l]);
    QuantizeBiases(is_last, &layers_[l]);
    if (!is_last) FinishUnits(layers_[l]);
  }
  FinishHead();
  return IsInRange();
}

void CoarseUser::Fill(CoarseInput* input) const {
  input->user_gmf = user_gmf_;
  input->offsets = offsets_.data();
  input->layers = views_.data();
  input->num_layers = views_.size();
  input->head = head_.data();
}

// Half of what float32 holds is a margin for what the bound adds.
bool CoarseUser::IsInRange() const { return magnitude_ < FLT_MAX / 2; }

// A unit is relu(user + item), where the item's half is min + scale * byte, give
// or take scale / 2.
//
// Where user + min >= 0 the ReLU never cuts: the item's byte stays as it is and
// user + min is the offset. Elsewhere the kernel takes the byte `shift` of
// -(user + min) away and stops at 0. What that leaves out, `rest`, is less than
// a step: it lowers values above 0 and moves the place where they become 0, so
// that they differ from scale * byte by -rest or by less; the middle is the
// offset.
void CoarseUser::QuantizeFirstLayer(const float* user) {
  std::fill(offsets_.begin(), offsets_.end(), 0);
  std::fill(units_.begin(), units_.end(), CoarseUnit{});
  for (size_t k = 0; k < network_.tower_width; ++k) {
    const double scale = ranges_.tower_scale[k];
    const double base = double{user[k]} + ranges_.tower_min[k];
    const bool cuts = base < 0;
    const double shift =
        cuts ? std::min(Round(-base / scale), kCoarseLevels) : 0;
    // The last byte takes everything away.
    const double rest =
        cuts && shift < kCoarseLevels ? -base - shift * scale : 0;

    CoarseUnit& unit = units_[k];
    // Rounding keeps the order, so the ends' float32 values are those of the
    // range.
    unit.low = Positive(user[k] + ranges_.tower_min[k]);
    unit.high = Positive(user[k] + ranges_.tower_max[k]);
    unit.most = scale > 0 ? kCoarseLevels - shift : 0;
    if (unit.most > 0) unit.scale = scale;
    if (unit.most > 0 || unit.high > 0) {
      unit.offset = cuts ? -rest / 2 : base;
      unit.error = kSlack * (scale / 2 + std::fabs(rest) / 2) +
                   kRelativeRounding * unit.high;
    }
    const auto byte = static_cast<uint32_t>(shift);
    offsets_[k / kCoarseQuad] |=
        static_cast<int32_t>(byte << (8 * (k % kCoarseQuad)));
    magnitude_ += std::fabs(user[k]);
  }
}

void CoarseUser::BoundSums(const CoarseWeights& weights) {
  double* const low = sums_.low.data();
  double* const high = sums_.high.data();
  double* const magnitude = sums_.magnitude.data();
  double* const step = sums_.step.data();
  for (size_t o = 0; o < weights.out; ++o) {
    low[o] = high[o] = weights.bias[o];
    magnitude[o] = std::fabs(weights.bias[o]);
    step[o] = 0;
  }
  for (size_t k = 0; k < weights.in; ++k) {
    const CoarseUnit unit = units_[k];
    const float* const weight = weights.weight.data() + k * weights.out;
    for (size_t o = 0; o < weights.out; ++o) {
      const double positive = Positive(weight[o]);
      const double negative = weight[o] - positive;
      low[o] += positive * unit.low + negative * unit.high;
      high[o] += positive * unit.high + negative * unit.low;
      magnitude[o] += (positive - negative) * unit.high;
      step[o] = std::max(step[o], (positive - negative) * unit.scale);
    }
  }
  const double num_roundings = kSlack * static_cast<double>(weights.in + 2);
  for (size_t o = 0; o < weights.out; ++o) {
    // What the float32 sum may differ from the exact one.
    const double rounding =
        num_roundings * (kRelativeRounding * magnitude[o] + kAbsoluteRounding);
    low[o] -= rounding;
    high[o] += rounding;
    sums_.error[o] = rounding;
    step[o] = std::max({step[o] / kLargestWeight,
                        magnitude[o] * kLeastStepOfMagnitude, kLeastStep});
    magnitude_ += magnitude[o];
  }
}

// A byte stands for 2^shift steps and must reach `high`. Either the step stays,
// and the byte is coarser than it needs to be; or the step grows until 2^shift
// of them, with one shift less, reach exactly that far. The smaller error wins:
// a step is a quarter of itself off on average for each unit of a byte's range,
// a byte half of itself.
void CoarseUser::FitSteps(const CoarseWeights& weights, Layer* layer) {
  double span = 0;
  for (size_t k = 0; k < weights.in; ++k) {
    span += units_[k].most - units_[k].least;
  }
  for (size_t o = 0; o < layer->shift.size(); ++o) {
    double& step = sums_.step[o];
    const double byte = kHeadroom * Positive(sums_.high[o]) / kCoarseLevels;
    const int shift = std::max(1, std::ilogb(byte / step) + 1);
    layer->shift[o] = shift;
    if (shift == 1) continue;
    const double grown = std::ldexp(byte, 1 - shift);
    const double error = step * span / 4 + std::ldexp(step, shift) / 2;
    if (grown * span / 4 + byte / 2 < error) {
      layer->shift[o] = shift - 1;
      step = grown;
    }
  }
}

// With weight * scale = step * integer + `lost`, a sum's terms are
//   weight * value = step * integer * byte + lost * byte + weight * offset
// give or take |weight| * error. The bias takes over the offset and `lost`
// times the middle of the byte's range, so that at most half the range is left.
void CoarseUser::QuantizeWeights(const CoarseWeights& weights, Layer* layer) {
  double* const bias = sums_.bias.data();
  double* const error = sums_.error.data();
  const double* const step = sums_.step.data();
  double* const inverse_step = sums_.inverse_step.data();
  int32_t* const words = words_.data();
  for (size_t o = 0; o < weights.out; ++o) {
    bias[o] = weights.bias[o];
    inverse_step[o] = 1 / step[o];
  }
  const size_t in_quads = weights.in / kCoarseQuad;
  for (size_t k = 0; k < weights.in; ++k) {
    const CoarseUnit unit = units_[k];
    const double middle = (unit.least + unit.most) / 2;
    const double reach = (unit.most - unit.least) / 2;
    const auto lane = static_cast<int>(k % kCoarseQuad);
    if (lane == 0) std::fill(words_.begin(), words_.end(), 0);
    const float* const weight = weights.weight.data() + k * weights.out;
    for (size_t o = 0; o < weights.out; ++o) {
      const double exact = weight[o] * unit.scale;
      const double integer = Round(exact * inverse_step[o]);
      const double lost = exact - integer * step[o];
      bias[o] += weight[o] * unit.offset + lost * middle;
      error[o] += std::fabs(lost) * reach + std::fabs(weight[o]) * unit.error;
      words[o] |= (static_cast<int32_t>(integer) & 0xFF) << (8 * lane);
    }
    if (lane != kCoarseQuad - 1) continue;
    for (size_t o = 0; o < weights.out; o += kCoarseGroup) {
      std::copy_n(
          words + o, kCoarseGroup,
          layer->weight.data() + o * in_quads + k / kCoarseQuad * kCoarseGroup);
    }
  }
}

void CoarseUser::QuantizeBiases(bool is_last, Layer* layer) {
  for (size_t o = 0; o < layer->bias.size(); ++o) {
    const double integer = Round(sums_.bias[o] * sums_.inverse_step[o]);
    sums_.error[o] += std::fabs(sums_.bias[o] - integer * sums_.step[o]);
    // Half of what the shift drops: it then rounds to the nearest.
    const int32_t half = is_last ? 0 : 1 << (layer->shift[o] - 1);
    layer->bias[o] = static_cast<int32_t>(integer) + half;
  }
}

// Clamping to bytes adds no error: 255 of them reach past `high`, and neither
// end of an interval gets further from a value in it than what was cut there.
void CoarseUser::FinishUnits(const Layer& layer) {
  for (size_t o = 0; o < layer.shift.size(); ++o) {
    const double low = sums_.low[o];
    const double high = sums_.high[o];
    const double error = sums_.error[o];
    const double byte = std::ldexp(sums_.step[o], layer.shift[o]);
    CoarseUnit unit;
    if (high + error > 0) {  // else the value and the byte are always 0
      unit.low = Positive(low);
      unit.high = Positive(high);
      unit.most = std::min(std::ceil((high + error) / byte), kCoarseLevels);
      unit.least =
          std::min(Positive(std::floor((low - error) / byte)), unit.most);
      unit.scale = byte;
      unit.error = error + byte / 2;
    }
    units_[o] = unit;
  }
}

// Both kernels add the same things to the same bits of the GMF part. What their
// sums round differently is bounded by the magnitude of all terms.
void CoarseUser::FinishHead() {
  double error = 0;
  double magnitude = std::fabs(network_.head_bias) + ranges_.bias_largest;
  for (size_t k = 0; k < network_.gmf_width; ++k) {
    magnitude += std::fabs(double{user_gmf_[k]}) * ranges_.gmf_largest[k];
  }
  for (size_t o = 0; o < head_.size(); ++o) {
    head_[o] = 0;
    const double most = sums_.high[o] + sums_.error[o];
    if (most <= 0) continue;  // a unit that is always 0
    const double head = network_.head_weight[o];
    const double scaled = head * sums_.step[o];
    magnitude += std::fabs(head) * most;
    if (std::fabs(scaled) < FLT_MAX) head_[o] = static_cast<float>(scaled);
    error += std::fabs(head) * sums_.error[o] +
             std::fabs(scaled - head_[o]) * most / sums_.step[o];
  }
  // Of both kernels: an operation a unit, the bias, the conversion of sums.
  const double num_roundings = 2 * static_cast<double>(head_.size() + 4);
  error += num_roundings * (kRelativeRounding * magnitude + kAbsoluteRounding);
  error_ = kSlack * error;
  // Thresholds are below a score by twice the error.
  magnitude_ += magnitude + 2 * error_;
}

}  // namespace neumf
