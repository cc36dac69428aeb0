#include "tests/support/gpu_emulator/warp_operations.h"

#include <algorithm>
#include <cmath>

#include "base/logging.h"
#include "scoring/cuda/device/fragments.h"
#include "scoring/cuda/device/half.h"

namespace neumf::cuda {
namespace {

constexpr uint32_t kRows = 16;
constexpr uint32_t kColumns = 8;
constexpr uint32_t kMaxDepth = 16;

using Lanes = Operation* const[kLanes];

float HalfOf(uint32_t word, uint32_t half) {
  return half == 0 ? LowHalf(word) : HighHalf(word);
}

// Towards zero. `value` within the range of floats, as sums of products of
// halves and floats far from the largest are.
float CutToFloat(double value) {
  const auto nearest = static_cast<float>(value);
  return std::fabs(static_cast<double>(nearest)) > std::fabs(value)
             ? std::nextafter(nearest, 0.0F)
             : nearest;
}

// Cuts `value` to a multiple of 2^place, towards zero.
double CutToPlace(double value, int place) {
  return std::ldexp(std::trunc(std::ldexp(value, -place)), place);
}

float SumRoundedOnce(float start, const double* terms, uint32_t count) {
  double sum = start;
  for (uint32_t i = 0; i < count; ++i) sum += terms[i];
  return static_cast<float>(sum);
}

float SumCut(float start, const double* terms, uint32_t count) {
  float sum = start;
  for (uint32_t i = 0; i < count; ++i) sum = CutToFloat(sum + terms[i]);
  return sum;
}

float SumAligned(float start, const double* terms, uint32_t count) {
  constexpr int kFractionBits = 23;
  double greatest = std::fabs(static_cast<double>(start));
  for (uint32_t i = 0; i < count; ++i) {
    greatest = std::max(greatest, std::fabs(terms[i]));
  }
  if (greatest == 0) return start;
  const int place = std::ilogb(greatest) - kFractionBits;
  double sum = CutToPlace(start, place);
  for (uint32_t i = 0; i < count; ++i) sum += CutToPlace(terms[i], place);
  return CutToFloat(sum);
}

struct Matrices {
  float a[kRows][kMaxDepth];
  float b[kMaxDepth][kColumns];
  float c[kRows][kColumns];
};

void Gather(const Lanes& lanes, uint32_t depth, Matrices& m) {
  const uint32_t b_words = depth / 8;
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    const Operation& held = *lanes[lane];
    for (uint32_t half = 0; half < 2; ++half) {
      for (uint32_t word = 0; word < 2 * b_words; ++word) {
        const Place at = PlaceInA(lane, word, half);
        m.a[at.row][at.column] = HalfOf(held.a[word], half);
      }
      for (uint32_t word = 0; word < b_words; ++word) {
        const Place at = PlaceInB(lane, word, half);
        m.b[at.row][at.column] = HalfOf(held.b[word], half);
      }
    }
    for (uint32_t i = 0; i < 4; ++i) {
      const Place at = PlaceInC(lane, i);
      m.c[at.row][at.column] = held.acc[i];
    }
  }
}

// c += a b, an element at a time.
void MultiplyRounded(uint32_t depth, MmaSums sums, Matrices& m) {
  for (uint32_t row = 0; row < kRows; ++row) {
    for (uint32_t column = 0; column < kColumns; ++column) {
      double terms[kMaxDepth];
      bool finite = std::isfinite(m.c[row][column]);
      for (uint32_t k = 0; k < depth; ++k) {
        terms[k] = static_cast<double>(m.a[row][k]) * m.b[k][column];
        finite = finite && std::isfinite(terms[k]);
      }
      const float start = m.c[row][column];
      m.c[row][column] = !finite || sums == MmaSums::kRoundedOnce
                             ? SumRoundedOnce(start, terms, depth)
                         : sums == MmaSums::kCut
                             ? SumCut(start, terms, depth)
                             : SumAligned(start, terms, depth);
    }
  }
}

// The same for kRoundedOnce, in an order that the compiler makes fast.
void MultiplyFast(uint32_t depth, Matrices& m) {
  for (uint32_t row = 0; row < kRows; ++row) {
    double sums[kColumns];
    for (uint32_t n = 0; n < kColumns; ++n) sums[n] = m.c[row][n];
    for (uint32_t k = 0; k < depth; ++k) {
      const double a = m.a[row][k];
      for (uint32_t n = 0; n < kColumns; ++n) sums[n] += a * m.b[k][n];
    }
    for (uint32_t n = 0; n < kColumns; ++n) {
      m.c[row][n] = static_cast<float>(sums[n]);
    }
  }
}

void Multiply(const Lanes& lanes, uint32_t depth, MmaSums sums) {
  Matrices m;
  Gather(lanes, depth, m);
  if (sums == MmaSums::kRoundedOnce) {
    MultiplyFast(depth, m);
  } else {
    MultiplyRounded(depth, sums, m);
  }
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    for (uint32_t i = 0; i < 4; ++i) {
      const Place at = PlaceInC(lane, i);
      lanes[lane]->acc[i] = m.c[at.row][at.column];
    }
  }
}

uint32_t Ballot(const Lanes& lanes) {
  uint32_t ballot = 0;
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    ballot |= lanes[lane]->value << lane;
  }
  return ballot;
}

void GiveAll(const Lanes& lanes, uint32_t value) {
  for (Operation* const lane : lanes) lane->value = value;
}

bool Shuffle(const Lanes& lanes) {
  uint32_t values[kLanes];
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    const uint32_t from = lanes[lane]->lane;
    if (from >= kLanes) return false;
    values[lane] = lanes[from]->value;
  }
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    lanes[lane]->value = values[lane];
  }
  return true;
}

}  // namespace

bool Execute(Operation* const (&lanes)[kLanes], MmaSums sums) {
  switch (lanes[0]->kind) {
    case Operation::Kind::kSyncWarp:
      return true;
    case Operation::Kind::kAnyInWarp:
      GiveAll(lanes, Ballot(lanes) != 0 ? 1 : 0);
      return true;
    case Operation::Kind::kBallot:
      GiveAll(lanes, Ballot(lanes));
      return true;
    case Operation::Kind::kShuffle:
      return Shuffle(lanes);
    case Operation::Kind::kMma16:
      Multiply(lanes, 16, sums);
      return true;
    case Operation::Kind::kMma8:
      Multiply(lanes, 8, sums);
      return true;
    default:
      NEUMF_CHECK(false);
      return false;
  }
}

const char* NameOf(Operation::Kind kind) {
  switch (kind) {
    case Operation::Kind::kRunning:
      return "nothing";
    case Operation::Kind::kSyncBlock:
      return "SyncBlock";
    case Operation::Kind::kSyncWarp:
      return "SyncWarp";
    case Operation::Kind::kAnyInWarp:
      return "AnyInWarp";
    case Operation::Kind::kBallot:
      return "Ballot";
    case Operation::Kind::kShuffle:
      return "Shuffle";
    case Operation::Kind::kMma16:
      return "Mma16";
    case Operation::Kind::kMma8:
      return "Mma8";
    case Operation::Kind::kWideMma:
      return "WideMma";
    case Operation::Kind::kMisaligned:
      return "a misaligned load";
    case Operation::Kind::kEnd:
      return "the end";
  }
  return "?";
}

}  // namespace neumf::cuda
