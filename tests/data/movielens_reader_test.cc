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
using testing::SizeIs;

class MovieLens100kTest : public testing::Test {
 protected:
  absl::StatusOr<EventLog> Read(absl::string_view content,
                                uint64_t max_bad_lines = 0) {
    NEUMF_EXPECT_OK(
        WriteFileAtomically(*files_, directory_.Path("u.data"), content));
    ReadOptions options;
    options.max_bad_lines = max_bad_lines;
    return ReadMovieLens100k(*files_, directory_.path(), options, &report_);
  }

  // Expects that reading fails because of line 2 and says why.
  void ExpectBadSecondLine(absl::string_view line, absl::string_view reason) {
    const std::string content = absl::StrCat("1\t2\t3\t4\n", line, "\n");
    EXPECT_THAT(Read(content),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr(absl::StrCat(directory_.Path("u.data"),
                                                ":2: ", reason))));
  }

  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  const TempDirectory directory_;
  ReadReport report_;
};

TEST_F(MovieLens100kTest, ReadsUserItemRatingAndTime) {
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const EventLog log,
      Read("196\t242\t3\t881250949\n22\t7\t1\t878887116\n"));
  ASSERT_THAT(log.events, SizeIs(2));
  EXPECT_THAT(log.item_ids, ElementsAre("7", "242"));
  EXPECT_EQ(log.user_ids[log.events[0].user], "196");
  EXPECT_EQ(log.item_ids[log.events[0].item], "242");
  EXPECT_EQ(log.events[0].rating, 3);
  EXPECT_EQ(log.events[0].time, 881250949);
}

TEST_F(MovieLens100kTest, TakesCrlfByteOrderMarkEmptyLinesAndNoFinalNewline) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const EventLog log,
                             Read("\xEF\xBB\xBF"
                                  "1\t2\t3\t4\r\n\r\n\n5\t6\t3\t4"));
  EXPECT_THAT(log.events, SizeIs(2));
  EXPECT_EQ(report_.num_lines, 2);
}

TEST_F(MovieLens100kTest, BadLinesNameFileLineAndReason) {
  ExpectBadSecondLine("1\t2\t3", "3 columns");
  ExpectBadSecondLine("1\t2\t3\t4\t5", "5 columns");
  ExpectBadSecondLine("1 2 3 4", "1 columns");
  ExpectBadSecondLine("ann\t2\t3\t4", "id \"ann\" is not a number");
  ExpectBadSecondLine("1\t-2\t3\t4", "id \"-2\" is not a number");
  ExpectBadSecondLine("1\t\t3\t4", "id \"\" is not a number");
  ExpectBadSecondLine("1\t2\tgood\t4", "rating \"good\"");
  ExpectBadSecondLine("1\t2\t3\tnow", "time \"now\"");
  ExpectBadSecondLine(absl::string_view("1\t2\0\t3\t4", 8), "id \"2\\x00\"");
}

TEST_F(MovieLens100kTest, LineNumbersCountEmptyLines) {
  EXPECT_THAT(
      Read("1\t2\t3\t4\n\n\nbad\n"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("u.data:4: ")));
}

TEST_F(MovieLens100kTest, LeavesOutAllowedBadLines) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const EventLog log,
                             Read("bad\n1\t2\t3\t4\nworse\n", 2));
  EXPECT_THAT(log.events, SizeIs(1));
  EXPECT_EQ(report_.num_bad_lines, 2);
  EXPECT_THAT(report_.bad_lines,
              ElementsAre(HasSubstr("u.data:1: "), HasSubstr("u.data:3: ")));
}

TEST_F(MovieLens100kTest, RefusesAnEmptyFile) {
  EXPECT_THAT(Read(""), StatusIs(absl::StatusCode::kInvalidArgument,
                                 HasSubstr("no event")));
}

TEST_F(MovieLens100kTest, SaysWhichFileIsMissing) {
  EXPECT_THAT(ReadMovieLens100k(*files_, directory_.path(), {}, &report_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("u.data")));
}

class OtherMovieLensTest : public testing::Test {
 protected:
  void Write(absl::string_view name, absl::string_view content) {
    NEUMF_EXPECT_OK(
        WriteFileAtomically(*files_, directory_.Path(name), content));
  }

  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  const TempDirectory directory_;
  ReadReport report_;
};

TEST_F(OtherMovieLensTest, OneMillionHasTwoColonsBetweenColumns) {
  Write("ratings.dat", "1::1193::5::978300760\n1::661::3::978302109\n");
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const EventLog log,
      ReadMovieLens1M(*files_, directory_.path(), {}, &report_));
  ASSERT_THAT(log.events, SizeIs(2));
  EXPECT_EQ(log.item_ids[log.events[0].item], "1193");
  EXPECT_EQ(log.events[1].rating, 3);
  EXPECT_EQ(log.events[1].time, 978302109);
  EXPECT_TRUE(log.has_times);
  EXPECT_FALSE(log.has_given_test);
}

TEST_F(OtherMovieLensTest, BadLinesOfOneMillionNameFileLineAndReason) {
  Write("ratings.dat",
        "1::2::3::4\n1::2::3\n1:2:3:4\n1::2:::3::4\na::2::3::4\n"
        "1::2::x::4\n");
  EXPECT_THAT(
      ReadMovieLens1M(*files_, directory_.path(), {}, &report_),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("ratings.dat:2: 3 columns between :: instead"),
                     HasSubstr("ratings.dat:3: 1 columns"),
                     HasSubstr("ratings.dat:4: rating \":3\""),
                     HasSubstr("ratings.dat:5: id \"a\""),
                     HasSubstr("ratings.dat:6: rating \"x\""))));
}

TEST_F(OtherMovieLensTest, LatestHasNamedColumns) {
  Write("tags.csv", "userId,movieId,tag,timestamp\n1,2,fun,4\n");
  Write("ratings.csv",
        "userId,movieId,rating,timestamp\n1,31,2.5,1260759144\n");
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const EventLog log,
      ReadMovieLensLatest(*files_, directory_.path(), {}, &report_));
  ASSERT_THAT(log.events, SizeIs(1));
  EXPECT_THAT(log.item_ids, ElementsAre("31"));
  EXPECT_EQ(log.events[0].rating, 2.5F);
  EXPECT_EQ(log.events[0].time, 1260759144);
  EXPECT_TRUE(log.has_times);
}

TEST_F(OtherMovieLensTest, SaysWhichFileIsMissing) {
  EXPECT_THAT(ReadMovieLens1M(*files_, directory_.path(), {}, &report_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("ratings.dat")));
  EXPECT_THAT(ReadMovieLensLatest(*files_, directory_.path(), {}, &report_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("ratings.csv")));
}

}  // namespace
}  // namespace neumf
