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

// Towards zero. `value` within the range of floats, as sums of products of
// halves and floats far from the largest are.
float CutToFloat(double value) {
  const auto nearest = static_cast<float>(value);
  return std::fabs(static_cast<double>(nearest)) > std::fabs(value)
             ? FloatOfBits(BitsOfFloat(nearest) - 1)
             : nearest;
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
  // In units of the last place every term is a whole number below 2^24.
  const double unit = std::ldexp(1.0, std::ilogb(greatest) - kFractionBits);
  const auto cut = [unit](double term) {
    return static_cast<int64_t>(term / unit);
  };
  int64_t sum = cut(start);
  for (uint32_t i = 0; i < count; ++i) sum += cut(terms[i]);
  return CutToFloat(static_cast<double>(sum) * unit);
}

// Row-major. As doubles, which are only wider.
struct Matrices {
  double a[kRows * kMaxDepth];
  alignas(64) double b[kMaxDepth * kColumns];
  alignas(64) double c[kRows * kColumns];
};

// Where in Matrices each lane's halves and floats lie, by fragments.h: half h of
// word w as number 2 w + h. The same for both depths, of which the smaller one
// has fewer words.
struct Places {
  uint8_t a[kLanes][8];
  uint8_t b[kLanes][4];
  uint8_t c[kLanes][4];
};

constexpr Places MakePlaces() {
  Places places{};
  const auto index = [](Place at, uint32_t columns) {
    return static_cast<uint8_t>(at.row * columns + at.column);
  };
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    for (uint32_t i = 0; i < 8; ++i) {
      places.a[lane][i] = index(PlaceInA(lane, i / 2, i % 2), kMaxDepth);
    }
    for (uint32_t i = 0; i < 4; ++i) {
      places.b[lane][i] = index(PlaceInB(lane, i / 2, i % 2), kColumns);
      places.c[lane][i] = index(PlaceInC(lane, i), kColumns);
    }
  }
  return places;
}
constexpr Places kPlaces = MakePlaces();

// All lanes' words as halves: of word w of lane l numbers 2 (kWords l + w) and
// the next. First copied side by side, so that the compiler makes it fast.
template <uint32_t kWords>
void Unpack(const Lanes& lanes, const uint32_t* Operation::*operand,
            float (&halves)[2 * kWords * kLanes]) {
  uint32_t words[kWords * kLanes];
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    std::copy_n(lanes[lane]->*operand, kWords, words + kWords * lane);
  }
  for (uint32_t i = 0; i < kWords * kLanes; ++i) {
    halves[2 * i] = LowHalf(words[i]);
    halves[2 * i + 1] = HighHalf(words[i]);
  }
}

template <uint32_t kDepth>
void Gather(const Lanes& lanes, Matrices& m) {
  constexpr uint32_t kHalvesOfA = kDepth / 2;  // of a lane
  constexpr uint32_t kHalvesOfB = kDepth / 4;
  float a[kHalvesOfA * kLanes];
  float b[kHalvesOfB * kLanes];
  Unpack<kHalvesOfA / 2>(lanes, &Operation::a, a);
  Unpack<kHalvesOfB / 2>(lanes, &Operation::b, b);
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    for (uint32_t i = 0; i < kHalvesOfA; ++i) {
      m.a[kPlaces.a[lane][i]] = a[kHalvesOfA * lane + i];
    }
    for (uint32_t i = 0; i < kHalvesOfB; ++i) {
      m.b[kPlaces.b[lane][i]] = b[kHalvesOfB * lane + i];
    }
    for (uint32_t i = 0; i < 4; ++i) {
      m.c[kPlaces.c[lane][i]] = lanes[lane]->acc[i];
    }
  }
}

// c += a b, an element at a time.
template <uint32_t kDepth>
void MultiplyRounded(MmaSums sums, Matrices& m) {
  for (uint32_t row = 0; row < kRows; ++row) {
    for (uint32_t column = 0; column < kColumns; ++column) {
      double& c = m.c[row * kColumns + column];
      double terms[kDepth];
      bool finite = std::isfinite(c);
      for (uint32_t k = 0; k < kDepth; ++k) {
        terms[k] = m.a[row * kMaxDepth + k] * m.b[k * kColumns + column];
        finite = finite && std::isfinite(terms[k]);
      }
      const auto start = static_cast<float>(c);
      c = !finite                 ? SumRoundedOnce(start, terms, kDepth)
          : sums == MmaSums::kCut ? SumCut(start, terms, kDepth)
                                  : SumAligned(start, terms, kDepth);
    }
  }
}

// Two columns of a row, which every machine adds at once.
using Pair = double __attribute__((vector_size(2 * sizeof(double)), may_alias));
constexpr uint32_t kPairs = kColumns / 2;

// The same for kRoundedOnce, a row at a time; rounded by who takes the sums.
template <uint32_t kDepth>
void MultiplyFast(Matrices& m) {
  const auto* const b = reinterpret_cast<const Pair*>(m.b);
  auto* const c = reinterpret_cast<Pair*>(m.c);
  for (uint32_t row = 0; row < kRows; ++row) {
    Pair sums[kPairs];
    for (uint32_t n = 0; n < kPairs; ++n) sums[n] = c[row * kPairs + n];
    for (uint32_t k = 0; k < kDepth; ++k) {
      const double a = m.a[row * kMaxDepth + k];
      for (uint32_t n = 0; n < kPairs; ++n) sums[n] += a * b[k * kPairs + n];
    }
    for (uint32_t n = 0; n < kPairs; ++n) c[row * kPairs + n] = sums[n];
  }
}

template <uint32_t kDepth>
void Multiply(const Lanes& lanes, MmaSums sums) {
  Matrices m;
  Gather<kDepth>(lanes, m);
  if (sums == MmaSums::kRoundedOnce) {
    MultiplyFast<kDepth>(m);
  } else {
    MultiplyRounded<kDepth>(sums, m);
  }
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    for (uint32_t i = 0; i < 4; ++i) {
      lanes[lane]->acc[i] = static_cast<float>(m.c[kPlaces.c[lane][i]]);
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
      Multiply<16>(lanes, sums);
      return true;
    case Operation::Kind::kMma8:
      Multiply<8>(lanes, sums);
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
