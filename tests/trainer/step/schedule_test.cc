#include "trainer/step/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::HasSubstr;

// The factor of the schedule that is written so.
double Scale(const char* text, double epochs_done, double num_epochs) {
  const absl::StatusOr<Schedule> schedule = ParseSchedule(text);
  if (!schedule.ok()) {
    ADD_FAILURE() << schedule.status();
    return -1;
  }
  return schedule->Scale(epochs_done, num_epochs);
}

TEST(ScheduleTest, ConstantStaysAsItIs) {
  EXPECT_EQ(Scale("constant", 0, 10), 1);
  EXPECT_EQ(Scale("constant", 9.99, 10), 1);
}

TEST(ScheduleTest, StepsComeEverySoManyEpochs) {
  EXPECT_EQ(Scale("step:3:0.5", 0, 10), 1);
  EXPECT_EQ(Scale("step:3:0.5", 2.99, 10), 1);
  EXPECT_EQ(Scale("step:3:0.5", 3, 10), 0.5);
  EXPECT_EQ(Scale("step:3:0.5", 9.5, 10), 0.125);
}

TEST(ScheduleTest, CosineFallsToNothing) {
  EXPECT_EQ(Scale("cosine", 0, 8), 1);
  EXPECT_NEAR(Scale("cosine", 2, 8), (1 + std::sqrt(0.5)) / 2, 1e-12);
  EXPECT_NEAR(Scale("cosine", 4, 8), 0.5, 1e-12);
  EXPECT_NEAR(Scale("cosine", 8, 8), 0, 1e-12);
  EXPECT_NEAR(Scale("cosine", 9, 8), 0, 1e-12);
}

TEST(ScheduleTest, WarmUpRisesInALine) {
  EXPECT_EQ(Scale("constant,warmup:4", 0, 10), 0);
  EXPECT_EQ(Scale("constant,warmup:4", 1, 10), 0.25);
  EXPECT_EQ(Scale("constant,warmup:4", 4, 10), 1);
  EXPECT_EQ(Scale("step:1:0.5,warmup:2", 1, 10), 0.25);
  EXPECT_EQ(Scale("cosine,warmup:2", 1, 10), 0.5);
  EXPECT_EQ(Scale("cosine,warmup:2", 2, 10), 1);
  EXPECT_NEAR(Scale("cosine,warmup:2", 6, 10), 0.5, 1e-12);
  EXPECT_EQ(Scale("cosine,warmup:20", 10, 10), 0.5);
}

TEST(ScheduleTest, IsWrittenAsItIsRead) {
  for (const char* const text :
       {"constant", "cosine", "step:2.5:0.1", "cosine,warmup:0.5"}) {
    NEUMF_ASSERT_OK_AND_ASSIGN(const Schedule schedule, ParseSchedule(text));
    EXPECT_EQ(ScheduleText(schedule), text);
  }
}

TEST(ScheduleTest, RefusesWhatItDoesNotUnderstand) {
  for (const char* const text :
       {"", "linear", "step", "step:1", "step:0:0.5", "step:1:x", "step:1:nan",
        "step:1:0.5:2", "cosine,", "cosine,warmup", "cosine,warmup:-1",
        "warmup:2", "cosine,warmup:1,warmup:2"}) {
    EXPECT_THAT(ParseSchedule(text).status(),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("there are constant, cosine and step")))
        << text;
  }
}

}  // namespace
}  // namespace neumf
