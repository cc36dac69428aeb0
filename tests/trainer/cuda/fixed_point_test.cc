#include "trainer/cuda/fixed_point.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "trainer/random.h"

namespace neumf::cuda {
namespace {

// A thread that is alone.
struct LoneThread {
  static uint64_t AtomicAdd(uint64_t* cell, uint64_t value) {
    return *cell += value;
  }
  static uint32_t AtomicMax(uint32_t* place, uint32_t value) {
    return *place = std::max(*place, value);
  }
};

class Cell {
 public:
  explicit Cell(const FixedPoint& fixed) : fixed_(fixed) {}

  void Add(float term) { AddUpTo(term, fixed_.example_limit); }
  void AddUpTo(float term, float limit) {
    LoneThread thread;
    AddTerm(thread, fixed_, term, limit, &units_, &out_of_bounds_);
  }

  double sum() const { return SumOf(units_, fixed_.scale); }
  bool is_out_of_bounds() const { return out_of_bounds_ != 0; }

 private:
  const FixedPoint fixed_;
  uint64_t units_ = 0;
  uint32_t out_of_bounds_ = 0;
};

TEST(FixedPointTest, SumsDoNotDependOnTheOrder) {
  Random random(1);
  std::vector<float> terms(1000);
  for (float& term : terms) term = static_cast<float>(random.Normal());
  const FixedPoint fixed = MakeFixedPoint(terms.size(), 8);
  Cell forwards(fixed);
  Cell backwards(fixed);
  double sum = 0;
  for (size_t i = 0; i < terms.size(); ++i) {
    forwards.Add(terms[i]);
    backwards.Add(terms[terms.size() - 1 - i]);
    sum += terms[i];
  }
  EXPECT_EQ(forwards.sum(), backwards.sum());
  EXPECT_NEAR(forwards.sum(), sum, 1e-9);
}

TEST(FixedPointTest, TheLargestSumOfABatchOfAMillionFits) {
  constexpr uint64_t kExamples = (uint64_t{1} << 20) + 1;
  for (const float sign : {1.0F, -1.0F}) {
    Cell cell(MakeFixedPoint(kExamples, 264));
    for (uint64_t i = 0; i < kExamples; ++i) cell.Add(sign * kLargestTerm);
    EXPECT_EQ(cell.sum(), sign * kLargestTerm * static_cast<double>(kExamples));
    EXPECT_FALSE(cell.is_out_of_bounds());
  }
}

TEST(FixedPointTest, TheLargestSumsOfAllBlocksFit) {
  constexpr uint32_t kBlocks = 1001;
  const FixedPoint fixed = MakeFixedPoint(uint64_t{1} << 31, kBlocks);
  Cell cell(fixed);
  for (uint32_t i = 0; i < kBlocks; ++i) {
    cell.AddUpTo(fixed.block_limit, fixed.block_limit);
  }
  EXPECT_EQ(cell.sum(), double{fixed.block_limit} * kBlocks);
}

TEST(FixedPointTest, NotesWhatIsOutOfBoundsAndLeavesItOut) {
  for (const float term :
       {2 * kLargestTerm, -2 * kLargestTerm, INFINITY, std::nanf("")}) {
    Cell cell(MakeFixedPoint(10, 1));
    cell.Add(1);
    EXPECT_FALSE(cell.is_out_of_bounds());
    cell.Add(term);
    EXPECT_TRUE(cell.is_out_of_bounds());
    EXPECT_EQ(cell.sum(), 1);
  }
}

}  // namespace
}  // namespace neumf::cuda
