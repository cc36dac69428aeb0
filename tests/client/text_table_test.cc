#include "client/text_table.h"

#include <gtest/gtest.h>

namespace neumf {
namespace {

TEST(TextTableTest, MakesColumnsAsWideAsTheirWidestCell) {
  TextTable table({{"n", TextTable::Align::kRight},
                   {"title", TextTable::Align::kLeft},
                   {"x", TextTable::Align::kLeft}});
  table.AddRow({"10", "é", "1"});
  table.AddRow({"9", "", ""});

  EXPECT_EQ(table.ToString(),
            " n  title  x\n"
            "10  é      1\n"
            " 9\n");
}

TEST(PrintableTest, ReplacesWhatCouldDriveATerminal) {
  EXPECT_EQ(Printable("a\x1b[2Jb\nc\x7f"), "a\uFFFD[2Jb\uFFFDc\uFFFD");
  EXPECT_EQ(Printable("\u009b2J"), "\uFFFD2J");
}

TEST(PrintableTest, LeavesEveryScriptAlone) {
  EXPECT_EQ(Printable("“Amélie” 東京 😀 \u00a0"), "“Amélie” 東京 😀 \u00a0");
}

}  // namespace
}  // namespace neumf
