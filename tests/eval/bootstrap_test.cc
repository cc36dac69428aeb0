#include "eval/bootstrap.h"

#include <cmath>
#include <limits>
#include <vector>

#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::HasSubstr;

// User u's value in a model that hits every `period`-th user.
std::vector<double> HitEvery(size_t period, size_t num_users) {
  std::vector<double> values(num_users);
  for (size_t u = 0; u < num_users; u += period) values[u] = 1;
  return values;
}

TEST(PairedBootstrapTest, FindsNoDifferenceOfAModelFromItself) {
  const std::vector<double> values = HitEvery(3, 100);
  NEUMF_ASSERT_OK_AND_ASSIGN(const PairedDifference same,
                             PairedBootstrap(values, values, {}));
  EXPECT_EQ(same.num_users, 100);
  EXPECT_EQ(same.mean, 0);
  EXPECT_EQ(same.low, 0);
  EXPECT_EQ(same.high, 0);
  EXPECT_EQ(same.p_value, 1);
}

// Differences are 1 for a half of the users and 0 for the rest: the mean of n
// draws has mean .5 and deviation .5 / sqrt(n).
TEST(PairedBootstrapTest, GivesTheIntervalOfTheNormalApproximation) {
  const std::vector<double> a = HitEvery(2, 1000);
  const std::vector<double> b(1000);
  NEUMF_ASSERT_OK_AND_ASSIGN(const PairedDifference difference,
                             PairedBootstrap(a, b, {}));
  const double deviation = .5 / std::sqrt(1000);
  EXPECT_DOUBLE_EQ(difference.mean, .5);
  EXPECT_NEAR(difference.low, .5 - 1.96 * deviation, .0015);
  EXPECT_NEAR(difference.high, .5 + 1.96 * deviation, .0015);
  // No resample of them comes near zero: the smallest p there is.
  EXPECT_DOUBLE_EQ(difference.p_value, 2.0 / 10'001);
}

// Differences +1, -1 and 0 with a mean of one standard error.
TEST(PairedBootstrapTest, GivesThePOfTheNormalApproximation) {
  std::vector<double> a(400);
  std::vector<double> b(400);
  for (size_t u = 0; u < 110; ++u) a[u] = 1;
  for (size_t u = 110; u < 200; ++u) b[u] = 1;
  NEUMF_ASSERT_OK_AND_ASSIGN(const PairedDifference difference,
                             PairedBootstrap(a, b, {}));
  EXPECT_DOUBLE_EQ(difference.mean, 20.0 / 400);
  const double deviation = std::sqrt((.5 - .0025) / 400);
  const double p = std::erfc(.05 / deviation / std::sqrt(2));
  EXPECT_NEAR(difference.p_value, p, .02);
  NEUMF_ASSERT_OK_AND_ASSIGN(const PairedDifference reversed,
                             PairedBootstrap(b, a, {}));
  EXPECT_DOUBLE_EQ(reversed.mean, -difference.mean);
  EXPECT_NEAR(reversed.low, -difference.high, 1e-12);
  EXPECT_DOUBLE_EQ(reversed.p_value, difference.p_value);
}

TEST(PairedBootstrapTest, PairsUsersInsteadOfComparingMeans) {
  // Users differ a lot, the models by a little, but on every user.
  std::vector<double> a(50);
  std::vector<double> b(50);
  for (size_t u = 0; u < 50; ++u) {
    b[u] = static_cast<double>(u % 2);
    a[u] = b[u] + .01;
  }
  NEUMF_ASSERT_OK_AND_ASSIGN(const PairedDifference difference,
                             PairedBootstrap(a, b, {}));
  EXPECT_NEAR(difference.low, .01, 1e-9);
  EXPECT_LT(difference.p_value, .001);
}

TEST(PairedBootstrapTest, SameSeedGivesTheSameNumbers) {
  const std::vector<double> a = HitEvery(2, 60);
  const std::vector<double> b = HitEvery(3, 60);
  BootstrapOptions options;
  options.num_resamples = 200;
  const auto low = [&] { return PairedBootstrap(a, b, options)->low; };
  const auto p = [&] { return PairedBootstrap(a, b, options)->p_value; };
  const double first_low = low();
  const double first_p = p();
  EXPECT_EQ(low(), first_low);
  EXPECT_EQ(p(), first_p);
  options.seed = 2;
  EXPECT_TRUE(low() != first_low || p() != first_p);
}

TEST(PairedBootstrapTest, TakesASingleUser) {
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const PairedDifference difference,
      PairedBootstrap(std::vector<double>{1}, std::vector<double>{0}, {}));
  EXPECT_EQ(difference.low, 1);
  EXPECT_EQ(difference.high, 1);
}

TEST(PairedBootstrapTest, RefusesWhatItCannotPair) {
  const std::vector<double> one = {1};
  const std::vector<double> two = {1, 2};
  const std::vector<double> nan = {std::numeric_limits<double>::quiet_NaN()};
  BootstrapOptions no_resamples;
  no_resamples.num_resamples = 0;
  const auto refused = [](const char* reason) {
    return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(reason));
  };
  EXPECT_THAT(PairedBootstrap(one, two, {}), refused("1 and 2 values"));
  EXPECT_THAT(PairedBootstrap({}, {}, {}), refused("0 users"));
  EXPECT_THAT(PairedBootstrap(nan, one, {}), refused("user 0"));
  EXPECT_THAT(PairedBootstrap(one, one, no_resamples), refused("resamples"));
}

}  // namespace
}  // namespace neumf
