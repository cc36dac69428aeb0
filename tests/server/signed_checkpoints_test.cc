// A server that was given public keys serves nothing that none of them signed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/checkpoint_signature.h"
#include "server/checkpoint_watcher.h"
#include "tests/server/metric_reader.h"
#include "tests/server/test_checkpoint.h"
#include "tests/support/fake_clock.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/signing_keys.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::HasSubstr;

CheckpointLoader::Options WithPublicKey() {
  CheckpointLoader::Options options;
  options.public_keys = Ed25519PublicKey::AllFromPem(kPublicKeyPem).value();
  return options;
}

class SignedCheckpointsTest : public testing::Test {
 protected:
  SignedCheckpointsTest() {
    CheckpointWatcher::Options options;
    options.directory = folder_.path();
    CheckpointWatcher::Parts parts;
    parts.files = &files_;
    parts.clock = &clock_;
    parts.loader = &loader_;
    parts.device = &device_;
    parts.recovery = &recovery_;
    parts.holder = &holder_;
    parts.reaper = &reaper_;
    parts.history = &history_;
    parts.metrics = &metrics_;
    watcher_ = std::make_unique<CheckpointWatcher>(options, parts);
  }

  void Sign(uint64_t version, const char* key_pem = kSigningKeyPem) {
    const std::string path = folder_.File(version).path;
    NEUMF_ASSERT_OK_AND_ASSIGN(const auto reader,
                               CheckpointReader::Open(*posix_, path, {}));
    NEUMF_ASSERT_OK(WriteFileAtomically(
        *posix_, SignaturePath(path),
        SignatureText(Ed25519PrivateKey::FromPem(key_pem).value(), version,
                      reader->info().digest)));
  }
  LoadOutcome Load(uint64_t version) {
    return loader_.Load({folder_.File(version)});
  }
  void ExpectRefused(uint64_t version, const std::string& why) {
    const LoadOutcome outcome = Load(version);
    EXPECT_STREQ(ReloadResultName(outcome.result), "bad_signature");
    EXPECT_THAT(outcome.reason, HasSubstr(why));
    EXPECT_EQ(outcome.snapshot, nullptr);
  }
  uint64_t Served() {
    const auto snapshot = holder_.Get();
    return snapshot == nullptr ? 0 : snapshot->version;
  }

  CheckpointFolder folder_;
  const std::unique_ptr<FileSystem> posix_ = MakePosixFileSystem();
  FaultyFileSystem files_{posix_.get()};
  FakeClock clock_;
  ServerMetrics metrics_;
  VersionHistory history_;
  Reaper reaper_;
  SnapshotHolder holder_;
  ScoringDevice device_{{}, /*uses_gpu=*/false, &metrics_, [] {}};
  DeviceRecovery recovery_{{}, &clock_, &device_};
  const CheckpointLoader loader_{&files_, WithPublicKey(), &device_, &metrics_};
  std::unique_ptr<CheckpointWatcher> watcher_;
};

TEST_F(SignedCheckpointsTest, AreLoadedWhenTheKeySignedThem) {
  folder_.Publish(7);
  ExpectRefused(7, "is not signed");
  Sign(7, kOtherSigningKeyPem);
  ExpectRefused(7, "by a key that is known here");
  Sign(7);
  EXPECT_EQ(Load(7).result, ReloadResult::kOk) << Load(7).reason;
}

TEST_F(SignedCheckpointsTest, AreThoseThatWereSigned) {
  folder_.Publish(1);
  Sign(1);
  Manifest manifest;
  manifest.model_kind = "another";
  folder_.Publish(1, manifest);
  ExpectRefused(1, "is no signature of version 1");
}

TEST_F(SignedCheckpointsTest, AreNotForgivenACrashForWantOfASignature) {
  folder_.Publish(1);
  const std::string digest = Load(1).digest;
  const TempDirectory state;
  EXPECT_TRUE(CrashGuard(state.path(), posix_.get()).Begin(digest));
  CrashGuard guard(state.path(), posix_.get());
  CheckpointLoader::Options options = WithPublicKey();
  options.crash_guard = &guard;
  const CheckpointLoader loader(&files_, options, &device_, &metrics_);
  EXPECT_EQ(loader.Load({folder_.File(1)}).result, ReloadResult::kBadSignature);
  EXPECT_TRUE(CrashGuard(state.path(), posix_.get()).Begin(digest));
  EXPECT_FALSE(CrashGuard(state.path(), posix_.get()).Begin(digest));
}

TEST_F(SignedCheckpointsTest, AreNotRefusedForASignatureThatCannotBeRead) {
  folder_.Publish(1);
  Sign(1);
  bool past_the_header = false;
  for (int call = 2;; ++call) {  // the first looks at the file only
    files_.FailCall(call, absl::UnavailableError("the disk is gone"));
    const LoadOutcome outcome = Load(1);
    if (outcome.result == ReloadResult::kOk) break;
    EXPECT_STREQ(ReloadResultName(outcome.result), "io_error");
    past_the_header |= !outcome.digest.empty();
  }
  EXPECT_TRUE(past_the_header);
}

TEST_F(SignedCheckpointsTest, AreServedOnceTheSignatureIsThere) {
  folder_.Publish(1);
  Sign(1);
  watcher_->PollOnce();
  EXPECT_EQ(Served(), 1U);
  folder_.Publish(2);
  testing::internal::CaptureStderr();
  watcher_->PollOnce();
  clock_.Advance(absl::Seconds(1));
  watcher_->PollOnce();
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("event=checkpoint_refused version=2 "
                        "result=bad_signature"));
  EXPECT_EQ(Served(), 1U);
  EXPECT_EQ(
      ReadMetric(metrics_, "neumf_reload_total", {{"result", "bad_signature"}}),
      1);
  EXPECT_EQ(history_.List().front().state(), v1::MODEL_STATE_REFUSED);
  EXPECT_THAT(history_.List().front().reason(), HasSubstr("is not signed"));

  Sign(2);
  clock_.Advance(absl::Seconds(2));
  watcher_->PollOnce();
  EXPECT_EQ(Served(), 2U);
}

}  // namespace
}  // namespace neumf
