#include "server/server_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/signing_keys.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class ServerFlagsTest : public testing::Test {
 protected:
  absl::StatusOr<Command> Parse(const std::vector<std::string>& args) {
    return ParseCommand(args, *files_);
  }
  // With the flag that is required.
  absl::StatusOr<Command> ParseWithDirectory(std::vector<std::string> args) {
    args.insert(args.begin(), "--checkpoint_dir=/d");
    return Parse(args);
  }

  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
};

MATCHER_P2(IsBadFlag, name, reason, "") {
  return testing::ExplainMatchResult(
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr(name), HasSubstr(reason), Not(HasSubstr("\n")))),
      arg, result_listener);
}

TEST_F(ServerFlagsTest, DefaultsAreThoseOfTheOptions) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const Command command, ParseWithDirectory({}));
  EXPECT_EQ(command.options.checkpoint_dir, "/d");
  EXPECT_EQ(command.options.listen, "127.0.0.1:50051");
  EXPECT_EQ(command.options.limits.max_k, 1000);
  EXPECT_GE(command.options.loader.scorer.num_threads, 1U);
  EXPECT_EQ(command.text, "");
}

TEST_F(ServerFlagsTest, TakesAllForms) {
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const Command command,
      ParseWithDirectory({"--listen=unix:/a", "--drain_delay", "10s",
                          "--noreflection", "--wait_for_checkpoint",
                          "--allow_insecure_listen=true", "-threads=3",
                          "--max_queue_delay=1.5ms"}));
  EXPECT_EQ(command.options.listen, "unix:/a");
  EXPECT_EQ(command.options.drain_delay, absl::Seconds(10));
  EXPECT_FALSE(command.options.reflection);
  EXPECT_TRUE(command.options.wait_for_checkpoint);
  EXPECT_TRUE(command.options.allow_insecure_listen);
  EXPECT_EQ(command.options.loader.scorer.num_threads, 3U);
  EXPECT_EQ(command.options.batcher.max_queue_delay, absl::Microseconds(1500));
}

TEST_F(ServerFlagsTest, SaysHowLongConnectionsLast) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const Command plain, ParseWithDirectory({}));
  const ConnectionTimes& usual = plain.options.connection_times;
  EXPECT_EQ(usual.handshake, absl::Seconds(10));
  EXPECT_EQ(usual.idle, absl::Minutes(15));
  EXPECT_EQ(usual.age, absl::Minutes(30));
  EXPECT_EQ(usual.age_grace, absl::Minutes(1));
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const Command command,
      ParseWithDirectory({"--handshake_timeout=1s", "--max_connection_idle=2m",
                          "--max_connection_age=3h",
                          "--max_connection_age_grace=4s"}));
  const ConnectionTimes& chosen = command.options.connection_times;
  EXPECT_EQ(chosen.handshake, absl::Seconds(1));
  EXPECT_EQ(chosen.idle, absl::Minutes(2));
  EXPECT_EQ(chosen.age, absl::Hours(3));
  EXPECT_EQ(chosen.age_grace, absl::Seconds(4));
}

TEST_F(ServerFlagsTest, SaysWhereToScore) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const Command plain, ParseWithDirectory({}));
  EXPECT_EQ(plain.options.device.device, DeviceFlag::kAuto);
  EXPECT_EQ(plain.options.device.on_device_error, OnDeviceError::kRecover);
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const Command command,
      ParseWithDirectory({"--device=cuda", "--on_device_error=cpu"}));
  EXPECT_EQ(command.options.device.device, DeviceFlag::kCuda);
  EXPECT_EQ(command.options.device.on_device_error, OnDeviceError::kCpu);
}

TEST_F(ServerFlagsTest, NamesTheFlagThatIsWrong) {
  EXPECT_THAT(Parse({}), IsBadFlag("--checkpoint_dir", "required"));
  EXPECT_THAT(ParseWithDirectory({"--lissten=1"}),
              IsBadFlag("--lissten", "unknown"));
  EXPECT_THAT(ParseWithDirectory({"stray"}), IsBadFlag("stray", "no flag"));
  EXPECT_THAT(ParseWithDirectory({"--nolisten"}),
              IsBadFlag("--nolisten", "unknown"));
  EXPECT_THAT(ParseWithDirectory({"--listen"}),
              IsBadFlag("--listen", "no value"));
  EXPECT_THAT(ParseWithDirectory({"--max_k=0"}),
              IsBadFlag("--max_k", "from 1"));
  EXPECT_THAT(ParseWithDirectory({"--max_k=ten"}),
              IsBadFlag("--max_k", "from"));
  EXPECT_THAT(ParseWithDirectory({"--default_k=20", "--max_k=10"}),
              IsBadFlag("--default_k", "--max_k"));
  EXPECT_THAT(ParseWithDirectory({"--canary_share=1"}),
              IsBadFlag("--canary_share", "below 1"));
  EXPECT_THAT(ParseWithDirectory({"--drain_timeout=-1s"}),
              IsBadFlag("--drain_timeout", "from 0"));
  EXPECT_THAT(ParseWithDirectory({"--handshake_timeout=0"}),
              IsBadFlag("--handshake_timeout", "from 10ms"));
  EXPECT_THAT(ParseWithDirectory({"--poll_interval=soon"}),
              IsBadFlag("--poll_interval", "from"));
  EXPECT_THAT(ParseWithDirectory({"--reflection=perhaps"}),
              IsBadFlag("--reflection", "perhaps"));
  EXPECT_THAT(ParseWithDirectory({"--cuda_device=-1"}),
              IsBadFlag("--cuda_device", "from 0"));
  EXPECT_THAT(ParseWithDirectory({"--on_device_error=panic"}),
              IsBadFlag("--on_device_error", "recover or cpu"));
  EXPECT_THAT(ParseWithDirectory({"--device=tpu"}),
              IsBadFlag("--device", "auto, cpu or cuda"));
}

TEST_F(ServerFlagsTest, WhatComparesTwoVersionsNeedsThemBoth) {
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const Command command,
      ParseWithDirectory({"--reload_mode=unload_first"}));
  EXPECT_TRUE(command.options.may_unload);
  for (const char* const flag :
       {"--gate_file=x", "--shadow_share=0.1", "--canary_share=0.1"}) {
    NEUMF_EXPECT_OK(ParseWithDirectory({flag}).status());
    EXPECT_THAT(ParseWithDirectory({"--reload_mode=unload_first", flag}),
                IsBadFlag("--reload_mode", "does not go with --gate_file"));
  }
}

TEST_F(ServerFlagsTest, ReadsTheKeysOfWhoeverMaySign) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const Command without, ParseWithDirectory({}));
  EXPECT_TRUE(without.options.loader.public_keys.empty());
  const TempDirectory directory;
  const std::string path = directory.Path("keys.pem");
  NEUMF_ASSERT_OK(WriteFileAtomically(
      *files_, path, absl::StrCat(kPublicKeyPem, kOtherPublicKeyPem)));
  NEUMF_ASSERT_OK_AND_ASSIGN(
      const Command command,
      ParseWithDirectory({"--checkpoint_public_key=" + path}));
  EXPECT_EQ(command.options.loader.public_keys.size(), 2U);
  for (const char* const wrong : {"", "text", kSigningKeyPem}) {
    NEUMF_ASSERT_OK(WriteFileAtomically(*files_, path, wrong));
    EXPECT_THAT(ParseWithDirectory({"--checkpoint_public_key=" + path}),
                IsBadFlag("--checkpoint_public_key: ", "no PEM"));
  }
  EXPECT_THAT(ParseWithDirectory({"--checkpoint_public_key=/nowhere"}),
              IsBadFlag("--checkpoint_public_key: ", "/nowhere"));
}

TEST_F(ServerFlagsTest, ReadsFlagsFromAFile) {
  const TempDirectory directory;
  const std::string path = directory.Path("flags");
  std::ofstream(path) << "# a comment\n\n  --max_k=77\n--noreflection\n";
  NEUMF_ASSERT_OK_AND_ASSIGN(const Command command,
                             ParseWithDirectory({"--flagfile=" + path}));
  EXPECT_EQ(command.options.limits.max_k, 77);
  EXPECT_FALSE(command.options.reflection);
}

TEST_F(ServerFlagsTest, AFlagFileCannotNameAnother) {
  const TempDirectory directory;
  const std::string path = directory.Path("flags");
  std::ofstream(path) << "--flagfile=" << path << "\n";
  EXPECT_THAT(ParseWithDirectory({"--flagfile", path}),
              IsBadFlag("--flagfile", "another"));
}

TEST_F(ServerFlagsTest, HelpExplainsFlagsWithTheirDefaults) {
  NEUMF_ASSERT_OK_AND_ASSIGN(const Command command, Parse({"--help"}));
  EXPECT_THAT(command.text,
              AllOf(HasSubstr("--listen (default 127.0.0.1:50051)"),
                    HasSubstr("--drain_timeout (default 30s)"),
                    HasSubstr("256 on a GPU"), HasSubstr("--flagfile"),
                    HasSubstr("--metrics_tls")));
}

}  // namespace
}  // namespace neumf
