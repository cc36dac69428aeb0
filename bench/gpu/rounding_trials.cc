#include "bench/gpu/rounding_trials.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "scoring/cuda/device/fragments.h"
#include "scoring/cuda/device/half.h"
#include "scoring/cuda/device/thread.h"
#include "scoring/cuda/kernels/error_bound.h"

namespace neumf::cuda {
namespace {

constexpr uint32_t kRows = 16;
constexpr uint32_t kColumns = 8;

// The numbers of one problem, row-major.
struct Problem {
  std::vector<float> a;    // [tiles * 16, k]
  std::vector<float> b;    // [k, outs * 8]
  std::vector<float> acc;  // [tiles * 16, outs * 8]
};

// Draws the numbers of problems, each of one of several kinds.
class Drawer {
 public:
  Drawer(const ProductForm& form, uint64_t seed) : form_(form), random_(seed) {}

  Problem Draw() {
    // How far apart terms are, in powers of two; 30 is what halves leave.
    constexpr int kSpreads[] = {0, 1, 3, 11, 20, 22, 23, 24, 25, 26, 28, 30};
    spread_ = kSpreads[random_() % std::size(kSpreads)];
    one_sign_ = Chance(3);
    full_mantissas_ = Chance(3);
    Problem problem;
    const size_t rows = size_t{form_.tiles} * kRows;
    problem.a.resize(rows * form_.k);
    problem.b.resize(size_t{form_.k} * Width());
    problem.acc.resize(rows * Width());
    if (Chance(20)) {  // nothing to add
      for (float& value : problem.acc) value = Number(0);
      for (float& value : problem.b) value = Number(0);
      return problem;
    }
    FillFactors(&problem);
    if (Chance(2)) Cancel(&problem);
    const bool has_sum = !Chance(3);
    for (float& value : problem.acc) value = has_sum ? Sum() : 0;
    return problem;
  }

 private:
  uint32_t Width() const { return form_.outs * kColumns; }
  bool Chance(uint32_t one_in) { return random_() % one_in == 0; }

  // +-1.x * 2^-exponent, a half.
  float Number(int exponent) {
    const uint64_t bits = full_mantissas_ ? 1023 : random_() % 1024;
    const float value = std::ldexp(1.0F + static_cast<float>(bits) / 1024.0F,
                                   -std::min(exponent, 14));
    return !one_sign_ && Chance(2) ? -value : value;
  }
  // Of all bits that a float has.
  float Sum() {
    const auto bits = static_cast<float>(random_() % (1 << 23));
    const auto exponent =
        static_cast<int>(random_() % (static_cast<uint64_t>(spread_) + 1));
    const float value = std::ldexp(1.0F + std::ldexp(bits, -23), 2 - exponent);
    return !one_sign_ && Chance(2) ? -value : value;
  }

  // Term k of every sum is some 2^-exponent; one is at the top.
  void FillFactors(Problem* problem) {
    const uint64_t top = random_() % form_.k;
    for (uint32_t k = 0; k < form_.k; ++k) {
      const auto range = static_cast<uint64_t>(spread_) + 1;
      const int drawn =
          Chance(2) ? spread_ : static_cast<int>(random_() % range);
      const int exponent = k == top ? 0 : drawn;
      for (uint32_t r = 0; r < form_.tiles * kRows; ++r) {
        problem->a[r * form_.k + k] = Number((exponent + 1) / 2);
      }
      for (uint32_t c = 0; c < Width(); ++c) {
        problem->b[k * Width() + c] = Number(exponent / 2);
      }
    }
  }

  // Two terms of every sum become each other's negative.
  void Cancel(Problem* problem) {
    const auto from = static_cast<uint32_t>(random_() % form_.k);
    const auto to =
        static_cast<uint32_t>((from + 1 + random_() % (form_.k - 1)) % form_.k);
    for (uint32_t r = 0; r < form_.tiles * kRows; ++r) {
      problem->a[r * form_.k + to] = -problem->a[r * form_.k + from];
    }
    for (uint32_t c = 0; c < Width(); ++c) {
      problem->b[to * Width() + c] = problem->b[from * Width() + c];
    }
  }

  const ProductForm form_;
  std::mt19937_64 random_;
  int spread_ = 0;
  bool one_sign_ = false;
  bool full_mantissas_ = false;
};

void AppendA(const ProductForm& form, const Problem& problem,
             std::vector<uint32_t>* to) {
  for (uint32_t tile = 0; tile < form.tiles; ++tile) {
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      for (uint32_t word = 0; word < form.k / 4; ++word) {
        float halves[2];
        for (uint32_t half = 0; half < 2; ++half) {
          const Place place = PlaceInA(lane, word, half);
          halves[half] =
              problem.a[(tile * kRows + place.row) * form.k + place.column];
        }
        to->push_back(PackHalves(halves[0], halves[1]));
      }
    }
  }
}

void AppendBFragments(const ProductForm& form, const Problem& problem,
                      std::vector<uint32_t>* to) {
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    for (uint32_t word = 0; word < form.k / 8; ++word) {
      const Place low = PlaceInB(lane, word, 0);
      const float* const first = &problem.b[low.row * kColumns + low.column];
      to->push_back(PackHalves(first[0], first[kColumns]));
    }
  }
}

// [outs, 2, 8 columns, 8 rows]
void AppendBMatrices(const ProductForm& form, const Problem& problem,
                     std::vector<uint32_t>* to) {
  const uint32_t width = form.outs * kColumns;
  for (uint32_t out = 0; out < form.outs; ++out) {
    for (uint32_t column = 0; column < 2 * kColumns; ++column) {
      for (uint32_t pair = 0; pair < 4; ++pair) {
        const uint32_t row = column / kColumns * 8 + 2 * pair;
        const float* const first =
            &problem.b[row * width + out * kColumns + column % kColumns];
        to->push_back(PackHalves(first[0], first[width]));
      }
    }
  }
}

void AppendSums(const ProductForm& form, const Problem& problem,
                RoundingTrials* to) {
  const uint32_t width = form.outs * kColumns;
  for (uint32_t i = 0; i < form.tiles * form.outs * kLanes * 4; ++i) {
    const Place place = PlaceInC(i / 4 % kLanes, i % 4);
    const uint32_t tile = i / (4 * kLanes) / form.outs;
    const uint32_t out = i / (4 * kLanes) % form.outs;
    const uint32_t row = tile * kRows + place.row;
    const uint32_t column = out * kColumns + place.column;
    const float start = problem.acc[row * width + column];
    // Doubles hold these sums to 2^-50 of their magnitude.
    double exact = start;
    double magnitude = std::fabs(start);
    for (uint32_t k = 0; k < form.k; ++k) {
      const double term =
          double{problem.a[row * form.k + k]} * problem.b[k * width + column];
      exact += term;
      magnitude += std::fabs(term);
    }
    to->acc.push_back(start);
    to->exact.push_back(exact);
    to->magnitude.push_back(magnitude);
    to->stays.push_back(magnitude == std::fabs(start));
  }
}

}  // namespace

RoundingTrials MakeRoundingTrials(const ProductForm& form, uint32_t count,
                                  uint64_t seed) {
  RoundingTrials trials;
  trials.form = form;
  trials.count = count;
  Drawer drawer(form, seed);
  for (uint32_t i = 0; i < count; ++i) {
    const Problem problem = drawer.Draw();
    AppendA(form, problem, &trials.a);
    if (form.b_in_fragments) {
      AppendBFragments(form, problem, &trials.b);
    } else {
      AppendBMatrices(form, problem, &trials.b);
    }
    AppendSums(form, problem, &trials);
  }
  return trials;
}

double WorstRounding(const RoundingTrials& trials) {
  constexpr double kUnit = 0x1p-22;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  double worst = 0;
  for (size_t i = 0; i < trials.acc.size(); ++i) {
    const double error = std::fabs(trials.acc[i] - trials.exact[i]);
    if (std::isnan(error) || (trials.stays[i] && error > 0)) return kInfinity;
    if (trials.magnitude[i] == 0) continue;
    worst = std::max(worst, error / (kUnit * trials.magnitude[i]));
  }
  return worst;
}

double AllowedRounding(const ProductForm& form) {
  return kTensorCoreRounding / 0x1p-22 * (form.k + 1);
}

}  // namespace neumf::cuda
