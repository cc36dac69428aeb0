#include "trainer/train_command.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "checkpoint/checkpoint_directory.h"
#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/checkpoint_signature.h"
#include "scoring/scorer.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/signing_keys.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"
#include "tests/trainer/tiny_world.h"
#include "trainer/evaluate_command.h"

namespace neumf {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

std::map<std::string, std::vector<Sha256Digest>> DigestsOf(
    const LoadedCheckpoint& checkpoint) {
  std::map<std::string, std::vector<Sha256Digest>> digests;
  for (const auto& [name, digest] : checkpoint.info.manifest.tensors) {
    digests[name] = digest.sha256;
  }
  return digests;
}

class TrainCommandTest : public testing::Test {
 protected:
  TrainCommandTest() {
    WriteData(MakeTinyLog(60, 80, 1));
    options_.task.data.path = directory_.path();
    options_.task.data.format = "ml-100k";
    options_.recipe = *FindRecipe("d2l-neumf");
    options_.recipe.settings() = TinySettings();
    options_.out = directory_.Path("checkpoints");
    environment_.files = &faulty_files_;
    environment_.clock = clock_.get();
  }

  void WriteData(const EventLog& log) {
    NEUMF_EXPECT_OK(WriteFileAtomically(*files_, directory_.Path("u.data"),
                                        TinyDataText(log)));
  }

  absl::StatusOr<LoadedCheckpoint> TrainAndLoad() {
    NEUMF_ASSIGN_OR_RETURN(const std::string path,
                           Train(options_, environment_));
    return LoadCheckpoint(*files_, path);
  }

  absl::StatusOr<nlohmann::json> EvaluateFile(const std::string& checkpoint,
                                              const std::string& split) {
    EvaluateOptions options;
    options.checkpoint = checkpoint;
    options.data = options_.task.data;
    options.split = split;
    return Evaluate(options, *files_);
  }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  const std::unique_ptr<Clock> clock_ = MakeRealClock();
  FaultyFileSystem faulty_files_{files_.get()};
  TrainOptions options_;
  CommandEnvironment environment_;
};

TEST_F(TrainCommandTest, PublishesVersionsInARow) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const std::string first,
                             Train(options_, environment_));
  NEUMF_ASSERT_OK_AND_ASSIGN(const std::string second,
                             Train(options_, environment_));
  EXPECT_EQ(first, JoinPath(options_.out, "1.safetensors"));
  EXPECT_EQ(second, JoinPath(options_.out, "2.safetensors"));
}

TEST_F(TrainCommandTest, KeepsTheNewestVersions) {
  options_.keep = 2;
  for (int run = 0; run < 3; ++run) {
    NEUMF_ASSERT_OK(Train(options_, environment_));
  }
  EXPECT_THAT(files_->ListDirectory(options_.out),
              IsOkAndHolds(testing::UnorderedElementsAre("2.safetensors",
                                                         "3.safetensors")));
  NEUMF_ASSERT_OK(WriteFileAtomically(
      *files_, JoinPath(options_.out, "serving.json"), "damaged"));
  EXPECT_THAT(Train(options_, environment_),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr("published "),
                             HasSubstr("4.safetensors, but --keep failed"))));
}

TEST_F(TrainCommandTest, SameSeedGivesTheSameTensors) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint first, TrainAndLoad());
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint second, TrainAndLoad());
  options_.seed = 2;
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint other, TrainAndLoad());
  EXPECT_EQ(DigestsOf(first), DigestsOf(second));
  EXPECT_NE(DigestsOf(first)["user.gmf"], DigestsOf(other)["user.gmf"]);
}

TEST_F(TrainCommandTest, SeenAndPopularityAreTheTrainRows) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint checkpoint, TrainAndLoad());
  const EventLog log = MakeTinyLog(60, 80, 1);
  const Interactions train =
      TrainPart(log, *MakeSplit(log, SplitKind::kD2l, HeldOut::kTest));
  ASSERT_EQ(checkpoint.model.user_ids.size(), log.num_users());
  for (uint64_t user = 0; user < log.num_users(); ++user) {
    EXPECT_EQ(checkpoint.model.user_ids.id(user), log.user_ids[user]);
    EXPECT_EQ(checkpoint.model.seen.row(user), train.row(user));
  }
  const std::vector<uint32_t> counts = train.ItemCounts();
  EXPECT_EQ(checkpoint.model.popularity,
            std::vector<float>(counts.begin(), counts.end()));
  EXPECT_EQ(checkpoint.model.user_ids.hashes().size(), log.num_users());
}

TEST_F(TrainCommandTest, CsvWithTheSameEventsGivesTheSameTensors) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint from_tabs, TrainAndLoad());
  const std::string path = directory_.Path("ratings.csv");
  NEUMF_ASSERT_OK(
      WriteFileAtomically(*files_, path,
                          absl::StrCat("userId\tmovieId\trating\ttimestamp\n",
                                       TinyDataText(MakeTinyLog(60, 80, 1)))));
  options_.task.data.path = path;
  options_.task.data.format = "csv";
  options_.task.data.columns =
      "user=userId,item=movieId,rating=rating,time=timestamp";
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint from_csv, TrainAndLoad());
  EXPECT_EQ(DigestsOf(from_tabs), DigestsOf(from_csv));
}

TEST_F(TrainCommandTest, WithoutASplitEverythingIsTrainedOn) {
  options_.task.split = "none";
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint checkpoint, TrainAndLoad());
  EXPECT_EQ(checkpoint.model.seen.items().size(),
            MakeTinyLog(60, 80, 1).events.size());
  EXPECT_FALSE(checkpoint.info.manifest.metrics.contains("hit@50"));
}

TEST_F(TrainCommandTest, ManifestSaysWhatWasTrained) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint checkpoint, TrainAndLoad());
  const Manifest& manifest = checkpoint.info.manifest;
  EXPECT_EQ(manifest.model_kind, "neumf");
  EXPECT_FALSE(manifest.created_at.empty());
  EXPECT_EQ(manifest.training["recipe"], "d2l-neumf");
  EXPECT_EQ(manifest.training["seed"], 1);
  EXPECT_EQ(manifest.training["stages"][0]["losses"].size(), 3U);
  EXPECT_EQ(manifest.training["data"]["users"], 60);
  EXPECT_GT(manifest.metrics["train_examples_per_second"], 0);
}

TEST_F(TrainCommandTest, ProbesAreTheAnswersOfTheServingScorer) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint checkpoint, TrainAndLoad());
  const ServingModel& model = checkpoint.model;
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const std::unique_ptr<ScorerBuilder> builder,
      MakeScorerBuilder(Backend::kReference, model.shape, model.network, {}));
  NEUMF_ASSERT_OK(StreamItemTables(checkpoint.items, [&](const ItemRows& rows) {
    return builder->Add(rows);
  }));
  NEUMF_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Scorer> scorer,
                             builder->Build());
  ASSERT_EQ(checkpoint.info.manifest.probes.size(), 8U);
  for (const Probe& probe : checkpoint.info.manifest.probes) {
    const uint32_t user = model.user_ids.Find(probe.user_id).value();
    RankQuery query;
    query.user_gmf = model.users.gmf.row(user).data();
    query.user_tower = model.users.tower.row(user).data();
    query.seen = model.seen.row(user);
    query.k = 10;
    Ranking ranking;
    NEUMF_ASSERT_OK(scorer->Rank(absl::MakeConstSpan(&query, 1),
                                 absl::MakeSpan(&ranking, 1)));
    ASSERT_EQ(probe.items.size(), ranking.items.size());
    for (size_t n = 0; n < probe.items.size(); ++n) {
      EXPECT_EQ(probe.items[n].item_id,
                model.item_ids.id(ranking.items[n].row));
      EXPECT_NEAR(probe.items[n].score, ranking.items[n].score, 1e-5);
    }
  }
}

TEST_F(TrainCommandTest, SignsWhatItPublishes) {
  options_.signing_key = Ed25519PrivateKey::FromPem(kSigningKeyPem).value();
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint signed_one, TrainAndLoad());
  NEUMF_EXPECT_OK(
      CheckSignature(*files_, signed_one.info.path, 1, signed_one.info.digest,
                     Ed25519PublicKey::AllFromPem(kPublicKeyPem).value()));
}

TEST_F(TrainCommandTest, RoundsUsersWhenItIsTold) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint exact, TrainAndLoad());
  options_.user_precision = UserPrecision::kFloat16;
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint rounded, TrainAndLoad());
  EXPECT_TRUE(rounded.model.users.is_float16());
  EXPECT_EQ(2 * HostBytes(rounded.model.users), HostBytes(exact.model.users));
  // All else is what it was, and the numbers are those of the rounded users.
  EXPECT_EQ(DigestsOf(rounded)["item.gmf"], DigestsOf(exact)["item.gmf"]);
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const nlohmann::json metrics,
      EvaluateFile(JoinPath(options_.out, "2.safetensors"), "test"));
  EXPECT_EQ(metrics["auc"], rounded.info.manifest.metrics["auc"]);
}

TEST_F(TrainCommandTest, PublishedFileEvaluatesToTheTrainersOwnNumbers) {
  options_.metrics_out = directory_.Path("metrics.json");
  NEUMF_ASSERT_OK_AND_ASSIGN(const std::string path,
                             Train(options_, environment_));
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const std::string text,
      ReadWholeFile(*files_, options_.metrics_out, 1 << 20));
  const nlohmann::json trained = nlohmann::json::parse(text);
  NEUMF_ASSERT_OK_AND_ASSIGN(const nlohmann::json evaluated,
                             EvaluateFile(path, "test"));
  EXPECT_EQ(evaluated["hit@50"], trained["hit@50"]);
  EXPECT_EQ(evaluated["auc"], trained["auc"]);
  EXPECT_EQ(evaluated["evaluated_users"], 60);
  EXPECT_EQ(trained["seed"], 1);
  EXPECT_EQ(trained["protocol"], "d2l");
}

TEST_F(TrainCommandTest, ValidationLeavesTheTestEventsOutOfTrainingToo) {
  options_.task.held_out = "validation";
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint checkpoint, TrainAndLoad());
  EXPECT_EQ(checkpoint.model.seen.items().size(),
            MakeTinyLog(60, 80, 1).events.size() - size_t{2} * 60);
  NEUMF_ASSERT_OK_AND_ASSIGN(const nlohmann::json evaluated,
                             EvaluateFile(checkpoint.info.path, "validation"));
  EXPECT_EQ(evaluated["auc"], checkpoint.info.manifest.metrics["auc"]);
}

TEST_F(TrainCommandTest, MeasuresWholeLists) {
  options_.task.split = "ratio";  // which the protocol full goes with
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint first, TrainAndLoad());
  const nlohmann::json& short_lists = first.info.manifest.metrics;
  options_.whole_lists = true;
  options_.select_by = "mrr";
  options_.patience = 1;
  options_.task.held_out = "validation";
  options_.evaluate_every = 1;
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint second, TrainAndLoad());
  const nlohmann::json& whole_lists = second.info.manifest.metrics;
  EXPECT_TRUE(short_lists.contains("map@1000"));
  EXPECT_FALSE(short_lists.contains("map"));
  EXPECT_TRUE(whole_lists.contains("map"));
  EXPECT_FALSE(whole_lists.contains("map@1000"));
  EXPECT_TRUE(whole_lists["curve"][0].contains("mrr"));
}

TEST_F(TrainCommandTest, EvaluationNeedsEveryUserAndItemOfTheData) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const std::string path,
                             Train(options_, environment_));
  WriteData(MakeTinyLog(63, 80, 1));
  EXPECT_THAT(EvaluateFile(path, "test"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("lacks 3 of the 63 users")));
}

TEST_F(TrainCommandTest, RefusesASplitThatHoldsNothingOut) {
  EventLog log = MakeTinyLog(60, 80, 1);
  std::vector<Event> first_events;
  for (const Event& event : log.events) {
    if (event.user == first_events.size()) first_events.push_back(event);
  }
  log.events = first_events;
  WriteData(log);
  EXPECT_THAT(Train(options_, environment_),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("no user has two")));
}

TEST_F(TrainCommandTest, FailsBeforeTrainingWhenItCannotWrite) {
  options_.out = directory_.Path("u.data/checkpoints");
  WriteData(EventLog());  // reading it would be another error
  EXPECT_THAT(Train(options_, environment_).status().message(),
              HasSubstr("cannot write to --out"));
}

TEST_F(TrainCommandTest, NoticesAFullDiskBeforeItTrains) {
  faulty_files_.LimitSpace(0);
  WriteData(EventLog());  // reading it would be another error
  EXPECT_THAT(Train(options_, environment_),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("cannot write to --out"),
                             HasSubstr("no space left"))));
  EXPECT_THAT(*files_->ListDirectory(options_.out), IsEmpty());
}

TEST_F(TrainCommandTest, LeavesNoFileOnADiskThatFillsUp) {
  faulty_files_.LimitSpace(10'000);  // the check before training passes
  EXPECT_THAT(Train(options_, environment_),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("cannot write checkpoint into"),
                             HasSubstr("no space left"))));
  EXPECT_THAT(*files_->ListDirectory(options_.out), IsEmpty());
}

TEST_F(TrainCommandTest, SaysThatACheckpointIsThereWithoutItsMetrics) {
  options_.metrics_out = directory_.Path("metrics.json");
  NEUMF_ASSERT_OK(Train(options_, environment_));
  const int last_call = faulty_files_.num_calls();
  faulty_files_.FailCall(last_call, absl::UnavailableError("disk gone"));
  const std::string path = JoinPath(options_.out, "2.safetensors");
  EXPECT_THAT(Train(options_, environment_).status().message(),
              "published " + path +
                  ", but not its metrics: cannot write --metrics_out: "
                  "disk gone");
  NEUMF_EXPECT_OK(LoadCheckpoint(*files_, path));
}

// Whichever call the disk fails at, a version is there whole or not at all.
TEST_F(TrainCommandTest, FailingDiskNeverPublishesAHalfCheckpoint) {
  options_.recipe.settings().epochs = 1;
  NEUMF_ASSERT_OK(files_->CreateDirectories(options_.out));
  int failing_call = 1;
  for (;; ++failing_call) {
    faulty_files_.FailFrom(failing_call,
                           absl::ResourceExhaustedError("no space left"));
    const bool trained = Train(options_, environment_).ok();
    NEUMF_ASSERT_OK_AND_ASSIGN(const std::vector<CheckpointFile> versions,
                               ListCheckpoints(*files_, options_.out));
    for (const CheckpointFile& version : versions) {
      NEUMF_EXPECT_OK(LoadCheckpoint(*files_, version.path));
    }
    if (trained) break;
    // The next run looks at what this one left, and would need more calls.
    NEUMF_ASSERT_OK_AND_ASSIGN(const std::vector<std::string> names,
                               files_->ListDirectory(options_.out));
    for (const std::string& name : names) {
      if (!IsTemporaryCheckpointName(name)) continue;
      NEUMF_ASSERT_OK(files_->Remove(JoinPath(options_.out, name)));
    }
  }
  EXPECT_GT(failing_call, 10);
}

}  // namespace
}  // namespace neumf
