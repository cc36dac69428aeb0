// Runs that are cut off, by a kill, a signal or a disk, and go on.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/checkpoint_directory.h"
#include "checkpoint/checkpoint_reader.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"
#include "tests/trainer/running_program.h"
#include "tests/trainer/tiny_world.h"
#include "trainer/train_command.h"

namespace neumf {
namespace {

using absl::StatusCode;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

using Digests = std::map<std::string, std::vector<Sha256Digest>>;

// Two stages that train in milliseconds.
constexpr char kStages[] =
    "recipe test\n"
    "  stage start\n"
    "    model=gmf factors=4 loss=bce epochs=3 batch_size=64\n"
    "    learning_rate=0.02 negatives=2\n"
    "  stage end\n"
    "    model=neumf factors=4 hidden=6-4 loss=bpr epochs=4 batch_size=64\n"
    "    learning_rate=0.02 pretrained_gmf=@start dropout=0.2\n";

class ResumeTest : public testing::Test {
 protected:
  ResumeTest() {
    NEUMF_EXPECT_OK(WriteFileAtomically(*files_, directory_.Path("u.data"),
                                        TinyDataText(MakeTinyLog(60, 80, 1))));
    options_.task.data.path = directory_.path();
    options_.task.data.format = "ml-100k";
    options_.recipe = ParseRecipes(kStages)->front();
    options_.out = directory_.Path("checkpoints");
    environment_.files = &faulty_files_;
    environment_.clock = clock_.get();
  }

  absl::StatusOr<Digests> DigestsOf(const std::string& path) {
    NEUMF_ASSIGN_OR_RETURN(const LoadedCheckpoint checkpoint,
                           LoadCheckpoint(*files_, path));
    Digests digests;
    for (const auto& [name, digest] : checkpoint.info.manifest.tensors) {
      digests[name] = digest.sha256;
    }
    return digests;
  }

  absl::StatusOr<Digests> TrainAndLoad() {
    NEUMF_ASSIGN_OR_RETURN(const std::string path,
                           Train(options_, environment_));
    return DigestsOf(path);
  }

  Digests UninterruptedDigests() {
    TrainOptions options = options_;
    options.state.clear();
    options.out = directory_.Path("uninterrupted");
    CommandEnvironment environment = environment_;
    environment.files = files_.get();
    const auto path = Train(options, environment);
    NEUMF_EXPECT_OK(path);
    return *DigestsOf(*path);
  }

  std::vector<std::string> FilesIn(const std::string& directory) {
    return files_->ListDirectory(directory).value_or(
        std::vector<std::string>());
  }

  void UseState(const std::string& name) {
    options_.state = directory_.Path(name);
  }

  // Leaves the state of a run that was stopped after the first epoch of the
  // first stage.
  void StopAfterOneEpoch() {
    // The only call that changes a flag at the right moment is a clock's.
    class StoppingClock : public Clock {
     public:
      StoppingClock(const Clock* base, std::atomic<bool>* stop)
          : base_(base), stop_(stop) {}
      absl::Time WallNow() const override { return base_->WallNow(); }
      bool WaitUntil(CondVar* condition, Mutex* mutex,
                     absl::Duration deadline) const override
          ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
        return base_->WaitUntil(condition, mutex, deadline);
      }
      absl::Duration MonotonicNow() const override {
        *stop_ = true;  // as an epoch begins
        return base_->MonotonicNow();
      }

     private:
      const Clock* const base_;
      std::atomic<bool>* const stop_;
    };
    std::atomic<bool> stop{false};
    const StoppingClock clock(clock_.get(), &stop);
    CommandEnvironment environment = environment_;
    environment.clock = &clock;
    environment.stop = &stop;
    Train(options_, environment).IgnoreError();
    ASSERT_THAT(FilesIn(options_.state), SizeIs(1));
  }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  const std::unique_ptr<Clock> clock_ = MakeRealClock();
  FaultyFileSystem faulty_files_{files_.get()};
  TrainOptions options_;
  CommandEnvironment environment_;
};

TEST_F(ResumeTest, ARunThatIsDoneLeavesNoState) {
  UseState("state");
  NEUMF_ASSERT_OK_AND_ASSIGN(const Digests digests, TrainAndLoad());
  EXPECT_EQ(digests, UninterruptedDigests());
  EXPECT_THAT(FilesIn(options_.state), IsEmpty());
}

TEST_F(ResumeTest, AStoppedRunGoesOnThroughItsStages) {
  UseState("state");
  StopAfterOneEpoch();
  NEUMF_ASSERT_OK_AND_ASSIGN(const Digests digests, TrainAndLoad());
  EXPECT_EQ(digests, UninterruptedDigests());
  EXPECT_THAT(FilesIn(options_.state), IsEmpty());
}

// Whatever call fails, once: nothing is trained and published, or the same as
// ever; and a run that follows ends with the same bits.
TEST_F(ResumeTest, AnyCallOfTheDiskMayFail) {
  const Digests digests = UninterruptedDigests();
  UseState("counted");
  faulty_files_.StopFailing();
  NEUMF_ASSERT_OK(TrainAndLoad().status());
  const int num_calls = faulty_files_.num_calls();
  for (int nth = 1; nth <= num_calls; nth += 3) {
    UseState(absl::StrCat("state", nth));
    faulty_files_.FailCall(nth, absl::ResourceExhaustedError("disk full"));
    const auto first = Train(options_, environment_);
    faulty_files_.StopFailing();
    if (first.ok()) {
      EXPECT_EQ(*DigestsOf(*first), digests) << nth;
    }
    NEUMF_ASSERT_OK_AND_ASSIGN(const Digests second, TrainAndLoad());
    EXPECT_EQ(second, digests) << nth;
    EXPECT_THAT(FilesIn(options_.state), IsEmpty()) << nth;
  }
}

TEST_F(ResumeTest, AfterTheMachineDiedTheRunGoesOn) {
  const Digests digests = UninterruptedDigests();
  UseState("counted");
  faulty_files_.StopFailing();
  NEUMF_ASSERT_OK(TrainAndLoad().status());
  const int num_calls = faulty_files_.num_calls();
  for (int nth = 2; nth <= num_calls; nth += 3) {
    UseState(absl::StrCat("state", nth));
    faulty_files_.FailFrom(nth, absl::UnavailableError("gone"));
    Train(options_, environment_).IgnoreError();
    faulty_files_.StopFailing();
    NEUMF_ASSERT_OK_AND_ASSIGN(const Digests second, TrainAndLoad());
    EXPECT_EQ(second, digests) << nth;
    EXPECT_THAT(FilesIn(options_.state), IsEmpty()) << nth;
  }
}

TEST_F(ResumeTest, RefusesTheStateOfAnotherRun) {
  UseState("state");
  StopAfterOneEpoch();
  const auto expect_refused = [&](const TrainOptions& options,
                                  const std::string& what) {
    EXPECT_THAT(
        Train(options, environment_),
        StatusIs(StatusCode::kFailedPrecondition,
                 AllOf(HasSubstr("state of another run"), HasSubstr(what))));
  };
  TrainOptions options = options_;
  options.seed = 2;
  expect_refused(options, "--seed was 1 and is 2");
  options = options_;
  options.threads = 2;
  expect_refused(options, "--threads was 1 and is 2");
  options = options_;
  options.recipe.settings().epochs = 9;
  expect_refused(options, "--epochs was 4 and is 9");
  options = options_;
  options.recipe.stages[0].settings.batch_size = 63;
  expect_refused(options, "start: --batch_size was 64 and is 63");
  options = options_;
  options.task.held_out = "validation";
  expect_refused(options, "the data was 60 users");
}

// The state of a later stage, which is read before an earlier one is trained.
TEST_F(ResumeTest, LooksAtTheStatesOfAllStagesFirst) {
  UseState("state");
  StopAfterOneEpoch();
  NEUMF_ASSERT_OK(WriteFileAtomically(
      *files_, JoinPath(options_.state, "end.state.safetensors"), "nothing"));
  testing::internal::CaptureStderr();
  const absl::Status status = Train(options_, environment_).status();
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              Not(HasSubstr("going on with start")));
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr("stage end: --state"), HasSubstr("end.state")));
}

TEST_F(ResumeTest, RefusesADamagedState) {
  UseState("state");
  StopAfterOneEpoch();
  const std::string path = JoinPath(options_.state, FilesIn(options_.state)[0]);
  std::string bytes = *ReadWholeFile(*files_, path, 1 << 20);
  bytes[bytes.size() / 2] ^= 1;
  NEUMF_ASSERT_OK(WriteFileAtomically(*files_, path, bytes));
  EXPECT_THAT(Train(options_, environment_),
              StatusIs(StatusCode::kDataLoss, HasSubstr(path)));
}

TEST_F(ResumeTest, PatienceGoesOnWithItsBestEpoch) {
  UseState("state");
  options_.recipe = *FindRecipe("d2l-neumf");
  options_.recipe.settings() = TinySettings();
  options_.recipe.settings().epochs = 12;
  options_.recipe.settings().learning_rate = 0.2;  // overfits at once
  options_.task.held_out = "validation";
  options_.patience = 3;
  NEUMF_ASSERT_OK_AND_ASSIGN(const std::string whole_path,
                             Train(options_, environment_));
  StopAfterOneEpoch();
  NEUMF_ASSERT_OK_AND_ASSIGN(const std::string path,
                             Train(options_, environment_));
  EXPECT_EQ(*DigestsOf(path), *DigestsOf(whole_path));
  const auto metrics = [&](const std::string& checkpoint) {
    return LoadCheckpoint(*files_, checkpoint)->info.manifest.metrics;
  };
  EXPECT_EQ(metrics(path)["curve"], metrics(whole_path)["curve"]);
  EXPECT_EQ(metrics(path)["best_epoch"], metrics(whole_path)["best_epoch"]);
}

class KillTest : public ResumeTest {
 protected:
  std::vector<std::string> Arguments(const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {
        "train",      "--data",    directory_.path(),
        "--format",   "ml-100k",   "--out",
        options_.out, "--factors", "4",
        "--hidden",   "6-4",       "--batch_size",
        "16",         "--state",   directory_.Path("state")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  Result Run(const std::vector<std::string>& more) {
    return Program(Arguments(more), directory_.Path("stdout")).Finish();
  }

  Digests DigestsOfVersion(int version) {
    const auto digests = DigestsOf(
        JoinPath(options_.out, absl::StrCat(version, ".safetensors")));
    NEUMF_EXPECT_OK(digests);
    return digests.value_or(Digests());
  }
};

TEST_F(KillTest, AKilledRunEndsWithTheBitsOfAWholeOne) {
  ASSERT_EQ(Run({"--epochs", "40"}).status, 0);
  for (const char* const epoch : {"epoch 3/40", "epoch 17/40", "epoch 31/40"}) {
    Program program(Arguments({"--epochs", "40"}), directory_.Path("stdout"));
    program.WaitForLine(epoch);
    program.Signal(SIGKILL);
    EXPECT_EQ(program.Finish().status, 128 + SIGKILL);
  }
  const Result result = Run({"--epochs", "40"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("going on with neumf after epoch"));
  EXPECT_THAT(result.err, Not(HasSubstr("epoch 29/40")));
  EXPECT_EQ(DigestsOfVersion(2), DigestsOfVersion(1));
  EXPECT_THAT(FilesIn(directory_.Path("state")), IsEmpty());
}

TEST_F(KillTest, ATerminatedRunPublishesAndGoesOn) {
  ASSERT_EQ(Run({"--epochs", "200"}).status, 0);
  Program program(Arguments({"--epochs", "200"}), directory_.Path("stdout"));
  program.WaitForLine("epoch 2/200");
  program.Signal(SIGTERM);
  const Result stopped = program.Finish();
  EXPECT_EQ(stopped.status, 0) << stopped.err;
  EXPECT_THAT(stopped.err, HasSubstr("stopped by a signal after epoch"));
  EXPECT_THAT(FilesIn(directory_.Path("state")), SizeIs(1));
  ASSERT_EQ(Run({"--epochs", "200"}).status, 0);
  EXPECT_EQ(DigestsOfVersion(3), DigestsOfVersion(1));
  EXPECT_NE(DigestsOfVersion(2), DigestsOfVersion(1));
}

TEST_F(KillTest, SaysInOneLineWhatDiffers) {
  Program program(Arguments({"--epochs", "100000"}), directory_.Path("stdout"));
  program.WaitForLine("epoch 2/");
  program.Signal(SIGKILL);
  program.Finish();
  const Result result = Run({"--epochs", "100000", "--seed", "2"});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("state of another run: --seed was 1 and "
                                    "is 2"));
}

// Kills at moments spread over what comes after the training.
TEST_F(KillTest, AKillWhilePublishingLeavesNoBrokenCheckpoint) {
  constexpr int kKills = 24;
  constexpr int kMicrosApart = 400;
  for (int i = 0; i < kKills; ++i) {
    Program program(Arguments({"--epochs", "2"}), directory_.Path("stdout"));
    program.WaitForLine("metrics {");
    usleep(static_cast<useconds_t>(i * kMicrosApart));
    program.Signal(SIGKILL);
    program.Finish();
    // What was begun may stay behind under another name, which nobody serves.
    NEUMF_ASSERT_OK_AND_ASSIGN(const std::vector<CheckpointFile> versions,
                               ListCheckpoints(*files_, options_.out));
    for (const CheckpointFile& version : versions) {
      NEUMF_EXPECT_OK(LoadCheckpoint(*files_, version.path).status());
    }
  }
  EXPECT_EQ(Run({"--epochs", "2"}).status, 0);
}

}  // namespace
}  // namespace neumf
