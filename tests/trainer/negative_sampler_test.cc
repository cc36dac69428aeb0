#include "trainer/negative_sampler.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/support/status_matchers.h"
#include "tests/trainer/tiny_world.h"

namespace neumf {
namespace {

using testing::HasSubstr;

class PoolSamplerTest : public testing::Test {
 protected:
  PoolSamplerTest()
      : log_(MakeTinyLog(20, 30, 1)),
        split_(*MakeSplit(log_, SplitKind::kD2l, HeldOut::kTest)),
        train_(TrainPart(log_, split_)) {}

  // Every item that the sampler may not draw for `user`.
  std::set<uint32_t> Excluded(uint32_t user) const {
    std::set<uint32_t> excluded;
    for (const Event& event : log_.events) {
      if (event.user == user) excluded.insert(event.item);
    }
    return excluded;
  }

  EventLog log_;
  Split split_;
  Interactions train_;
  Random random_{7};
};

TEST_F(PoolSamplerTest, DrawsEveryItemOfThePoolAndNoOther) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const PoolSampler sampler,
                             PoolSampler::Create(train_, split_.held_out));
  for (uint32_t user = 0; user < log_.num_users(); ++user) {
    const std::set<uint32_t> excluded = Excluded(user);
    std::set<uint32_t> drawn;
    for (int n = 0; n < 2000; ++n) drawn.insert(sampler.Draw(user, random_));
    for (uint32_t item : drawn) EXPECT_EQ(excluded.count(item), 0U);
    EXPECT_EQ(drawn.size() + excluded.size(), log_.num_items());
    EXPECT_LT(*drawn.rbegin(), log_.num_items());
  }
}

TEST_F(PoolSamplerTest, DrawsUniformly) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const PoolSampler sampler,
                             PoolSampler::Create(train_, split_.held_out));
  constexpr int kDraws = 100000;
  std::vector<int> counts(log_.num_items());
  for (int n = 0; n < kDraws; ++n) ++counts[sampler.Draw(0, random_)];
  const double expected = static_cast<double>(kDraws) /
                          static_cast<double>(30 - Excluded(0).size());
  for (int count : counts) {
    if (count == 0) continue;  // not in the pool
    EXPECT_NEAR(count, expected, 0.1 * expected);
  }
}

TEST_F(PoolSamplerTest, DrawsHeldOutItemsWhenNothingIsHeldOut) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const PoolSampler sampler,
                             PoolSampler::Create(train_, {}));
  std::set<uint32_t> drawn;
  for (int n = 0; n < 2000; ++n) drawn.insert(sampler.Draw(0, random_));
  EXPECT_EQ(drawn.count(split_.held_out[0].item), 1U);
}

TEST_F(PoolSamplerTest, RefusesAUserWhoHasEverything) {
  const std::vector<Event> events = {{0, 0, 1, 1}, {0, 1, 1, 2}};
  EXPECT_THAT(PoolSampler::Create(Interactions(1, 2, events), {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("user row 0 has all 2 items")));
}

}  // namespace
}  // namespace neumf
