#include "server/blocked_ids.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> Parsed(const std::string& text) {
  absl::StatusOr<std::vector<std::string>> ids = ParseBlockedIds(text);
  EXPECT_THAT(ids.status(), IsOk()) << text;
  return std::move(ids).value_or(std::vector<std::string>());
}

void ExpectRefused(const std::string& text, const std::string& reason) {
  EXPECT_THAT(ParseBlockedIds(text).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(reason)))
      << text;
}

TEST(BlockedIdsTest, ALineIsAnId) {
  EXPECT_THAT(Parsed("movie-42\nmovie 7\n"),
              ElementsAre("movie 7", "movie-42"));
  EXPECT_THAT(Parsed("\xC3\xA9t\xC3\xA9\n"), ElementsAre("\xC3\xA9t\xC3\xA9"));
}

TEST(BlockedIdsTest, AnIdMayStandThereTwice) {
  EXPECT_THAT(Parsed("b\na\n\"b\"\n"), ElementsAre("a", "b"));
}

TEST(BlockedIdsTest, CommentsBeginLinesOnly) {
  EXPECT_THAT(Parsed("# why\n\na # b\n"), ElementsAre("a # b"));
}

TEST(BlockedIdsTest, WhatALineCannotHoldStandsInQuotes) {
  EXPECT_THAT(Parsed(R"("#1 hit")"
                     "\n"
                     R"(" a\nb\\\"")"
                     "\n"),
              ElementsAre(" a\nb\\\"", "#1 hit"));
  // Elsewhere a backslash is one.
  EXPECT_THAT(Parsed("a\\nb\n"), ElementsAre("a\\nb"));
}

TEST(BlockedIdsTest, NothingIsBlockedByAFileThatSaysSo) {
  EXPECT_THAT(Parsed("# none\n"), IsEmpty());
  ExpectRefused("", "no line");
}

TEST(BlockedIdsTest, RefusesAFileThatIsCutOff) {
  ExpectRefused("a\nb", "not ended");
}

TEST(BlockedIdsTest, RefusesWhatWouldBlockAnotherIdThanWasMeant) {
  ExpectRefused("a\r\n", "line 1: holds a control character");
  ExpectRefused("a\n\tb\n", "line 2: holds a control character");
  ExpectRefused(" a\n", "begins or ends with a space");
  ExpectRefused("a \n", "begins or ends with a space");
  ExpectRefused("\xEF\xBB\xBF# none\n", "byte-order mark");
}

TEST(BlockedIdsTest, RefusesQuotesThatDoNotClose) {
  for (const char* line :
       {R"(")", R"("a)", R"("a\")", R"("a\z")", R"("a" b)"}) {
    ExpectRefused(absl::StrCat(line, "\n"), "line 1: is not an id in double");
  }
}

TEST(BlockedIdsTest, RefusesIdsThatNoModelHas) {
  EXPECT_THAT(Parsed(std::string(256, 'x') + "\n"),
              ElementsAre(std::string(256, 'x')));
  ExpectRefused(std::string(257, 'x') + "\n", "1 to 256 bytes");
  ExpectRefused("\"\"\n", "1 to 256 bytes");
  ExpectRefused("a\n\xC3\x28\n", "line 2: the id is not UTF-8");
  ExpectRefused("\"\\xC3\\x28\"\n", "the id is not UTF-8");
}

TEST(BlockedIdsTest, ARefusalTellsNothingOfTheFile) {
  const absl::Status status = ParseBlockedIds("secret \n").status();
  EXPECT_THAT(std::string(status.message()),
              ::testing::Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace neumf
