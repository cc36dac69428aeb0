// A published model that ranks items 1, 2, 3, ... for everybody, on data sets
// of a few lines.

#include "trainer/evaluate_command.h"

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "checkpoint/checkpoint_writer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"
#include "tests/trainer/fixed_model.h"

namespace neumf {
namespace {

using testing::HasSubstr;

class EvaluateCommandTest : public testing::Test {
 protected:
  EvaluateCommandTest() {
    Publish(6, {"1", "2", "3"});
    options_.data.path = directory_.path();
  }

  // Items "1" to `num_items`, the first best.
  void Publish(int num_items, const std::vector<std::string>& users,
               const Manifest& manifest = Manifest()) {
    std::vector<std::pair<std::string, float>> items;
    for (int i = 1; i <= num_items; ++i) {
      items.emplace_back(absl::StrCat(i), -1.0F * static_cast<float>(i));
    }
    const FixedModel fixed = MakeFixedModel(items, users);
    NEUMF_ASSERT_OK_AND_ASSIGN(
        const PublishedCheckpoint published,
        PublishCheckpoint(*files_, directory_.Path("checkpoints"), fixed.model,
                          fixed.items, manifest));
    options_.checkpoint = published.path;
  }

  void Write(const std::string& name, const std::string& text) {
    NEUMF_ASSERT_OK(WriteFileAtomically(*files_, directory_.Path(name), text));
  }
  void UseNcf() {
    options_.data.format = "ncf";
    options_.protocol = "ncf";
    Write("x.train.rating", "1\t1\t1\t0\n1\t2\t1\t1\n2\t6\t1\t0\n2\t4\t1\t1\n");
    Write("x.test.rating", "1\t3\t1\t2\n2\t5\t1\t2\n");
    Write("x.test.negative", "(1,3)\t4\t5\t3\n(2,5)\t1\t2\t3\n");
  }
  void UseUa() {
    options_.data.format = "ml-100k-ua";
    options_.protocol = "triplet";
    Write("ua.base",
          "1\t6\t5\t10\n1\t1\t3\t11\n1\t2\t1\t12\n2\t5\t4\t10\n3\t4\t2\t1\n");
    Write("ua.test", "1\t3\t4\t20\n1\t4\t2\t21\n2\t1\t5\t20\n");
  }
  void UseLightGcn() {
    options_.data.format = "lightgcn";
    options_.protocol = "full";
    Write("train.txt", "1 1 2\n2 6\n3 5\n");
    Write("test.txt", "1 3 5\n2 2\n");
  }

  // A model of the same items, whose manifest says so of its training.
  void PublishTrainedOn(const nlohmann::json& training) {
    Manifest manifest;
    manifest.training = training;
    Publish(6, {"1", "2", "3"}, manifest);
  }

  nlohmann::json Run() {
    absl::StatusOr<nlohmann::json> json = Evaluate(options_, *files_);
    EXPECT_THAT(json, IsOk());
    return json.ok() ? *json : nlohmann::json::object();
  }
  void ExpectRefused(const std::string& reason) {
    EXPECT_THAT(
        Evaluate(options_, *files_),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(reason)));
  }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  EvaluateOptions options_;
};

TEST_F(EvaluateCommandTest, NcfRanksTheGivenItemsAmongTheirNegatives) {
  UseNcf();
  const nlohmann::json json = Run();
  EXPECT_EQ(json["protocol"], "ncf");
  EXPECT_EQ(json["evaluated_users"], 2);
  EXPECT_EQ(json["hr@10"], 1);
  EXPECT_EQ(json["hr@10_full"], 1);
  // The best of three, and the last of four.
  EXPECT_DOUBLE_EQ(json["ndcg@10"], (1 + 1 / std::log2(5)) / 2);
  EXPECT_EQ(json["train_events"], 4);
  EXPECT_EQ(json["held_out_events"], 2);
}

TEST_F(EvaluateCommandTest, NcfValidatesOnTheLastTrainItems) {
  UseNcf();
  const nlohmann::json test = Run();
  options_.split = "validation";
  const nlohmann::json validation = Run();
  EXPECT_EQ(validation["split"], "validation");
  EXPECT_EQ(validation["train_events"], 2);
  EXPECT_NE(validation["split_hash"], test["split_hash"]);
}

TEST_F(EvaluateCommandTest, TripletTakesRatingsOfFourForPositives) {
  UseUa();
  const nlohmann::json json = Run();
  EXPECT_EQ(json["min_rating"], 4);
  EXPECT_EQ(json["evaluated_users"], 2);
  EXPECT_EQ(json["train_events"], 2);
  EXPECT_EQ(json["held_out_events"], 2);
  EXPECT_EQ(json["low_rated_events"], 3);
  EXPECT_EQ(json["drop_rated"], false);
  // Item 3 behind 1 and 2 of five candidates, item 1 before all.
  EXPECT_DOUBLE_EQ(json["auc"], (.5 + 1) / 2);

  options_.min_rating = 2;
  EXPECT_EQ(Run()["held_out_events"], 3);
}

TEST_F(EvaluateCommandTest, TripletDropsLowRatedItemsWhenAsked) {
  UseUa();
  options_.drop_rated = true;
  const nlohmann::json json = Run();
  EXPECT_EQ(json["drop_rated"], true);
  EXPECT_EQ(json["auc"], 1);
}

TEST_F(EvaluateCommandTest, FullRanksTheCatalog) {
  UseLightGcn();
  const nlohmann::json json = Run();
  EXPECT_EQ(json["recall@20"], 1);
  // Items 3 and 5 before 6, item 2 behind 1.
  EXPECT_DOUBLE_EQ(json["map@1000"], (1 + .5) / 2);
  EXPECT_FALSE(json.contains("min_rating"));

  options_.whole_lists = true;
  EXPECT_EQ(Run()["map"], json["map@1000"]);
}

// The catalog is that of the data: a larger model ranks the same.
TEST_F(EvaluateCommandTest, LeavesOutItemsThatTheDataDoesNotHave) {
  UseLightGcn();
  Publish(10, {"1", "2", "3", "4"});
  Write("train.txt", "1 10 2\n2 6\n3 5\n");
  // Items 3 and 5 before 6, and 1 is gone that was before 2.
  EXPECT_DOUBLE_EQ(Run()["map@1000"], 1);
}

TEST_F(EvaluateCommandTest, TakesTheSplitThatTrainingHad) {
  UseLightGcn();
  options_.split_kind = "ratio";
  options_.split_ratio = 0.5;
  const nlohmann::json json = Run();
  EXPECT_EQ(
      json["train_events"].get<int>() + json["held_out_events"].get<int>(), 7);
  EXPECT_EQ(Run(), json);
  options_.split_kind = "halves";
  ExpectRefused("halves");
}

TEST_F(EvaluateCommandTest, TheProtocolGoesWithTheFormat) {
  UseNcf();
  options_.protocol.clear();
  EXPECT_EQ(Run()["protocol"], "ncf");
  UseUa();
  options_.protocol.clear();
  EXPECT_EQ(Run()["protocol"], "triplet");
  UseLightGcn();
  options_.protocol.clear();
  EXPECT_EQ(Run()["protocol"], "full");
}

TEST_F(EvaluateCommandTest, SaysWhenTrainingHadAnotherSplit) {
  UseNcf();
  const nlohmann::json unknown = Run();
  EXPECT_FALSE(unknown.contains("trained_on_other_split"));

  PublishTrainedOn({{"data", {{"split_hash", unknown["split_hash"]}}}});
  testing::internal::CaptureStderr();
  EXPECT_FALSE(Run().contains("trained_on_other_split"));
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              testing::Not(HasSubstr("warning")));

  PublishTrainedOn({{"data", {{"split_hash", "0123456789abcdef"}}}});
  testing::internal::CaptureStderr();
  EXPECT_EQ(Run()["trained_on_other_split"], true);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("warning: the checkpoint was trained on split "
                        "0123456789abcdef and is measured on "));

  // Anybody may write a manifest.
  for (const nlohmann::json& training :
       {nlohmann::json{{"data", {{"split_hash", 7}}}},
        nlohmann::json{{"data", "none"}}}) {
    PublishTrainedOn(training);
    EXPECT_FALSE(Run().contains("trained_on_other_split"));
  }
}

TEST_F(EvaluateCommandTest, WritesEveryUsersMetrics) {
  UseNcf();
  options_.per_user_out = directory_.Path("users.csv");
  Run();
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const std::string text,
      ReadWholeFile(*files_, options_.per_user_out, 1 << 20));
  EXPECT_THAT(text, testing::StartsWith("user_id,hr@10,ndcg@10,hr@10_full\n"));
  EXPECT_THAT(text, HasSubstr("\n1,1,1,1\n"));
  options_.per_user_out = directory_.Path("missing/users.csv");
  EXPECT_THAT(Evaluate(options_, *files_),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("cannot write --per_user_out")));
}

TEST_F(EvaluateCommandTest, RefusesWhatTheDataCannotGive) {
  UseLightGcn();
  options_.protocol = "ncf";
  ExpectRefused("take the protocol full");
  options_.protocol = "d2l";
  ExpectRefused("d2l");
  options_.protocol = "loo";
  ExpectRefused("choose d2l, ncf, triplet or full");
  options_.protocol = "full";
  options_.drop_rated = true;
  ExpectRefused("the protocol triplet only");
  options_.data.format = "lightgbm";
  ExpectRefused("this build knows ml-100k, ");
  options_.checkpoint.clear();
  ExpectRefused("--checkpoint is needed");
}

}  // namespace
}  // namespace neumf
