// The program from outside: exit codes, and what it says on its way out.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "server/listen_address.h"
#include "tests/support/run_program.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class ServerProgramTest : public testing::Test {
 protected:
  ProgramResult Run(std::vector<std::string> extra) {
    std::vector<std::string> args = {
        "--checkpoint_dir=" + directory_.path(), "--listen=127.0.0.1:0",
        "--metrics_listen=127.0.0.1:0", "--admin_listen=127.0.0.1:0"};
    args.insert(args.end(), extra.begin(), extra.end());
    return RunProgram("neumf-server", args);
  }

  const TempDirectory directory_;
};

TEST_F(ServerProgramTest, HelpAndVersionGoToStdout) {
  const ProgramResult help = RunProgram("neumf-server", {"--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.out, HasSubstr("--checkpoint_dir"));
  EXPECT_EQ(help.errors, "");
  const ProgramResult version = RunProgram("neumf-server", {"--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_THAT(version.out, StartsWith("neumf-server "));
}

TEST_F(ServerProgramTest, BadFlagsExitWithOneAndOneLine) {
  const ProgramResult result = Run({"--max_k=none"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.errors, "neumf-server: --max_k: must be from 1 to 10000\n");
}

TEST_F(ServerProgramTest, AnAddressInUseExitsWithOne) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const ListenAddress any,
                             ListenAddress::Parse("127.0.0.1:0"));
  NEUMF_ASSERT_OK_AND_ASSIGN(const ListenSocket taken, ListenSocket::Open(any));
  for (const char* flag : {"--listen", "--admin_listen", "--metrics_listen"}) {
    const ProgramResult result =
        Run({std::string(flag) + "=" + taken.address().ToString()});
    EXPECT_EQ(result.exit_code, 1) << flag;
    EXPECT_EQ(result.errors, "neumf-server: " + std::string(flag) + ": " +
                                 taken.address().ToString() +
                                 " is in use by another process\n");
  }
}

TEST_F(ServerProgramTest, AnOpenListenerIsRefused) {
  const ProgramResult result = Run({"--listen=0.0.0.0:0"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.errors, HasSubstr("--allow_insecure_listen"));
}

// No machine has so many GPUs.
constexpr char kNoSuchGpu[] = "--cuda_device=1023";

TEST_F(ServerProgramTest, AGpuThatIsNotThereExitsWithOneAndOneLine) {
  const ProgramResult result = Run({"--device=cuda", kNoSuchGpu});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.errors,
              AllOf(StartsWith("neumf-server: --device=cuda: "),
                    HasSubstr("--device=auto scores on the CPU")));
  EXPECT_EQ(std::count(result.errors.begin(), result.errors.end(), '\n'), 1);
}

TEST_F(ServerProgramTest, WithoutAGpuAutoTakesTheCpuAndSaysWhy) {
  const ProgramResult result = Run({"--device=auto", kNoSuchGpu});
  EXPECT_EQ(result.exit_code, 2);  // there is no checkpoint
  EXPECT_THAT(result.errors,
              testing::ContainsRegex("event=device_chosen device=cpu "
                                     "reason=\"[^\"]+\"\n"));
}

TEST_F(ServerProgramTest, NoCheckpointExitsWithTwoAndSaysWhereItLooked) {
  const ProgramResult result = Run({"--drain_delay=1h"});  // nothing to drain
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.errors,
              AllOf(HasSubstr("neumf-server: no servable checkpoint in " +
                              directory_.path()),
                    EndsWith("no file is named <version>.safetensors\n"),
                    Not(HasSubstr("event=drain"))));
}

TEST_F(ServerProgramTest, TheReasonIsOneLineWhateverTheFlagsHold) {
  const ProgramResult result = Run({"--checkpoint_dir=/no\nwhere\t\x1b"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.errors, HasSubstr("/no\\nwhere\\t\\033: "));
}

TEST_F(ServerProgramTest, AWrongPortFileExitsWithOneBeforeAnythingIsLoaded) {
  std::ofstream(directory_.Path("7.safetensors")) << "this is no checkpoint";
  const ProgramResult result = Run({"--port_file=/no/such/directory/ports"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.errors, AllOf(StartsWith("neumf-server: --port_file: "),
                                   HasSubstr("/no/such/directory/")));
}

TEST_F(ServerProgramTest, APortFileOfAnEarlierRunIsRemovedAtTheStart) {
  const std::string ports = directory_.Path("ports");
  std::ofstream(ports) << "grpc=127.0.0.1:1\n";
  EXPECT_EQ(Run({"--port_file=" + ports}).exit_code, 2);
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path()));
}

TEST_F(ServerProgramTest, OnlyCorruptCheckpointsExitWithTwo) {
  std::ofstream(directory_.Path("7.safetensors")) << "this is no checkpoint";
  const ProgramResult result = Run({});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.errors, HasSubstr("event=checkpoint_refused"));
}

}  // namespace
}  // namespace neumf
