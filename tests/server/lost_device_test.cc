// The watcher, when the GPU of what it serves is lost.

#include <memory>
#include <string>
#include <thread>

#include "server/checkpoint_watcher.h"
#include "tests/server/fake_gpu.h"
#include "tests/server/metric_reader.h"
#include "tests/server/test_checkpoint.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::HasSubstr;

class LostDeviceTest : public testing::Test {
 protected:
  LostDeviceTest() {
    device_options_.gpu = gpu_.functions();
    recovery_options_.max_tries = 3;
    recovery_options_.give_up = [this] { gave_up_ = true; };
    testing::internal::CaptureStderr();
  }
  ~LostDeviceTest() override {
    watcher_.reset();
    holder_.Swap(nullptr);
    testing::internal::GetCapturedStderr();
  }

  // Serves version 1.
  void Start() {
    device_ = std::make_unique<ScoringDevice>(device_options_,
                                              /*uses_gpu=*/true, &metrics_,
                                              [this] { watcher_->Wake(); });
    recovery_ = std::make_unique<DeviceRecovery>(recovery_options_, &clock_,
                                                 device_.get());
    loader_ = std::make_unique<CheckpointLoader>(files_.get(), loader_options_,
                                                 device_.get(), &metrics_);
    CheckpointWatcher::Options options;
    options.directory = folder_.path();
    watcher_ = std::make_unique<CheckpointWatcher>(
        options,
        CheckpointWatcher::Parts{files_.get(), &clock_, loader_.get(),
                                 device_.get(), recovery_.get(), &holder_,
                                 &reaper_, &history_, &metrics_});
    folder_.Publish(1);
    NEUMF_ASSERT_OK(watcher_->LoadFirst());
    ASSERT_TRUE(Serves(1, "cuda"));
  }
  // As the batcher does when Rank() says UNAVAILABLE.
  void Lose() {
    gpu_.Break();
    device_->ReportError(device_->life(), absl::UnavailableError("gone"));
  }
  void Poll() { watcher_->PollOnce(); }
  void PollAfter(absl::Duration wait) {
    clock_.Advance(wait);
    Poll();
  }
  bool IsAlive() { return !device_->IsDead(*holder_.Get()); }
  testing::AssertionResult Serves(uint64_t version, const std::string& device) {
    const auto served = holder_.Get();
    const std::string name = served->scorer->name();
    if (served->version == version && name.rfind(device, 0) == 0 && IsAlive()) {
      return testing::AssertionSuccess();
    }
    return testing::AssertionFailure()
           << "version " << served->version << " by " << name
           << (IsAlive() ? "" : ", dead");
  }
  double Reloads(const std::string& result) {
    return ReadMetric(metrics_, "neumf_reload_total", {{"result", result}});
  }

  CheckpointFolder folder_;
  const std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  FakeGpu gpu_;
  FakeClock clock_;
  ServerMetrics metrics_;
  VersionHistory history_;
  Reaper reaper_;
  SnapshotHolder holder_;
  DeviceOptions device_options_;
  DeviceRecovery::Options recovery_options_;
  CheckpointLoader::Options loader_options_;
  std::unique_ptr<ScoringDevice> device_;
  std::unique_ptr<DeviceRecovery> recovery_;
  std::unique_ptr<CheckpointLoader> loader_;
  std::unique_ptr<CheckpointWatcher> watcher_;
  bool gave_up_ = false;
};

TEST_F(LostDeviceTest, TheSameVersionIsLoadedAgain) {
  Start();
  Lose();
  EXPECT_FALSE(IsAlive());
  Poll();
  EXPECT_TRUE(Serves(1, "cuda"));
  EXPECT_EQ(gpu_.num_resets(), 1);
  EXPECT_EQ(history_.List()[0].state(), v1::MODEL_STATE_SERVING);
  EXPECT_EQ(history_.List()[1].state(), v1::MODEL_STATE_RETIRED);
}

TEST_F(LostDeviceTest, NothingIsJudgedByTheVersionThatWasLost) {
  const TempDirectory scratch;
  QualityGate::Options gate_options;
  gate_options.file = JoinPath(scratch.path(), "choices");
  gate_options.min_users = 1;
  std::string choices;
  for (int item = 0; item < 33; ++item) {
    choices += "u0\ti" + std::to_string(item) + "\n";
  }
  NEUMF_ASSERT_OK(WriteFileAtomically(*files_, gate_options.file, choices));
  QualityGate gate(gate_options, files_.get(), &metrics_);
  NEUMF_ASSERT_OK(gate.Load());
  loader_options_.gate = &gate;
  Start();
  Lose();
  Poll();
  EXPECT_TRUE(Serves(1, "cuda"));
  EXPECT_FALSE(device_->lost());
  EXPECT_EQ(gpu_.num_resets(), 1);
}

TEST_F(LostDeviceTest, TheCpuTakesOverWhenThatIsWanted) {
  device_options_.on_device_error = OnDeviceError::kCpu;
  Start();
  Lose();
  Poll();
  EXPECT_TRUE(Serves(1, "cpu"));
  EXPECT_EQ(gpu_.num_resets(), 0);
  folder_.Publish(2);
  Poll();
  EXPECT_TRUE(Serves(2, "cpu"));
}

TEST_F(LostDeviceTest, AGpuThatComesBackLateIsWaitedFor) {
  Start();
  gpu_.FailResets(2);
  Lose();
  Poll();
  PollAfter(absl::Seconds(1));
  EXPECT_FALSE(IsAlive());
  PollAfter(absl::Seconds(2));
  EXPECT_TRUE(Serves(1, "cuda"));
  EXPECT_FALSE(gave_up_);
}

TEST_F(LostDeviceTest, AGpuThatStaysLostEndsTheProcess) {
  Start();
  gpu_.FailResets(1000);
  Lose();
  for (int i = 0; i < 5; ++i) PollAfter(absl::Seconds(4));
  EXPECT_TRUE(gave_up_);
}

TEST_F(LostDeviceTest, ANewerVersionServesInPlaceOfOneThatIsGone) {
  Start();
  folder_.Remove(1);
  folder_.Publish(2);
  Lose();
  Poll();
  EXPECT_TRUE(Serves(2, "cuda"));
}

TEST_F(LostDeviceTest, NothingOlderIsServedInPlaceOfOneThatIsGone) {
  Start();
  folder_.Publish(2);
  Poll();
  ASSERT_TRUE(Serves(2, "cuda"));
  folder_.Remove(2);
  Lose();
  for (int i = 0; i < 5; ++i) PollAfter(absl::Seconds(4));
  EXPECT_EQ(holder_.Get()->version, 2U);
  EXPECT_TRUE(gave_up_);
}

TEST_F(LostDeviceTest, AReloadThatDoesNotFitBesideTheServedVersionIsRefused) {
  Start();
  gpu_.SetVerdict(absl::ResourceExhaustedError("needs 2 bytes, 1 is free"));
  folder_.Publish(2);
  Poll();
  EXPECT_TRUE(Serves(1, "cuda"));
  EXPECT_EQ(Reloads("no_memory"), 1);
  EXPECT_THAT(history_.List().front().reason(),
              HasSubstr("needs 2 bytes, 1 is free"));
  gpu_.SetVerdict(absl::OkStatus());
  PollAfter(absl::Seconds(1));
  EXPECT_TRUE(Serves(2, "cuda"));
}

TEST_F(LostDeviceTest, AVersionThatKillsTheGpuIsTriedTwiceAndTheOldOneServes) {
  Start();
  folder_.Publish(2);
  for (int i = 0; i < 2; ++i) {
    gpu_.BreakNextBuild();
    PollAfter(absl::Minutes(1));
    EXPECT_EQ(gpu_.num_resets(), i);
    EXPECT_FALSE(IsAlive());
    Poll();
    EXPECT_TRUE(Serves(1, "cuda"));
  }
  PollAfter(absl::Hours(24));
  EXPECT_TRUE(Serves(1, "cuda"));
  EXPECT_EQ(Reloads("device_error"), 1);  // once for each content
  folder_.Publish(2);                     // another file
  Poll();
  EXPECT_TRUE(Serves(2, "cuda"));
}

TEST_F(LostDeviceTest, AVersionThatKillsTheGpuAtTheStartIsPassedOver) {
  folder_.Publish(2);
  gpu_.BreakNextBuild();
  Start();  // serves version 1
  EXPECT_EQ(gpu_.num_resets(), 1);
  EXPECT_THAT(history_.List().back().reason(), HasSubstr("the GPU failed"));
}

TEST_F(LostDeviceTest, TheWatchersThreadDoesItUnasked) {
  Start();
  watcher_->Start();
  Lose();
  while (!IsAlive()) std::this_thread::yield();
  EXPECT_TRUE(Serves(1, "cuda"));
  watcher_->Stop();
}

TEST_F(LostDeviceTest, TheGpusMemoryIsShown) {
  Start();
  EXPECT_EQ(ReadMetric(metrics_, "neumf_gpu_memory_bytes", {{"kind", "used"}}),
            FakeGpu::kTotalBytes - FakeGpu::kFreeBytes);
}

}  // namespace
}  // namespace neumf
