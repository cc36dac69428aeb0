#include "trainer/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/time/time.h"
#include "tests/support/status_matchers.h"

ABSL_FLAG(std::string, test_text, "", "");
ABSL_FLAG(std::optional<uint64_t>, test_count, std::nullopt, "");
ABSL_FLAG(std::optional<float>, test_share, std::nullopt, "");
ABSL_FLAG(int, test_number, 0, "");
ABSL_FLAG(bool, test_switch, false, "");
ABSL_FLAG(absl::Duration, test_time, absl::Seconds(1), "");

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

absl::StatusOr<CommandLine> Parse(std::vector<std::string> arguments) {
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  return ParseCommandLine(pointers);
}

void ExpectRefused(const std::vector<std::string>& arguments,
                   const std::string& why) {
  EXPECT_THAT(Parse(arguments),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(why)));
}

TEST(ParseCommandLineTest, SetsFlagsAndTellsThemFromWords) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const CommandLine line,
                             Parse({"train", "--test_text", "--a=b", "more",
                                    "-test_count=3", "--test_switch", "-"}));
  EXPECT_THAT(line.words, ElementsAre("train", "more", "-"));
  EXPECT_THAT(line.given,
              ElementsAre("test_text", "test_count", "test_switch"));
  EXPECT_EQ(absl::GetFlag(FLAGS_test_text), "--a=b");
  EXPECT_EQ(absl::GetFlag(FLAGS_test_count), 3);
  EXPECT_TRUE(absl::GetFlag(FLAGS_test_switch));
}

TEST(ParseCommandLineTest, SwitchesTakeNoWordForTheirValue) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const CommandLine line,
                             Parse({"--test_switch=true", "--notest_switch"}));
  EXPECT_FALSE(absl::GetFlag(FLAGS_test_switch));
  EXPECT_THAT(line.given, ElementsAre("test_switch", "test_switch"));
  NEUMF_ASSERT_OK_AND_ASSIGN(const CommandLine other,
                             Parse({"--test_switch", "false"}));
  EXPECT_TRUE(absl::GetFlag(FLAGS_test_switch));
  EXPECT_THAT(other.words, ElementsAre("false"));
}

TEST(ParseCommandLineTest, TheLastValueCountsAndMayBeEmpty) {
  NEUMF_EXPECT_OK(Parse({"--test_text=a", "--test_text=b=c"}));
  EXPECT_EQ(absl::GetFlag(FLAGS_test_text), "b=c");
  NEUMF_EXPECT_OK(Parse({"--test_text="}));
  EXPECT_EQ(absl::GetFlag(FLAGS_test_text), "");
}

TEST(ParseCommandLineTest, WhatIsBehindTwoDashesIsWords) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const CommandLine line,
                             Parse({"--", "--test_text", "--"}));
  EXPECT_THAT(line.words, ElementsAre("--test_text", "--"));
  EXPECT_THAT(line.given, IsEmpty());
}

TEST(ParseCommandLineTest, RefusesWhatItDoesNotKnow) {
  ExpectRefused({"--test_texts", "a"}, "there is no flag --test_texts; see");
  ExpectRefused({"--=a"}, "there is no flag --; see --help");
  ExpectRefused({"--notest_text"}, "there is no flag --notest_text");
  ExpectRefused({"--notest_switch=true"}, "no flag --notest_switch");
  ExpectRefused({"--test_text"}, "--test_text needs a value");
}

TEST(ParseCommandLineTest, SaysWhatAFlagTakes) {
  ExpectRefused({"--test_count=-1"},
                "--test_count takes a whole number from 0, not '-1'");
  ExpectRefused({"--test_number", "two"},
                "--test_number takes a whole number, not 'two'");
  ExpectRefused({"--test_share", "x"}, "--test_share takes a number, not 'x'");
  ExpectRefused({"--test_switch=2"}, "takes true or false, not '2'");
  ExpectRefused({"--test_time=soon"},
                "takes a time such as 90s or 10m, not 'soon'");
}

}  // namespace
}  // namespace neumf
