#include "server/held_requests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(HeldRequestsTest, NobodyLeavesWhileThereIsRoom) {
  HeldRequests held(100);
  EXPECT_THAT(held.TakeStock({}, {}), IsEmpty());
  EXPECT_THAT(held.TakeStock({{1, 40}, {2, 60}}, {}), IsEmpty());
}

TEST(HeldRequestsTest, ThoseThatHoldMostLeaveUntilThereIsRoom) {
  HeldRequests held(100);
  EXPECT_THAT(held.TakeStock({{1, 10}, {2, 60}, {3, 40}, {4, 0}}, {}),
              ElementsAre(2));
  EXPECT_THAT(held.TakeStock({{1, 80}, {2, 70}, {3, 90}, {4, 5}}, {}),
              ElementsAre(3, 1));
}

TEST(HeldRequestsTest, SettlesOnceItWasQuietForLong) {
  constexpr int64_t kMuch = HeldRequests::kMuch;
  HeldRequests held(2 * kMuch);
  HeldRequests::Time now;
  held.TakeStock({{1, kMuch}}, now);
  EXPECT_FALSE(held.is_settling());
  held.TakeStock({{1, kMuch + 1}}, now);
  EXPECT_TRUE(held.is_settling());
  now += std::chrono::milliseconds(HeldRequests::kQuiet) / 2;
  held.TakeStock({}, now);
  EXPECT_TRUE(held.is_settling());
  now += std::chrono::milliseconds(HeldRequests::kQuiet) / 2;
  held.TakeStock({}, now);
  EXPECT_FALSE(held.is_settling());
}

TEST(HeldRequestsTest, SettlesAfterACut) {
  HeldRequests held(100);
  const HeldRequests::Time cut;
  held.Cut(cut);
  EXPECT_TRUE(held.is_settling());
  held.TakeStock({}, cut + HeldRequests::kQuiet);
  EXPECT_FALSE(held.is_settling());
}

TEST(HeldRequestsTest, SettlesAfterAConnectionThatHeldMuchHasEnded) {
  HeldRequests held(100);
  const HeldRequests::Time end;
  held.Ended(HeldRequests::kLittle, end);
  EXPECT_FALSE(held.is_settling());
  held.Ended(HeldRequests::kLittle + 1, end);
  EXPECT_TRUE(held.is_settling());
  held.TakeStock({}, end + HeldRequests::kQuiet);
  EXPECT_FALSE(held.is_settling());
}

}  // namespace
}  // namespace neumf
