#include "checkpoint/paced_file.h"

#include <gtest/gtest.h>

namespace neumf {
namespace {

TEST(ReadPaceTest, AReadWaitsForAsLongAsItsBytesTakeAtThatPace) {
  ReadPace pace(1000);
  EXPECT_EQ(pace.Count(500, absl::Seconds(7)), absl::Milliseconds(500));
  EXPECT_EQ(pace.Count(0, absl::Seconds(8)), absl::ZeroDuration());
}

TEST(ReadPaceTest, ReadersTogetherKeepToIt) {
  ReadPace pace(1000);
  EXPECT_EQ(pace.Count(100, absl::Seconds(7)), absl::Milliseconds(100));
  EXPECT_EQ(pace.Count(100, absl::Seconds(7)), absl::Milliseconds(200));
  EXPECT_EQ(pace.Count(100, absl::Seconds(7) + absl::Milliseconds(50)),
            absl::Milliseconds(250));
}

TEST(ReadPaceTest, TimeInWhichNobodyReadIsNotMadeUpFor) {
  ReadPace pace(1000);
  pace.Count(100, absl::Seconds(7));
  EXPECT_EQ(pace.Count(100, absl::Seconds(60)), absl::Milliseconds(100));
}

}  // namespace
}  // namespace neumf
