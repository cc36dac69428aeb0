#include "checkpoint/resting_file.h"

#include <gtest/gtest.h>

namespace neumf {
namespace {

TEST(RestPaceTest, TheFirstMomentsAreFree) {
  RestPace pace(0.25);
  EXPECT_EQ(pace.RestAfter(absl::Milliseconds(1), false), absl::ZeroDuration());
  EXPECT_EQ(pace.RestAfter(absl::Milliseconds(20), false),
            absl::ZeroDuration());
}

TEST(RestPaceTest, WorkIsPaidForOnce) {
  RestPace pace(0.25);
  EXPECT_EQ(pace.RestAfter(absl::Milliseconds(22), false),
            absl::Milliseconds(6));
  EXPECT_EQ(pace.RestAfter(absl::Milliseconds(22), false),
            absl::ZeroDuration());
  EXPECT_EQ(pace.RestAfter(absl::Milliseconds(23), false),
            absl::Milliseconds(3));
}

TEST(RestPaceTest, RestsAreLongerWhileOthersAreBehind) {
  RestPace pace(0.25);
  EXPECT_EQ(pace.RestAfter(absl::Milliseconds(22), true),
            absl::Milliseconds(48));
  EXPECT_EQ(pace.RestAfter(absl::Milliseconds(24), false),
            absl::Milliseconds(6));
}

TEST(RestPaceTest, NoRestIsLong) {
  RestPace pace(0.25);
  EXPECT_EQ(pace.RestAfter(absl::Hours(1), false), absl::Milliseconds(100));
  EXPECT_EQ(pace.RestAfter(absl::Hours(2), true), absl::Milliseconds(100));
}

TEST(RestPaceTest, WhoMayWorkAllTheTimeNeverRests) {
  RestPace pace(1);
  EXPECT_EQ(pace.RestAfter(absl::Hours(1), false), absl::ZeroDuration());
}

}  // namespace
}  // namespace neumf
