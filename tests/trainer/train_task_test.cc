#include "trainer/train_task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

// Data sets of a few lines, one of each kind.
class TrainTaskTest : public testing::Test {
 protected:
  TrainTaskTest() { options_.data.path = directory_.path(); }

  void Write(const std::string& name, const std::string& text) {
    NEUMF_ASSERT_OK(WriteFileAtomically(*files_, directory_.Path(name), text));
  }
  // User 3 has a single event.
  void UseMovieLens() {
    options_.data.format = "ml-100k";
    Write("u.data",
          "1\t1\t5\t10\n1\t2\t2\t11\n1\t3\t4\t12\n2\t2\t5\t20\n2\t3\t3\t21\n"
          "3\t1\t1\t30\n");
  }
  void UseCsv(const std::string& text) {
    options_.data.format = "csv";
    options_.data.path = directory_.Path("events.csv");
    Write("events.csv", text);
  }

  TrainTask Prepare() {
    absl::StatusOr<TrainTask> task = PrepareTask(options_, *files_);
    NEUMF_EXPECT_OK(task);
    return *std::move(task);
  }
  void ExpectRefused(const std::string& why) {
    EXPECT_THAT(PrepareTask(options_, *files_),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(why)));
  }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  TaskOptions options_;
};

TEST_F(TrainTaskTest, LastEventsAreHeldOutOfMovieLens) {
  UseMovieLens();
  const TrainTask task = Prepare();
  EXPECT_EQ(task.protocol, Protocol::kD2l);
  EXPECT_EQ(task.split_options.kind, SplitKind::kD2l);
  EXPECT_EQ(task.split.held_out.size(), 2U);
  EXPECT_EQ(task.train.num_interactions(), 4U);
  EXPECT_EQ(task.sequences.num_events(), 4U);
  EXPECT_TRUE(task.is_measured());
}

TEST_F(TrainTaskTest, NcfFilesHaveTheirOwnTestPart) {
  options_.data.format = "ncf";
  Write("x.train.rating", "1\t1\t1\t0\n1\t2\t1\t1\n2\t6\t1\t0\n2\t4\t1\t1\n");
  Write("x.test.rating", "1\t3\t1\t2\n2\t5\t1\t2\n");
  Write("x.test.negative", "(1,3)\t4\t5\t6\n(2,5)\t1\t2\t3\n");
  const TrainTask task = Prepare();
  EXPECT_EQ(task.protocol, Protocol::kNcf);
  EXPECT_EQ(task.split_options.kind, SplitKind::kGiven);
  EXPECT_EQ(task.split.negatives.size(), 2U);
  EXPECT_FALSE(task.split_options.min_rating.has_value());
  options_.protocol = "triplet";
  ExpectRefused("no event to train on has a rating of 4 or more");
  options_.protocol = "d2l";
  EXPECT_EQ(Prepare().split_options.kind, SplitKind::kD2l);
}

TEST_F(TrainTaskTest, UaFilesAreTripletsOfGoodRatings) {
  options_.data.format = "ml-100k-ua";
  Write("ua.base", "1\t6\t5\t10\n1\t1\t3\t11\n2\t5\t4\t10\n");
  Write("ua.test", "1\t3\t4\t20\n1\t4\t2\t21\n2\t1\t5\t20\n");
  const TrainTask task = Prepare();
  EXPECT_EQ(task.protocol, Protocol::kTriplet);
  EXPECT_EQ(task.split_options.min_rating, 4.0F);
  EXPECT_EQ(task.split.train.size(), 2U);
  EXPECT_EQ(task.split.low_rated.size(), 1U);
  EXPECT_EQ(task.train.num_interactions(), 2U);
  EXPECT_EQ(task.Seen().num_interactions(), 3U);
  options_.min_rating = 3;
  EXPECT_EQ(Prepare().split.train.size(), 3U);
}

TEST_F(TrainTaskTest, LightGcnFilesAreRankedInFull) {
  options_.data.format = "lightgcn";
  Write("train.txt", "1 1 2\n2 6\n3 5\n");
  Write("test.txt", "1 3 5\n2 2\n");
  const TrainTask task = Prepare();
  EXPECT_EQ(task.protocol, Protocol::kFull);
  EXPECT_EQ(task.split_options.kind, SplitKind::kGiven);
  options_.protocol = "d2l";
  ExpectRefused("does not say when");
}

TEST_F(TrainTaskTest, AShareIsRankedInFull) {
  UseMovieLens();
  options_.split = "ratio";
  options_.split_ratio = 0.34;
  options_.split_seed = 5;
  const TrainTask task = Prepare();
  EXPECT_EQ(task.protocol, Protocol::kFull);
  EXPECT_EQ(task.split_options.kind, SplitKind::kRatio);
  EXPECT_EQ(task.split_options.seed, 5U);
  EXPECT_EQ(task.split.held_out.size(), 2U);  // of 3 and of 2 events
  options_.split_ratio = 1;
  ExpectRefused("must lie between 0 and 1");
}

TEST_F(TrainTaskTest, WithoutASplitEverythingIsTrainedOn) {
  UseMovieLens();
  options_.split = "none";
  const TrainTask task = Prepare();
  EXPECT_FALSE(task.is_measured());
  EXPECT_EQ(task.train.num_interactions(), 6U);
}

TEST_F(TrainTaskTest, ValidationLeavesTheTestEventsOut) {
  UseMovieLens();
  options_.held_out = "validation";
  const TrainTask task = Prepare();
  // User 1 has three events; user 2 has but one left, and keeps it.
  EXPECT_EQ(task.split.held_out.size(), 1U);
  EXPECT_EQ(task.train.num_interactions(), 3U);
  options_.held_out = "train";
  ExpectRefused("--held_out must be test or validation, not 'train'");
}

TEST_F(TrainTaskTest, SequencesAreInTheOrderOfTimes) {
  UseCsv("user,item,t\na,x,30\na,y,10\na,z,20\na,w,40\n");
  options_.data.columns = "user=user,item=item,time=t";
  const TrainTask task = Prepare();
  std::vector<std::string> items;
  for (uint32_t item : task.sequences.row(0)) {
    items.push_back(task.log.item_ids[item]);
  }
  EXPECT_THAT(items, ElementsAre("y", "z", "x"));
}

TEST_F(TrainTaskTest, RefusesDataThatCannotBeSplit) {
  UseCsv("user,item\na,x\na,y\nb,x\n");
  ExpectRefused("the data does not say when events were");
  options_.protocol = "triplet";
  ExpectRefused("this data has no test part");
  options_.protocol = "hits";
  ExpectRefused("choose d2l, ncf, triplet or full");
  options_.protocol.clear();
  options_.split = "halves";
  ExpectRefused("choose none, d2l, latest, ratio or given");
  UseCsv("user,item,t\na,x,1\nb,x,2\nc,y,3\n");
  options_.split = "d2l";
  options_.data.columns = "user=user,item=item,time=t";
  ExpectRefused("no user has two events; take --split none");
}

TEST_F(TrainTaskTest, FeaturesAreByRowsOfTheData) {
  UseMovieLens();
  const TrainTask task = Prepare();
  Write("genres.csv", "item_id,genre\n3,c\n1,a|b\n2,a\n9,z\n");
  TrainSettings settings;
  NEUMF_ASSERT_OK_AND_ASSIGN(const TaskFeatures none,
                             ReadTaskFeatures(settings, task.log, *files_));
  EXPECT_FALSE(none.users || none.items);
  EXPECT_EQ(TrainingDataOf(task, none).item_features, nullptr);

  settings.item_features = directory_.Path("genres.csv");
  NEUMF_ASSERT_OK_AND_ASSIGN(const TaskFeatures features,
                             ReadTaskFeatures(settings, task.log, *files_));
  ASSERT_TRUE(features.items.has_value());
  EXPECT_THAT(features.items->names(),
              ElementsAre("genre=a", "genre=b", "genre=c"));
  EXPECT_THAT(features.items->row(0), ElementsAre(0, 1));
  EXPECT_THAT(features.items->row(2), ElementsAre(2));
  const TrainingData data = TrainingDataOf(task, features);
  EXPECT_EQ(data.item_features, &*features.items);
  EXPECT_EQ(data.user_features, nullptr);
  EXPECT_EQ(data.train, &task.train);
  EXPECT_EQ(data.sequences, &task.sequences);
}

TEST_F(TrainTaskTest, RefusesFeaturesThatDoNotFit) {
  UseMovieLens();
  const TrainTask task = Prepare();
  TrainSettings settings;
  const auto read = [&] {
    return ReadTaskFeatures(settings, task.log, *files_).status();
  };
  settings.user_features = directory_.Path("u.user");
  EXPECT_THAT(read(), StatusIs(absl::StatusCode::kNotFound,
                               HasSubstr("--user_features: open " +
                                         settings.user_features)));
  settings.user_features = directory_.Path("jobs.csv");
  Write("jobs.csv", "user_id,job\n1,cook\n");
  EXPECT_THAT(read(), StatusIs(absl::StatusCode::kInvalidArgument,
                               AllOf(HasSubstr("jobs.csv"), HasSubstr("2"))));
  Write("jobs.csv", "item_id,job\n1,cook\n2,cook\n3,cook\n");
  EXPECT_THAT(read(), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace neumf
