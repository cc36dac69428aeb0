#include "data/csv_scanner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace neumf {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Record = std::vector<std::string>;

// The records of `text`; a malformed one is {"!", line number, problem}.
std::vector<Record> Scan(absl::string_view text) {
  std::vector<Record> records;
  CsvScanner scanner(text);
  while (scanner.Next()) {
    if (scanner.problem().empty()) {
      records.emplace_back(scanner.fields().begin(), scanner.fields().end());
    } else {
      EXPECT_THAT(scanner.fields(), IsEmpty());
      records.push_back({"!", absl::StrCat(scanner.line_number()),
                         std::string(scanner.problem())});
    }
  }
  return records;
}

std::vector<uint64_t> LineNumbers(absl::string_view text) {
  std::vector<uint64_t> numbers;
  CsvScanner scanner(text);
  while (scanner.Next()) numbers.push_back(scanner.line_number());
  return numbers;
}

TEST(CsvScannerTest, SplitsAtCommas) {
  EXPECT_THAT(Scan("a,b\nc,d\n"),
              ElementsAre(Record{"a", "b"}, Record{"c", "d"}));
}

TEST(CsvScannerTest, SplitsAtTabsWhenTheFirstLineHasOne) {
  EXPECT_THAT(Scan("a\tb\nc,d\te\n"),
              ElementsAre(Record{"a", "b"}, Record{"c,d", "e"}));
}

TEST(CsvScannerTest, KeepsEmptyFields) {
  EXPECT_THAT(Scan(",\n\"\",x,\"\"\n"),
              ElementsAre(Record{"", ""}, Record{"", "x", ""}));
}

TEST(CsvScannerTest, LineEndsMayBeCrlfAndTheLastMayBeMissing) {
  EXPECT_THAT(
      Scan("a,b\r\n\"c\",d\r\ne,\"f\""),
      ElementsAre(Record{"a", "b"}, Record{"c", "d"}, Record{"e", "f"}));
  EXPECT_THAT(Scan("a,b\nc,\"d\"\r"),
              ElementsAre(Record{"a", "b"}, Record{"c", "d"}));
}

TEST(CsvScannerTest, SkipsTheByteOrderMark) {
  EXPECT_THAT(Scan("\xEF\xBB\xBF\"a\",b\n"), ElementsAre(Record{"a", "b"}));
  EXPECT_THAT(Scan("\xEF\xBB\xBF"), IsEmpty());
}

TEST(CsvScannerTest, SkipsEmptyLines) {
  EXPECT_THAT(Scan("\n\r\na,b\n\n\nc,d\n\n"),
              ElementsAre(Record{"a", "b"}, Record{"c", "d"}));
  EXPECT_THAT(Scan(""), IsEmpty());
  EXPECT_THAT(Scan("\n"), IsEmpty());
}

TEST(CsvScannerTest, QuotedFieldsHoldSeparatorsLineEndsAndQuotes) {
  EXPECT_THAT(
      Scan("\"a,b\",\"c\nd\",\"say \"\"e\"\"\"\nf,g,h\n"),
      ElementsAre(Record{"a,b", "c\nd", "say \"e\""}, Record{"f", "g", "h"}));
  EXPECT_THAT(Scan("\"\"\"\",\"\"\"\"\"\"\n"),
              ElementsAre(Record{"\"", "\"\""}));
}

TEST(CsvScannerTest, AQuoteInsideAPlainFieldIsACharacter) {
  EXPECT_THAT(Scan("5\" disk,b\"\n"), ElementsAre(Record{"5\" disk", "b\""}));
}

TEST(CsvScannerTest, CountsTheLinesInsideQuotes) {
  EXPECT_THAT(LineNumbers("a,b\n\"c\n\nd\",e\n\nf,g\n\"h\",i\nj,k"),
              ElementsAre(1, 2, 6, 7, 8));
}

TEST(CsvScannerTest, AQuoteNobodyClosesCostsOneLine) {
  EXPECT_THAT(Scan("a,b\n\"c,d\ne,f\n"),
              ElementsAre(Record{"a", "b"},
                          Record{"!", "2", "a quote that is never closed"},
                          Record{"e", "f"}));
  EXPECT_THAT(Scan("a,\""),
              ElementsAre(Record{"!", "1", "a quote that is never closed"}));
}

TEST(CsvScannerTest, TextAfterAClosingQuoteIsMalformed) {
  EXPECT_THAT(Scan("\"a\"x,b\nc,d\n"),
              ElementsAre(Record{"!", "1", "text after a closing quote"},
                          Record{"c", "d"}));
  EXPECT_THAT(Scan("a,\"b\"\rc\n"),
              ElementsAre(Record{"!", "1", "text after a closing quote"}));
}

// Every text of up to six characters out of the ones that matter ends, and
// never gives a line twice.
TEST(CsvScannerTest, AlwaysMovesForward) {
  const std::string alphabet = "a,\"\r\n\t";
  std::vector<std::string> texts = {""};
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::string text = texts[i];
    const std::vector<uint64_t> numbers = LineNumbers(text);
    for (size_t k = 1; k < numbers.size(); ++k) {
      ASSERT_LT(numbers[k - 1], numbers[k]) << testing::PrintToString(text);
    }
    if (text.size() == 6) continue;
    for (char c : alphabet) texts.push_back(text + c);
  }
}

}  // namespace
}  // namespace neumf
