// Runs neumf-train as its users do.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file_system.h"
#include "checkpoint/checkpoint_directory.h"
#include "checkpoint/checkpoint_reader.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"
#include "tests/trainer/running_program.h"
#include "tests/trainer/tiny_world.h"
#include "trainer/settings.h"

namespace neumf {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

class ProgramTest : public testing::Test {
 protected:
  ProgramTest() {
    NEUMF_EXPECT_OK(WriteFileAtomically(*files_, directory_.Path("u.data"),
                                        TinyDataText(MakeTinyLog(60, 80, 1))));
  }

  Result Run(const std::vector<std::string>& arguments) {
    return Program(arguments, directory_.Path("stdout")).Finish();
  }

  // With a stdout that takes nothing.
  Result RunUnheard(const std::vector<std::string>& arguments) {
    const std::string path = directory_.Path("read_only");
    NEUMF_EXPECT_OK(WriteFileAtomically(*files_, path, ""));
    return Program(arguments, path, {}, "r").Finish();
  }

  std::vector<std::string> EvaluateArguments() const {
    return {"evaluate",
            "--checkpoint",
            JoinPath(out_, "1.safetensors"),
            "--data",
            directory_.path(),
            "--format",
            "ml-100k",
            "--protocol",
            "d2l",
            "--split",
            "test"};
  }

  // `more` may repeat a flag: the last one counts.
  std::vector<std::string> TrainArguments(
      const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {
        "train",    "--data",    directory_.path(),
        "--format", "ml-100k",   "--out",
        out_,       "--factors", "4",
        "--hidden", "6-4",       "--epochs",
        "3"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  // What the checkpoint says about its training.
  nlohmann::json TrainedSettings(uint64_t version) const {
    const auto reader = CheckpointReader::Open(
        *files_, JoinPath(out_, absl::StrCat(version, ".safetensors")), {});
    if (!reader.ok()) return {};
    return (*reader)->info().manifest.training["stages"][0]["settings"];
  }

  size_t NumVersions() const {
    const auto versions = ListCheckpoints(*files_, out_);
    return versions.ok() ? versions->size() : 0;
  }

  // One line on stderr that says `what`, status 1, nothing on stdout.
  static void ExpectUsageError(const Result& result, absl::string_view what) {
    EXPECT_EQ(result.status, 1);
    EXPECT_THAT(result.err, HasSubstr(std::string(what)));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1)
        << result.err;
    EXPECT_THAT(result.out, IsEmpty());
  }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  const std::string out_ = directory_.Path("checkpoints");
};

TEST_F(ProgramTest, LastLineOfTrainIsThePublishedPath) {
  const Result result = Run(TrainArguments({}));
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.out, JoinPath(out_, "1.safetensors") + "\n");
  EXPECT_THAT(result.err, HasSubstr("epoch 3/3"));
}

TEST_F(ProgramTest, TowerFactorsAreFactorsUnlessGiven) {
  ASSERT_EQ(Run(TrainArguments({})).status, 0);
  ASSERT_EQ(Run(TrainArguments({"--tower_factors", "7"})).status, 0);
  EXPECT_EQ(TrainedSettings(1)["factors"], "4");
  EXPECT_EQ(TrainedSettings(1)["tower_factors"], "");
  EXPECT_EQ(TrainedSettings(2)["factors"], "4");
  EXPECT_EQ(TrainedSettings(2)["tower_factors"], "7");
}

TEST_F(ProgramTest, EvaluatePrintsJson) {
  ASSERT_EQ(Run(TrainArguments({})).status, 0);
  const Result result = Run(EvaluateArguments());
  EXPECT_EQ(result.status, 0) << result.err;
  const nlohmann::json metrics = nlohmann::json::parse(result.out);
  EXPECT_EQ(metrics["evaluated_users"], 60);
  EXPECT_GT(metrics["auc"], 0);
}

// A file's name need not be UTF-8, and JSON must be.
TEST_F(ProgramTest, EvaluatePrintsJsonForAFileOfAnyName) {
  const std::string path = directory_.Path("\xff.safetensors");
  ASSERT_EQ(Run(TrainArguments({})).status, 0);
  NEUMF_ASSERT_OK(files_->Rename(JoinPath(out_, "1.safetensors"), path));
  std::vector<std::string> arguments = EvaluateArguments();
  arguments.insert(arguments.end(), {"--checkpoint", path, "--metrics_out",
                                     directory_.Path("metrics.json")});
  const Result result = Run(arguments);
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(nlohmann::json::parse(result.out)["checkpoint"],
            directory_.Path("\uFFFD.safetensors"));
  EXPECT_EQ(*ReadWholeFile(*files_, directory_.Path("metrics.json"), 1 << 20),
            result.out);
}

TEST_F(ProgramTest, SaysWhenNobodyCanHearIt) {
  const Result trained = RunUnheard(TrainArguments({}));
  EXPECT_EQ(trained.status, 1);
  EXPECT_THAT(trained.err, HasSubstr("published " + out_ +
                                     "/1.safetensors, "
                                     "but cannot say so: write to stdout: "));
  EXPECT_EQ(NumVersions(), 1U);
  for (const auto& arguments :
       {EvaluateArguments(), {"recipes"}, {"--help"}, {"--version"}}) {
    const Result result = RunUnheard(arguments);
    EXPECT_EQ(result.status, 1) << arguments[0];
    EXPECT_THAT(result.err, HasSubstr("neumf-train: write to stdout: "));
  }
}

TEST_F(ProgramTest, TellsAboutItself) {
  EXPECT_THAT(Run({"--version"}).out, StartsWith("neumf-train "));
  EXPECT_THAT(Run({"recipes"}).out, HasSubstr("d2l-neumf"));
  const Result help = Run({"train", "--help"});
  EXPECT_EQ(help.status, 0);
  for (const char* part :
       {"Of all commands with data:\n", "Of train:\n", "Settings of train",
        "Of evaluate:\n", "Of compare:\n",
        "  --learning_rate     step size [0.001]\n"}) {
    EXPECT_THAT(help.out, HasSubstr(part));
  }
  for (const std::string& name : SettingNames()) {
    EXPECT_THAT(help.out, HasSubstr("\n  --" + name + " "));
  }
  for (absl::string_view line : absl::StrSplit(help.out, '\n')) {
    EXPECT_LE(line.size(), 80U) << line;
  }
}

TEST_F(ProgramTest, RefusesWhatItDoesNotKnowInOneLine) {
  ExpectUsageError(Run({}), "train, import, evaluate, compare or recipes");
  ExpectUsageError(Run({"fly"}), "no command 'fly'");
  ExpectUsageError(Run(TrainArguments({"extra"})),
                   "unexpected argument 'extra'");
  ExpectUsageError(Run(TrainArguments({"--epoch", "3"})),
                   "there is no flag --epoch; see --help");
  ExpectUsageError(Run(TrainArguments({"--epochs", "many"})), "many");
  ExpectUsageError(Run(TrainArguments({"--epochs", "0"})),
                   "--epochs takes a whole number from 1");
  ExpectUsageError(Run(TrainArguments({"--format", "ml-2m"})),
                   "this build knows ml-100k, ml-100k-ua, ml-1m, ml-latest, "
                   "ncf, lightgcn, csv, not 'ml-2m'");
  ExpectUsageError(Run(TrainArguments({"--model", "bert"})),
                   "--model takes one of mf, gmf, mlp, neumf");
  ExpectUsageError(Run(TrainArguments({"--loss", "listwise"})), "warp");
  ExpectUsageError(Run(TrainArguments({"--model", "mf"})), "has no tower");
  ExpectUsageError(Run(TrainArguments({"--alpha", "0.3"})),
                   "--alpha weighs pretrained parts");
  ExpectUsageError(Run(TrainArguments({"--margin", "2"})),
                   "--margin would change nothing: it is for --loss hinge");
  ExpectUsageError(Run(TrainArguments({"--patience", "2"})),
                   "give --held_out validation");
  ExpectUsageError(Run(TrainArguments({"--device", "tpu"})),
                   "there is no --device 'tpu'; there are auto, cpu, cuda");
  ExpectUsageError(Run(TrainArguments({"--split", "newest"})), "newest");
  ExpectUsageError(Run(TrainArguments({"--recipe", "ncf"})), "d2l-neumf");
  ExpectUsageError(Run(TrainArguments({"--hidden", "10,10"})), "32-16-8");
  ExpectUsageError(Run(TrainArguments({"--threads", "0"})), "--threads");
}

TEST_F(ProgramTest, RefusesFlagsThatWouldChangeNothing) {
  ExpectUsageError(Run(TrainArguments({"--checkpoint", "x"})),
                   "--checkpoint is for evaluate: train does not read it");
  ExpectUsageError(Run(TrainArguments({"--split_ratio", ".5"})),
                   "--split_ratio would change nothing: it is for the split");
  ExpectUsageError(Run(TrainArguments({"--columns", "user=u,item=i"})),
                   "--columns would change nothing: it is for --format csv");
  ExpectUsageError(
      Run(TrainArguments({"--held_out", "validation", "--split", "none"})),
      "--held_out would change nothing");
  ExpectUsageError(Run(TrainArguments({"--whole_lists"})),
                   "what is held out by the protocol full");
  ExpectUsageError(Run(TrainArguments({"--alpha", "0.5"})),
                   "--alpha would change nothing");
  std::vector<std::string> arguments = EvaluateArguments();
  arguments.insert(arguments.end(), {"--out", "x"});
  ExpectUsageError(Run(arguments), "evaluate does not read it");
}

TEST_F(ProgramTest, NamesADirectoryThatItCannotWriteTo) {
  ExpectUsageError(Run(TrainArguments({"--out", "/proc/checkpoints"})),
                   "cannot write to --out");
  ExpectUsageError(Run(TrainArguments({"--metrics_out", "/proc/m.json"})),
                   "cannot write --metrics_out");
}

TEST_F(ProgramTest, RefusesAMetricsFileThatCannotBeBeforeItTrains) {
  const std::string pipe = directory_.Path("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  for (const std::string& path : {directory_.path(), pipe}) {
    ExpectUsageError(Run(TrainArguments({"--metrics_out", path})),
                     path + " is there and is not a regular file");
  }
  const std::string missing = directory_.Path("missing");
  ExpectUsageError(
      Run(TrainArguments({"--metrics_out", missing + "/m.json"})),
      "cannot write --metrics_out: stat " + missing + ": No such file");
  EXPECT_FALSE(files_->Stat(missing).ok());
  EXPECT_FALSE(files_->Stat(pipe)->is_regular);
  EXPECT_EQ(NumVersions(), 0U);
}

TEST_F(ProgramTest, NamesDataThatIsNotThere) {
  ExpectUsageError(Run(TrainArguments({"--data", "/nowhere"})),
                   "/nowhere/u.data");
}

TEST_F(ProgramTest, SaysWhichFormatTakesAFile) {
  ExpectUsageError(Run(TrainArguments({"--data", directory_.Path("u.data")})),
                   "--format ml-100k wants a directory with u.data");
}

TEST_F(ProgramTest, PublishesTheEpochThatASignalEnds) {
  Program program(TrainArguments({"--epochs", "100000"}),
                  directory_.Path("stdout"));
  program.WaitForLine("epoch 2/100000");
  program.Signal(SIGINT);
  const Result result = program.Finish();
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("stopped by a signal after epoch"));
  ASSERT_EQ(result.out, JoinPath(out_, "1.safetensors") + "\n");
  NEUMF_EXPECT_OK(LoadCheckpoint(*files_, JoinPath(out_, "1.safetensors")));
}

TEST_F(ProgramTest, SecondSignalLeavesAtOnceWithoutACheckpoint) {
  Program program(TrainArguments({"--epochs", "100000"}),
                  directory_.Path("stdout"));
  program.WaitForLine("epoch 1/100000");
  // Stopped, it gets both signals at the same moment.
  program.Signal(SIGSTOP);
  program.Signal(SIGINT);
  program.Signal(SIGTERM);
  program.Signal(SIGCONT);
  EXPECT_THAT(program.Finish().status, testing::AnyOf(130, 143));
  EXPECT_EQ(NumVersions(), 0U);
}

}  // namespace
}  // namespace neumf
