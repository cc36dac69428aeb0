#include "server/policy_file.h"

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/serving_policy.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"

namespace neumf {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class PolicyFileTest : public testing::Test {
 protected:
  PolicyFileTest() {
    policy_.Poll();
    testing::internal::CaptureStderr();
  }
  ~PolicyFileTest() override { testing::internal::GetCapturedStderr(); }

  static ServingPolicy Pinned(uint64_t version) {
    ServingPolicy policy;
    policy.pinned = version;
    return policy;
  }
  static ServingPolicy Refusing(uint64_t version) {
    ServingPolicy policy;
    policy.Refuse(version);
    return policy;
  }
  absl::Status Change(const ServingPolicy& wanted) {
    return policy_.Change([&](const ServingPolicy&) { return wanted; }, "ops");
  }
  ServingPolicy InFile() {
    return ReadServingPolicy(*posix_, directory_.path()).value();
  }
  void WriteByHand(const ServingPolicy& policy) {
    NEUMF_ASSERT_OK(WriteServingPolicy(*posix_, directory_.path(), policy));
  }
  std::vector<std::string> Names() {
    return posix_->ListDirectory(directory_.path()).value();
  }
  void FillDisk() { files_.LimitSpace(0); }
  void FreeSpace() { files_.LimitSpace(std::numeric_limits<uint64_t>::max()); }
  // What was logged since the last call.
  static std::string Log() {
    std::string log = testing::internal::GetCapturedStderr();
    testing::internal::CaptureStderr();
    return log;
  }

  const TempDirectory directory_;
  const std::unique_ptr<FileSystem> posix_ = MakePosixFileSystem();
  FaultyFileSystem files_{posix_.get()};
  ServerMetrics metrics_;
  PolicyFile policy_{directory_.path(), &files_, &metrics_};
};

TEST_F(PolicyFileTest, AChangeThatADiskHasNoRoomForIsWrittenOnceThereIsSome) {
  FillDisk();
  EXPECT_THAT(Change(Pinned(3)),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(Log(), HasSubstr("event=policy_changed serve=3 refuse=\"\" "
                               "caller=ops written=0"));
  for (int i = 0; i < 3; ++i) policy_.Poll();
  EXPECT_EQ(policy_.policy(), Pinned(3));
  EXPECT_THAT(Names(), IsEmpty());
  EXPECT_THAT(Log(), IsEmpty());

  FreeSpace();
  policy_.Poll();
  EXPECT_EQ(InFile(), Pinned(3));
  EXPECT_THAT(Names(), ElementsAre(kServingPolicyFile));
  EXPECT_THAT(Log(), HasSubstr("event=policy_changed serve=3 refuse=\"\" "
                               "caller=\"\" written=1"));
  // It is the file's again, for anybody to take back.
  WriteByHand(ServingPolicy());
  policy_.Poll();
  EXPECT_EQ(policy_.policy(), ServingPolicy());
}

TEST_F(PolicyFileTest, AnErrorAtAnyCallLeavesAWholePolicyAndIsMended) {
  WriteByHand(Pinned(1));
  policy_.Poll();
  int nth = 1;
  for (;; ++nth) {
    const ServingPolicy before = InFile();
    const ServingPolicy wanted = Pinned(1 + nth);
    files_.FailFrom(nth, absl::UnavailableError("the disk is gone"));
    if (Change(wanted).ok()) break;
    EXPECT_EQ(policy_.policy(), wanted);
    EXPECT_TRUE(InFile() == before || InFile() == wanted) << nth;
    files_.StopFailing();
    policy_.Poll();
    EXPECT_EQ(InFile(), wanted) << nth;
    EXPECT_EQ(policy_.policy(), wanted) << nth;
  }
  // Open, read; create, append, sync, close, rename, sync of the directory.
  EXPECT_EQ(nth, 9);
}

TEST_F(PolicyFileTest, AChangeIsMadeOfWhatTheFileSaysNow) {
  WriteByHand(Refusing(5));
  const auto refuse = [](ServingPolicy policy) {
    policy.Refuse(6);
    return policy;
  };
  NEUMF_EXPECT_OK(policy_.Change(refuse, "ops"));
  ServingPolicy both = Refusing(5);
  both.Refuse(6);
  EXPECT_EQ(policy_.policy(), both);
  EXPECT_EQ(InFile(), both);
}

TEST_F(PolicyFileTest, WhatSomebodyWritesMeanwhileCountsAndARefusalIsAdded) {
  FillDisk();
  EXPECT_FALSE(Change(Refusing(5)).ok());
  WriteByHand(Pinned(3));
  policy_.Poll();
  FreeSpace();
  policy_.Poll();
  ServingPolicy both = Pinned(3);
  both.Refuse(5);
  EXPECT_EQ(InFile(), both);
}

TEST_F(PolicyFileTest, ARefusalThatAnotherServerWroteIsTheFilesToTakeBack) {
  FillDisk();
  EXPECT_FALSE(Change(Refusing(3)).ok());
  WriteByHand(Refusing(3));
  policy_.Poll();
  EXPECT_THAT(Log(), HasSubstr("written=1"));
  WriteByHand({});
  policy_.Poll();
  EXPECT_FALSE(policy_.policy().Refuses(3));
}

TEST_F(PolicyFileTest, APinThatWasNotWrittenGivesWayToWhatSomebodyWrites) {
  FillDisk();
  EXPECT_FALSE(Change(Pinned(5)).ok());
  WriteByHand(Pinned(3));
  policy_.Poll();
  FreeSpace();
  policy_.Poll();
  EXPECT_EQ(policy_.policy(), Pinned(3));
  EXPECT_EQ(InFile(), Pinned(3));
}

TEST_F(PolicyFileTest, AnErrorOfAnotherKindIsNews) {
  FillDisk();
  EXPECT_FALSE(Change(Pinned(5)).ok());
  Log();
  // After the two calls that find no file.
  files_.FailFrom(2, absl::PermissionDeniedError("read-only"));
  policy_.Poll();
  EXPECT_THAT(Log(), AllOf(HasSubstr("written=0"), HasSubstr("read-only"),
                           Not(HasSubstr("config_refused"))));
}

}  // namespace
}  // namespace neumf
