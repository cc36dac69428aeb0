// The counts of the original data set, and of the split that "Dive into Deep
// Learning" makes of it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "data/interactions.h"
#include "data/readers.h"
#include "data/split.h"
#include "tests/support/movielens.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::SizeIs;

class MovieLensReaderTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
    NEUMF_ASSERT_OK_AND_ASSIGN(
        log_,
        ReadMovieLens100k(*files, MovieLens100kDirectory(), {}, &report_));
  }

  // Test events of items that no train event has.
  int64_t CountColdEvents(const Split& split) const {
    const std::vector<uint32_t> counts =
        Interactions(log_.num_users(), log_.num_items(), split.train)
            .ItemCounts();
    return std::count_if(
        split.held_out.begin(), split.held_out.end(),
        [&](const Event& event) { return counts[event.item] == 0; });
  }

  EventLog log_;
  ReadReport report_;
};

TEST_F(MovieLensReaderTest, HasTheKnownCounts) {
  EXPECT_EQ(log_.num_users(), 943);
  EXPECT_EQ(log_.num_items(), 1682);
  EXPECT_THAT(log_.events, SizeIs(100000));
  EXPECT_EQ(report_.num_lines, 100000);
  EXPECT_EQ(report_.num_duplicates, 0);
  EXPECT_EQ(log_.item_ids[0], "1");
  EXPECT_EQ(log_.item_ids[1681], "1682");
}

TEST_F(MovieLensReaderTest, D2lTestSplitHasTheKnownCounts) {
  const Split split = *MakeSplit(log_, SplitKind::kD2l, HeldOut::kTest);
  EXPECT_THAT(split.train, SizeIs(99057));
  EXPECT_THAT(split.held_out, SizeIs(943));
  EXPECT_EQ(CountColdEvents(split), 2);

  const Interactions train(log_.num_users(), log_.num_items(), split.train);
  size_t shortest = train.row(0).size();
  size_t longest = shortest;
  for (uint64_t u = 0; u < train.num_users(); ++u) {
    shortest = std::min(shortest, train.row(u).size());
    longest = std::max(longest, train.row(u).size());
  }
  EXPECT_EQ(shortest, 19);
  EXPECT_EQ(longest, 736);
}

TEST_F(MovieLensReaderTest, D2lValidationSplitHasTheKnownCounts) {
  const Split split = *MakeSplit(log_, SplitKind::kD2l, HeldOut::kValidation);
  EXPECT_THAT(split.train, SizeIs(98114));
  EXPECT_THAT(split.held_out, SizeIs(943));
}

}  // namespace
}  // namespace neumf
