#include "checkpoint/resting_file.h"

#include <gtest/gtest.h>

namespace neumf {
namespace {

TEST(RestPaceTest, TheFirstMomentsAreFree) {
  RestPace pace(0.25);
  EXPECT_EQ(pace.RestAfter(absl::Milliseconds(1)), absl::ZeroDuration());
  EXPECT_EQ(pace.RestAfter(absl::Milliseconds(20)), absl::ZeroDuration());
}

TEST(RestPaceTest, WorkIsPaidForOnce) {
  RestPace pace(0.25);
  EXPECT_EQ(pace.RestAfter(absl::Milliseconds(22)), absl::Milliseconds(6));
  EXPECT_EQ(pace.RestAfter(absl::Milliseconds(22)), absl::ZeroDuration());
  EXPECT_EQ(pace.RestAfter(absl::Milliseconds(23)), absl::Milliseconds(3));
}

TEST(RestPaceTest, NoRestIsLong) {
  RestPace pace(0.25);
  EXPECT_EQ(pace.RestAfter(absl::Hours(1)), absl::Milliseconds(100));
}

TEST(RestPaceTest, WhoMayWorkAllTheTimeNeverRests) {
  RestPace pace(1);
  EXPECT_EQ(pace.RestAfter(absl::Hours(1)), absl::ZeroDuration());
}

}  // namespace
}  // namespace neumf
