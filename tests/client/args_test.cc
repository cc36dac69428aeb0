#include "client/args.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<Args> Parse(const std::vector<std::string>& words) {
  const std::vector<OptionSpec> specs = {
      {"--user", "ID", "", OptionSpec::kRequired},
      {"--exclude", "ID", "", OptionSpec::kRepeated},
      {"-k", "N", ""},
      {"--timeout", "TIME", ""},
      {"--json", "", ""}};
  return Args::Parse(specs, {"FILE"}, words);
}

auto IsRefused(const char* reason) {
  return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(reason));
}

TEST(ArgsTest, TakesOptionsAndOperandsInAnyOrder) {
  const auto args = Parse({"-k", "5", "file", "--user=a=b", "--json"});

  ASSERT_THAT(args, IsOk());
  EXPECT_EQ(args->value("--user"), "a=b");
  EXPECT_EQ(args->value("-k"), "5");
  EXPECT_TRUE(args->has("--json"));
  EXPECT_EQ(args->operand(0), "file");
}

TEST(ArgsTest, KeepsTheOrderOfRepeatedOptions) {
  const auto args =
      Parse({"file", "--user", "u", "--exclude", "b", "--exclude", "a"});

  ASSERT_THAT(args, IsOk());
  EXPECT_THAT(args->values("--exclude"), ElementsAre("b", "a"));
}

TEST(ArgsTest, AValueMayLookLikeAnOption) {
  const auto args = Parse({"file", "--user", "--json"});

  ASSERT_THAT(args, IsOk());
  EXPECT_EQ(args->value("--user"), "--json");
  EXPECT_FALSE(args->has("--json"));
}

TEST(ArgsTest, AnEmptyValueIsAValue) {
  const auto args = Parse({"file", "--user", ""});

  ASSERT_THAT(args, IsOk());
  EXPECT_TRUE(args->has("--user"));
  EXPECT_EQ(args->value("--user", "other"), "");
}

TEST(ArgsTest, TakesEverythingAfterTwoDashesAsOperands) {
  const auto args = Parse({"--user", "u", "--", "--file"});

  ASSERT_THAT(args, IsOk());
  EXPECT_EQ(args->operand(0), "--file");
}

TEST(ArgsTest, FallsBackWhereNothingWasGiven) {
  const auto args = Parse({"file", "--user", "u"});

  ASSERT_THAT(args, IsOk());
  EXPECT_EQ(args->value("-k", "3"), "3");
  EXPECT_THAT(args->Number("-k", 3), IsOkAndHolds(3));
  EXPECT_THAT(args->Time("--timeout", absl::Seconds(2)),
              IsOkAndHolds(absl::Seconds(2)));
}

TEST(ArgsTest, SaysWhatIsWrong) {
  EXPECT_THAT(Parse({"f", "--user", "u", "--foo"}),
              IsRefused("unknown option --foo"));
  EXPECT_THAT(Parse({"f", "--user", "u", "--foo=1"}),
              IsRefused("unknown option --foo"));
  EXPECT_THAT(Parse({"f"}), IsRefused("--user ID is missing"));
  EXPECT_THAT(Parse({"f", "--user"}), IsRefused("--user needs a value: ID"));
  EXPECT_THAT(Parse({"f", "--user", "u", "--json=yes"}),
              IsRefused("--json takes no value"));
  EXPECT_THAT(Parse({"f", "--user", "u", "--user", "v"}),
              IsRefused("--user is there twice"));
  EXPECT_THAT(Parse({"--user", "u"}), IsRefused("FILE is missing"));
  EXPECT_THAT(Parse({"--user", "u", "f", "g"}),
              IsRefused("unexpected argument 'g'"));
}

TEST(ArgsTest, ChecksEveryValueOfAnOptionForUtf8) {
  const auto args = Parse({"file", "--user", "J\xC3\xBCrgen", "--exclude", "a",
                           "--exclude", "\xFF"});

  ASSERT_THAT(args, IsOk());
  EXPECT_THAT(args->CheckUtf8("--user"), IsOk());
  EXPECT_THAT(args->CheckUtf8("--timeout"), IsOk());
  EXPECT_THAT(args->CheckUtf8("--exclude"),
              IsRefused("--exclude: the value is not UTF-8"));
}

TEST(ArgsTest, ReadsNumbers) {
  const auto number = [](const std::string& text) {
    return Parse({"file", "--user", "u", "-k", text})->Number("-k", 0);
  };

  EXPECT_THAT(number("12"), IsOkAndHolds(12));
  EXPECT_THAT(number("-1"), IsOkAndHolds(-1));
  EXPECT_THAT(number("ten"), IsRefused("-k: 'ten'"));
  EXPECT_THAT(number("1.5"), IsRefused("-k: '1.5'"));
  EXPECT_THAT(number("3000000000"), IsRefused("32-bit"));
}

TEST(ArgsTest, ReadsTimes) {
  const auto time = [](const std::string& text) {
    return Parse({"file", "--user", "u", "--timeout", text})
        ->Time("--timeout", absl::Seconds(1));
  };

  EXPECT_THAT(time("250ms"), IsOkAndHolds(absl::Milliseconds(250)));
  EXPECT_THAT(time("5"), IsRefused("--timeout: '5'"));
  EXPECT_THAT(time("-1s"), IsRefused("--timeout"));
}

}  // namespace
}  // namespace neumf
