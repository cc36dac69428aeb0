#include "trainer/import_command.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "checkpoint/checkpoint_directory.h"
#include "checkpoint/checkpoint_reader.h"
#include "eval/probe_check.h"
#include "scoring/scorer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"
#include "tests/trainer/tensor_image.h"
#include "tests/trainer/tiny_world.h"
#include "trainer/evaluate_command.h"
#include "trainer/random.h"

namespace neumf {
namespace {

using absl::StatusCode;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr uint64_t kUsers = 40;
constexpr uint64_t kItems = 30;
// Of MakeTinyLog(): users are 100, 101, ...; items 1, 2, ...
constexpr uint64_t kLastUserId = 99 + kUsers;
constexpr uint64_t kLastItemId = kItems;

std::string RandomFloats(uint64_t count, Random& random) {
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random.Normal());
  return FloatBytes(values);
}

class ImportCommandTest : public testing::Test {
 protected:
  ImportCommandTest() {
    NEUMF_EXPECT_OK(
        WriteFileAtomically(*files_, directory_.Path("u.data"),
                            TinyDataText(MakeTinyLog(kUsers, kItems, 1))));
    options_.weights = directory_.Path("weights.safetensors");
    options_.layout = "d2l";
    options_.task.data.path = directory_.path();
    options_.task.data.format = "ml-100k";
    options_.out = directory_.Path("checkpoints");
    environment_.files = files_.get();
    environment_.clock = clock_.get();
    WriteWeights(kLastUserId + 1, kLastItemId + 1);
  }

  // The book's model with tables of so many rows, the first for id 0.
  void WriteWeights(uint64_t num_users, uint64_t num_items) {
    options_.id_base = 0;
    Random random(3);
    TensorImage image;
    const auto add = [&](const char* name, uint64_t rows, uint64_t cols) {
      image.Add(name, "F32", {rows, cols}, RandomFloats(rows * cols, random));
    };
    add("P.weight", num_users, 4);
    add("Q.weight", num_items, 4);
    add("U.weight", num_users, 3);
    add("V.weight", num_items, 3);
    add("mlp.0.weight", 5, 6);
    image.Add("mlp.0.bias", "F32", {5}, RandomFloats(5, random));
    add("prediction_layer.weight", 1, 9);
    NEUMF_EXPECT_OK(image.Write(*files_, options_.weights));
  }

  absl::StatusOr<std::string> Run() { return Import(options_, environment_); }

  std::vector<CheckpointFile> Published() {
    absl::StatusOr<std::vector<CheckpointFile>> published =
        ListCheckpoints(*files_, options_.out);
    return published.ok() ? *published : std::vector<CheckpointFile>();
  }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  const std::unique_ptr<Clock> clock_ = MakeRealClock();
  ImportOptions options_;
  CommandEnvironment environment_;
};

TEST_F(ImportCommandTest, PublishesWhatAServerTakes) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const std::string path, Run());
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint loaded,
                             LoadCheckpoint(*files_, path));
  const Manifest& manifest = loaded.info.manifest;
  EXPECT_EQ(manifest.model_kind, "neumf");
  EXPECT_EQ(manifest.training["imported"]["layout"], "d2l");
  EXPECT_EQ(manifest.training["imported"]["id_base"], 0);
  EXPECT_EQ(loaded.model.seen.items().size(),
            manifest.training["data"]["train_events"].get<size_t>());

  NEUMF_ASSERT_OK_AND_ASSIGN(
      const auto builder,
      MakeScorerBuilder(Backend::kReference, loaded.model.shape,
                        loaded.model.network, {}));
  NEUMF_ASSERT_OK(StreamItemTables(
      loaded.items, [&](const ItemRows& rows) { return builder->Add(rows); }));
  NEUMF_ASSERT_OK_AND_ASSIGN(const auto scorer, builder->Build());
  EXPECT_EQ(manifest.probes.size(), 8U);
  NEUMF_EXPECT_OK(CheckProbes(
      manifest.probes, {*scorer, loaded.model.users, loaded.model.user_ids,
                        loaded.model.item_ids, loaded.model.seen}));
}

TEST_F(ImportCommandTest, MeasuresAsEvaluateDoes) {
  options_.metrics_out = directory_.Path("metrics.json");
  NEUMF_ASSERT_OK_AND_ASSIGN(const std::string path, Run());
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const std::string written,
      ReadWholeFile(*files_, options_.metrics_out, 1 << 20));
  EvaluateOptions evaluate;
  evaluate.checkpoint = path;
  evaluate.data = options_.task.data;
  NEUMF_ASSERT_OK_AND_ASSIGN(const nlohmann::json metrics,
                             Evaluate(evaluate, *files_));
  const nlohmann::json imported = nlohmann::json::parse(written);
  EXPECT_EQ(imported["hit@50"], metrics["hit@50"]);
  EXPECT_EQ(imported["auc"], metrics["auc"]);
  EXPECT_EQ(imported["evaluated_users"], kUsers);
}

TEST_F(ImportCommandTest, HoldsEverythingWithoutASplit) {
  options_.task.split = "none";
  NEUMF_ASSERT_OK_AND_ASSIGN(const std::string path, Run());
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint loaded,
                             LoadCheckpoint(*files_, path));
  EXPECT_TRUE(loaded.info.manifest.metrics.empty());
  EXPECT_EQ(loaded.model.seen.items().size(),
            MakeTinyLog(kUsers, kItems, 1).events.size());
}

TEST_F(ImportCommandTest, TakesTheLayoutsFirstId) {
  WriteWeights(kLastUserId, kLastItemId);
  options_.id_base.reset();
  NEUMF_ASSERT_OK_AND_ASSIGN(const std::string path, Run());
  NEUMF_ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint loaded,
                             LoadCheckpoint(*files_, path));
  EXPECT_EQ(loaded.info.manifest.training["imported"]["id_base"], 1);
}

TEST_F(ImportCommandTest, PublishesNothingForOtherData) {
  WriteWeights(kLastUserId + 1, kLastItemId);
  EXPECT_THAT(Run(), StatusIs(StatusCode::kInvalidArgument,
                              AllOf(HasSubstr(options_.weights),
                                    HasSubstr("item 30 of the data has no row "
                                              "in Q.weight"))));
  EXPECT_THAT(Published(), IsEmpty());
}

TEST_F(ImportCommandTest, PublishesNothingOfADamagedFile) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const std::string bytes,
                             ReadWholeFile(*files_, options_.weights, 1 << 20));
  NEUMF_ASSERT_OK(WriteFileAtomically(*files_, options_.weights,
                                      bytes.substr(0, bytes.size() - 1)));
  EXPECT_THAT(Run(), StatusIs(StatusCode::kDataLoss,
                              HasSubstr("--weights: " + options_.weights)));
  EXPECT_THAT(Published(), IsEmpty());
}

TEST_F(ImportCommandTest, SaysWhichFlagIsMissingOrWrong) {
  const auto expect_refused = [&](auto change, const std::string& text) {
    const ImportOptions before = options_;
    change(&options_);
    EXPECT_THAT(Run(), StatusIs(StatusCode::kInvalidArgument, HasSubstr(text)));
    options_ = before;
  };
  expect_refused([](ImportOptions* o) { o->weights.clear(); }, "--weights");
  expect_refused([](ImportOptions* o) { o->out.clear(); }, "--out");
  expect_refused([](ImportOptions* o) { o->layout = "keras"; }, "--layout");
  expect_refused([](ImportOptions* o) { o->layout.clear(); }, "--layout");
  expect_refused([](ImportOptions* o) { o->threads = 0; }, "--threads");
  expect_refused([](ImportOptions* o) { o->task.data.path.clear(); }, "--data");
  options_.weights = directory_.Path("nowhere");
  EXPECT_THAT(Run(),
              StatusIs(StatusCode::kNotFound,
                       AllOf(HasSubstr("--weights: "), HasSubstr("nowhere"))));
  EXPECT_THAT(Published(), IsEmpty());
}

}  // namespace
}  // namespace neumf
