#include "trainer/flag_uses.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"
#include "tests/trainer/running_program.h"
#include "trainer/settings.h"

namespace neumf {
namespace {

using testing::HasSubstr;
using testing::Not;

using Flags = std::vector<std::string>;

TEST(FlagUsesTest, EveryFlagOfTheProgramIsReadBySomeCommand) {
  const TempDirectory directory;
  const Result help = Program({"--help"}, directory.Path("stdout")).Finish();
  size_t num_flags = 0;
  for (absl::string_view line : absl::StrSplit(help.out, '\n')) {
    if (!absl::ConsumePrefix(&line, "  --")) continue;
    const absl::string_view flag = line.substr(0, line.find(' '));
    EXPECT_NE(CommandsThatRead(flag), "") << flag;
    ++num_flags;
  }
  EXPECT_GT(num_flags, SettingNames().size() + 20);
}

TEST(FlagUsesTest, ListsCommands) {
  EXPECT_EQ(CommandsThatRead("data"), "train, import and evaluate");
  EXPECT_EQ(CommandsThatRead("out"), "train and import");
  EXPECT_EQ(CommandsThatRead("loss"), "train");
  EXPECT_EQ(CommandsThatRead("losses"), "");
}

TEST(FlagUsesTest, RefusesFlagsOfOtherCommands) {
  const auto refused = [](const char* command, const Flags& flags,
                          const char* why) {
    EXPECT_THAT(CheckFlagsOfCommand(command, flags),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(why)));
  };
  refused("train", {"data", "checkpoint"},
          "--checkpoint is for evaluate: train does not read it");
  refused("evaluate", {"out"},
          "--out is for train and import: evaluate does not read it");
  refused("import", {"loss"}, "--loss is for train: import does not");
  refused("compare", {"a", "b", "data"}, "compare does not read it");
  refused("recipes", {"recipe"}, "--recipe is for train: recipes does not");
  NEUMF_EXPECT_OK(CheckFlagsOfCommand("train", Flags{"data", "loss", "out"}));
  NEUMF_EXPECT_OK(CheckFlagsOfCommand("compare", Flags{"a", "b", "seed"}));
  NEUMF_EXPECT_OK(CheckFlagsOfCommand("recipes", Flags{}));
}

class FlagsOfTaskTest : public testing::Test {
 protected:
  FlagsOfTaskTest() { task_.data.format = "ml-100k"; }

  void ExpectRead(const std::string& flag) {
    NEUMF_EXPECT_OK(CheckFlagsOfTask(task_, Flags{"data", flag}));
  }
  void ExpectRefused(const std::string& flag) {
    EXPECT_THAT(
        CheckFlagsOfTask(task_, Flags{"data", flag}),
        StatusIs(absl::StatusCode::kInvalidArgument,
                 HasSubstr("--" + flag + " would change nothing: it is for ")));
  }

  TaskOptions task_;
};

TEST_F(FlagsOfTaskTest, OnlyCsvHasColumns) {
  ExpectRefused("columns");
  task_.data.format = "csv";
  ExpectRead("columns");
}

TEST_F(FlagsOfTaskTest, TheProtocolsSplitDecides) {
  ExpectRefused("split_ratio");
  ExpectRefused("split_seed");
  ExpectRead("held_out");
  task_.split = "ratio";
  ExpectRead("split_ratio");
  ExpectRead("split_seed");
  task_.split = "none";
  ExpectRefused("split_ratio");
  ExpectRefused("held_out");
}

TEST_F(FlagsOfTaskTest, ValidationOfGivenEventsIsDrawn) {
  task_.data.format = "ncf";
  ExpectRefused("split_seed");
  task_.held_out = "validation";
  ExpectRead("split_seed");
  ExpectRefused("split_ratio");
}

TEST_F(FlagsOfTaskTest, TheProtocolDecides) {
  ExpectRefused("drop_rated");
  ExpectRefused("whole_lists");
  task_.data.format = "ml-100k-ua";
  ExpectRead("drop_rated");
  task_.protocol = "full";
  ExpectRefused("drop_rated");
  ExpectRead("whole_lists");
  task_.split = "none";
  ExpectRefused("whole_lists");
}

TEST_F(FlagsOfTaskTest, ProtocolAndSplitMustExist) {
  task_.protocol = "loo";
  EXPECT_THAT(CheckFlagsOfTask(task_, {}), Not(IsOk()));
  task_.protocol.clear();
  task_.split = "halves";
  EXPECT_THAT(CheckFlagsOfTask(task_, {}), Not(IsOk()));
}

}  // namespace
}  // namespace neumf
