#include "trainer/training_state.h"

#include <gtest/gtest.h>

#include <memory>

#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"
#include "tests/trainer/tensor_image.h"
#include "trainer/tensor_file.h"

namespace neumf {
namespace {

using absl::StatusCode;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TrainingState MakeState() {
  TrainingState state;
  state.run = {{"factors", "8"}, {"seed", "3"}, {"data", "12 events, abc"}};
  state.epoch_losses = {0.1, 1.0 / 3, 1e-300};
  state.num_examples = 123'456'789'012;
  state.duration = absl::Milliseconds(1234567);
  state.parameters = {1, 2, 3e-41F, -4};
  state.num_steps = uint64_t{1} << 40;
  state.first_moment = {0, 1e-30F, 0, 5};
  state.second_moment = {9, 8, 7, 6};
  state.curve.points = {{{"epoch", 2}, {"auc", 0.75}}};
  state.curve.best_value = 1.0 / 3;
  state.curve.best_epoch = 2;
  state.curve.num_worse = 1;
  state.best_parameters = {4, 3, 2, 1};
  return state;
}

class TrainingStateTest : public testing::Test {
 protected:
  absl::StatusOr<TrainingState> WriteAndRead(const TrainingState& state) {
    NEUMF_RETURN_IF_ERROR(WriteState(*files_, path_, state));
    return ReadState(*files_, path_, state.run, state.parameters.size());
  }

  // Reads the file of MakeState() after `change`.
  template <typename Change>
  absl::StatusOr<TrainingState> ReadAfter(Change change) {
    NEUMF_EXPECT_OK(WriteState(*files_, path_, MakeState()));
    absl::StatusOr<TensorFile> file = ReadTensors(*files_, path_);
    NEUMF_EXPECT_OK(file);
    change(&*file);
    std::vector<TensorView> views;
    for (const auto& [name, tensor] : file->tensors) {
      views.push_back({name, tensor.shape, tensor.values});
    }
    NEUMF_EXPECT_OK(WriteTensors(*files_, path_, file->metadata, views));
    return ReadState(*files_, path_, MakeState().run, 4);
  }

  // Replaces a part of the state's JSON.
  absl::StatusOr<TrainingState> ReadWith(const std::string& old_text,
                                         const std::string& new_text) {
    return ReadAfter([&](TensorFile* file) {
      std::string& text = file->metadata["neumf.state"];
      const size_t at = text.find(old_text);
      ASSERT_NE(at, std::string::npos) << text;
      text.replace(at, old_text.size(), new_text);
    });
  }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  const std::string path_ = directory_.Path("state.safetensors");
};

void ExpectSame(const TrainingState& a, const TrainingState& b) {
  EXPECT_EQ(a.run, b.run);
  EXPECT_EQ(a.epoch_losses, b.epoch_losses);
  EXPECT_EQ(a.num_examples, b.num_examples);
  EXPECT_EQ(a.duration, b.duration);
  EXPECT_EQ(a.parameters, b.parameters);
  EXPECT_EQ(a.num_steps, b.num_steps);
  EXPECT_EQ(a.first_moment, b.first_moment);
  EXPECT_EQ(a.second_moment, b.second_moment);
  EXPECT_EQ(a.curve.points, b.curve.points);
  EXPECT_EQ(a.curve.best_value, b.curve.best_value);
  EXPECT_EQ(a.curve.best_epoch, b.curve.best_epoch);
  EXPECT_EQ(a.curve.num_worse, b.curve.num_worse);
  EXPECT_EQ(a.best_parameters, b.best_parameters);
}

TEST_F(TrainingStateTest, ComesBackToTheBit) {
  const TrainingState state = MakeState();
  NEUMF_ASSERT_OK_AND_ASSIGN(const TrainingState read, WriteAndRead(state));
  ExpectSame(read, state);
  EXPECT_EQ(read.epochs_done(), 3U);
}

TEST_F(TrainingStateTest, MomentsMayBeEmpty) {
  TrainingState state = MakeState();
  state.second_moment.clear();
  NEUMF_ASSERT_OK_AND_ASSIGN(const TrainingState one, WriteAndRead(state));
  ExpectSame(one, state);
  state.first_moment.clear();
  NEUMF_ASSERT_OK_AND_ASSIGN(const TrainingState none, WriteAndRead(state));
  ExpectSame(none, state);
}

TEST_F(TrainingStateTest, HoldsALongRun) {
  TrainingState state = MakeState();
  for (int epoch = 0; epoch < 10'000; ++epoch) {
    state.epoch_losses.push_back(1 / (epoch + 3.7));
  }
  NEUMF_ASSERT_OK_AND_ASSIGN(const TrainingState read, WriteAndRead(state));
  EXPECT_EQ(read.epoch_losses, state.epoch_losses);
}

TEST_F(TrainingStateTest, RefusesAnotherRunAndSaysWhatDiffers) {
  NEUMF_ASSERT_OK(WriteState(*files_, path_, MakeState()));
  RunIdentity run = MakeState().run;
  run["factors"] = "16";
  run["threads"] = "2";
  run.erase("seed");
  EXPECT_THAT(
      ReadState(*files_, path_, run, 4),
      StatusIs(StatusCode::kFailedPrecondition,
               AllOf(HasSubstr(path_), HasSubstr("factors was 8 and is 16"),
                     HasSubstr("seed was 3 and is not set"),
                     HasSubstr("threads was not set and is 2"),
                     Not(HasSubstr("data")))));
}

TEST_F(TrainingStateTest, NamesFlagsOfBothRunsFirst) {
  TrainingState state = MakeState();
  state.run = {{"WORLD_SIZE", "1"}, {"--seed", "1"}, {"--old", "1"}};
  NEUMF_ASSERT_OK(WriteState(*files_, path_, state));
  const RunIdentity run = {{"WORLD_SIZE", "2"}, {"--seed", "2"}, {"--a", "2"}};
  EXPECT_THAT(ReadState(*files_, path_, run, 4).status().message(),
              HasSubstr("another run: --seed was 1 and is 2, WORLD_SIZE was 1 "
                        "and is 2, --a was not set and is 2, 1 more; give"));
}

TEST_F(TrainingStateTest, DoesNotListHundredsOfDifferences) {
  NEUMF_ASSERT_OK(WriteState(*files_, path_, MakeState()));
  RunIdentity run = MakeState().run;
  for (int i = 0; i < 100; ++i) run[std::to_string(i)] = "x";
  const absl::Status status = ReadState(*files_, path_, run, 4).status();
  EXPECT_THAT(status,
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("97 more")));
  EXPECT_LT(status.message().size(), 500U);
}

TEST_F(TrainingStateTest, RefusesAModelOfAnotherSize) {
  NEUMF_ASSERT_OK(WriteState(*files_, path_, MakeState()));
  EXPECT_THAT(ReadState(*files_, path_, MakeState().run, 5),
              StatusIs(StatusCode::kFailedPrecondition,
                       HasSubstr("4 parameters where the model has 5")));
  EXPECT_THAT(
      ReadAfter([](TensorFile* file) {
        file->tensors["second_moment"] = {{2}, {1, 1}};
      }),
      StatusIs(StatusCode::kFailedPrecondition, HasSubstr("2 second_moment")));
  EXPECT_THAT(ReadAfter([](TensorFile* file) {
                file->tensors["best_parameters"] = {{1}, {1}};
              }),
              StatusIs(StatusCode::kFailedPrecondition,
                       HasSubstr("1 best_parameters")));
  EXPECT_THAT(
      ReadAfter([](TensorFile* file) { file->tensors.erase("parameters"); }),
      StatusIs(StatusCode::kFailedPrecondition, HasSubstr("0 parameters")));
}

TEST_F(TrainingStateTest, TellsThatThereIsNone) {
  EXPECT_THAT(ReadState(*files_, path_, {}, 4),
              StatusIs(StatusCode::kNotFound));
}

TEST_F(TrainingStateTest, RefusesFilesOfSomethingElse) {
  EXPECT_THAT(ReadAfter([](TensorFile* file) {
                file->metadata["format"] = "neumf.weights.v1";
              }),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("no state")));
  EXPECT_THAT(ReadAfter([](TensorFile* file) {
                file->tensors["x"] = {{1}, {1}};
              }),
              StatusIs(StatusCode::kDataLoss, HasSubstr("tensor x")));
}

TEST_F(TrainingStateTest, NeedsItsDigest) {
  TensorImage image;
  image.metadata["format"] = "neumf.training_state.v1";
  image.metadata["neumf.state"] = "{}";
  NEUMF_ASSERT_OK(image.Write(*files_, path_));
  EXPECT_THAT(ReadState(*files_, path_, {}, 4),
              StatusIs(StatusCode::kDataLoss, HasSubstr("digest")));
}

TEST_F(TrainingStateTest, RefusesWhatItCannotUnderstand) {
  EXPECT_THAT(ReadWith("\"num_steps\":1099511627776", "\"num_steps\":-1"),
              StatusIs(StatusCode::kDataLoss, HasSubstr("num_steps")));
  EXPECT_THAT(ReadWith("num_examples", "number"),
              StatusIs(StatusCode::kDataLoss, HasSubstr("num_examples")));
  EXPECT_THAT(ReadWith("1234567000000", "18446744073709551615"),
              StatusIs(StatusCode::kDataLoss, HasSubstr("duration")));
  EXPECT_THAT(ReadWith("[0.1", "[null"),
              StatusIs(StatusCode::kDataLoss, HasSubstr("epoch_losses")));
  EXPECT_THAT(ReadWith("[0.1", "[1e999"), StatusIs(StatusCode::kDataLoss));
  EXPECT_THAT(ReadWith("\"3\"", "3"),
              StatusIs(StatusCode::kDataLoss, HasSubstr("run")));
  EXPECT_THAT(ReadWith("best_epoch\":", "best_epoch\":4294967296,\"x\":"),
              StatusIs(StatusCode::kDataLoss, HasSubstr("best_epoch")));
  EXPECT_THAT(ReadWith("\"points\":[", "\"x\":1,\"points\":7,\"y\":["),
              StatusIs(StatusCode::kDataLoss, HasSubstr("curve")));
  EXPECT_THAT(ReadWith("{", "["),
              StatusIs(StatusCode::kDataLoss, HasSubstr("neumf.state")));
}

}  // namespace
}  // namespace neumf
