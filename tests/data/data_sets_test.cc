// The known counts of the original data sets, which are not shipped with the
// sources: what is not there is skipped.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "data/features.h"
#include "data/interactions.h"
#include "data/item_sequences.h"
#include "data/readers.h"
#include "data/split.h"
#include "tests/support/movielens.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::Each;
using testing::IsEmpty;
using testing::SizeIs;

class DataSetTest : public testing::Test {
 protected:
  using Reader = absl::StatusOr<EventLog> (*)(FileSystem&, absl::string_view,
                                              const ReadOptions&, ReadReport*);

  // Leaves log_ empty where the data set is not there.
  void Read(absl::string_view folder, Reader reader) {
    directory_ = JoinPath(DirectoryOf(MovieLens100kDirectory()), folder);
    if (!files_->Stat(directory_).ok()) {
      GTEST_SKIP() << "no " << directory_
                   << "; set NEUMF_TEST_DATA to a folder "
                   << "that has " << folder << "/";
    }
    NEUMF_ASSERT_OK_AND_ASSIGN(log_, reader(*files_, directory_, {}, &report_));
    EXPECT_EQ(report_.num_bad_lines, 0);
    EXPECT_EQ(report_.num_duplicates, 0);
  }

  Split Make(HeldOut held_out = HeldOut::kTest) const {
    SplitOptions options = options_;
    options.held_out = held_out;
    return *MakeSplit(log_, options);
  }

  Interactions Rows(const std::vector<Event>& events) const {
    return Interactions(log_.num_users(), log_.num_items(), events);
  }

  static uint64_t NumUsersOf(const Interactions& rows) {
    uint64_t count = 0;
    for (uint64_t u = 0; u < rows.num_users(); ++u) {
      count += rows.row(u).empty() ? 0 : 1;
    }
    return count;
  }

  // Every user who has two events in `all` has one in each part at least, and
  // no event is in both or in none.
  void ExpectDivided(const Split& split, uint64_t num_events) const {
    EXPECT_EQ(split.train.size() + split.held_out.size(), num_events);
    const Interactions train = Rows(split.train);
    const Interactions held_out = Rows(split.held_out);
    for (const Event& event : split.held_out) {
      ASSERT_FALSE(train.Contains(event.user, event.item));
      ASSERT_FALSE(train.row(event.user).empty());
    }
    EXPECT_EQ(train.num_interactions() + held_out.num_interactions(),
              num_events);
  }

  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  std::string directory_;
  ReadReport report_;
  EventLog log_;
  SplitOptions options_;
};

class UaTest : public DataSetTest {
 protected:
  void SetUp() override {
    Read("ml-100k", ReadMovieLens100kUa);
    options_.kind = SplitKind::kGiven;
    options_.min_rating = 4;
  }
};

TEST_F(UaTest, HasTheKnownCounts) {
  EXPECT_EQ(log_.num_users(), 943);
  EXPECT_EQ(log_.num_items(), 1682);
  EXPECT_THAT(log_.events, SizeIs(90570));
  EXPECT_THAT(log_.given_test, SizeIs(9430));
}

TEST_F(UaTest, PositivesHaveTheKnownCounts) {
  const Split split = Make();
  EXPECT_THAT(split.train, SizeIs(49906));
  EXPECT_THAT(split.held_out, SizeIs(5469));
  EXPECT_THAT(split.low_rated, SizeIs(40664));
  const Interactions train = Rows(split.train);
  EXPECT_EQ(NumUsersOf(train), 942);
  EXPECT_EQ(NumUsersOf(Rows(split.held_out)), 934);
  const auto user_685 =
      std::find(log_.user_ids.begin(), log_.user_ids.end(), "685");
  EXPECT_THAT(train.row(user_685 - log_.user_ids.begin()), IsEmpty());

  const std::vector<uint32_t> counts = train.ItemCounts();
  EXPECT_EQ(std::count_if(
                split.held_out.begin(), split.held_out.end(),
                [&](const Event& event) { return counts[event.item] == 0; }),
            13);
}

TEST_F(UaTest, ValidationDividesThePositivesOfTrain) {
  const Split split = Make(HeldOut::kValidation);
  ExpectDivided(split, 49906);
  EXPECT_THAT(split.held_out, SizeIs(5053));  // tenths to the nearest event
  EXPECT_THAT(split.low_rated, SizeIs(40664));
}

TEST_F(UaTest, UsersAndItemsHaveFeatures) {
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const FeatureTable users,
      ReadFeatures(*files_, JoinPath(directory_, "u.user"), log_.user_ids,
                   Entity::kUser));
  EXPECT_EQ(users.num_rows(), 943);
  EXPECT_EQ(users.num_values(), 7 + 2 + 21);
  for (uint64_t u = 0; u < users.num_rows(); ++u) {
    ASSERT_THAT(users.row(u), SizeIs(3));
  }
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const FeatureTable items,
      ReadFeatures(*files_, JoinPath(directory_, "u.item"), log_.item_ids,
                   Entity::kItem));
  EXPECT_EQ(items.num_rows(), 1682);
  const auto missing =
      std::find(items.names().begin(), items.names().end(), "year=missing");
  const auto value = static_cast<uint32_t>(missing - items.names().begin());
  std::vector<std::string> without_year;
  uint64_t num_genres = 0;
  for (uint64_t i = 0; i < items.num_rows(); ++i) {
    const absl::Span<const uint32_t> row = items.row(i);
    num_genres += row.size() - 1;
    if (std::find(row.begin(), row.end(), value) != row.end()) {
      without_year.push_back(log_.item_ids[i]);
    }
  }
  EXPECT_THAT(without_year, testing::ElementsAre("267"));
  EXPECT_EQ(num_genres, 2893);  // cut -d'|' -f6- u.item | tr -cd 1 | wc -c
}

class NcfTest : public DataSetTest {
 protected:
  void SetUp() override {
    Read("ncf-ml-1m", ReadNcf);
    options_.kind = SplitKind::kGiven;
  }
};

TEST_F(NcfTest, HasTheKnownCounts) {
  EXPECT_EQ(log_.num_users(), 6040);
  EXPECT_EQ(log_.num_items(), 3706);
  EXPECT_THAT(log_.events, SizeIs(994169));
  EXPECT_THAT(log_.given_test, SizeIs(6040));
  ASSERT_THAT(log_.given_negatives, SizeIs(6040));
  EXPECT_THAT(log_.given_negatives, Each(SizeIs(99)));
  const std::vector<uint32_t> counts = Rows(log_.events).ItemCounts();
  EXPECT_EQ(std::count(counts.begin(), counts.end(), 0U), 2);
}

TEST_F(NcfTest, ListedItemsHaveTheKnownFlaw) {
  const Split split = Make();
  EXPECT_THAT(split.held_out, SizeIs(6040));
  const Interactions train = Rows(split.train);
  uint64_t num_with_positive = 0;
  for (size_t k = 0; k < split.held_out.size(); ++k) {
    const Event& event = split.held_out[k];
    const std::vector<uint32_t>& items = split.negatives[k];
    num_with_positive +=
        std::find(items.begin(), items.end(), event.item) != items.end() ? 1
                                                                         : 0;
    for (uint32_t item : items) {
      ASSERT_FALSE(train.Contains(event.user, item));
    }
  }
  EXPECT_EQ(num_with_positive, 156);
}

// The place that the test event had is left out of the numbering.
TEST_F(NcfTest, TrainIsInTheOrderOfTheFourthColumn) {
  const Split split = Make();
  uint64_t num_gaps = 0;
  for (size_t k = 0; k < split.train.size(); ++k) {
    const Event& event = split.train[k];
    if (k == 0 || split.train[k - 1].user != event.user) {
      ASSERT_EQ(event.time, 0);
      continue;
    }
    const int64_t step = event.time - split.train[k - 1].time;
    ASSERT_TRUE(step == 1 || step == 2);
    num_gaps += step == 2 ? 1 : 0;
  }
  EXPECT_EQ(num_gaps, 1667);
  EXPECT_EQ(ItemSequences(log_.num_users(), split.train).num_events(), 994169);
}

TEST_F(NcfTest, ValidationIsTheLastTrainEventAmong99) {
  const Split split = Make(HeldOut::kValidation);
  ExpectDivided(split, 994169);
  EXPECT_THAT(split.train, SizeIs(994169 - 6040));
  EXPECT_THAT(split.held_out, SizeIs(6040));
  EXPECT_THAT(split.negatives, Each(SizeIs(99)));
  std::vector<int64_t> last(log_.num_users());
  for (const Event& event : log_.events) {
    last[event.user] = std::max(last[event.user], event.time);
  }
  const Interactions met = Rows(log_.events);
  for (size_t k = 0; k < split.held_out.size(); ++k) {
    const uint32_t user = split.held_out[k].user;
    ASSERT_EQ(split.held_out[k].time, last[user]);
    const std::vector<uint32_t>& items = split.negatives[k];
    ASSERT_THAT(std::set<uint32_t>(items.begin(), items.end()), SizeIs(99));
    for (uint32_t item : items) ASSERT_FALSE(met.Contains(user, item));
  }
}

TEST_F(NcfTest, WithoutASplitTheTestEventIsTheLast) {
  options_.kind = SplitKind::kLatest;
  const Split split = Make();
  EXPECT_THAT(split.train, SizeIs(994169));
  const Interactions given = Rows(log_.given_test);
  for (const Event& event : split.held_out) {
    ASSERT_TRUE(given.Contains(event.user, event.item));
  }
}

class GowallaTest : public DataSetTest {
 protected:
  void SetUp() override {
    Read("gowalla", ReadLightGcn);
    options_.kind = SplitKind::kGiven;
  }
};

TEST_F(GowallaTest, HasTheKnownCounts) {
  EXPECT_EQ(log_.num_users(), 29858);
  EXPECT_EQ(log_.num_items(), 40981);
  EXPECT_FALSE(log_.has_times);
  const Split split = Make();
  EXPECT_THAT(split.train, SizeIs(810128));
  EXPECT_THAT(split.held_out, SizeIs(217242));
  ExpectDivided(split, 810128 + 217242);
  EXPECT_EQ(NumUsersOf(Rows(split.train)), 29858);
}

TEST_F(GowallaTest, ValidationDividesTrain) {
  const Split split = Make(HeldOut::kValidation);
  ExpectDivided(split, 810128);
  EXPECT_THAT(split.held_out, SizeIs(82259));  // tenths to the nearest event
  EXPECT_THAT(split.negatives, IsEmpty());
}

}  // namespace
}  // namespace neumf
