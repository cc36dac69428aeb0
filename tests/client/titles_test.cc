#include "client/titles.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

using ::testing::EndsWith;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

absl::StatusOr<Titles> Read(const std::string& content) {
  const TempDirectory directory;
  const auto files = MakePosixFileSystem();
  const std::string path = directory.Path("titles.csv");
  NEUMF_RETURN_IF_ERROR(WriteFileAtomically(*files, path, content));
  return ReadTitles(*files, path);
}

TEST(TitlesTest, ReadsQuotedTitles) {
  EXPECT_THAT(
      Read("item_id,title\r\n"
           "1,\"Postino, Il \"\"The Postman\"\"\"\r\n"
           "2,Amélie\r\n"),
      IsOkAndHolds(UnorderedElementsAre(
          Pair("1", "Postino, Il \"The Postman\""), Pair("2", "Amélie"))));
}

TEST(TitlesTest, NeedsNoHeader) {
  EXPECT_THAT(Read("1,One"),
              IsOkAndHolds(UnorderedElementsAre(Pair("1", "One"))));
}

TEST(TitlesTest, NamesTheLineThatIsWrong) {
  EXPECT_THAT(Read("1,One\n2,Two,Deux\n"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       EndsWith("titles.csv:2: not two fields: "
                                "item_id,title")));
  EXPECT_THAT(Read("1,\xff\n"), StatusIs(absl::StatusCode::kInvalidArgument,
                                         EndsWith(":1: not UTF-8")));
}

TEST(TitlesTest, SaysThatThereIsNoFile) {
  const auto files = MakePosixFileSystem();
  EXPECT_THAT(ReadTitles(*files, "/nonexistent"),
              StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace neumf
