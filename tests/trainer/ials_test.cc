#include "trainer/ials.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "tests/support/status_matchers.h"
#include "trainer/torch_threads.h"

namespace neumf {
namespace {

using testing::AllOf;
using testing::Each;
using testing::HasSubstr;

constexpr uint64_t kUsers = 90;
constexpr uint64_t kItems = 400;

// Item 0 is everybody's, user 0 has more events than are solved at once, user
// 7 and item 9 have none.
Interactions MakeTrain() {
  Random random(5);
  std::vector<Event> events;
  const auto add = [&](uint32_t user, uint32_t item) {
    if (user == 7 || item == 9) return;
    Event event;
    event.user = user;
    event.item = item;
    events.push_back(event);
  };
  for (uint32_t item = 0; item < kItems; ++item) add(0, item);
  for (uint32_t user = 0; user < kUsers; ++user) {
    add(user, 0);
    for (int n = 0; n < 12; ++n) add(user, random.Below(kItems));
  }
  return Interactions(kUsers, kItems, events);
}

std::vector<float> UniformValues(size_t size, double low, double high) {
  Random random(6);
  std::vector<float> values(size);
  for (float& value : values) {
    value = static_cast<float>(random.Uniform(low, high));
  }
  return values;
}

IalsOptions OptionsWith(uint32_t factors) {
  IalsOptions options;
  options.factors = factors;
  options.l2 = 0.02;
  options.unobserved_weight = 0.2;
  return options;
}

struct Tables {
  explicit Tables(uint32_t factors, uint64_t num_users = kUsers,
                  uint64_t num_items = kItems)
      : users(num_users * factors, 17.0F), items(num_items * factors) {
    Random random(1);
    InitializeForIals(factors, random, absl::MakeSpan(items));
  }

  std::vector<float> users;
  std::vector<float> items;
};

absl::Status RunEpochs(Ials& ials, Tables& tables, int epochs = 1) {
  for (int epoch = 0; epoch < epochs; ++epoch) {
    NEUMF_RETURN_IF_ERROR(
        ials.Epoch(absl::MakeSpan(tables.users), absl::MakeSpan(tables.items)));
  }
  return absl::OkStatus();
}

at::Tensor Float64(const std::vector<float>& values, uint32_t factors) {
  return at::tensor(values, at::kFloat)
      .to(at::kDouble)
      .view({-1, static_cast<int64_t>(factors)});
}

// The definition in float64, over all pairs of users and items at once.
struct DenseProblem {
  DenseProblem(const Interactions& train, const IalsOptions& ials_options,
               const IalsEvents& events)
      : options(ials_options),
        weights(at::zeros({static_cast<int64_t>(train.num_users()),
                           static_cast<int64_t>(train.num_items())},
                          at::kDouble)),
        targets(weights.clone()) {
    size_t at = 0;
    for (uint64_t user = 0; user < train.num_users(); ++user) {
      for (const uint32_t item : train.row(user)) {
        const auto u = static_cast<int64_t>(user);
        weights[u][item] = events.weights.empty() ? 1 : events.weights[at];
        targets[u][item] = events.targets.empty() ? 1 : events.targets[at];
        ++at;
      }
    }
  }

  // [users, d] for fixed items.
  at::Tensor SolveUsers(const at::Tensor& items) const {
    return Solve(items, weights, targets);
  }
  at::Tensor SolveItems(const at::Tensor& users) const {
    return Solve(users, weights.t(), targets.t());
  }

  at::Tensor Solve(const at::Tensor& fixed, const at::Tensor& row_weights,
                   const at::Tensor& row_targets) const {
    const at::Tensor prior =
        options.unobserved_weight * fixed.t().matmul(fixed);
    std::vector<at::Tensor> rows;
    for (int64_t row = 0; row < row_weights.size(0); ++row) {
      const at::Tensor weighted = fixed.t() * row_weights[row];
      const at::Tensor matrix =
          weighted.matmul(fixed) + prior +
          Penalties(row_weights)[row] * at::eye(fixed.size(1), at::kDouble);
      rows.push_back(
          at::linalg_solve(matrix, weighted.matmul(row_targets[row])));
    }
    return at::stack(rows);
  }

  double Loss(const at::Tensor& users, const at::Tensor& items) const {
    const at::Tensor scores = users.matmul(items.t());
    const at::Tensor loss =
        (weights * (scores - targets).square()).sum() +
        options.unobserved_weight * scores.square().sum() +
        (Penalties(weights) * users.square().sum(1)).sum() +
        (Penalties(weights.t()) * items.square().sum(1)).sum();
    return loss.item<double>();
  }

  at::Tensor Penalties(const at::Tensor& row_weights) const {
    const auto others = static_cast<double>(row_weights.size(1));
    return options.l2 *
           (row_weights.sum(1) + options.unobserved_weight * others);
  }

  const IalsOptions options;
  at::Tensor weights;  // [U, I], 0 where there is no event
  at::Tensor targets;
};

// Relative to the largest value of the table.
double Difference(const at::Tensor& ours, const at::Tensor& exact) {
  return ((ours - exact).abs().max() / exact.abs().max()).item<double>();
}

class IalsTest : public testing::Test {
 protected:
  IalsTest() : pool_(2, "ials") { SetTorchThreads(1); }

  // Each half of an epoch against the exact solution for what it was given.
  void ExpectSolvesAsDefined(uint32_t factors, const IalsEvents& events) {
    const IalsOptions options = OptionsWith(factors);
    const DenseProblem dense(train_, options, events);
    Ials ials(train_, options, &pool_, events);
    Tables tables(factors);
    for (int epoch = 0; epoch < 2; ++epoch) {
      const at::Tensor items_before = Float64(tables.items, factors);
      ASSERT_THAT(RunEpochs(ials, tables), IsOk());
      const at::Tensor users = Float64(tables.users, factors);
      const at::Tensor items = Float64(tables.items, factors);
      EXPECT_LT(Difference(users, dense.SolveUsers(items_before)), 2e-5);
      EXPECT_LT(Difference(items, dense.SolveItems(users)), 2e-5);
      const double loss = dense.Loss(users, items);
      EXPECT_NEAR(ials.Loss(tables.users, tables.items), loss, 1e-6 * loss);
    }
  }

  const Interactions train_ = MakeTrain();
  ThreadPool pool_;
};

class IalsWidthTest : public IalsTest,
                      public testing::WithParamInterface<uint32_t> {};

TEST_P(IalsWidthTest, SolvesAsDefined) {
  ExpectSolvesAsDefined(GetParam(), IalsEvents());
}

TEST_P(IalsWidthTest, SolvesWeightedEventsAsDefined) {
  const size_t num_events = train_.num_interactions();
  std::vector<float> weights = UniformValues(num_events, 0, 3);
  const std::vector<float> targets = UniformValues(num_events, -1, 2);
  for (size_t at = 0; at < num_events; at += 5) weights[at] = 0;
  IalsEvents events;
  events.weights = weights;
  events.targets = targets;
  ExpectSolvesAsDefined(GetParam(), events);
}

TEST_P(IalsWidthTest, NoEpochRaisesTheLoss) {
  Ials ials(train_, OptionsWith(GetParam()), &pool_);
  Tables tables(GetParam());
  double before = std::numeric_limits<double>::infinity();
  for (int epoch = 0; epoch < 6; ++epoch) {
    ASSERT_THAT(RunEpochs(ials, tables), IsOk());
    const double loss = ials.Loss(tables.users, tables.items);
    EXPECT_LT(loss, before);
    before = loss;
  }
}

TEST_P(IalsWidthTest, AnyNumberOfThreadsGivesTheSameBits) {
  Tables with_two(GetParam());
  Ials two(train_, OptionsWith(GetParam()), &pool_);
  ASSERT_THAT(RunEpochs(two, with_two, 3), IsOk());
  for (const size_t num_threads : {1, 5}) {
    ThreadPool pool(num_threads, "ials");
    Tables tables(GetParam());
    Ials ials(train_, OptionsWith(GetParam()), &pool);
    ASSERT_THAT(RunEpochs(ials, tables, 3), IsOk());
    EXPECT_EQ(tables.users, with_two.users) << num_threads;
    EXPECT_EQ(tables.items, with_two.items) << num_threads;
    EXPECT_EQ(ials.Loss(tables.users, tables.items),
              two.Loss(with_two.users, with_two.items));
  }
}

INSTANTIATE_TEST_SUITE_P(Widths, IalsWidthTest,
                         testing::Values(1, 2, 7, 64, 65),
                         testing::PrintToStringParamName());

TEST_F(IalsTest, TablesOfManyStripesSumInTheSameOrder) {
  // 40,000 items, of which few have events: what counts is their Gram matrix.
  constexpr uint64_t kManyItems = 40000;
  std::vector<Event> events(3);
  events[1].item = kManyItems - 1;
  events[2].user = 1;
  const Interactions train(2, kManyItems, events);
  const IalsOptions options = OptionsWith(3);
  Tables tables(3, 2, kManyItems);
  const at::Tensor items = Float64(tables.items, 3);
  Tables alone = tables;

  Ials ials(train, options, &pool_);
  ASSERT_THAT(RunEpochs(ials, tables), IsOk());
  EXPECT_LT(Difference(Float64(tables.users, 3),
                       DenseProblem(train, options, {}).SolveUsers(items)),
            2e-5);
  ThreadPool one(1, "ials");
  Ials ials_alone(train, options, &one);
  ASSERT_THAT(RunEpochs(ials_alone, alone), IsOk());
  EXPECT_EQ(alone.users, tables.users);
  EXPECT_EQ(alone.items, tables.items);
}

TEST_F(IalsTest, RowsWithoutEventsBecomeZero) {
  Ials ials(train_, OptionsWith(7), &pool_);
  Tables tables(7);
  ASSERT_THAT(RunEpochs(ials, tables), IsOk());
  EXPECT_THAT(absl::MakeConstSpan(tables.users).subspan(7 * 7, 7), Each(0.0F));
  EXPECT_THAT(absl::MakeConstSpan(tables.items).subspan(9 * 7, 7), Each(0.0F));
}

TEST_F(IalsTest, RowsWithoutEventsNeedNoPenalty) {
  IalsOptions options = OptionsWith(1);
  options.l2 = 0;
  options.unobserved_weight = 0;
  Ials ials(train_, options, &pool_);
  Tables tables(1);
  EXPECT_THAT(RunEpochs(ials, tables), IsOk());
  EXPECT_EQ(tables.users[7], 0);
}

TEST_F(IalsTest, NoEventsAtAllIsNoError) {
  const Interactions nothing(3, 4, {});
  Ials ials(nothing, OptionsWith(2), &pool_);
  Tables tables(2, 3, 4);
  EXPECT_THAT(RunEpochs(ials, tables), IsOk());
  EXPECT_THAT(tables.users, Each(0.0F));
  EXPECT_THAT(tables.items, Each(0.0F));
  EXPECT_EQ(ials.Loss(tables.users, tables.items), 0);
}

TEST_F(IalsTest, EventsScoreAboveOtherPairs) {
  Ials ials(train_, OptionsWith(64), &pool_);
  Tables tables(64);
  ASSERT_THAT(RunEpochs(ials, tables, 8), IsOk());
  const at::Tensor scores =
      Float64(tables.users, 64).matmul(Float64(tables.items, 64).t());
  const at::Tensor is_event =
      DenseProblem(train_, OptionsWith(64), {}).weights > 0;
  const double events = scores.masked_select(is_event).mean().item<double>();
  const double others =
      scores.masked_select(is_event.logical_not()).mean().item<double>();
  EXPECT_GT(events, 0.3);
  EXPECT_LT(std::abs(others), 0.1);
}

TEST_F(IalsTest, SystemsWithoutASingleSolutionAreRefused) {
  // 3 items span 3 of the 8 dimensions, and nothing holds the other 5.
  std::vector<Event> events(3);
  for (uint32_t n = 0; n < 3; ++n) {
    events[n].user = n + 1;
    events[n].item = n;
  }
  const Interactions train(4, 3, events);
  IalsOptions options = OptionsWith(8);
  options.l2 = 0;
  for (const size_t num_threads : {1, 3}) {
    ThreadPool pool(num_threads, "ials");
    Ials ials(train, options, &pool);
    Tables tables(8, 4, 3);
    // The first row that fails is named: user 0 has no events.
    EXPECT_THAT(RunEpochs(ials, tables),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("user row 1 "), HasSubstr("raise l2"),
                               HasSubstr("8"))));
  }
}

TEST_F(IalsTest, WidthsBeyondTheDataNeedAPenaltyOnly) {
  // As above, with 65 factors for 3 items, and a penalty.
  std::vector<Event> events(2);
  events[1].user = 1;
  events[1].item = 2;
  const Interactions train(2, 3, events);
  Ials ials(train, OptionsWith(65), &pool_);
  Tables tables(65, 2, 3);
  EXPECT_THAT(RunEpochs(ials, tables, 3), IsOk());
}

TEST_F(IalsTest, ValuesThatAreNotFiniteAreRefused) {
  Ials ials(train_, OptionsWith(7), &pool_);
  Tables tables(7);
  tables.items[11] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(RunEpochs(ials, tables),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("row 0")));
}

TEST(InitializeForIalsTest, SpreadsByTheRootOfTheWidth) {
  Random random(3);
  std::vector<float> table(size_t{2000} * 25);
  InitializeForIals(25, random, absl::MakeSpan(table));
  double sum = 0;
  double squares = 0;
  for (const float value : table) {
    sum += double{value};
    squares += double{value} * double{value};
  }
  const auto size = static_cast<double>(table.size());
  EXPECT_NEAR(sum / size, 0, 5 * 0.02 / std::sqrt(size));
  EXPECT_NEAR(std::sqrt(squares / size), 0.02, 0.001);
}

}  // namespace
}  // namespace neumf
