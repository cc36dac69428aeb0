#include "server/quota_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

QuotaTable Parsed(absl::string_view text) {
  auto table = QuotaTable::Parse(text);
  EXPECT_TRUE(table.ok()) << table.status();
  return table.ok() ? *std::move(table) : QuotaTable();
}

std::string WhyRefused(absl::string_view text) {
  const auto table = QuotaTable::Parse(text);
  EXPECT_TRUE(absl::IsInvalidArgument(table.status())) << text;
  return std::string(table.status().message());
}

void ExpectQuota(const QuotaTable& table, absl::string_view caller, double rate,
                 double burst) {
  const Quota* const quota = table.Find(caller);
  ASSERT_NE(quota, nullptr) << caller;
  EXPECT_EQ(quota->users_per_second, rate);
  EXPECT_EQ(quota->burst_users, burst);
}

TEST(QuotaTableTest, GivesEachCallerTheQuotaOfItsLine) {
  const QuotaTable table = Parsed("shop 500 2000\nreports\t0.5 10\n");
  ExpectQuota(table, "shop", 500, 2000);
  ExpectQuota(table, "reports", 0.5, 10);
}

TEST(QuotaTableTest, HasALineForEverybodyElse) {
  const QuotaTable table = Parsed("* 50 100\nshop 500 2000\n");
  ExpectQuota(table, "shop", 500, 2000);
  ExpectQuota(table, "reports", 50, 100);
  ExpectQuota(table, "", 50, 100);
}

TEST(QuotaTableTest, WithoutThatLineEverybodyElseIsUnlimited) {
  EXPECT_EQ(Parsed("shop 500 2000").Find("reports"), nullptr);
}

TEST(QuotaTableTest, CanExemptACaller) {
  const QuotaTable table = Parsed("* 50 100\nreports unlimited\n");
  EXPECT_EQ(table.Find("reports"), nullptr);
  ExpectQuota(table, "shop", 50, 100);
}

TEST(QuotaTableTest, SkipsCommentsBlankLinesAndCarriageReturns) {
  EXPECT_EQ(Parsed("# quotas\r\n\r\nshop 5 20 # few\r\n").size(), 1);
}

TEST(QuotaTableTest, RefusesAFileWithoutEntries) {
  EXPECT_THAT(WhyRefused(""), HasSubstr("there is no entry"));
  EXPECT_THAT(WhyRefused("# nothing\n\n"), HasSubstr("there is no entry"));
}

TEST(QuotaTableTest, RefusesLinesOfAnotherForm) {
  for (const char* line : {"shop", "shop 5", "shop none", "shop 5 20 30",
                           "unlimited", "unlimited shop"}) {
    EXPECT_THAT(WhyRefused(line), HasSubstr("is neither CALLER")) << line;
  }
}

TEST(QuotaTableTest, RefusesNumbersThatAreNoQuota) {
  for (const char* rate :
       {"0", "-1", "nan", "inf", "1e10", "five", "0.0001", "5s"}) {
    EXPECT_THAT(WhyRefused(absl::StrCat("shop ", rate, " 20")),
                HasSubstr("the rate is not a number"))
        << rate;
  }
  for (const char* burst : {"0", "0.5", "-1", "nan", "inf", "1e10", "x"}) {
    EXPECT_THAT(WhyRefused(absl::StrCat("shop 5 ", burst)),
                HasSubstr("the burst is not a number"))
        << burst;
  }
}

TEST(QuotaTableTest, RefusesTheSameCallerTwice) {
  EXPECT_THAT(WhyRefused("shop 5 20\nshop 5 20"), HasSubstr("line 2"));
  EXPECT_THAT(WhyRefused("* 5 20\n* unlimited"), HasSubstr("same caller"));
}

TEST(QuotaTableTest, NamesTheLineButTellsNothingOfIt) {
  EXPECT_THAT(WhyRefused("shop 5 20\n\ns3cret! 5 20"),
              AllOf(HasSubstr("line 3"), Not(HasSubstr("s3cret"))));
}

}  // namespace
}  // namespace neumf
