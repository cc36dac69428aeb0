// Recipes on a tiny world, from the data to the published file.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "checkpoint/checkpoint_reader.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"
#include "tests/trainer/tiny_world.h"
#include "trainer/evaluate_command.h"
#include "trainer/stage_runner.h"
#include "trainer/train_command.h"
#include "trainer/weights_file.h"

namespace neumf {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr uint64_t kNumUsers = 60;
constexpr uint64_t kNumItems = 80;

class TrainRecipesTest : public testing::Test {
 protected:
  TrainRecipesTest() {
    Write("u.data", TinyDataText(log_));
    std::string users = "user_id,kind\n";
    for (uint64_t u = 0; u < kNumUsers; ++u) {
      absl::StrAppend(&users, log_.user_ids[u], ",", u % 4, "\n");
    }
    Write("users.csv", users);
    std::string items = "item_id,kind,half\n";
    for (uint64_t i = 0; i < kNumItems; ++i) {
      absl::StrAppend(&items, log_.item_ids[i], ",", i % 4, ",", i % 2, "\n");
    }
    Write("items.csv", items);
    options_.task.data.path = directory_.path();
    options_.task.data.format = "ml-100k";
    options_.out = directory_.Path("checkpoints");
    environment_.files = files_.get();
    environment_.clock = clock_.get();
  }

  void Write(const std::string& name, const std::string& text) {
    NEUMF_ASSERT_OK(WriteFileAtomically(*files_, directory_.Path(name), text));
  }

  // Stages in a recipe's text, DIR for the directory of the files.
  void UseStages(const std::string& stages) {
    const std::string text =
        absl::StrCat("recipe test\n",
                     absl::StrReplaceAll(stages, {{"DIR", directory_.path()}}));
    const auto recipes = ParseRecipes(text);
    NEUMF_ASSERT_OK(recipes);
    options_.recipe = recipes->front();
  }
  void UseSettings(const std::string& settings) {
    UseStages(absl::StrCat("stage only\n", settings, "\n"));
  }

  LoadedCheckpoint TrainAndLoad() {
    const auto path = Train(options_, environment_);
    NEUMF_EXPECT_OK(path);
    auto loaded = LoadCheckpoint(*files_, path.ok() ? *path : "");
    NEUMF_EXPECT_OK(loaded);
    return loaded.ok() ? *std::move(loaded) : LoadedCheckpoint();
  }
  nlohmann::json TrainedMetrics() {
    return TrainAndLoad().info.manifest.metrics;
  }

  nlohmann::json EvaluateFile(const std::string& checkpoint) {
    EvaluateOptions options;
    options.checkpoint = checkpoint;
    options.data = options_.task.data;
    options.split = options_.task.held_out;
    const auto json = Evaluate(options, *files_);
    NEUMF_EXPECT_OK(json);
    return json.ok() ? *json : nlohmann::json::object();
  }

  void ExpectRefused(const std::string& why) {
    EXPECT_THAT(Train(options_, environment_),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(why)));
  }

  const TempDirectory directory_;
  const EventLog log_ = MakeTinyLog(kNumUsers, kNumItems, 1);
  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  const std::unique_ptr<Clock> clock_ = MakeRealClock();
  TrainOptions options_;
  CommandEnvironment environment_;
};

struct Named {
  const char* name;
  const char* settings;
};

class EveryModelTest : public TrainRecipesTest,
                       public testing::WithParamInterface<Named> {};

TEST_P(EveryModelTest, PublishedFileEvaluatesToTheTrainersOwnNumbers) {
  UseSettings(absl::StrCat("epochs=3 batch_size=32 learning_rate=.02 ",
                           GetParam().settings));
  options_.threads = 2;
  const LoadedCheckpoint checkpoint = TrainAndLoad();
  const nlohmann::json& trained = checkpoint.info.manifest.metrics;
  const nlohmann::json evaluated = EvaluateFile(checkpoint.info.path);
  for (const char* key : {"hit@50", "auc", "auc_midrank", "split_hash"}) {
    EXPECT_EQ(evaluated[key], trained[key]) << key;
  }
  EXPECT_EQ(evaluated["evaluated_users"], kNumUsers);
  EXPECT_GT(trained["parameters"], 0);
}

constexpr Named kModels[] = {
    {"MfBce", "model=mf factors=4 loss=bce negatives=4"},
    {"MfWarp", "model=mf factors=4 loss=warp negatives=10 sampler=uniform"},
    {"MfSquare", "model=mf factors=4 loss=square negatives=3 optimizer=sgd"},
    {"MfSoftmaxOfUsers",
     "model=mf factors=4 biases=item loss=softmax batches=users recency=9 "
     "bias_start=popularity"},
    {"MfLastItems",
     "model=mf factors=4 biases=item history=5 loss=softmax batches=events "
     "targets=2 candidates=30 updates=rows"},
    {"MfCcl",
     "model=mf factors=4 similarity=cosine loss=ccl margin=.5 negatives=5 "
     "negative_weight=4"},
    {"Gmf", "model=gmf factors=4 loss=gbce negatives=4"},
    {"GmfOnes", "model=gmf gmf_head=ones factors=4 optimizer=adagrad"},
    {"Mlp",
     "model=mlp factors=4 hidden=6-4 loss=bce negatives=4 "
     "optimizer=rmsprop learning_rate=.002 schedule=cosine"},
    {"NeuMf", "model=neumf factors=4 hidden=6-4 reduction=sum dropout=.2"},
    {"NeuMfLinear",
     "model=neumf factors=4 tower_factors=5 hidden=6-4 linear_width=3 "
     "activation=tanh hard_negatives=2 negatives=6"},
    {"NeuMfFeatures",
     "model=neumf factors=4 hidden=6 history=3 user_features=DIR/users.csv "
     "item_features=DIR/items.csv optimizer=adamw weight_decay=.01"},
    {"NeuMfSoftmax",
     "model=neumf factors=4 hidden=6 loss=softmax batches=users l2=.1"},
    {"BilinearTriplet",
     "model=bilinear-triplet factors=4 loss=hinge sampler=uniform "
     "initialization=keras"},
    {"DeepTriplet",
     "model=deep-triplet tower_factors=3/5 hidden=8 loss=hinge dropout=.1 "
     "sampler=popularity"},
    {"Fm",
     "model=fm factors=3 item_features=DIR/items.csv "
     "user_features=DIR/users.csv"},
    {"FmOfItems", "model=fm factors=3 item_features=DIR/items.csv loss=bce"},
    {"Ials",
     "model=mf factors=4 biases=none loss=ials negative_weight=.1 "
     "l2=.05 initialization=normal"}};

INSTANTIATE_TEST_SUITE_P(Models, EveryModelTest, testing::ValuesIn(kModels),
                         [](const testing::TestParamInfo<Named>& model) {
                           return std::string(model.param.name);
                         });

// What there is to learn: users like items of their own kind.
TEST_F(TrainRecipesTest, LearnsWhatUsersLike) {
  UseSettings(
      "model=mf factors=8 user_features=DIR/users.csv "
      "item_features=DIR/items.csv loss=softmax batches=users epochs=40 "
      "batch_size=16 learning_rate=.01");
  options_.task.split = "ratio";
  options_.task.split_ratio = .3;
  options_.evaluate_every = 40;
  double before = 0;
  double after = 0;
  for (uint64_t seed : {1, 2, 3}) {
    options_.seed = seed;
    const nlohmann::json metrics = TrainedMetrics();
    EXPECT_EQ(metrics["protocol"], "full");
    before += metrics["curve"][0]["ndcg@20"].get<double>();
    after += metrics["ndcg@20"].get<double>();
  }
  EXPECT_GT(after, 1.2 * before);
}

TEST_F(TrainRecipesTest, CurveBeginsBeforeTheFirstEpoch) {
  UseSettings("model=gmf factors=4 epochs=5");
  options_.evaluate_every = 2;
  const nlohmann::json metrics = TrainedMetrics();
  ASSERT_EQ(metrics["curve"].size(), 4U);
  EXPECT_EQ(metrics["curve"][0]["epoch"], 0);
  EXPECT_EQ(metrics["curve"][2]["epoch"], 4);
  EXPECT_EQ(metrics["curve"][3]["epoch"], 5);
  EXPECT_FALSE(metrics.contains("best_epoch"));
  options_.evaluate_every = 5;
  const nlohmann::json to_the_end = TrainedMetrics();
  EXPECT_EQ(to_the_end["curve"][1]["auc"], to_the_end["auc"]);
  // Watching changes nothing.
  EXPECT_EQ(to_the_end["auc"], metrics["auc"]);
}

TEST_F(TrainRecipesTest, PatiencePublishesTheBestEpoch) {
  UseSettings(
      "model=mf factors=8 biases=none epochs=200 batch_size=16 "
      "learning_rate=.1");
  options_.task.held_out = "validation";
  options_.patience = 3;
  options_.select_by = "auc";
  const LoadedCheckpoint checkpoint = TrainAndLoad();
  const nlohmann::json& metrics = checkpoint.info.manifest.metrics;
  double best = 0;
  for (const nlohmann::json& point : metrics["curve"]) {
    best = std::max(best, point["auc"].get<double>());
  }
  EXPECT_EQ(metrics["auc"], best);
  const size_t best_epoch = metrics["best_epoch"];
  EXPECT_EQ(metrics["curve"][best_epoch]["auc"], best);
  EXPECT_EQ(metrics["curve"].size(), best_epoch + 4);
  EXPECT_LT(metrics["curve"].size(), 200U);
  EXPECT_EQ(EvaluateFile(checkpoint.info.path)["auc"], best);
}

// The least of the values is the start's: with luck the start is the best.
TEST_F(TrainRecipesTest, PatienceNeverPublishesTheStart) {
  UseSettings("model=gmf factors=4 epochs=3 learning_rate=1e-9");
  options_.task.held_out = "validation";
  options_.patience = 1;
  options_.evaluate_every = 3;
  EXPECT_EQ(TrainedMetrics()["best_epoch"], 3);
  options_.evaluate_every = 4;
  ExpectRefused("--evaluate_every 4 is more than the 3 epochs");
}

TEST_F(TrainRecipesTest, RefusesMoreEpochsThanACheckpointCanTellOf) {
  const std::string stage = "model=gmf factors=4 epochs=60000\n";
  UseStages("stage first\n" + stage + "stage last\n" + stage);
  ExpectRefused("no room for the losses and evaluations of so many epochs");
  UseSettings(stage);
  options_.evaluate_every = 1;
  ExpectRefused("give a larger --evaluate_every");
}

TEST_F(TrainRecipesTest, RefusesALossThatGrows) {
  UseSettings(
      "model=mf factors=4 loss=square epochs=8 batch_size=64 optimizer=sgd "
      "learning_rate=1");
  ExpectRefused("the loss grew from ");
  EXPECT_FALSE(files_->Stat(directory_.Path("checkpoints/1.safetensors")).ok());
}

constexpr char kGmf[] = "model=gmf factors=4 epochs=4 learning_rate=.05\n";
constexpr char kMlp[] =
    "model=mlp factors=4 hidden=6 epochs=4 learning_rate=.05\n";
// Hardly moves what it begins with.
constexpr char kStill[] = "epochs=1 optimizer=sgd learning_rate=1e-12 ";

TEST_F(TrainRecipesTest, AStageGoesOnFromAnotherOne) {
  UseSettings(kGmf);
  options_.seed = StageSeed(1, 1);
  const nlohmann::json alone = TrainedMetrics();
  options_.seed = 1;
  UseStages(absl::StrCat("stage gmf\n", kGmf, "stage again\n", kStill,
                         "model=gmf factors=4 pretrained_gmf=@gmf\n"));
  const LoadedCheckpoint checkpoint = TrainAndLoad();
  const Manifest& manifest = checkpoint.info.manifest;
  EXPECT_EQ(manifest.metrics["auc"], alone["auc"]);
  const nlohmann::json& stages = manifest.training["stages"];
  ASSERT_EQ(stages.size(), 2U);
  EXPECT_EQ(stages[0]["stage"], "gmf");
  EXPECT_EQ(stages[0]["losses"].size(), 4U);
  EXPECT_EQ(stages[1]["settings"]["pretrained_gmf"], "@gmf");
  EXPECT_EQ(stages[1]["epochs_done"], 1);
  // What all stages did.
  EXPECT_EQ(manifest.metrics["train_examples"],
            alone["train_examples"].get<uint64_t>() / 4 * 5);
}

TEST_F(TrainRecipesTest, AlphaWeighsTwoStages) {
  const auto auc_of = [&](const std::string& alpha) {
    options_.seed = 1;
    UseStages(absl::StrCat("stage gmf\n", kGmf, "stage mlp\n", kMlp,
                           "stage both\n", kStill,
                           "model=neumf factors=4 hidden=6 pretrained_gmf=@gmf "
                           "pretrained_mlp=@mlp alpha=",
                           alpha, "\n"));
    return TrainedMetrics()["auc"].get<double>();
  };
  const double gmf = auc_of("1");
  const double mlp = auc_of("0");
  EXPECT_NE(gmf, mlp);
  EXPECT_NE(auc_of("0.5"), gmf);
  UseSettings(kGmf);
  options_.seed = StageSeed(1, 2);
  EXPECT_NEAR(gmf, TrainedMetrics()["auc"].get<double>(), 1e-3);
  UseSettings(kMlp);
  options_.seed = StageSeed(1, 1);
  EXPECT_EQ(TrainedMetrics()["auc"], mlp);
}

TEST_F(TrainRecipesTest, WrittenWeightsAreAStart) {
  const std::string file = directory_.Path("gmf.safetensors");
  UseSettings(kGmf);
  options_.weights_out = file;
  options_.seed = StageSeed(1, 1);
  TrainedMetrics();
  options_.weights_out.clear();
  options_.seed = 1;
  const std::string rest =
      absl::StrCat("model=neumf factors=4 hidden=6 epochs=2 pretrained_gmf=");
  UseSettings(absl::StrCat(rest, file));
  const nlohmann::json from_file = TrainedMetrics();
  UseStages(absl::StrCat("stage gmf\n", kGmf, "stage neumf\n", rest, "@gmf\n"));
  EXPECT_EQ(TrainedMetrics()["auc"], from_file["auc"]);
}

TEST_F(TrainRecipesTest, StagesHaveSeedsOfTheirOwn) {
  EXPECT_EQ(StageSeed(7, 0), 7U);  // of a single stage
  EXPECT_NE(StageSeed(7, 1), 7U);
  EXPECT_NE(StageSeed(7, 2), StageSeed(7, 1));
  EXPECT_NE(StageSeed(7, 1), StageSeed(8, 1));
}

TEST_F(TrainRecipesTest, RefusesWeightsThatHaveSeenWhatIsMeasured) {
  const std::string file = directory_.Path("gmf.safetensors");
  UseSettings(kGmf);
  options_.weights_out = file;
  options_.task.split = "none";
  NEUMF_ASSERT_OK(Train(options_, environment_));
  options_.weights_out.clear();
  UseSettings(absl::StrCat(kGmf, " pretrained_gmf=", file));
  NEUMF_EXPECT_OK(Train(options_, environment_));  // which measures nothing
  options_.task.split.clear();
  ExpectRefused(absl::StrCat("--pretrained_gmf: ", file,
                             ": its weights were trained on events that this "
                             "run holds out or measures"));
  // Validation events are not the test's.
  UseSettings(kGmf);
  options_.weights_out = file;
  NEUMF_ASSERT_OK(Train(options_, environment_));
  options_.weights_out.clear();
  UseSettings(absl::StrCat(kGmf, " pretrained_gmf=", file));
  NEUMF_EXPECT_OK(Train(options_, environment_));
  options_.task.held_out = "validation";
  ExpectRefused("this run holds out");
}

TEST_F(TrainRecipesTest, RefusesWeightsOfOtherRows) {
  const std::string file = directory_.Path("gmf.safetensors");
  UseSettings(kGmf);
  options_.weights_out = file;
  NEUMF_ASSERT_OK(Train(options_, environment_));
  options_.weights_out.clear();
  UseSettings(absl::StrCat(kGmf, " pretrained_gmf=", file));
  EventLog other = log_;
  other.item_ids.back() = "12345";  // as many, and all but one the same
  Write("u.data", TinyDataText(other));
  options_.task.split = "none";  // which measures nothing
  ExpectRefused("its rows are of other users or items");
  NEUMF_ASSERT_OK_AND_ASSIGN(const WeightsFile weights,
                             ReadWeights(*files_, file));
  NEUMF_ASSERT_OK(WriteWeights(*files_, file, weights.parameters,
                               nlohmann::json::object()));
  ExpectRefused("does not say which users, items and split");
}

TEST_F(TrainRecipesTest, RefusesWeightsThatDoNotFit) {
  const std::string file = directory_.Path("gmf.safetensors");
  UseSettings(kGmf);
  options_.weights_out = file;
  TrainedMetrics();
  options_.weights_out.clear();
  UseSettings(absl::StrCat("model=gmf factors=5 pretrained_gmf=", file));
  ExpectRefused("is [60, 4] there and [60, 5] in the model");
  UseSettings(absl::StrCat("model=mlp hidden=6 pretrained_mlp=", file));
  ExpectRefused("block head.tower is missing there");
  UseSettings("model=gmf pretrained_gmf=DIR/none.safetensors");
  EXPECT_THAT(Train(options_, environment_),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("--pretrained_gmf: "),
                             HasSubstr("none.safetensors"))));
  NEUMF_ASSERT_OK_AND_ASSIGN(const std::string bytes,
                             ReadWholeFile(*files_, file, 1 << 20));
  Write("half.safetensors", bytes.substr(0, bytes.size() / 2));
  UseSettings("model=mlp hidden=6 pretrained_mlp=DIR/half.safetensors");
  EXPECT_THAT(
      Train(options_, environment_).status().message(),
      AllOf(HasSubstr("--pretrained_mlp: "), HasSubstr("half.safetensors")));
}

// A first stage of so many epochs would be noticed.
TEST_F(TrainRecipesTest, LooksAtTheLastStageBeforeTheFirstIsTrained) {
  const std::string first = "stage first\nmodel=gmf factors=4 epochs=90000\n";
  UseStages(first + "stage last\nmodel=gmf item_features=DIR/none.csv\n");
  EXPECT_THAT(Train(options_, environment_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("stage last: ")));
  Write("few.csv", "item_id,kind\n1,a\n");
  UseStages(first + "stage last\nmodel=gmf item_features=DIR/few.csv\n");
  ExpectRefused("lacks 79 of");
  UseStages(first + "stage last\nmodel=gmf factors=5 pretrained_gmf=@first\n");
  ExpectRefused("[60, 4] there and [60, 5] in the model");
  UseStages(first + "stage last\nmodel=gmf pretrained_gmf=DIR/u.data\n");
  EXPECT_THAT(Train(options_, environment_).status().message(),
              HasSubstr("u.data"));
  std::string everything = TinyDataText(log_);
  for (uint64_t i = 0; i < kNumItems; ++i) {
    absl::StrAppend(&everything, "777\t", log_.item_ids[i], "\t5\t", i + 1,
                    "\n");
  }
  Write("u.data", everything);
  options_.task.split = "none";
  UseStages(
      absl::StrReplaceAll(first + "stage last\nmodel=gmf\n",
                          {{"epochs", "loss=softmax batches=users epochs"}}));
  ExpectRefused("stage last: user '777' has all 80 items");
}

TEST_F(TrainRecipesTest, RefusesWhatCannotBeMeasured) {
  UseSettings("model=gmf epochs=9000");
  options_.drop_rated = true;
  ExpectRefused("dropped by the protocol triplet only");
  options_.task.split = "none";
  ExpectRefused("--drop_rated is about held-out events");
  options_.drop_rated = false;
  options_.evaluate_every = 1;
  ExpectRefused("--evaluate_every is about held-out events");
  options_.task.split.clear();
  options_.select_by = "auc";
  ExpectRefused("--select_by chooses the best epoch: give --patience");
  options_.patience = 2;
  ExpectRefused("give --held_out validation");
  options_.task.held_out = "validation";
  options_.select_by = "ndcg@10";
  ExpectRefused("the protocol d2l has no metric 'ndcg@10'");
  options_.task.split = "none";
  ExpectRefused("--split none leaves none");
}

TEST_F(TrainRecipesTest, LowRatingsNeedALowestRating) {
  UseSettings("model=gmf low_ratings=positives epochs=1");
  ExpectRefused("--low_ratings positives: no event counts as rated low");
  options_.task.min_rating = 3;
  NEUMF_EXPECT_OK(Train(options_, environment_));
}

TEST_F(TrainRecipesTest, RefusesAnOrderThatTheDataDoesNotHave) {
  const std::string csv = "user,item,rating,time\n" + TinyDataText(log_);
  Write("events.csv", absl::StrReplaceAll(csv, {{"\t", ","}}));
  options_.task.data.path = directory_.Path("events.csv");
  options_.task.data.format = "csv";
  options_.task.data.columns = "user=user,item=item";
  options_.task.split = "ratio";
  const std::string events =
      "model=mf biases=item loss=softmax batches=events epochs=1 ";
  UseSettings(events + "history=3");
  ExpectRefused(
      "--history goes by the order of a user's events, but the data "
      "does not say when");
  UseSettings(events + "targets=3");
  ExpectRefused("--targets goes by the order");
  UseSettings(events + "recency=3");
  ExpectRefused("--recency goes by the order");
  UseSettings(events);
  NEUMF_EXPECT_OK(Train(options_, environment_));
}

TEST_F(TrainRecipesTest, WarnsOfASamplerThatKnowsTheTest) {
  const auto said = [&](const std::string& settings) {
    UseSettings(absl::StrCat("model=gmf epochs=1 ", settings));
    testing::internal::CaptureStderr();
    NEUMF_EXPECT_OK(Train(options_, environment_));
    return testing::internal::GetCapturedStderr();
  };
  const auto warns = HasSubstr("warning: --sampler pool never draws held-out");
  EXPECT_THAT(said("sampler=pool"), Not(warns));  // as the book does
  EXPECT_THAT(said("sampler=reject negatives=4"), Not(warns));
  EXPECT_THAT(said("sampler=pool negatives=4"), warns);
  EXPECT_THAT(said("sampler=pool loss=softmax batches=users candidates=9"),
              warns);
  // The whole catalog is not drawn.
  EXPECT_THAT(said("sampler=pool loss=softmax batches=users"), Not(warns));
  options_.task.split = "ratio";
  EXPECT_THAT(said("sampler=pool"), warns);
  options_.task.split = "none";
  EXPECT_THAT(said("sampler=pool negatives=4"), Not(warns));
}

}  // namespace
}  // namespace neumf
