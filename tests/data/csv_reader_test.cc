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
using testing::Not;

class CsvReaderTest : public testing::Test {
 protected:
  CsvReaderTest() {
    columns_.rating = "rating";
    columns_.time = "time";
  }

  void Write(absl::string_view name, absl::string_view content) {
    NEUMF_EXPECT_OK(
        WriteFileAtomically(*files_, directory_.Path(name), content));
  }

  absl::StatusOr<EventLog> ReadPath(absl::string_view path) {
    return ReadCsv(*files_, path, columns_, options_, &report_);
  }
  absl::StatusOr<EventLog> ReadDirectory() {
    return ReadPath(directory_.path());
  }
  absl::StatusOr<EventLog> Read(absl::string_view content) {
    Write("log.csv", content);
    return ReadPath(directory_.Path("log.csv"));
  }

  // "user item rating time" of every event, or the error as the only element.
  static std::vector<std::string> Events(const absl::StatusOr<EventLog>& log) {
    if (!log.ok()) return {log.status().ToString()};
    std::vector<std::string> events;
    for (const Event& event : log->events) {
      events.push_back(absl::StrCat(log->user_ids[event.user], " ",
                                    log->item_ids[event.item], " ",
                                    event.rating, " ", event.time));
    }
    return events;
  }

  static testing::Matcher<const absl::StatusOr<EventLog>&> Refused(
      testing::Matcher<std::string> message) {
    return StatusIs(absl::StatusCode::kInvalidArgument, message);
  }

  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  const TempDirectory directory_;
  CsvColumns columns_;
  ReadOptions options_;
  ReadReport report_;
};

TEST_F(CsvReaderTest, FindsColumnsByName) {
  EXPECT_THAT(Events(Read("time,item,genre,user,rating\n"
                          "12,i1,Drama,ann,4.5\n13,i2,,bob,3\n")),
              ElementsAre("ann i1 4.5 12", "bob i2 3 13"));
  EXPECT_EQ(report_.num_lines, 2);
}

TEST_F(CsvReaderTest, RatingAndTimeMayBeMissing) {
  columns_ = CsvColumns();
  EXPECT_THAT(Events(Read("user,item\nann,i1\n")), ElementsAre("ann i1 1 0"));
}

TEST_F(CsvReaderTest, IdsAreTheTextOfTheFile) {
  EXPECT_THAT(Events(Read("user,item,rating,time\n"
                          "007,\"War, and \"\"Peace\"\"\",5,1\n"
                          "7, x ,5,1\n")),
              ElementsAre("007 War, and \"Peace\" 5 1", "7  x  5 1"));
}

TEST_F(CsvReaderTest, ReadsTabs) {
  EXPECT_THAT(Events(Read("user\titem\trating\ttime\na,b\tc\t2\t3\n")),
              ElementsAre("a,b c 2 3"));
}

TEST_F(CsvReaderTest, TakesCrlfByteOrderMarkEmptyLinesAndNoFinalNewline) {
  EXPECT_THAT(Events(Read("\xEF\xBB\xBFuser,item,rating,time\r\n"
                          "\r\na,b,2,3\r\n\r\nc,d,4,5")),
              ElementsAre("a b 2 3", "c d 4 5"));
}

TEST_F(CsvReaderTest, DropsAndCountsDuplicates) {
  EXPECT_THAT(Events(Read("user,item,rating,time\na,b,5,9\na,b,1,3\n")),
              ElementsAre("a b 5 9"));
  EXPECT_EQ(report_.num_duplicates, 1);
}

TEST_F(CsvReaderTest, BadLinesNameFileLineAndReason) {
  EXPECT_THAT(Read("user,item,rating,time\n"
                   "a,b,2,3\n"
                   "a,b,2\n"
                   "a,b,2,3,4\n"
                   ",b,2,3\n"
                   "a,b,nan,3\n"
                   "\"a\"b,c,2,3\n"
                   "a,b,2,3.5\n"),
              Refused(AllOf(
                  HasSubstr("log.csv: 6 bad lines, 0 allowed"),
                  HasSubstr("log.csv:3: 3 columns where the header has 4"),
                  HasSubstr("log.csv:4: 5 columns where the header has 4"),
                  HasSubstr("log.csv:5: user id empty"),
                  HasSubstr("log.csv:6: rating \"nan\" is not a finite number"),
                  HasSubstr("log.csv:7: text after a closing quote"))));
}

TEST_F(CsvReaderTest, LeavesOutAllowedBadLines) {
  options_.max_bad_lines = 2;
  EXPECT_THAT(Events(Read("user,item,rating,time\n"
                          "\"a,b,2,3\n"
                          "c,d,4,5\n" +
                          std::string(257, 'u') + ",d,4,5\n")),
              ElementsAre("c d 4 5"));
  EXPECT_THAT(report_.bad_lines,
              ElementsAre(HasSubstr("log.csv:2: a quote"),
                          HasSubstr("log.csv:4: user id longer")));
}

TEST_F(CsvReaderTest, LineNumbersCountLinesInsideQuotes) {
  EXPECT_THAT(Read("user,item,rating,time\na,\"b\nc\",1,2\nbad\n"),
              Refused(HasSubstr("log.csv:4: ")));
}

TEST_F(CsvReaderTest, ANulByteIsABadLine) {
  const std::string content("user,item,rating,time\na\0b,c,1,2\n", 33);
  EXPECT_THAT(Read(content), Refused(HasSubstr("user id with a NUL byte")));
}

TEST_F(CsvReaderTest, AMissingColumnIsNamedWithThoseThatAreThere) {
  EXPECT_THAT(Read("userId,item,rating,time\n1,2,3,4\n"),
              Refused(AllOf(HasSubstr("log.csv: no column \"user\""),
                            HasSubstr("\"userId\", \"item\""))));
}

TEST_F(CsvReaderTest, AMissingColumnShowsNoMoreThanTheFirstColumns) {
  std::string header = "c0";
  for (int i = 1; i < 1000; ++i) absl::StrAppend(&header, ",c", i);
  EXPECT_THAT(Read(header),
              Refused(AllOf(HasSubstr("\"c19\", ..."), Not(HasSubstr("c20")))));
}

TEST_F(CsvReaderTest, AColumnThatIsThereTwiceIsRefused) {
  EXPECT_THAT(Read("user,item,rating,time,user\n"),
              Refused(HasSubstr("more than one column \"user\"")));
}

TEST_F(CsvReaderTest, AHeaderWithAnOpenQuoteIsRefused) {
  EXPECT_THAT(Read("user,\"item\n"), Refused(HasSubstr("never closed")));
}

TEST_F(CsvReaderTest, AnEmptyFileIsRefused) {
  EXPECT_THAT(Read(""), Refused(HasSubstr("log.csv: the file is empty")));
  EXPECT_THAT(Read("user,item,rating,time\n"),
              Refused(HasSubstr("log.csv: no event")));
}

TEST_F(CsvReaderTest, AMissingFileIsNotFound) {
  EXPECT_THAT(ReadPath(directory_.Path("none.csv")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none.csv")));
}

TEST_F(CsvReaderTest, FindsTheOneFileOfADirectoryThatHasTheColumns) {
  Write("ratings.csv", "user,item,rating,time\na,b,2,3\n");
  Write("titles.csv", "item_id,title\nb,Bambi\n");
  Write("notes.txt", "user,item,rating,time\n");
  EXPECT_THAT(Events(ReadDirectory()), ElementsAre("a b 2 3"));
}

TEST_F(CsvReaderTest, FindsATsvFileInADirectory) {
  Write("ratings.tsv", "user\titem\trating\ttime\na\tb\t2\t3\n");
  EXPECT_THAT(Events(ReadDirectory()), ElementsAre("a b 2 3"));
}

TEST_F(CsvReaderTest, ADirectoryWithoutCsvIsRefused) {
  Write("notes.txt", "hello\n");
  EXPECT_THAT(ReadDirectory(), Refused(HasSubstr("no *.csv or *.tsv file")));
}

TEST_F(CsvReaderTest, ADirectoryWhoseFilesLackTheColumnsIsRefused) {
  Write("titles.csv", "item_id,title\nb,Bambi\n");
  EXPECT_THAT(ReadDirectory(),
              Refused(AllOf(HasSubstr("titles.csv: no column \"user\""),
                            HasSubstr("\"item_id\", \"title\""))));
}

TEST_F(CsvReaderTest, ADirectoryWithSeveralFittingFilesIsRefused) {
  Write("b.csv", "user,item,rating,time\na,b,2,3\n");
  Write("a.csv", "user,item,rating,time\na,b,2,3\n");
  EXPECT_THAT(ReadDirectory(), Refused(HasSubstr("name one: a.csv, b.csv")));
}

TEST(ParseCsvColumnsTest, TakesAllFourInAnyOrder) {
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const CsvColumns columns,
      ParseCsvColumns("time=timestamp,user=userId,rating=r=5,item=movie id"));
  EXPECT_EQ(columns.user, "userId");
  EXPECT_EQ(columns.item, "movie id");
  EXPECT_EQ(columns.rating, "r=5");
  EXPECT_EQ(columns.time, "timestamp");
}

TEST(ParseCsvColumnsTest, LeavesRatingAndTimeEmpty) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const CsvColumns columns,
                             ParseCsvColumns("user=u,item=i"));
  EXPECT_EQ(columns.rating, "");
  EXPECT_EQ(columns.time, "");
}

TEST(ParseCsvColumnsTest, SaysWhatIsWrong) {
  const auto refused = [](absl::string_view reason) {
    return StatusIs(absl::StatusCode::kInvalidArgument,
                    HasSubstr(std::string(reason)));
  };
  EXPECT_THAT(ParseCsvColumns(""), refused("user is missing"));
  EXPECT_THAT(ParseCsvColumns("user=u"), refused("item is missing"));
  EXPECT_THAT(ParseCsvColumns("item=i"), refused("user is missing"));
  EXPECT_THAT(ParseCsvColumns("user=u,item=i,movie=m"),
              refused("\"movie\" is not a known key"));
  EXPECT_THAT(ParseCsvColumns("user=u,item=i,user=v"),
              refused("user is given twice"));
  EXPECT_THAT(ParseCsvColumns("user=,item=i"),
              refused("user has no column name"));
  EXPECT_THAT(ParseCsvColumns("user,item"), refused("user has no column name"));
}

}  // namespace
}  // namespace neumf
