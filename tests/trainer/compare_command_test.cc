#include "trainer/compare_command.h"

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

using testing::HasSubstr;

class CompareCommandTest : public testing::Test {
 protected:
  CompareCommandTest() {
    options_.a = directory_.Path("a.csv");
    options_.b = directory_.Path("b.csv");
  }

  void Write(const std::string& path, const std::string& text) {
    NEUMF_ASSERT_OK(WriteFileAtomically(*files_, path, text));
  }
  void ExpectRefused(const std::string& reason) {
    EXPECT_THAT(
        Compare(options_, *files_),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(reason)));
  }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  CompareOptions options_;
};

TEST_F(CompareCommandTest, PairsUsersById) {
  Write(options_.a, "user_id,auc,mrr\nx,1,.5\ny,.5,0\n\"z,\",.75,1\n");
  Write(options_.b, "user_id,hit@50,auc\n\"z,\",1,.5\nx,0,.75\ny,1,.25\n");
  NEUMF_ASSERT_OK_AND_ASSIGN(const nlohmann::json json,
                             Compare(options_, *files_));
  EXPECT_EQ(json["users"], 3);
  EXPECT_EQ(json["resamples"], 10000);
  EXPECT_EQ(json["metrics"].size(), 1U);
  const nlohmann::json& auc = json["metrics"]["auc"];
  EXPECT_EQ(auc["a"], .75);
  EXPECT_EQ(auc["b"], .5);
  // Every user gains the same, so no resample differs.
  EXPECT_EQ(auc["difference"], .25);
  EXPECT_EQ(auc["low"], .25);
  EXPECT_EQ(auc["high"], .25);
  EXPECT_LT(auc["p_value"], .001);
}

TEST_F(CompareCommandTest, RefusesOtherUsers) {
  Write(options_.a, "user_id,auc\nx,1\ny,1\n");
  Write(options_.b, "user_id,auc\nx,1\nz,1\nw,1\n");
  ExpectRefused("2 and 3 users, of which they share 1");
}

TEST_F(CompareCommandTest, RefusesFilesWithNothingInCommon) {
  Write(options_.a, "user_id,auc\nx,1\n");
  Write(options_.b, "user_id,mrr\nx,1\n");
  ExpectRefused("no metric in common");
}

TEST_F(CompareCommandTest, NamesTheLineThatItCannotRead) {
  Write(options_.b, "user_id,auc\nx,1\n");
  for (const auto& [text, reason] :
       {std::pair<std::string, std::string>{"", "no header"},
        {"user,auc\nx,1\n", "no header"},
        {"user_id\nx\n", "no header"},
        {"user_id,auc\nx,1\ny\n", "line 3: 1 fields instead of 2"},
        {"user_id,auc\nx,nan\n", "line 2: \"nan\" is no number"},
        {"user_id,auc\nx,1\nx,1\n", "line 3: user x is repeated"},
        {"user_id,auc\n\"x,1\n", "line 2: "}}) {
    Write(options_.a, text);
    ExpectRefused(absl::StrCat(options_.a, ": ", reason));
  }
}

TEST_F(CompareCommandTest, AsksForBothFiles) {
  options_.a.clear();
  ExpectRefused("--a is needed");
}

}  // namespace
}  // namespace neumf
