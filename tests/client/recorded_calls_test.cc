#include "client/recorded_calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/pseudonyms.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::Pair;

constexpr char kSalt[] = "a secret of the operators";

std::string Hash(absl::string_view user) { return Pseudonyms(kSalt).Of(user); }

std::string Line(int second, const std::string& user,
                 const std::string& more = "") {
  return absl::StrCat(R"({"time":"2026-01-31T12:00:0)", second,
                      R"(Z","recommend":{"user_id":")", user, R"("})", more,
                      "}\n");
}

std::string HashedLine(int second, const std::string& user) {
  return Line(second, Hash(user), R"(,"users_hashed":true)");
}

RecordedCalls Parsed(const std::string& text) {
  auto recorded = ParseRequestLog(text);
  EXPECT_TRUE(recorded.ok()) << recorded.status();
  return recorded.ok() ? *std::move(recorded) : RecordedCalls();
}

std::vector<std::string> UsersOf(const RecordedCalls& recorded) {
  std::vector<std::string> users;
  for (const v1::LoggedCall& call : recorded.calls) {
    users.push_back(call.recommend().user_id());
  }
  return users;
}

TEST(RecordedCallsTest, AreInTheOrderInWhichTheyCame) {
  const RecordedCalls recorded =
      Parsed(Line(3, "c") + Line(1, "a") + Line(2, "b"));
  EXPECT_THAT(UsersOf(recorded), ElementsAre("a", "b", "c"));
  EXPECT_EQ(ArrivalOf(recorded.calls[2]) - ArrivalOf(recorded.calls[0]),
            absl::Seconds(2));
}

TEST(RecordedCallsTest, LeavesOutLinesThatAreNoCalls) {
  const RecordedCalls recorded =
      Parsed(absl::StrCat("{\"time\":\"2026-01-31T12\n", Line(1, "a"), "{}\n",
                          "x\n", Line(2, "b").substr(0, 30)));
  EXPECT_THAT(UsersOf(recorded), ElementsAre("a"));
  EXPECT_EQ(recorded.num_broken_lines, 4);
}

TEST(RecordedCallsTest, SkipsFieldsOfNewerServers) {
  EXPECT_THAT(UsersOf(Parsed(Line(1, "a", R"(,"colour":{"is":["blue"]})"))),
              ElementsAre("a"));
}

TEST(RecordedCallsTest, ALogWithoutCallsIsAnError) {
  for (const char* text : {"", "\n\n", "{}\n", "\xff\n"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseRequestLog(text).status()));
  }
}

TEST(RecordedCallsTest, CountsHowTheyEnded) {
  const RecordedCalls recorded =
      Parsed(Line(1, "a", R"(,"code":"OK")") + Line(2, "b", R"(,"code":"OK")") +
             Line(3, "c", R"(,"code":"NOT_FOUND")"));
  EXPECT_THAT(recorded.CountCodes(),
              ElementsAre(Pair("NOT_FOUND", 1), Pair("OK", 2)));
}

TEST(RecordedCallsTest, TheSaltTellsWhoTheyWere) {
  RecordedCalls recorded = Parsed(HashedLine(1, "a") + HashedLine(2, "b"));
  EXPECT_TRUE(recorded.has_hashed_users());
  ASSERT_THAT(NameUsers({"b", "x", "a"}, kSalt, &recorded), IsOk());
  EXPECT_THAT(UsersOf(recorded), ElementsAre("a", "b"));
  EXPECT_FALSE(recorded.has_hashed_users());
}

TEST(RecordedCallsTest, CallsAboutOthersAreLeftOut) {
  RecordedCalls recorded =
      Parsed(HashedLine(1, "a") + HashedLine(2, "b") + Line(3, "plain"));
  ASSERT_THAT(NameUsers({"b"}, kSalt, &recorded), IsOk());
  EXPECT_THAT(UsersOf(recorded), ElementsAre("b", "plain"));
  EXPECT_EQ(recorded.num_left_out, 1);
}

TEST(RecordedCallsTest, AnotherSaltIsAnError) {
  RecordedCalls recorded = Parsed(HashedLine(1, "a"));
  EXPECT_TRUE(absl::IsFailedPrecondition(
      NameUsers({"a"}, "the secret of somebody else", &recorded)));
}

TEST(RecordedCallsTest, WithoutASaltTheyAreAnybodyButAlwaysTheSame) {
  RecordedCalls recorded =
      Parsed(HashedLine(1, "a") + HashedLine(2, "b") + HashedLine(3, "a"));
  ASSERT_THAT(NameUsers({"x", "y", "z"}, std::nullopt, &recorded), IsOk());
  const std::vector<std::string> users = UsersOf(recorded);
  ASSERT_EQ(users.size(), 3);
  for (const std::string& user : users) {
    EXPECT_THAT(user, AnyOf("x", "y", "z"));
  }
  EXPECT_EQ(users[0], users[2]);
}

TEST(RecordedCallsTest, EveryUserOfABatchIsNamed) {
  RecordedCalls recorded = Parsed(absl::StrCat(
      R"({"batch_recommend":{"requests":[{"user_id":")", Hash("a"),
      R"("},{"user_id":")", Hash("b"), R"("}]},"users_hashed":true})"));
  ASSERT_THAT(NameUsers({"a", "b"}, kSalt, &recorded), IsOk());
  const auto& requests = recorded.calls[0].batch_recommend().requests();
  EXPECT_EQ(requests[0].user_id(), "a");
  EXPECT_EQ(requests[1].user_id(), "b");
}

}  // namespace
}  // namespace neumf
