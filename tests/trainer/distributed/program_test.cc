// Several neumf-train that train one model, as launchers start them.

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "checkpoint/checkpoint_directory.h"
#include "checkpoint/checkpoint_reader.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"
#include "tests/trainer/running_program.h"
#include "tests/trainer/tiny_world.h"
#include "trainer/weights_file.h"

namespace neumf {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

// One that nobody listens at now.
int FreePort() {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) !=
          0) {
    ADD_FAILURE() << "no port is free";
  }
  close(listener);
  return ntohs(address.sin_port);
}

class DistributedProgramTest : public testing::Test {
 protected:
  using Words = std::vector<std::string>;

  DistributedProgramTest() {
    NEUMF_EXPECT_OK(WriteFileAtomically(*files_, directory_.Path("u.data"),
                                        TinyDataText(MakeTinyLog(60, 80, 1))));
  }

  Words Arguments(const Words& more) const {
    Words arguments = {"train",    "--data",    directory_.path(),
                       "--format", "ml-100k",   "--out",
                       out_,       "--factors", "4",
                       "--hidden", "6-4",       "--epochs",
                       "3"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  // A process of a world whose port is `port`.
  std::unique_ptr<Program> Start(int rank, int size, int port,
                                 const Words& more) const {
    return std::make_unique<Program>(
        Arguments(more), directory_.Path(absl::StrCat("stdout", rank)),
        Words{absl::StrCat("RANK=", rank), absl::StrCat("WORLD_SIZE=", size),
              "MASTER_ADDR=127.0.0.1", absl::StrCat("MASTER_PORT=", port)});
  }

  std::vector<std::unique_ptr<Program>> StartAll(int size, const Words& more) {
    std::vector<std::unique_ptr<Program>> programs;
    const int port = FreePort();
    for (int rank = 0; rank < size; ++rank) {
      programs.push_back(Start(rank, size, port, more));
    }
    return programs;
  }

  static std::vector<Result> FinishAll(
      std::vector<std::unique_ptr<Program>> programs) {
    std::vector<Result> results;
    for (const auto& program : programs) results.push_back(program->Finish());
    return results;
  }

  std::vector<Result> RunAll(int size, const Words& more) {
    return FinishAll(StartAll(size, more));
  }

  Result RunAlone(const Words& more, const Words& variables = {}) {
    return Program(Arguments(more), directory_.Path("stdout"), variables)
        .Finish();
  }

  // That all ended well with the same parameters, and the first one published.
  void ExpectTogether(const std::vector<Result>& results) {
    for (size_t rank = 0; rank < results.size(); ++rank) {
      EXPECT_EQ(results[rank].status, 0) << results[rank].err;
      EXPECT_EQ(results[rank].out.empty(), rank > 0);
      EXPECT_EQ(DigestIn(results[rank].err), DigestIn(results[0].err));
    }
    EXPECT_THAT(DigestIn(results[0].err), SizeIs(64));
  }

  static std::string DigestIn(const std::string& err) {
    const absl::string_view before = ": parameters ";
    const size_t at = err.rfind(before.data());
    if (at == std::string::npos) return "";
    const size_t begin = at + before.size();
    return err.substr(begin, err.find('\n', begin) - begin);
  }

  nlohmann::json Losses(int version) {
    return LoadCheckpoint(*files_,
                          JoinPath(out_, absl::StrCat(version, ".safetensors")))
        ->info.manifest.training["stages"][0]["losses"];
  }

  size_t NumVersions() const {
    const auto versions = ListCheckpoints(*files_, out_);
    return versions.ok() ? versions->size() : 0;
  }

  // Of a run in several processes against one that sees the same batches.
  void ExpectSameModel(int size, const Words& settings, int batch_size) {
    const std::string alone = directory_.Path("alone.safetensors");
    const std::string together = directory_.Path("together.safetensors");
    Words more = settings;
    more.insert(more.end(), {"--batch_size", absl::StrCat(size * batch_size),
                             "--weights_out", alone});
    const Result one = RunAlone(more);
    ASSERT_EQ(one.status, 0) << one.err;
    more = settings;
    more.insert(more.end(), {"--batch_size", absl::StrCat(batch_size),
                             "--weights_out", together});
    ExpectTogether(RunAll(size, more));

    const nlohmann::json expected = Losses(1);
    const nlohmann::json losses = Losses(2);
    ASSERT_EQ(losses.size(), expected.size());
    for (size_t epoch = 0; epoch < losses.size(); ++epoch) {
      EXPECT_NEAR(losses[epoch].get<double>(), expected[epoch].get<double>(),
                  1e-4 * std::abs(expected[epoch].get<double>()));
    }
    const auto a = ReadWeights(*files_, alone);
    const auto b = ReadWeights(*files_, together);
    NEUMF_ASSERT_OK(a);
    NEUMF_ASSERT_OK(b);
    const absl::Span<const float> x = a->parameters.values();
    const absl::Span<const float> y = b->parameters.values();
    ASSERT_EQ(x.size(), y.size());
    for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(x[i], y[i], 2e-3) << i;
  }

  // One line on stderr that says `what`, status 1.
  static void ExpectRefused(const Result& result, const std::string& what) {
    EXPECT_EQ(result.status, 1);
    EXPECT_THAT(result.err, HasSubstr(what));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1)
        << result.err;
  }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  const std::string out_ = directory_.Path("checkpoints");
};

// The last batch of 508 events does not divide.
TEST_F(DistributedProgramTest, TwoProcessesTrainWhatOneDoes) {
  ExpectSameModel(2, {"--optimizer", "adam", "--learning_rate", "0.01"}, 31);
}

TEST_F(DistributedProgramTest, ThreeProcessesTrainWhatOneDoesWithRowUpdates) {
  ExpectSameModel(
      3,
      {"--optimizer", "adagrad", "--updates", "rows", "--learning_rate", "0.01",
       "--loss", "bce", "--negatives", "3", "--reduction", "mean"},
      13);
}

TEST_F(DistributedProgramTest, AWorldOfOneIsNoWorld) {
  const Result result =
      RunAlone({}, {"RANK=0", "WORLD_SIZE=1", "LOCAL_RANK=0"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.err, Not(HasSubstr("process")));
}

TEST_F(DistributedProgramTest, AllEndAtASignalToAny) {
  auto programs = StartAll(2, {"--epochs", "100000"});
  programs[0]->WaitForLine("epoch 2/100000");
  programs[1]->Signal(SIGTERM);
  const std::vector<Result> results = FinishAll(std::move(programs));
  ExpectTogether(results);
  EXPECT_THAT(results[0].err, HasSubstr("stopped by a signal after epoch"));
  EXPECT_EQ(NumVersions(), 1U);
}

TEST_F(DistributedProgramTest, AllEndWhenTheMetricsGetNoBetter) {
  const std::vector<Result> results =
      RunAll(2, {"--epochs", "1000", "--held_out", "validation", "--patience",
                 "2", "--learning_rate", "0.1"});
  ExpectTogether(results);
  EXPECT_THAT(results[0].err, HasSubstr("the best epoch is"));
}

TEST_F(DistributedProgramTest, AKilledRunGoesOnFromProcessZerosState) {
  const Words settings = {"--epochs", "40", "--state",
                          directory_.Path("state")};
  std::vector<Result> results = RunAll(2, settings);
  ExpectTogether(results);
  const std::string digest = DigestIn(results[0].err);
  auto programs = StartAll(2, settings);
  programs[0]->WaitForLine("epoch 7/40");
  for (const auto& program : programs) program->Signal(SIGKILL);
  FinishAll(std::move(programs));
  results = RunAll(2, settings);
  ExpectTogether(results);
  EXPECT_THAT(results[0].err, HasSubstr("going on with neumf after epoch"));
  EXPECT_EQ(DigestIn(results[0].err), digest);
}

TEST_F(DistributedProgramTest, TheOthersEndWhenOneDies) {
  for (const int victim : {0, 1}) {
    auto programs = StartAll(2, {"--epochs", "100000"});
    programs[0]->WaitForLine("epoch 2/100000");
    programs[static_cast<size_t>(victim)]->Signal(SIGKILL);
    const std::vector<Result> results = FinishAll(std::move(programs));
    const Result& survivor = results[static_cast<size_t>(1 - victim)];
    EXPECT_EQ(survivor.status, 1);
    EXPECT_THAT(survivor.err,
                HasSubstr(absl::StrCat("process ", 1 - victim,
                                       " of 2 has lost another process")));
    EXPECT_EQ(NumVersions(), 0U);
  }
}

TEST_F(DistributedProgramTest, AProcessThatNeverComesIsNotWaitedForForever) {
  const Words more = {"--join_timeout", "1s"};
  ExpectRefused(Start(0, 2, FreePort(), more)->Finish(), "for process 1");
  ExpectRefused(Start(1, 2, FreePort(), more)->Finish(),
                "process 1 of 2 finds nobody at 127.0.0.1");
}

TEST_F(DistributedProgramTest, OtherSettingsInOneProcessEndAll) {
  const int port = FreePort();
  const auto leader = Start(0, 2, port, {});
  const auto other = Start(1, 2, port, {"--learning_rate", "0.5"});
  const Result of_leader = leader->Finish();
  const Result of_other = other->Finish();
  EXPECT_EQ(of_leader.status, 1);
  EXPECT_THAT(of_leader.err, HasSubstr("does not agree with process 0"));
  EXPECT_EQ(of_other.status, 1);
  EXPECT_THAT(of_other.err, HasSubstr("process 1 of 2 differs from process 0: "
                                      "'--learning_rate = 0.5' here"));
}

TEST_F(DistributedProgramTest, RefusesABadPlaceInOneLine) {
  ExpectRefused(RunAlone({}, {"RANK=2", "WORLD_SIZE=2", "MASTER_ADDR=h",
                              "MASTER_PORT=1"}),
                "RANK has to be a whole number from 0 to 1, not '2'");
  ExpectRefused(RunAlone({}, {"RANK=0", "WORLD_SIZE=2", "MASTER_PORT=1"}),
                "MASTER_ADDR is not set");
  ExpectRefused(
      RunAlone({"--model", "mf", "--hidden", "none", "--loss", "ials",
                "--biases", "none"},
               {"RANK=0", "WORLD_SIZE=2", "MASTER_ADDR=h", "MASTER_PORT=1"}),
      "--loss ials solves whole tables and runs in one process");
}

TEST_F(DistributedProgramTest, OnlyProcessZeroNeedsAPlaceToPublish) {
  const int port = FreePort();
  const auto leader = Start(0, 2, port, {});
  const auto other = Start(1, 2, port, {"--out", "/proc/nowhere"});
  EXPECT_EQ(leader->Finish().status, 0);
  EXPECT_EQ(other->Finish().status, 0);
  EXPECT_EQ(NumVersions(), 1U);
}

}  // namespace
}  // namespace neumf
