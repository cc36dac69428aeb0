#include "data/event_log_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

class EventLogBuilderTest : public testing::Test {
 protected:
  void Add(absl::string_view user, absl::string_view item,
           absl::string_view rating = "1", absl::string_view time = "0") {
    EventText event;
    event.user = user;
    event.item = item;
    event.rating = rating;
    event.time = time;
    builder_.Add(++line_, event);
  }

  absl::StatusOr<EventLog> Finish(uint64_t max_bad_lines = 0) {
    ReadOptions options;
    options.max_bad_lines = max_bad_lines;
    return std::move(builder_).Finish(options, &report_);
  }

  // The item ids in row order after one event of each.
  std::vector<std::string> RowsOf(const std::vector<std::string>& ids) {
    for (const std::string& id : ids) Add("u", id);
    const absl::StatusOr<EventLog> log = Finish();
    NEUMF_EXPECT_OK(log);
    return log.ok() ? log->item_ids : std::vector<std::string>();
  }

  // Expects that the one event added before was refused.
  void ExpectBadLine(absl::string_view reason) {
    Add("good", "good");
    NEUMF_EXPECT_OK(Finish(1));
    EXPECT_THAT(report_.bad_lines,
                ElementsAre("events.csv:1: " + std::string(reason)));
  }

  EventLogBuilder builder_{"events.csv"};
  uint64_t line_ = 0;
  ReadReport report_;
};

TEST_F(EventLogBuilderTest, KeepsEventsInFileOrder) {
  Add("ann", "9", "4.5", "1260759144");
  Add("bob", "10", "-1", "-7");
  Add("ann", "10", "1e3", "9223372036854775807");
  NEUMF_ASSERT_OK_AND_ASSIGN(const EventLog log, Finish());
  std::vector<std::string> events;
  for (const Event& event : log.events) {
    events.push_back(absl::StrCat(log.user_ids[event.user], " ",
                                  log.item_ids[event.item], " ", event.rating,
                                  " ", event.time));
  }
  EXPECT_THAT(events, ElementsAre("ann 9 4.5 1260759144", "bob 10 -1 -7",
                                  "ann 10 1000 9223372036854775807"));
  EXPECT_EQ(report_.num_lines, 3);
  EXPECT_EQ(report_.num_bad_lines, 0);
}

TEST_F(EventLogBuilderTest, UserRowsAscendByHash) {
  for (int user = 0; user < 100; ++user) Add(absl::StrCat("u", user), "i");
  NEUMF_ASSERT_OK_AND_ASSIGN(const EventLog log, Finish());
  ASSERT_THAT(log.user_ids, SizeIs(100));
  EXPECT_TRUE(std::is_sorted(log.user_ids.begin(), log.user_ids.end(),
                             [](const std::string& a, const std::string& b) {
                               return IdHash(a) < IdHash(b);
                             }));
}

TEST_F(EventLogBuilderTest, ItemRowsAscendByNumberWhenAllIdsAreNumbers) {
  EXPECT_THAT(
      RowsOf({"10", "9", "07", "7", "0", "00", "100000000000000000000000000000",
              "99999999999999999999999999999"}),
      ElementsAre("0", "00", "07", "7", "9", "10",
                  "99999999999999999999999999999",
                  "100000000000000000000000000000"));
}

TEST_F(EventLogBuilderTest, ItemRowsAscendBytewiseWhenOneIdIsNoNumber) {
  EXPECT_THAT(RowsOf({"9", "10", "é", "z", "-1"}),
              ElementsAre("-1", "10", "9", "z", "é"));
}

TEST_F(EventLogBuilderTest, KeepsTheFirstEventOfAUserAndItem) {
  Add("u", "i", "5");
  Add("u", "j", "3");
  Add("u", "i", "1");
  Add("v", "i", "2");
  NEUMF_ASSERT_OK_AND_ASSIGN(const EventLog log, Finish());
  ASSERT_THAT(log.events, SizeIs(3));
  EXPECT_EQ(log.events[0].rating, 5);
  EXPECT_EQ(log.events[2].rating, 2);
  EXPECT_EQ(report_.num_duplicates, 1);
  EXPECT_EQ(report_.num_lines, 4);
}

TEST_F(EventLogBuilderTest, RefusesAnEmptyUser) {
  Add("", "i");
  ExpectBadLine("user id empty");
}

TEST_F(EventLogBuilderTest, RefusesAnEmptyItem) {
  Add("u", "");
  ExpectBadLine("item id empty");
}

TEST_F(EventLogBuilderTest, TakesIdsOf256Bytes) {
  Add(std::string(256, 'u'), std::string(256, '9'));
  NEUMF_EXPECT_OK(Finish());
}

TEST_F(EventLogBuilderTest, RefusesIdsOf257Bytes) {
  Add(std::string(257, 'u'), "i");
  ExpectBadLine("user id longer than 256 bytes");
}

TEST_F(EventLogBuilderTest, RefusesAnIdThatIsNotUtf8) {
  Add("u", "caf\xE9");
  ExpectBadLine("item id not UTF-8");
}

TEST_F(EventLogBuilderTest, RefusesAnIdWithANulByte) {
  Add(absl::string_view("u\0", 2), "i");
  ExpectBadLine("user id with a NUL byte");
}

TEST_F(EventLogBuilderTest, RefusesATimeThatIsNotAnInteger) {
  Add("u", "i", "1", "12.5");
  ExpectBadLine("time \"12.5\" is not an integer of 64 bits");
}

TEST_F(EventLogBuilderTest, CountsEveryBadNumber) {
  for (absl::string_view rating :
       {"", "x", "5x", " 5", "nan", "inf", "-inf", "1e39", "5,0"}) {
    Add("u", "i", rating);
  }
  for (absl::string_view time : {"", "x", "7x", " 7", "9223372036854775808"}) {
    Add("u", "i", "1", time);
  }
  Add("u", "i");
  NEUMF_EXPECT_OK(Finish(14));
  EXPECT_EQ(report_.num_bad_lines, 14);
  EXPECT_EQ(report_.num_lines, 15);
}

TEST_F(EventLogBuilderTest, ABadLineLeavesNoIdBehind) {
  Add("ghost", "");
  Add("ghost", "i", "x");
  Add("", "phantom");
  Add("u", "i");
  NEUMF_ASSERT_OK_AND_ASSIGN(const EventLog log, Finish(3));
  EXPECT_THAT(log.user_ids, ElementsAre("u"));
  EXPECT_THAT(log.item_ids, ElementsAre("i"));
}

TEST_F(EventLogBuilderTest, TooManyBadLinesFailWithTheCountAndTheFirstOnes) {
  Add("u", "i");
  for (int i = 0; i < 9; ++i) Add("u", "i", "x");
  EXPECT_THAT(
      Finish(8),
      StatusIs(
          absl::StatusCode::kInvalidArgument,
          AllOf(HasSubstr("events.csv: 9 bad lines, 8 allowed"),
                HasSubstr("events.csv:2: rating \"x\" is not a finite "
                          "number; events.csv:3:"),
                HasSubstr("events.csv:6:"), Not(HasSubstr("events.csv:7:")))));
  EXPECT_EQ(report_.num_bad_lines, 9);
  EXPECT_THAT(report_.bad_lines, SizeIs(5));
}

TEST_F(EventLogBuilderTest, AsManyBadLinesAsAllowedAreLeftOut) {
  Add("u", "i");
  for (int i = 0; i < 9; ++i) Add("u", "i", "x");
  NEUMF_ASSERT_OK_AND_ASSIGN(const EventLog log, Finish(9));
  EXPECT_THAT(log.events, SizeIs(1));
}

TEST_F(EventLogBuilderTest, NoEventIsAnError) {
  EXPECT_THAT(Finish(), StatusIs(absl::StatusCode::kInvalidArgument,
                                 HasSubstr("events.csv: no event")));
}

TEST(QuotedForMessageTest, EscapesAndCuts) {
  EXPECT_EQ(QuotedForMessage("a\n\xFF\"b"), R"("a\n\xff\"b")");
  EXPECT_EQ(QuotedForMessage(std::string(41, 'x')),
            "\"" + std::string(40, 'x') + "...\"");
}

}  // namespace
}  // namespace neumf
