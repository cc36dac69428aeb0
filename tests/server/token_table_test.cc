#include "server/token_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string HashOf(absl::string_view token) {
  return absl::StrCat("sha256:", ToHex(Sha256Of(token)));
}

TokenTable Parsed(absl::string_view text) {
  auto table = TokenTable::Parse(text);
  EXPECT_TRUE(table.ok()) << table.status();
  return table.ok() ? *std::move(table) : TokenTable();
}

std::string WhyRefused(absl::string_view text) {
  const auto table = TokenTable::Parse(text);
  EXPECT_TRUE(absl::IsInvalidArgument(table.status())) << text;
  return std::string(table.status().message());
}

TEST(TokenTableTest, FindsTheCallerOfAToken) {
  const TokenTable table =
      Parsed(absl::StrCat(HashOf("s3cret"), " web recommend\n", HashOf("other"),
                          "\tadmin\tmodels.read\n"));
  ASSERT_NE(table.FindToken("s3cret"), nullptr);
  EXPECT_EQ(table.FindToken("s3cret")->name, "web");
  EXPECT_EQ(table.FindToken("other")->name, "admin");
}

TEST(TokenTableTest, KnowsNoOtherTokens) {
  const TokenTable table =
      Parsed(absl::StrCat(HashOf("s3cret"), " web recommend"));
  EXPECT_EQ(table.FindToken(""), nullptr);
  EXPECT_EQ(table.FindToken("s3cre"), nullptr);
  EXPECT_EQ(table.FindToken("s3cret "), nullptr);
  EXPECT_EQ(table.FindToken(ToHex(Sha256Of("s3cret"))), nullptr);
}

TEST(TokenTableTest, GivesTheRightsOfTheLineAndNoOthers) {
  const TokenTable table =
      Parsed(absl::StrCat(HashOf("a"), " web recommend,models.read"));
  const Rights& rights = table.FindToken("a")->rights;
  EXPECT_TRUE(rights.Has(Right::kRecommend));
  EXPECT_TRUE(rights.Has(Right::kModelsRead));
  EXPECT_FALSE(rights.Has(Right::kRecommendSeen));
}

TEST(TokenTableTest, FindsTheCallerOfACertificate) {
  const TokenTable table = Parsed("san:web.example.com web recommend");
  ASSERT_NE(table.FindSan("web.example.com"), nullptr);
  EXPECT_EQ(table.FindSan("web.example.com")->name, "web");
  EXPECT_EQ(table.FindSan("example.com"), nullptr);
  EXPECT_EQ(table.FindToken("web.example.com"), nullptr);
}

TEST(TokenTableTest, LetsTwoTokensOfOneCallerOverlap) {
  const TokenTable table = Parsed(absl::StrCat(
      HashOf("old"), " web recommend\n", HashOf("new"), " web recommend\n"));
  EXPECT_NE(table.FindToken("old"), nullptr);
  EXPECT_NE(table.FindToken("new"), nullptr);
}

TEST(TokenTableTest, SkipsCommentsBlankLinesAndCarriageReturns) {
  const TokenTable table = Parsed(absl::StrCat(
      "# callers\r\n\r\n  \n", HashOf("a"), " web recommend # the shop\r\n"));
  EXPECT_EQ(table.size(), 1);
  EXPECT_NE(table.FindToken("a"), nullptr);
}

TEST(TokenTableTest, TakesHexadecimalDigitsOfBothCases) {
  const std::string hash = absl::AsciiStrToUpper(ToHex(Sha256Of("a")));
  EXPECT_NE(
      Parsed(absl::StrCat("sha256:", hash, " web recommend")).FindToken("a"),
      nullptr);
}

TEST(TokenTableTest, RefusesAFileWithoutEntries) {
  EXPECT_EQ(WhyRefused(""), "there is no entry");
  EXPECT_EQ(WhyRefused("# sha256:...\n"), "there is no entry");
}

TEST(TokenTableTest, RefusesLinesOfAnotherForm) {
  const std::string hash = HashOf("a");
  EXPECT_THAT(WhyRefused(hash), HasSubstr("CREDENTIAL NAME RIGHT"));
  EXPECT_THAT(WhyRefused(absl::StrCat(hash, " web recommend, models.read")),
              HasSubstr("CREDENTIAL NAME RIGHT"));
  EXPECT_THAT(WhyRefused(absl::StrCat(hash, "0 web recommend")),
              HasSubstr("64 hexadecimal digits"));
  EXPECT_THAT(WhyRefused(absl::StrCat("sha256:", std::string(64, 'g'),
                                      " web recommend")),
              HasSubstr("64 hexadecimal digits"));
  EXPECT_THAT(WhyRefused("san: web recommend"), HasSubstr("by a name"));
  EXPECT_THAT(WhyRefused("md5:00 web recommend"), HasSubstr("neither"));
  EXPECT_THAT(WhyRefused(absl::StrCat(hash, " a/b recommend")),
              HasSubstr("the name"));
  EXPECT_THAT(
      WhyRefused(absl::StrCat(hash, " ", std::string(65, 'n'), " recommend")),
      HasSubstr("the name"));
  EXPECT_THAT(WhyRefused(absl::StrCat(hash, " web recommend,")),
              HasSubstr("no right"));
  EXPECT_THAT(WhyRefused(absl::StrCat(hash, " web Recommend")),
              HasSubstr("no right"));
}

TEST(TokenTableTest, RefusesTheSameCredentialTwice) {
  const std::string line = absl::StrCat(HashOf("a"), " web recommend\n");
  EXPECT_THAT(WhyRefused(absl::StrCat(line, line)), HasSubstr("same token"));
  EXPECT_THAT(WhyRefused("san:a web recommend\nsan:a ops models.read"),
              HasSubstr("same subject"));
}

TEST(TokenTableTest, NamesTheLineButTellsNothingOfIt) {
  const std::string why =
      WhyRefused(absl::StrCat("# tokens\n\n", HashOf("a"),
                              " web recommend\npasted-token web recommend\n"));
  EXPECT_THAT(why, AllOf(HasSubstr("line 4: "), Not(HasSubstr("pasted"))));
}

TEST(TokenTableTest, BoundsTheNumberOfEntries) {
  std::string text;
  for (size_t i = 0; i < TokenTable::kMaxEntries; ++i) {
    absl::StrAppend(&text, "san:", i, " web recommend\n");
  }
  EXPECT_EQ(Parsed(text).size(), TokenTable::kMaxEntries);
  EXPECT_THAT(WhyRefused(absl::StrCat(text, "san:more web recommend")),
              HasSubstr("line 1025: more than 1024 entries"));
}

}  // namespace
}  // namespace neumf
