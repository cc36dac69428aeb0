// The readers of data sets that come with a test part: ua, NCF, LightGCN.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "data/readers.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class GivenTestReaderTest : public testing::Test {
 protected:
  void Write(absl::string_view name, absl::string_view content) {
    NEUMF_EXPECT_OK(
        WriteFileAtomically(*files_, directory_.Path(name), content));
  }

  static testing::Matcher<const absl::StatusOr<EventLog>&> Refused(
      testing::Matcher<std::string> message) {
    return StatusIs(absl::StatusCode::kInvalidArgument, message);
  }

  // "user item" of every event.
  static std::vector<std::string> Pairs(const EventLog& log,
                                        const std::vector<Event>& events) {
    std::vector<std::string> pairs;
    for (const Event& event : events) {
      pairs.push_back(absl::StrCat(log.user_ids[event.user], " ",
                                   log.item_ids[event.item]));
    }
    return pairs;
  }

  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  const TempDirectory directory_;
  ReadOptions options_;
  ReadReport report_;
};

class UaReaderTest : public GivenTestReaderTest {
 protected:
  absl::StatusOr<EventLog> Read(absl::string_view base,
                                absl::string_view test) {
    Write("ua.base", base);
    Write("ua.test", test);
    return ReadMovieLens100kUa(*files_, directory_.path(), options_, &report_);
  }
};

TEST_F(UaReaderTest, KeepsTheTwoFilesApart) {
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const EventLog log, Read("1\t5\t3\t10\n2\t5\t4\t11\n", "1\t7\t2\t9\n"));
  EXPECT_THAT(Pairs(log, log.events), ElementsAre("1 5", "2 5"));
  EXPECT_THAT(Pairs(log, log.given_test), ElementsAre("1 7"));
  EXPECT_EQ(log.given_test[0].rating, 2);
  EXPECT_EQ(log.given_test[0].time, 9);
  EXPECT_THAT(log.item_ids, ElementsAre("5", "7"));
  EXPECT_THAT(log.given_negatives, IsEmpty());
  EXPECT_TRUE(log.has_given_test);
  EXPECT_TRUE(log.has_times);
  EXPECT_EQ(report_.num_lines, 3);
}

TEST_F(UaReaderTest, BadLinesNameTheirFile) {
  EXPECT_THAT(Read("1\t5\t3\n", "1\t7\t2\t9\nx\t7\t2\t9\n"),
              Refused(AllOf(HasSubstr("2 bad lines"),
                            HasSubstr("ua.base:1: 3 columns between tabs"),
                            HasSubstr("ua.test:2: id \"x\" is not"))));
}

TEST_F(UaReaderTest, ATestEventThatIsATrainEventIsADuplicate) {
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const EventLog log, Read("1\t5\t3\t10\n", "1\t5\t3\t10\n1\t6\t3\t10\n"));
  EXPECT_THAT(Pairs(log, log.given_test), ElementsAre("1 6"));
  EXPECT_EQ(report_.num_duplicates, 1);
}

TEST_F(UaReaderTest, NeitherPartMayBeEmpty) {
  EXPECT_THAT(Read("", "1\t5\t3\t10\n"), Refused(HasSubstr("to train on")));
  EXPECT_THAT(Read("1\t5\t3\t10\n", ""),
              Refused(HasSubstr("in the test part")));
}

TEST_F(UaReaderTest, SaysWhichFileIsMissing) {
  Write("ua.base", "1\t5\t3\t10\n");
  EXPECT_THAT(
      ReadMovieLens100kUa(*files_, directory_.path(), options_, &report_),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("ua.test")));
}

class NcfReaderTest : public GivenTestReaderTest {
 protected:
  absl::StatusOr<EventLog> ReadFolder() {
    return ReadNcf(*files_, directory_.path(), options_, &report_);
  }
  absl::StatusOr<EventLog> Read(absl::string_view train, absl::string_view test,
                                absl::string_view negative) {
    Write("x.train.rating", train);
    Write("x.test.rating", test);
    Write("x.test.negative", negative);
    return ReadFolder();
  }
  // Reads good files but for the second line of the negatives.
  absl::StatusOr<EventLog> ReadSecondNegative(absl::string_view line) {
    return Read("0\t1\t1\t0\n", "0\t2\t5\t9\n1\t2\t5\t9\n",
                absl::StrCat("(0,2)\t3\n", line, "\n"));
  }
  static std::vector<std::string> Items(const EventLog& log,
                                        const std::vector<uint32_t>& rows) {
    std::vector<std::string> ids;
    for (uint32_t row : rows) ids.push_back(log.item_ids[row]);
    return ids;
  }
};

TEST_F(NcfReaderTest, ReadsTheThreeFiles) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const EventLog log,
                             Read("0\t31\t1\t0\n0\t22\t1\t1\n1\t31\t1\t0\n",
                                  "0\t25\t5\t978824351\n1\t22\t3\t978300174\n",
                                  "(0,25)\t40\t31\t25\n\n(1,22)\t7\t7\n"));
  EXPECT_THAT(Pairs(log, log.events), ElementsAre("0 31", "0 22", "1 31"));
  EXPECT_EQ(log.events[1].time, 1);
  EXPECT_THAT(Pairs(log, log.given_test), ElementsAre("0 25", "1 22"));
  EXPECT_EQ(log.given_test[0].time, 978824351);
  EXPECT_TRUE(log.has_given_test);
  EXPECT_TRUE(log.has_times);
  EXPECT_EQ(report_.num_lines, 5);
}

TEST_F(NcfReaderTest, KeepsListedItemsAsTheyAreWritten) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const EventLog log,
                             Read("0\t1\t1\t0\n", "0\t25\t5\t9\n1\t1\t3\t9\n",
                                  "(0,25)\t40\t1\t25\n(1,1)\t7\t7\n"));
  ASSERT_EQ(log.given_negatives.size(), 2);
  EXPECT_THAT(Items(log, log.given_negatives[0]), ElementsAre("40", "1", "25"));
  EXPECT_THAT(Items(log, log.given_negatives[1]), ElementsAre("7", "7"));
}

TEST_F(NcfReaderTest, TheCatalogHasItemsOfTheTestFilesAlone) {
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const EventLog log,
      Read("0\t1\t1\t0\n", "0\t25\t5\t9\n", "(0,25)\t40\n"));
  EXPECT_THAT(log.item_ids, ElementsAre("1", "25", "40"));
}

TEST_F(NcfReaderTest, ALineOfNegativesForAnotherPairIsBad) {
  const auto refused = [](absl::string_view first) {
    return Refused(
        HasSubstr(absl::StrCat("x.test.negative:2: begins with \"", first,
                               "\" where the test file has "
                               "(1,2)")));
  };
  EXPECT_THAT(ReadSecondNegative("(1,3)\t4"), refused("(1,3)"));
  EXPECT_THAT(ReadSecondNegative("(0,2)\t4"), refused("(0,2)"));
  EXPECT_THAT(ReadSecondNegative("1,2\t4"), refused("1,2"));
  EXPECT_THAT(ReadSecondNegative("(1, 2)\t4"), refused("(1, 2)"));
  EXPECT_THAT(ReadSecondNegative("(1,2) 4"), refused("(1,2) 4"));
}

TEST_F(NcfReaderTest, ALineOfNegativesWithoutGoodItemsIsBad) {
  EXPECT_THAT(ReadSecondNegative("(1,2)"),
              Refused(HasSubstr("x.test.negative:2: no items behind")));
  EXPECT_THAT(ReadSecondNegative("(1,2)\t4\t"),
              Refused(HasSubstr("x.test.negative:2: id \"\" is not a number")));
  EXPECT_THAT(ReadSecondNegative("(1,2)\t4\tx"),
              Refused(HasSubstr("x.test.negative:2: id \"x\" is not")));
  EXPECT_THAT(ReadSecondNegative("(1,2)\t" + std::string(257, '4')),
              Refused(HasSubstr("x.test.negative:2: item id longer")));
}

TEST_F(NcfReaderTest, BadEventsNameTheirFile) {
  EXPECT_THAT(Read("0\t1\t1\n0\t1\t1\t0\n", "0\t2\t5\tx\n1\t2\t5\t9\t9\n",
                   "(0,2)\t3\n(1,2)\t3\n"),
              Refused(AllOf(HasSubstr("3 bad lines"),
                            HasSubstr("x.train.rating:1: 3 columns"),
                            HasSubstr("x.test.rating:1: time \"x\""),
                            HasSubstr("x.test.rating:2: 5 columns"))));
}

TEST_F(NcfReaderTest, ABadTestLineTakesItsNegativesWithIt) {
  options_.max_bad_lines = 1;
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const EventLog log,
      Read("0\t1\t1\t0\n", "zero\n0\t2\t5\t9\n", "(0,1)\t3\n(0,2)\t4\n"));
  EXPECT_THAT(Pairs(log, log.given_test), ElementsAre("0 2"));
  ASSERT_EQ(log.given_negatives.size(), 1);
  EXPECT_THAT(Items(log, log.given_negatives[0]), ElementsAre("4"));
}

TEST_F(NcfReaderTest, ARepeatedTestEventTakesItsNegativesWithIt) {
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const EventLog log,
      Read("0\t1\t1\t0\n", "0\t1\t5\t9\n0\t2\t5\t9\n", "(0,1)\t3\n(0,2)\t4\n"));
  EXPECT_EQ(report_.num_duplicates, 1);
  EXPECT_THAT(Pairs(log, log.given_test), ElementsAre("0 2"));
  ASSERT_EQ(log.given_negatives.size(), 1);
  EXPECT_THAT(Items(log, log.given_negatives[0]), ElementsAre("4"));
}

TEST_F(NcfReaderTest, LinesWithoutAPartnerAreBad) {
  EXPECT_THAT(Read("0\t1\t1\t0\n", "0\t2\t5\t9\n1\t2\t5\t9\n", "(0,2)\t3\n"),
              Refused(HasSubstr("x.test.rating:2: no line of negatives")));
  EXPECT_THAT(Read("0\t1\t1\t0\n", "0\t2\t5\t9\n", "(0,2)\t3\n(1,2)\t3\n"),
              Refused(HasSubstr("x.test.negative:2: no line of the test")));
}

TEST_F(NcfReaderTest, WantsOneFileOfEachKind) {
  EXPECT_THAT(ReadFolder(), Refused(HasSubstr("no file *.train.rating")));
  Write("x.train.rating", "0\t1\t1\t0\n");
  EXPECT_THAT(ReadFolder(), Refused(HasSubstr("no file *.test.rating")));
  Write("x.test.rating", "0\t2\t1\t0\n");
  EXPECT_THAT(ReadFolder(), Refused(HasSubstr("no file *.test.negative")));
  Write("x.test.negative", "(0,2)\t3\n");
  NEUMF_EXPECT_OK(ReadFolder());
  Write("w.test.rating", "0\t2\t1\t0\n");
  EXPECT_THAT(ReadFolder(), Refused(HasSubstr("more than one file *.test.rating"
                                              " in this directory: "
                                              "w.test.rating, x.test.rating")));
}

class LightGcnReaderTest : public GivenTestReaderTest {
 protected:
  absl::StatusOr<EventLog> Read(absl::string_view train,
                                absl::string_view test) {
    Write("train.txt", train);
    Write("test.txt", test);
    return ReadLightGcn(*files_, directory_.path(), options_, &report_);
  }
};

TEST_F(LightGcnReaderTest, ReadsAUserAndItemsALine) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const EventLog log,
                             Read("0 5 3\n1 5 \r\n", "1 9 3\n0 4"));
  EXPECT_THAT(Pairs(log, log.events), ElementsAre("0 5", "0 3", "1 5"));
  EXPECT_THAT(Pairs(log, log.given_test), ElementsAre("1 9", "1 3", "0 4"));
  EXPECT_THAT(log.item_ids, ElementsAre("3", "4", "5", "9"));
  EXPECT_FALSE(log.has_times);
  EXPECT_TRUE(log.has_given_test);
  EXPECT_EQ(report_.num_lines, 4);
}

TEST_F(LightGcnReaderTest, AUserMayHaveNoItemsOrBeInTheTestPartAlone) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const EventLog log, Read("0 5\n7\n", "8 5\n0\n"));
  EXPECT_THAT(Pairs(log, log.events), ElementsAre("0 5"));
  EXPECT_THAT(Pairs(log, log.given_test), ElementsAre("8 5"));
  EXPECT_THAT(log.user_ids, testing::UnorderedElementsAre("0", "7", "8"));
}

TEST_F(LightGcnReaderTest, RepeatedItemsAreDuplicates) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const EventLog log,
                             Read("0 5 5\n0 5 6\n", "0 6 7\n"));
  EXPECT_THAT(Pairs(log, log.events), ElementsAre("0 5", "0 6"));
  EXPECT_THAT(Pairs(log, log.given_test), ElementsAre("0 7"));
  EXPECT_EQ(report_.num_duplicates, 3);
}

TEST_F(LightGcnReaderTest, OneBadIdMakesTheWholeLineBad) {
  options_.max_bad_lines = 3;
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const EventLog log,
      Read(absl::StrCat("0 5 x\n0\t5\n1 6 ", std::string(257, '1'), "\n2 8\n"),
           "2 9\n"));
  EXPECT_THAT(Pairs(log, log.events), ElementsAre("2 8"));
  EXPECT_THAT(log.item_ids, ElementsAre("8", "9"));
  EXPECT_THAT(report_.bad_lines,
              ElementsAre(HasSubstr("train.txt:1: id \"x\" is not a number"),
                          HasSubstr("train.txt:2: id \"0\\t5\" is not"),
                          HasSubstr("train.txt:3: item id longer")));
}

TEST_F(LightGcnReaderTest, ALongUserIdIsABadLine) {
  EXPECT_THAT(Read(std::string(257, '1') + " 5\n", "0 6\n"),
              Refused(HasSubstr("train.txt:1: user id longer")));
}

TEST_F(LightGcnReaderTest, NeitherPartMayBeEmpty) {
  EXPECT_THAT(Read("0\n", "0 1\n"), Refused(HasSubstr("to train on")));
  EXPECT_THAT(Read("0 1\n", "0\n"), Refused(HasSubstr("in the test part")));
}

TEST_F(LightGcnReaderTest, SaysWhichFileIsMissing) {
  Write("train.txt", "0 1\n");
  EXPECT_THAT(ReadLightGcn(*files_, directory_.path(), options_, &report_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("test.txt")));
}

}  // namespace
}  // namespace neumf
