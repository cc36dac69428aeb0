#include "trainer/step/negative_sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tests/support/status_matchers.h"
#include "trainer/random.h"

namespace neumf {
namespace {

using testing::Each;
using testing::HasSubstr;

constexpr SamplerKind kKinds[] = {SamplerKind::kPool, SamplerKind::kReject,
                                  SamplerKind::kUniform,
                                  SamplerKind::kPopularity};

Event EventOf(uint32_t user, uint32_t item) {
  Event event;
  event.user = user;
  event.item = item;
  return event;
}

SamplerOptions OptionsOf(SamplerKind kind) {
  SamplerOptions options;
  options.kind = kind;
  return options;
}

// 40 users of 130 items: user u has the items i < 3 u with i % 3 != 0, and one
// that is held out. User 0 has no train event.
class NegativeSamplerTest : public testing::Test {
 protected:
  static constexpr uint32_t kUsers = 40;
  static constexpr uint32_t kItems = 130;

  static std::vector<Event> TrainEvents() {
    std::vector<Event> events;
    for (uint32_t user = 0; user < kUsers; ++user) {
      for (uint32_t item = 0; item < 3 * user; ++item) {
        if (item % 3 != 0) events.push_back(EventOf(user, item));
      }
    }
    return events;
  }

  NegativeSamplerTest() {
    for (uint32_t user = 0; user < kUsers; ++user) {
      held_out_.push_back(EventOf(user, 129));
    }
  }

  NegativeSampler Make(const SamplerOptions& options) const {
    return *NegativeSampler::Create(options, train_, held_out_);
  }

  // Whether the kind may draw the item for the user.
  bool MayDraw(SamplerKind kind, uint32_t user, uint32_t item) const {
    if (kind == SamplerKind::kUniform) return true;
    if (kind == SamplerKind::kPool && item == 129) return false;
    return !train_.Contains(user, item);
  }

  // How often each item comes in `draws` draws for the user.
  static std::vector<double> Frequencies(const NegativeSampler& sampler,
                                         uint32_t user, uint32_t draws) {
    std::vector<uint32_t> items(1 + draws);
    sampler.Draw(7, {user}, draws, items.size(), items.data());
    std::vector<double> frequencies(sampler.log_probability().size());
    for (uint32_t d = 1; d <= draws; ++d) ++frequencies[items[d]];
    return frequencies;
  }

  const Interactions train_{kUsers, kItems, TrainEvents()};
  std::vector<Event> held_out_;
};

// Pearson's statistic, in standard deviations above its mean.
double ChiSquareExcess(const std::vector<double>& counts,
                       const std::vector<double>& probabilities) {
  double draws = 0;
  for (double count : counts) draws += count;
  double sum = 0;
  double degrees = -1;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (probabilities[i] == 0) {
      EXPECT_EQ(counts[i], 0) << i;
      continue;
    }
    const double expected = draws * probabilities[i];
    sum += (counts[i] - expected) * (counts[i] - expected) / expected;
    ++degrees;
  }
  return (sum - degrees) / std::sqrt(2 * degrees);
}

TEST_F(NegativeSamplerTest, NeverDrawsWhatIsExcluded) {
  std::vector<uint32_t> users(kUsers);
  for (uint32_t u = 0; u < kUsers; ++u) users[u] = kUsers - 1 - u;
  constexpr uint32_t kDraws = 501;
  for (const SamplerKind kind : kKinds) {
    const NegativeSampler sampler = Make(OptionsOf(kind));
    std::vector<uint32_t> items(size_t{kUsers} * (1 + kDraws));
    sampler.Draw(1, users, kDraws, 1 + kDraws, items.data());
    for (size_t g = 0; g < kUsers; ++g) {
      for (size_t j = 1; j <= kDraws; ++j) {
        const uint32_t item = items[g * (1 + kDraws) + j];
        ASSERT_LT(item, kItems);
        ASSERT_TRUE(MayDraw(kind, users[g], item)) << SamplerKindName(kind);
      }
    }
  }
}

TEST_F(NegativeSamplerTest, LeavesTheOtherPlacesAlone) {
  const NegativeSampler sampler = Make(SamplerOptions());
  std::vector<uint32_t> items(15, 999);
  sampler.Draw(1, {3, 4, 5}, 2, 5, items.data());
  for (size_t g = 0; g < 3; ++g) {
    EXPECT_EQ(items[g * 5], 999U);
    EXPECT_LT(items[g * 5 + 1], kItems);
    EXPECT_LT(items[g * 5 + 2], kItems);
    EXPECT_EQ(items[g * 5 + 3], 999U);
    EXPECT_EQ(items[g * 5 + 4], 999U);
  }
  sampler.Draw(1, {3, 4}, 0, 1, items.data());
  EXPECT_EQ(items[0], 999U);
}

TEST_F(NegativeSamplerTest, DrawsUniformlyWhatItMay) {
  for (const SamplerKind kind :
       {SamplerKind::kPool, SamplerKind::kReject, SamplerKind::kUniform}) {
    for (const uint32_t user : {1, 20, 39}) {
      std::vector<double> probabilities(kItems);
      double num_free = 0;
      for (uint32_t i = 0; i < kItems; ++i) {
        num_free += MayDraw(kind, user, i) ? 1 : 0;
      }
      for (uint32_t i = 0; i < kItems; ++i) {
        probabilities[i] = MayDraw(kind, user, i) ? 1 / num_free : 0;
      }
      const std::vector<double> counts =
          Frequencies(Make(OptionsOf(kind)), user, 200'000);
      EXPECT_LT(std::abs(ChiSquareExcess(counts, probabilities)), 4)
          << SamplerKindName(kind) << " for " << user;
    }
  }
}

TEST_F(NegativeSamplerTest, DrawsByPopularity) {
  for (const double power : {0.0, 0.5, 0.75, 1.0}) {
    SamplerOptions options = OptionsOf(SamplerKind::kPopularity);
    options.popularity_power = power;
    const NegativeSampler sampler = Make(options);
    const std::vector<uint32_t> events = train_.ItemCounts();
    for (const uint32_t user : {1, 30}) {
      std::vector<double> probabilities(kItems);
      double total = 0;
      double total_of_all = 0;
      for (uint32_t i = 0; i < kItems; ++i) {
        const double weight = std::pow(std::max(events[i], 1U), power);
        total_of_all += weight;
        if (!train_.Contains(user, i)) total += probabilities[i] = weight;
      }
      for (uint32_t i = 0; i < kItems; ++i) {
        const double weight = std::pow(std::max(events[i], 1U), power);
        EXPECT_NEAR(sampler.log_probability()[i],
                    std::log(weight / total_of_all), 1e-6);
        probabilities[i] /= total;
      }
      const std::vector<double> counts = Frequencies(sampler, user, 200'000);
      EXPECT_LT(std::abs(ChiSquareExcess(counts, probabilities)), 4)
          << "power " << power << " for " << user;
    }
  }
}

TEST_F(NegativeSamplerTest, KnowsTheProbabilityOfUniformDraws) {
  for (const SamplerKind kind :
       {SamplerKind::kPool, SamplerKind::kReject, SamplerKind::kUniform}) {
    const NegativeSampler sampler = Make(OptionsOf(kind));
    EXPECT_EQ(sampler.log_probability().size(), kItems);
    EXPECT_THAT(sampler.log_probability(),
                Each(static_cast<float>(-std::log(130.0))));
  }
}

TEST_F(NegativeSamplerTest, DrawsDependOnSeedAndStreamAlone) {
  for (const SamplerKind kind : kKinds) {
    SamplerOptions options = OptionsOf(kind);
    const auto draw = [&](uint64_t stream) {
      std::vector<uint32_t> items(130);
      Make(options).Draw(stream, {30, 31}, 64, 65, items.data());
      return items;
    };
    const std::vector<uint32_t> items = draw(5);
    EXPECT_EQ(draw(5), items);
    EXPECT_NE(draw(6), items);
    options.seed = 2;
    EXPECT_NE(draw(5), items);
  }
}

TEST_F(NegativeSamplerTest, GroupsOfAUserHaveDrawsOfTheirOwn) {
  const NegativeSampler sampler = Make(OptionsOf(SamplerKind::kUniform));
  std::vector<uint32_t> items(66);
  sampler.Draw(1, {9, 9}, 32, 33, items.data());
  EXPECT_FALSE(
      std::equal(items.begin() + 1, items.begin() + 33, items.begin() + 34));
}

// A catalog in which user 0 lacks few items, so that hardly a draw is kept.
Interactions AllBut(uint32_t num_items, const std::vector<uint32_t>& free) {
  std::vector<Event> events;
  for (uint32_t item = 0; item < num_items; ++item) {
    if (std::count(free.begin(), free.end(), item) == 0) {
      events.push_back(EventOf(0, item));
    }
  }
  // Another user makes item 3 popular.
  events.push_back(EventOf(1, 3));
  return Interactions(2, num_items, events);
}

TEST_F(NegativeSamplerTest, FindsTheOneItemThatIsLeft) {
  const Interactions train = AllBut(5000, {4321});
  for (const SamplerKind kind :
       {SamplerKind::kPool, SamplerKind::kReject, SamplerKind::kPopularity}) {
    NEUMF_ASSERT_OK_AND_ASSIGN(
        const NegativeSampler sampler,
        NegativeSampler::Create(OptionsOf(kind), train, {}));
    std::vector<uint32_t> items(101, 4321);
    sampler.Draw(1, {0}, 100, 101, items.data());
    EXPECT_THAT(items, Each(4321U)) << SamplerKindName(kind);
  }
}

TEST_F(NegativeSamplerTest, SharesAlikeAmongTheFewThatAreLeft) {
  const Interactions train = AllBut(5000, {3, 700, 4999});
  SamplerOptions options = OptionsOf(SamplerKind::kReject);
  std::vector<double> probabilities(5000);
  for (const uint32_t item : {3, 700, 4999}) probabilities[item] = 1 / 3.0;
  NEUMF_ASSERT_OK_AND_ASSIGN(const NegativeSampler reject,
                             NegativeSampler::Create(options, train, {}));
  EXPECT_LT(ChiSquareExcess(Frequencies(reject, 0, 20'000), probabilities), 4);

  // By popularity all three count as one event.
  options.kind = SamplerKind::kPopularity;
  NEUMF_ASSERT_OK_AND_ASSIGN(const NegativeSampler popularity,
                             NegativeSampler::Create(options, train, {}));
  EXPECT_LT(ChiSquareExcess(Frequencies(popularity, 0, 20'000), probabilities),
            4);
}

TEST_F(NegativeSamplerTest, LooksUpRowsWhereBitsWouldBeTooMany) {
  // 5,000 x 500,000 bits are 312 MB.
  std::vector<Event> events;
  for (uint32_t item = 0; item < 400'000; ++item) {
    events.push_back(EventOf(4999, item));
  }
  events.push_back(EventOf(3, 499'999));
  const Interactions train(5000, 500'000, events);
  for (const SamplerKind kind :
       {SamplerKind::kReject, SamplerKind::kPopularity}) {
    NEUMF_ASSERT_OK_AND_ASSIGN(
        const NegativeSampler sampler,
        NegativeSampler::Create(OptionsOf(kind), train, {}));
    std::vector<uint32_t> items(2002, 450'000);
    sampler.Draw(1, {4999, 3}, 1000, 1001, items.data());
    EXPECT_GE(*std::min_element(items.begin(), items.begin() + 1001), 400'000U);
    EXPECT_LT(*std::max_element(items.begin() + 1001, items.end()), 499'999U);
  }
}

TEST_F(NegativeSamplerTest, RefusesAUserWithoutAnItemLeft) {
  const Interactions train(2, 2, {EventOf(1, 0), EventOf(1, 1)});
  for (const SamplerKind kind :
       {SamplerKind::kPool, SamplerKind::kReject, SamplerKind::kPopularity}) {
    EXPECT_THAT(NegativeSampler::Create(OptionsOf(kind), train, {}).status(),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("user row 1 has all 2 items")));
  }
  EXPECT_TRUE(
      NegativeSampler::Create(OptionsOf(SamplerKind::kUniform), train, {})
          .ok());
}

TEST_F(NegativeSamplerTest, CountsHeldOutItemsOfThePoolAlone) {
  const std::vector<Event> held_out = {EventOf(0, 1)};
  const Interactions train(1, 2, {EventOf(0, 0)});
  EXPECT_THAT(
      NegativeSampler::Create(OptionsOf(SamplerKind::kPool), train, held_out)
          .status(),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("user row 0 has all 2 items")));
  EXPECT_TRUE(
      NegativeSampler::Create(OptionsOf(SamplerKind::kReject), train, held_out)
          .ok());
}

TEST_F(NegativeSamplerTest, MindsNoUserWithoutTrainEvents) {
  const std::vector<Event> held_out = {EventOf(0, 0), EventOf(0, 1)};
  const Interactions train(2, 2, {EventOf(1, 0)});
  EXPECT_TRUE(
      NegativeSampler::Create(OptionsOf(SamplerKind::kPool), train, held_out)
          .ok());
}

TEST_F(NegativeSamplerTest, RefusesWhatCannotBeDrawnFrom) {
  EXPECT_THAT(
      NegativeSampler::Create(SamplerOptions(), Interactions(3, 0, {}), {})
          .status(),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("there are no items")));
  SamplerOptions options;
  options.popularity_power = std::nan("");
  EXPECT_THAT(NegativeSampler::Create(options, train_, {}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("the power of popularity is nan")));
}

TEST_F(NegativeSamplerTest, SharedItemsAreDistinctAndAscend) {
  for (const SamplerKind kind : kKinds) {
    const NegativeSampler sampler = Make(OptionsOf(kind));
    for (const uint32_t n : {0U, 1U, 2U, 64U, 100U, kItems - 1}) {
      std::vector<uint32_t> items = {1, 2, 3};
      sampler.DrawShared(n, n, &items);
      ASSERT_EQ(items.size(), n);
      for (size_t i = 1; i < n; ++i) ASSERT_LT(items[i - 1], items[i]);
      ASSERT_LT(items.empty() ? 0 : items.back(), kItems);
      std::vector<uint32_t> again;
      sampler.DrawShared(n, n, &again);
      EXPECT_EQ(items, again);
    }
    for (const uint32_t n : {kItems, kItems + 5}) {
      std::vector<uint32_t> items;
      sampler.DrawShared(1, n, &items);
      ASSERT_EQ(items.size(), kItems);
      for (uint32_t i = 0; i < kItems; ++i) ASSERT_EQ(items[i], i);
    }
  }
}

TEST_F(NegativeSamplerTest, SharedItemsAreUniform) {
  const NegativeSampler sampler = Make(OptionsOf(SamplerKind::kReject));
  // Few, so that draws do, and many, so that the rest is needed.
  for (const uint32_t n : {5U, 125U}) {
    std::vector<double> counts(kItems);
    std::vector<uint32_t> items;
    for (uint64_t stream = 0; stream < 4000; ++stream) {
      sampler.DrawShared(stream, n, &items);
      for (const uint32_t item : items) ++counts[item];
    }
    const double p = n / 130.0;
    for (const double count : counts) {
      EXPECT_NEAR(count, 4000 * p, 4.5 * std::sqrt(4000 * p * (1 - p)));
    }
  }
}

TEST_F(NegativeSamplerTest, SharedItemsGoByPopularity) {
  // Of three items the first has 7 events, the others 1 and none: it counts as
  // one. Two draws one after another without the first.
  std::vector<Event> events;
  for (uint32_t user = 0; user < 7; ++user) events.push_back(EventOf(user, 0));
  events.push_back(EventOf(7, 1));
  const Interactions train(8, 3, events);
  SamplerOptions options = OptionsOf(SamplerKind::kPopularity);
  options.popularity_power = 1;
  NEUMF_ASSERT_OK_AND_ASSIGN(const NegativeSampler sampler,
                             NegativeSampler::Create(options, train, {}));
  // Without item 0: the first draw is 1 or 2, the second the other.
  const double neither = 2 * (1.0 / 9) * (1.0 / 8);
  double without_first = 0;
  constexpr int kStreams = 50'000;
  for (uint64_t stream = 0; stream < kStreams; ++stream) {
    std::vector<uint32_t> items;
    sampler.DrawShared(stream, 2, &items);
    if (items == std::vector<uint32_t>{1, 2}) ++without_first;
  }
  EXPECT_NEAR(without_first / kStreams, neither,
              4 * std::sqrt(neither / kStreams));
}

TEST_F(NegativeSamplerTest, FindsTheFirstUserWithoutAnItemLeft) {
  const Interactions train(3, 2, {EventOf(1, 0), EventOf(2, 0), EventOf(2, 1)});
  const std::vector<Event> held_out = {EventOf(1, 1), EventOf(0, 1)};
  const auto found = [&](SamplerKind kind) {
    return NegativeSampler::UserWithoutNegatives(kind, train, held_out);
  };
  EXPECT_EQ(found(SamplerKind::kPool), 1U);
  EXPECT_EQ(found(SamplerKind::kReject), 2U);
  EXPECT_EQ(found(SamplerKind::kPopularity), 2U);
  EXPECT_EQ(found(SamplerKind::kUniform), std::nullopt);
}

}  // namespace
}  // namespace neumf
