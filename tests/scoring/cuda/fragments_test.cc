// Products of matrices that are spread over the lanes of a warp.

#include "scoring/cuda/device/fragments.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "scoring/cuda/device/half.h"
#include "tests/support/gpu_emulator/run_grid.h"
#include "tests/support/status_matchers.h"

namespace neumf::cuda {
namespace {

constexpr uint32_t kRows = 16;
constexpr uint32_t kColumns = 8;

// A matrix of small whole numbers, all of whose sums are exact.
struct Matrix {
  Matrix(uint32_t num_rows, uint32_t num_columns, int seed)
      : rows(num_rows),
        columns(num_columns),
        values(size_t{num_rows} * num_columns) {
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] =
          static_cast<float>((static_cast<int>(i) * 37 + seed) % 19 - 9);
    }
  }
  float& at(Place place) { return values[place.row * columns + place.column]; }
  float at(Place place) const {
    return values[place.row * columns + place.column];
  }

  uint32_t rows;
  uint32_t columns;
  std::vector<float> values;
};

// c += a b, in three loops.
void Accumulate(const Matrix& a, const Matrix& b, Matrix& c) {
  for (uint32_t row = 0; row < c.rows; ++row) {
    for (uint32_t column = 0; column < c.columns; ++column) {
      for (uint32_t k = 0; k < a.columns; ++k) {
        c.at({row, column}) += a.at({row, k}) * b.at({k, column});
      }
    }
  }
}

uint32_t WordOfA(const Matrix& a, uint32_t lane, uint32_t word) {
  return PackHalves(a.at(PlaceInA(lane, word, 0)),
                    a.at(PlaceInA(lane, word, 1)));
}
uint32_t WordOfB(const Matrix& b, uint32_t lane, uint32_t word) {
  return PackHalves(b.at(PlaceInB(lane, word, 0)),
                    b.at(PlaceInB(lane, word, 1)));
}
void LoadC(const Matrix& c, uint32_t lane, float (&held)[4]) {
  for (uint32_t i = 0; i < 4; ++i) held[i] = c.at(PlaceInC(lane, i));
}

struct WarpKernel {
  static constexpr uint32_t kThreads = kLanes;
  static constexpr uint32_t kMinBlocks = 1;
  absl::FunctionRef<void(EmulatedThread&)> body;
  void operator()(EmulatedThread& thread) const { body(thread); }
};

void RunWarp(absl::FunctionRef<void(EmulatedThread&)> body,
             MmaSums sums = MmaSums::kRoundedOnce) {
  EmulationOptions options;
  options.sums = sums;
  NEUMF_EXPECT_OK(RunGrid({}, WarpKernel{body}, options));
}

constexpr MmaSums kAllSums[] = {MmaSums::kRoundedOnce, MmaSums::kCut,
                                MmaSums::kAligned};

TEST(FragmentsTest, EveryElementLiesInOnePlace) {
  using Places = std::set<std::pair<uint32_t, uint32_t>>;
  Places a;
  Places b;
  Places c;
  const auto put = [](Places& places, Place place) {
    EXPECT_TRUE(places.emplace(place.row, place.column).second);
  };
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    for (uint32_t half = 0; half < 2; ++half) {
      for (uint32_t word = 0; word < 4; ++word)
        put(a, PlaceInA(lane, word, half));
      for (uint32_t word = 0; word < 2; ++word)
        put(b, PlaceInB(lane, word, half));
    }
    for (uint32_t i = 0; i < 4; ++i) put(c, PlaceInC(lane, i));
  }
  EXPECT_EQ(*a.rbegin(), std::make_pair(15U, 15U));
  EXPECT_EQ(*b.rbegin(), std::make_pair(15U, 7U));
  EXPECT_EQ(*c.rbegin(), std::make_pair(15U, 7U));
}

// Literal examples from the PTX ISA's pictures, so that a mistake in the maps is
// not one of the tests, too.
TEST(FragmentsTest, ElementsLieWhereThePicturesOfThePtxIsaHaveThem) {
  const auto expect_at = [](Place place, uint32_t row, uint32_t column) {
    EXPECT_EQ(place.row, row);
    EXPECT_EQ(place.column, column);
  };
  expect_at(PlaceInA(0, 0, 0), 0, 0);     // T0: a0
  expect_at(PlaceInA(3, 0, 1), 0, 7);     // T3: a1
  expect_at(PlaceInA(0, 1, 0), 8, 0);     // T0: a2
  expect_at(PlaceInA(0, 2, 1), 0, 9);     // T0: a5
  expect_at(PlaceInA(31, 3, 1), 15, 15);  // T31: a7
  expect_at(PlaceInB(1, 0, 0), 2, 0);     // T1: b0
  expect_at(PlaceInB(4, 0, 1), 1, 1);     // T4: b1
  expect_at(PlaceInB(3, 1, 1), 15, 0);    // T3: b3
  expect_at(PlaceInC(0, 1), 0, 1);        // T0: c1
  expect_at(PlaceInC(28, 2), 15, 0);      // T28: c2
}

// `multiply`(thread, a, b, acc) adds a b, of `depth` columns and rows, to acc.
template <typename Multiply>
void ExpectAddsTheProduct(uint32_t depth, const Multiply& multiply) {
  const Matrix a(kRows, depth, 3);
  const Matrix b(depth, kColumns, 5);
  const Matrix start(kRows, kColumns, 7);
  Matrix expected = start;
  Accumulate(a, b, expected);
  for (const MmaSums sums : kAllSums) {
    RunWarp(
        [&](EmulatedThread& thread) {
          float acc[4];
          LoadC(start, thread.lane(), acc);
          multiply(thread, a, b, acc);
          for (uint32_t i = 0; i < 4; ++i) {
            EXPECT_EQ(acc[i], expected.at(PlaceInC(thread.lane(), i)));
          }
        },
        sums);
  }
}

TEST(FragmentsTest, Mma16AddsTheProduct) {
  ExpectAddsTheProduct(16, [](EmulatedThread& thread, const Matrix& a,
                              const Matrix& b, float(&acc)[4]) {
    const uint32_t lane = thread.lane();
    thread.Mma16(acc,
                 {WordOfA(a, lane, 0), WordOfA(a, lane, 1), WordOfA(a, lane, 2),
                  WordOfA(a, lane, 3)},
                 {WordOfB(b, lane, 0), WordOfB(b, lane, 1)});
  });
}

TEST(FragmentsTest, Mma8AddsTheProduct) {
  ExpectAddsTheProduct(8, [](EmulatedThread& thread, const Matrix& a,
                             const Matrix& b, float(&acc)[4]) {
    const uint32_t lane = thread.lane();
    thread.Mma8(acc, {WordOfA(a, lane, 0), WordOfA(a, lane, 1)},
                WordOfB(b, lane, 0));
  });
}

TEST(FragmentsTest, SumsOfTwoProductsAreTheAFragmentOfTheNext) {
  // Two C matrices side by side are the A of a k16 step.
  const Matrix wide(kRows, 16, 3);
  const Matrix b(16, kColumns, 5);
  Matrix expected(kRows, kColumns, 0);
  expected.values.assign(expected.values.size(), 0.0F);
  Accumulate(wide, b, expected);
  RunWarp([&](EmulatedThread& thread) {
    const uint32_t lane = thread.lane();
    float left[4];
    float right[4];
    for (uint32_t i = 0; i < 4; ++i) {
      const Place at = PlaceInC(lane, i);
      left[i] = wide.at(at);
      right[i] = wide.at({at.row, at.column + 8});
    }
    float acc[4] = {};
    thread.Mma16(
        acc,
        {PackHalves(left[0], left[1]), PackHalves(left[2], left[3]),
         PackHalves(right[0], right[1]), PackHalves(right[2], right[3])},
        {WordOfB(b, lane, 0), WordOfB(b, lane, 1)});
    for (uint32_t i = 0; i < 4; ++i) {
      EXPECT_EQ(acc[i], expected.at(PlaceInC(lane, i)));
    }
  });
}

// thread.h's order of a wide b: [kSteps, kOuts, 2 halves of a step, 8 columns,
// 8 rows].
std::vector<uint16_t> CoreMatrices(const Matrix& b, uint32_t steps,
                                   uint32_t outs) {
  std::vector<uint16_t> halves;
  for (uint32_t eight_rows = 0; eight_rows < 2 * steps * outs; ++eight_rows) {
    const uint32_t row = (eight_rows / 2 / outs * 2 + eight_rows % 2) * 8;
    const uint32_t column = eight_rows / 2 % outs * 8;
    for (uint32_t i = 0; i < 64; ++i) {
      halves.push_back(HalfBits(b.at({row + i % 8, column + i / 8})));
    }
  }
  return halves;
}

template <uint32_t kOuts, uint32_t kSteps>
struct WideProduct {
  static constexpr uint32_t kThreads = 4 * kLanes;
  static constexpr uint32_t kMinBlocks = 1;
  const Matrix& a;
  const Matrix& expected;
  const std::vector<uint16_t>& b;

  void operator()(EmulatedThread& thread) const {
    auto* const shared = reinterpret_cast<uint16_t*>(thread.shared());
    for (size_t i = thread.thread(); i < b.size(); i += kThreads) {
      shared[i] = b[i];
    }
    thread.PublishShared();
    thread.SyncBlock();
    float acc[kOuts][4] = {};
    uint32_t words[kSteps][4];
    for (uint32_t s = 0; s < kSteps; ++s) {
      for (uint32_t word = 0; word < 4; ++word) {
        const Place at = PlaceInA(thread.lane(), word, 0);
        const Place place = {16 * thread.warp() + at.row, 16 * s + at.column};
        words[s][word] =
            PackHalves(a.at(place), a.at({place.row, place.column + 1}));
      }
    }
    thread.WideMma(acc, words, reinterpret_cast<const uint32_t*>(shared));
    for (uint32_t n = 0; n < kOuts; ++n) {
      for (uint32_t i = 0; i < 4; ++i) {
        const Place at = PlaceInC(thread.lane(), i);
        EXPECT_EQ(acc[n][i], expected.at({16 * thread.warp() + at.row,
                                          8 * n + at.column}));
      }
    }
  }
};

template <uint32_t kOuts, uint32_t kSteps>
void ExpectWideMmaAddsTheProduct() {
  const Matrix a(64, 16 * kSteps, 3);
  const Matrix b(16 * kSteps, 8 * kOuts, 5);
  Matrix expected(64, 8 * kOuts, 0);
  expected.values.assign(expected.values.size(), 0.0F);
  Accumulate(a, b, expected);
  const std::vector<uint16_t> halves = CoreMatrices(b, kSteps, kOuts);
  const auto bytes = static_cast<uint32_t>(sizeof(uint16_t) * halves.size());
  NEUMF_EXPECT_OK(
      RunGrid({1, bytes}, WideProduct<kOuts, kSteps>{a, expected, halves}));
}

TEST(FragmentsTest, WideMmaAddsTheProduct) {
  ExpectWideMmaAddsTheProduct<2, 1>();
  ExpectWideMmaAddsTheProduct<4, 3>();
  ExpectWideMmaAddsTheProduct<8, 2>();
}

// The first of 2^24, which takes all of a float, and many that are too small.
float SumOfSmallTerms(MmaSums sums) {
  float sum = 0;
  RunWarp(
      [&](EmulatedThread& thread) {
        float acc[4] = {0x1p24F, 0, 0, 0};
        const uint32_t ones = PackHalves(1, 1);
        const uint32_t small = PackHalves(0.75F, 0.75F);
        thread.Mma16(acc, {ones, ones, ones, ones}, {small, small});
        if (thread.lane() == 0) sum = acc[0];
      },
      sums);
  return sum;
}

TEST(FragmentsTest, WorseSumsLoseSmallTerms) {
  EXPECT_EQ(SumOfSmallTerms(MmaSums::kRoundedOnce), 0x1p24F + 12);
  EXPECT_EQ(SumOfSmallTerms(MmaSums::kCut), 0x1p24F);
  EXPECT_EQ(SumOfSmallTerms(MmaSums::kAligned), 0x1p24F);
}

// The error of the first sum of a product of halves of all magnitudes, in units
// of the last place of its greatest term.
double ErrorInPlaces(uint32_t seed, MmaSums sums) {
  std::mt19937 random(seed);
  const auto draw = [&] {
    const uint32_t bits = random();
    return FloatOfHalf(
        static_cast<uint16_t>((bits & 0x8000) | (bits >> 16) % 0x7000));
  };
  Matrix a(kRows, 16, 0);
  Matrix b(16, kColumns, 0);
  for (float& value : a.values) value = draw();
  for (float& value : b.values) value = draw();
  const float start = draw();
  double exact = start;
  double greatest = std::fabs(exact);
  for (uint32_t k = 0; k < 16; ++k) {
    const double term = static_cast<double>(a.at({0, k})) * b.at({k, 0});
    exact += term;
    greatest = std::max(greatest, std::fabs(term));
  }
  double error = 0;
  RunWarp(
      [&](EmulatedThread& thread) {
        const uint32_t lane = thread.lane();
        float acc[4] = {start, 0, 0, 0};
        thread.Mma16(acc,
                     {WordOfA(a, lane, 0), WordOfA(a, lane, 1),
                      WordOfA(a, lane, 2), WordOfA(a, lane, 3)},
                     {WordOfB(b, lane, 0), WordOfB(b, lane, 1)});
        if (lane == 0) error = std::fabs(acc[0] - exact);
      },
      sums);
  return error / std::ldexp(1, std::ilogb(greatest) - 23);
}

TEST(FragmentsTest, NoSumIsWorseThanItsTermsCutOnce) {
  std::map<MmaSums, double> worst;
  for (const MmaSums sums : kAllSums) {
    for (uint32_t seed = 0; seed < 200; ++seed) {
      worst[sums] = std::max(worst[sums], ErrorInPlaces(seed, sums));
    }
  }
  // The sum itself has up to 5 bits more than its greatest term.
  EXPECT_LE(worst[MmaSums::kRoundedOnce], 16);
  EXPECT_LE(worst[MmaSums::kCut], 16 * 17);
  EXPECT_LE(worst[MmaSums::kAligned], 17 + 16);
  EXPECT_GT(worst[MmaSums::kCut], worst[MmaSums::kRoundedOnce]);
  EXPECT_GT(worst[MmaSums::kAligned], 2 * worst[MmaSums::kRoundedOnce]);
}

TEST(FragmentsTest, InfinitiesAndNanGoThroughProducts) {
  for (const MmaSums sums : kAllSums) {
    RunWarp(
        [](EmulatedThread& thread) {
          const uint32_t infinities = 0x7C007C00;
          const uint32_t ones = PackHalves(1, 1);
          float acc[4] = {};
          thread.Mma8(acc, {infinities, ones}, ones);
          EXPECT_EQ(acc[0], INFINITY);
          EXPECT_EQ(acc[2], 8);
          thread.Mma8(acc, {infinities, ones}, 0);
          EXPECT_TRUE(std::isnan(acc[1]));
        },
        sums);
  }
}

TEST(FragmentsTest, AddReluRoundsOnceAndKeepsNan) {
  RunWarp([](EmulatedThread& thread) {
    EXPECT_EQ(thread.AddRelu(PackHalves(1, -3), PackHalves(2, 1)),
              PackHalves(3, 0));
    // 2048 and 1 tie between 2048 and 2050, 2050 and 1 between 2050 and 2052.
    EXPECT_EQ(thread.AddRelu(PackHalves(2048, 2050), PackHalves(1, 1)),
              PackHalves(2048, 2052));
    EXPECT_EQ(thread.AddRelu(PackHalves(65504, 0x1p-24F),
                             PackHalves(65504, 0x1p-24F)),
              PackHalves(INFINITY, 0x1p-23F));
    EXPECT_EQ(thread.AddRelu(PackHalves(NAN, -0.0F), PackHalves(1, -0.0F)),
              PackHalves(NAN, 0));
  });
}

TEST(FragmentsTest, PackReluRoundsToTheNearestAndKeepsNan) {
  RunWarp([](EmulatedThread& thread) {
    EXPECT_EQ(thread.PackRelu(2049, -1), PackHalves(2048, 0));
    EXPECT_EQ(thread.PackRelu(-INFINITY, NAN), PackHalves(0, NAN));
    EXPECT_EQ(thread.PackRelu(-0.0F, 65520), PackHalves(0, INFINITY));
  });
}

TEST(FragmentsTest, FmaRoundsOnce) {
  RunWarp([](EmulatedThread& thread) {
    EXPECT_EQ(thread.Fma(1 + 0x1p-23F, 1 - 0x1p-23F, -1), -0x1p-46F);
  });
}

TEST(FragmentsTest, AUsersTowerWordsMeetTheColumnsOfA) {
  constexpr uint32_t kWidth = 64;
  std::vector<uint32_t> pair_of_word(kWidth / 2);
  for (uint32_t p = 0; p < kWidth / 2; ++p) {
    pair_of_word[UserTowerWord(p)] = p;
  }
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    for (uint32_t step = 0; step < kWidth / 16; ++step) {
      for (uint32_t word = 0; word < 4; ++word) {
        // Of the lane's words, read four at a time.
        const uint32_t own = 2 * step + word / 2;
        const uint32_t four = own / 4 * 4 + lane % 4;
        EXPECT_EQ(2 * pair_of_word[4 * four + own % 4],
                  16 * step + PlaceInA(lane, word, 0).column);
      }
    }
  }
}

}  // namespace
}  // namespace neumf::cuda
