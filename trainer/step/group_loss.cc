#include "trainer/step/group_loss.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/logging.h"
#include "scoring/rank_key.h"
#include "scoring/select_greatest.h"
#include "trainer/step/loss_kernels.h"
#include "trainer/step/names.h"

namespace neumf {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr double kEulerMascheroni = 0.57721566490153286;

constexpr Named<LossKind> kLossKinds[] = {
    {"bpr", LossKind::kBpr},       {"hinge", LossKind::kHinge},
    {"bce", LossKind::kBce},       {"gbce", LossKind::kGbce},
    {"square", LossKind::kSquare}, {"softmax", LossKind::kSoftmax},
    {"warp", LossKind::kWarp},     {"ccl", LossKind::kCcl},
};

struct Point {
  double value;
  double slope;
};

// log(1 + exp(x)), and the sigmoid.
Point SoftplusAt(double x) {
  const double y = std::exp(-std::abs(x));
  const double sigmoid = 1 / (1 + y);  // of |x|
  return {std::max(x, 0.0) + std::log1p(y), x > 0 ? sigmoid : y * sigmoid};
}

// Phi(r) = 1 + 1/2 + ... + 1/r, from Euler and Maclaurin's sum where it is
// within the last places of float64.
double Harmonic(uint64_t r) {
  constexpr uint64_t kExpandFrom = 20;
  if (r < kExpandFrom) {
    double sum = 0;
    for (uint64_t i = r; i > 0; --i) sum += 1 / static_cast<double>(i);
    return sum;
  }
  const auto x = static_cast<double>(r);
  const double w = 1 / (x * x);
  return std::log(x) + kEulerMascheroni + 0.5 / x -
         w * (1.0 / 12 - w * (1.0 / 120 - w * (1.0 / 252 - w / 240)));
}

// What selects the hardest negatives works in, a thread each.
struct HardestScratch {
  std::vector<uint64_t> keys;
  std::vector<float> scores;
  std::vector<float> log_q;
  std::vector<float> gradient;
};

// A key that is greater the harder the negative: NaN before all, so that it is
// not left out.
uint64_t HardnessKey(float score, uint32_t place) {
  if (std::isnan(score)) score = kInfinity;
  return RankKey({score + 0.0F, place});  // + 0 makes +0.0 of -0.0
}

absl::Status OutOfRange(const char* option, double value, const char* range) {
  return absl::InvalidArgumentError(
      absl::StrCat(option, " is ", value, "; it has to be ", range));
}

}  // namespace

absl::StatusOr<LossKind> ParseLossKind(absl::string_view text) {
  return ParseName<LossKind>("loss", text, kLossKinds);
}

const char* LossKindName(LossKind kind) {
  return NameOf<LossKind>(kind, kLossKinds);
}

absl::Status ValidateLossOptions(const LossOptions& options) {
  if (!std::isfinite(options.margin)) {
    return OutOfRange("the margin", options.margin, "finite");
  }
  if (!(options.temperature > 0) || !std::isfinite(options.temperature)) {
    return OutOfRange("the temperature", options.temperature, "above 0");
  }
  if (!(options.negative_weight >= 0) ||
      !std::isfinite(options.negative_weight)) {
    return OutOfRange("the weight of negatives", options.negative_weight,
                      "0 or more");
  }
  if (!(options.calibration >= 0 && options.calibration <= 1)) {
    return OutOfRange("the calibration", options.calibration, "from 0 to 1");
  }
  const bool is_warp = options.kind == LossKind::kWarp;
  if (is_warp && options.hard_negatives > 0) {
    return absl::InvalidArgumentError(
        "warp goes by the order of the draws: it takes no hard negatives");
  }
  if ((is_warp || options.kind == LossKind::kGbce) && options.num_items == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        LossKindName(options.kind), " has to know the number of items"));
  }
  return absl::OkStatus();
}

GroupLoss::GroupLoss(const LossOptions& options) : options_(options) {
  NEUMF_CHECK(ValidateLossOptions(options).ok());
}

double GroupLoss::Compute(const float* scores, const float* log_q, size_t n,
                          float* gradient) const {
  const uint32_t hard_negatives = options_.hard_negatives;
  return hard_negatives > 0 && hard_negatives < n
             ? ComputeHardest(scores, log_q, n, gradient)
             : ComputeAll(scores, log_q, n, gradient);
}

double GroupLoss::ComputeHardest(const float* scores, const float* log_q,
                                 size_t n, float* gradient) const {
  thread_local HardestScratch scratch;
  const size_t kept = options_.hard_negatives;
  scratch.keys.resize(n);
  for (size_t j = 0; j < n; ++j) {
    const auto place = static_cast<uint32_t>(1 + j);
    scratch.keys[j] = HardnessKey(scores[place], place);
  }
  SelectGreatest(scratch.keys.data(), n, kept);
  // Sums go in the order of the draws, whatever the selection left.
  std::sort(scratch.keys.begin(),
            scratch.keys.begin() + static_cast<std::ptrdiff_t>(kept),
            [](uint64_t a, uint64_t b) {
              return FromRankKey(a).row < FromRankKey(b).row;
            });

  scratch.scores.assign({scores[0]});
  scratch.log_q.clear();
  if (log_q != nullptr) scratch.log_q.push_back(log_q[0]);
  for (size_t j = 0; j < kept; ++j) {
    const uint32_t place = FromRankKey(scratch.keys[j]).row;
    scratch.scores.push_back(scores[place]);
    if (log_q != nullptr) scratch.log_q.push_back(log_q[place]);
  }
  scratch.gradient.resize(1 + kept);
  const double loss = ComputeAll(
      scratch.scores.data(), log_q != nullptr ? scratch.log_q.data() : nullptr,
      kept, scratch.gradient.data());

  std::fill_n(gradient, 1 + n, 0.0F);
  gradient[0] = scratch.gradient[0];
  for (size_t j = 0; j < kept; ++j) {
    gradient[FromRankKey(scratch.keys[j]).row] = scratch.gradient[1 + j];
  }
  return loss;
}

double GroupLoss::ComputeAll(const float* scores, const float* log_q, size_t n,
                             float* gradient) const {
  switch (options_.kind) {
    case LossKind::kBpr:
    case LossKind::kHinge:
      return ComputePairwise(scores, n, gradient);
    case LossKind::kBce:
    case LossKind::kGbce:
    case LossKind::kSquare:
      return ComputePointwise(scores, n, gradient);
    case LossKind::kCcl:
      return ComputeCcl(scores, n, gradient);
    case LossKind::kSoftmax:
      return ComputeSoftmaxLoss(scores, log_q, n, gradient);
    case LossKind::kWarp:
      break;
  }
  return ComputeWarp(scores, n, gradient);
}

double GroupLoss::ComputePairwise(const float* scores, size_t n,
                                  float* gradient) const {
  const bool is_hinge = options_.kind == LossKind::kHinge;
  TermSpec spec;
  spec.term = is_hinge ? Term::kRelu : Term::kSoftplus;
  spec.center = scores[0];
  spec.margin = is_hinge ? static_cast<float>(options_.margin) : 0.0F;
  const TermSums sums = SumTerms(spec, scores + 1, n, gradient + 1);
  const auto count = static_cast<double>(std::max<size_t>(sums.count, 1));
  gradient[0] = static_cast<float>(-sums.slopes / count);
  return sums.values / count;
}

double GroupLoss::ComputePointwise(const float* scores, size_t n,
                                   float* gradient) const {
  const bool is_square = options_.kind == LossKind::kSquare;
  TermSpec spec;
  spec.term = is_square ? Term::kSquare : Term::kSoftplus;
  spec.weight = static_cast<float>(options_.negative_weight);
  spec.num_others = 1;
  const TermSums sums = SumTerms(spec, scores + 1, n, gradient + 1);
  const auto count = static_cast<double>(1 + sums.count);

  const double s = scores[0];
  Point positive{(1 - s) * (1 - s), 2 * (s - 1)};
  if (!is_square) {
    const Point at = SoftplusAt(-s);
    const double power = PositivePower(sums.count);
    positive = {power * at.value, -power * at.slope};
  }
  gradient[0] = static_cast<float>(positive.slope / count);
  return (positive.value + options_.negative_weight * sums.values) / count;
}

double GroupLoss::PositivePower(size_t n) const {
  if (options_.kind != LossKind::kGbce || options_.num_items < 2) return 1;
  const double sampled =
      std::min(1.0, static_cast<double>(n) /
                        static_cast<double>(options_.num_items - 1));
  return 1 - options_.calibration * (1 - sampled);
}

double GroupLoss::ComputeCcl(const float* scores, size_t n,
                             float* gradient) const {
  TermSpec spec;
  spec.term = Term::kRelu;
  spec.center = static_cast<float>(options_.margin);
  spec.weight = static_cast<float>(options_.negative_weight);
  const TermSums sums = SumTerms(spec, scores + 1, n, gradient + 1);
  const auto count = static_cast<double>(std::max<size_t>(sums.count, 1));
  gradient[0] = -1;
  return 1 - static_cast<double>(scores[0]) +
         options_.negative_weight * sums.values / count;
}

double GroupLoss::ComputeSoftmaxLoss(const float* scores, const float* log_q,
                                     size_t n, float* gradient) const {
  SoftmaxSpec spec;
  spec.positive = scores[0];
  spec.inverse_temperature = static_cast<float>(1 / options_.temperature);
  if (log_q != nullptr) spec.log_q_positive = log_q[0];
  const SoftmaxLoss result =
      ComputeSoftmax(spec, scores + 1, log_q != nullptr ? log_q + 1 : nullptr,
                     n, gradient + 1);
  gradient[0] = result.d_positive;
  return result.loss;
}

double GroupLoss::ComputeWarp(const float* scores, size_t n,
                              float* gradient) const {
  std::fill_n(gradient, 1 + n, 0.0F);
  const double s = scores[0];
  uint64_t num_draws = 0;
  for (size_t j = 1; j <= n; ++j) {
    if (scores[j] == -kInfinity) continue;
    ++num_draws;
    const double violation = options_.margin - s + scores[j];
    if (violation <= 0) continue;
    const double weight = Harmonic((options_.num_items - 1) / num_draws);
    gradient[0] = static_cast<float>(-weight);
    gradient[j] = static_cast<float>(weight);
    return weight * violation;
  }
  return 0;
}

}  // namespace neumf
