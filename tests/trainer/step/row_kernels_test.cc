#include "trainer/step/row_kernels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "hwy/targets.h"
#include "trainer/random.h"

namespace neumf {
namespace {

using Values = std::vector<float>;

constexpr Activation kActivations[] = {Activation::kRelu, Activation::kTanh,
                                       Activation::kSigmoid};

// Each instruction set that this machine has.
class RowKernelsTest : public testing::TestWithParam<int64_t> {
 protected:
  RowKernelsTest() { hwy::SetSupportedTargetsForTest(GetParam()); }
  ~RowKernelsTest() override { hwy::SetSupportedTargetsForTest(0); }

  Values Normal(size_t count) {
    Values values(count);
    for (float& value : values) value = static_cast<float>(random_.Normal());
    return values;
  }

  // Calls test(groups, group_size, width) for sizes around those of vectors.
  template <class Test>
  void ForSizes(const Test& test) {
    for (const size_t width : {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64}) {
      for (const size_t group_size : {1, 2, 5, 37}) {
        SCOPED_TRACE(absl::StrCat("width ", width, ", groups of ", group_size));
        test(size_t{3}, group_size, width);
      }
    }
  }

  static void ExpectNear(const Values& actual, const Values& expected) {
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < actual.size(); ++i) {
      ASSERT_NEAR(actual[i], expected[i], 3e-5 * (1 + std::abs(expected[i])))
          << "at " << i;
    }
  }

  Random random_{1};
};

double Activate(Activation activation, double x) {
  if (activation == Activation::kRelu) return std::max(x, 0.0);
  return activation == Activation::kTanh ? std::tanh(x)
                                         : 1 / (1 + std::exp(-x));
}

// act'(x) from y = act(x).
double Slope(Activation activation, double y) {
  if (activation == Activation::kRelu) return y > 0 ? 1 : 0;
  return activation == Activation::kTanh ? 1 - y * y : y * (1 - y);
}

TEST_P(RowKernelsTest, MultiplyRows) {
  ForSizes([&](size_t rows, size_t, size_t width) {
    const Values a = Normal(rows * width);
    const Values b = Normal(width);
    Values out(a.size());
    MultiplyRows(a.data(), b.data(), rows, width, out.data());
    Values expected(a.size());
    for (size_t i = 0; i < a.size(); ++i) expected[i] = a[i] * b[i % width];
    ExpectNear(out, expected);
  });
}

TEST_P(RowKernelsTest, Products) {
  ForSizes([&](size_t groups, size_t group_size, size_t width) {
    const size_t rows = groups * group_size;
    const Values user = Normal(groups * width);
    const Values item = Normal(rows * width);
    const Values d_scores = Normal(rows);
    Values scores = Normal(rows);
    Values expected = scores;
    Values d_user(user.size(), 9);
    Values d_item(item.size(), 9);
    Values expected_user(user.size());
    Values expected_item(item.size());
    for (size_t n = 0; n < rows; ++n) {
      for (size_t c = 0; c < width; ++c) {
        const size_t u = n / group_size * width + c;
        const size_t i = n * width + c;
        expected[n] += user[u] * item[i];
        expected_user[u] += d_scores[n] * item[i];
        expected_item[i] = d_scores[n] * user[u];
      }
    }
    AddProductScores(user.data(), item.data(), groups, group_size, width,
                     scores.data());
    ExpectNear(scores, expected);
    ProductGradient(user.data(), item.data(), d_scores.data(), groups,
                    group_size, width, d_user.data(), d_item.data());
    ExpectNear(d_user, expected_user);
    ExpectNear(d_item, expected_item);
  });
}

TEST_P(RowKernelsTest, ShiftAndActivate) {
  ForSizes([&](size_t groups, size_t group_size, size_t width) {
    for (const Activation activation : kActivations) {
      const Values shift = Normal(groups * width);
      const Values from = Normal(groups * group_size * width);
      Values expected(from.size());
      for (size_t i = 0; i < from.size(); ++i) {
        const size_t group = i / width / group_size;
        expected[i] = static_cast<float>(Activate(
            activation, double{from[i]} + shift[group * width + i % width]));
      }
      Values x(from.size(), 9);
      ShiftAndActivate(from.data(), shift.data(), groups, group_size, width,
                       activation, x.data());
      ExpectNear(x, expected);
      Values in_place = from;
      ShiftAndActivate(in_place.data(), shift.data(), groups, group_size, width,
                       activation, in_place.data());
      EXPECT_EQ(in_place, x);
    }
  });
}

TEST_P(RowKernelsTest, ActivationGradient) {
  constexpr float kScale = 0.75F;
  ForSizes([&](size_t, size_t rows, size_t width) {
    for (const Activation activation : kActivations) {
      Values x = Normal(rows * width);
      x[0] = 0;
      const Values d_y = Normal(x.size());
      const Values sums = Normal(width);
      Values expected(x.size());
      Values expected_sums = sums;
      for (size_t i = 0; i < x.size(); ++i) {
        expected[i] = static_cast<float>(
            d_y[i] * Slope(activation, double{kScale} * x[i]));
        expected_sums[i % width] += expected[i];
      }
      Values d_x = d_y;
      Values actual_sums = sums;
      ActivationGradient(x.data(), kScale, rows, width, activation, d_x.data(),
                         actual_sums.data());
      ExpectNear(d_x, expected);
      ExpectNear(actual_sums, expected_sums);
      Values without_sums = d_y;
      ActivationGradient(x.data(), kScale, rows, width, activation,
                         without_sums.data(), nullptr);
      EXPECT_EQ(without_sums, d_x);
    }
  });
}

TEST_P(RowKernelsTest, Head) {
  ForSizes([&](size_t, size_t rows, size_t width) {
    const Values x = Normal(rows * width);
    const Values head = Normal(width);
    const Values d_scores = Normal(rows);
    Values scores = Normal(rows);
    Values d_head = Normal(width);
    Values expected_scores = scores;
    Values expected_head = d_head;
    Values expected(x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      expected_scores[i / width] += x[i] * head[i % width];
      expected_head[i % width] += x[i] * d_scores[i / width];
      expected[i] = d_scores[i / width] * head[i % width];
    }
    AddHeadScores(x.data(), head.data(), rows, width, scores.data());
    ExpectNear(scores, expected_scores);
    Values d_x(x.size(), 9);
    HeadGradient(x.data(), head.data(), d_scores.data(), rows, width,
                 d_x.data(), d_head.data());
    ExpectNear(d_x, expected);
    ExpectNear(d_head, expected_head);
  });
}

TEST_P(RowKernelsTest, Sums) {
  ForSizes([&](size_t groups, size_t group_size, size_t width) {
    const Values x = Normal(groups * group_size * width);
    const Values before = Normal(width);
    Values expected(groups * width);
    Values expected_columns = before;
    for (size_t i = 0; i < x.size(); ++i) {
      expected[i / width / group_size * width + i % width] += x[i];
      expected_columns[i % width] += x[i];
    }
    Values sums(groups * width, 9);
    SumGroups(x.data(), groups, group_size, width, sums.data());
    ExpectNear(sums, expected);
    Values columns = before;
    AddColumnSums(x.data(), groups * group_size, width, columns.data());
    ExpectNear(columns, expected_columns);
  });
}

TEST_P(RowKernelsTest, AddRowsTo) {
  ForSizes([&](size_t, size_t count, size_t width) {
    constexpr size_t kTableRows = 6;
    const Values x = Normal(count * width);
    const Values factors = Normal(count);
    std::vector<uint32_t> from, to;
    Values table = Normal(kTableRows * width);
    Values expected = table;
    for (size_t i = 0; i < count; ++i) {
      from.push_back(random_.Below(static_cast<uint32_t>(count)));
      to.push_back(random_.Below(kTableRows));
      for (size_t c = 0; c < width; ++c) {
        expected[to[i] * width + c] += factors[i] * x[from[i] * width + c];
      }
    }
    AddRowsTo(x.data(), from.data(), factors.data(), to.data(), count, width,
              table.data());
    ExpectNear(table, expected);
  });
}

TEST_P(RowKernelsTest, NormalizedRows) {
  ForSizes([&](size_t, size_t rows, size_t width) {
    Values x = Normal(rows * width);
    std::fill_n(x.begin(), width, 0.0F);  // stays 0, and nothing flows
    const Values d_y = Normal(x.size());
    Values y = x;
    Values norms(rows);
    NormalizeRows(rows, width, y.data(), norms.data());
    Values d_x = d_y;
    NormalizeGradient(y.data(), norms.data(), rows, width, d_x.data());
    for (size_t r = 0; r < rows; ++r) {
      double square = 0;
      double along = 0;
      for (size_t c = r * width; c < (r + 1) * width; ++c) {
        square += double{x[c]} * x[c];
        along += double{x[c]} * d_y[c];
      }
      const double norm = std::sqrt(square);
      for (size_t c = r * width; c < (r + 1) * width; ++c) {
        const double expected_y = r == 0 ? 0 : x[c] / norm;
        const double expected_d =
            r == 0 ? 0 : (d_y[c] - x[c] * along / square) / norm;
        ASSERT_NEAR(y[c], expected_y, 1e-5);
        ASSERT_NEAR(d_x[c], expected_d, 3e-5 * (1 + 1 / norm));
      }
    }
  });
}

std::vector<int64_t> Targets() {
  std::vector<int64_t> targets;
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    targets.push_back(target);
  }
  return targets;
}

INSTANTIATE_TEST_SUITE_P(Targets, RowKernelsTest, testing::ValuesIn(Targets()),
                         [](const testing::TestParamInfo<int64_t>& target) {
                           return std::string(hwy::TargetName(target.param));
                         });

}  // namespace
}  // namespace neumf
