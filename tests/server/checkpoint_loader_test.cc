#include "server/checkpoint_loader.h"

#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/server/fake_gpu.h"
#include "tests/server/metric_reader.h"
#include "tests/server/test_checkpoint.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/probes.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::HasSubstr;

// Throws what it is told to when a file is opened.
template <typename Exception>
class ThrowingFileSystem : public FaultyFileSystem {
 public:
  using FaultyFileSystem::FaultyFileSystem;
  absl::StatusOr<std::unique_ptr<ReadableFile>> OpenForRead(
      absl::string_view /*path*/) override {
    throw Exception();
  }
};

struct TestFailure : std::runtime_error {
  TestFailure() : std::runtime_error("something else") {}
};

// What the reference answers to every user of the model that CheckpointFolder
// publishes under `version`.
std::vector<Probe> ProbesOf(uint64_t version) {
  TinyModelOptions options;
  options.seed = version;
  const TinyModel tiny = MakeTinyModel(options);
  const std::unique_ptr<Scorer> scorer = MakeReferenceScorer(tiny);
  std::vector<Probe> probes;
  for (uint64_t row = 0; row < options.num_users; ++row) {
    probes.push_back(MakeProbe(MakeProbedModel(tiny, *scorer),
                               tiny.model.user_ids.id(row), 20));
  }
  return probes;
}

class CheckpointLoaderTest : public testing::Test {
 protected:
  void UseGpu(DeviceFlag flag) {
    device_.device = flag;
    device_.gpu = gpu_.functions();
    uses_gpu_ = true;
  }
  LoadOutcome Load(uint64_t version) { return LoadFrom(files_, version); }
  LoadOutcome LoadFrom(FileSystem& files, uint64_t version) {
    ScoringDevice device(device_, uses_gpu_, &metrics_, [] {});
    const CheckpointLoader loader(&files, options_, &device, &metrics_);
    return loader.Load(folder_.File(version), nullptr, [] { return false; });
  }
  // The snapshot of a valid checkpoint.
  std::unique_ptr<Snapshot> LoadOk(uint64_t version) {
    LoadOutcome outcome = Load(version);
    EXPECT_EQ(outcome.result, ReloadResult::kOk) << outcome.reason;
    return std::move(outcome.snapshot);
  }
  static void ExpectRefused(const LoadOutcome& outcome, ReloadResult result,
                            const std::string& reason) {
    EXPECT_STREQ(ReloadResultName(outcome.result), ReloadResultName(result));
    EXPECT_THAT(outcome.reason, HasSubstr(reason));
    EXPECT_EQ(outcome.snapshot, nullptr);
  }

  CheckpointFolder folder_;
  const std::unique_ptr<FileSystem> posix_ = MakePosixFileSystem();
  FaultyFileSystem files_{posix_.get()};
  CheckpointLoader::Options options_;
  FakeGpu gpu_;
  DeviceOptions device_;
  bool uses_gpu_ = false;
  ServerMetrics metrics_;
};

TEST_F(CheckpointLoaderTest, MakesASnapshotOfAValidCheckpoint) {
  Manifest manifest;
  manifest.model_kind = "neumf";
  manifest.created_at = "2020-01-02T03:04:05Z";
  folder_.Publish(7, manifest);
  const LoadOutcome outcome = Load(7);
  ASSERT_EQ(outcome.result, ReloadResult::kOk) << outcome.reason;
  const Snapshot& snapshot = *outcome.snapshot;
  EXPECT_EQ(snapshot.version, 7U);
  EXPECT_EQ(snapshot.version_text, "7");
  EXPECT_EQ(snapshot.kind, "neumf");
  EXPECT_EQ(snapshot.digest.size(), 64U);
  EXPECT_EQ(snapshot.digest, outcome.digest);
  EXPECT_EQ(snapshot.trained_time, absl::FromUnixSeconds(1'577'934'245));
  EXPECT_EQ(snapshot.file_bytes, folder_.Bytes(7).size());
  EXPECT_GT(snapshot.resident_bytes, snapshot.scorer->resident_bytes());
  EXPECT_EQ(snapshot.user_ids->size(), 7U);
  EXPECT_EQ(snapshot.item_ids->size(), 33U);
  ASSERT_NE(snapshot.popularity, nullptr);
  EXPECT_EQ(snapshot.popularity->items.size(), 33U);
  EXPECT_TRUE(std::is_sorted(snapshot.popularity->items.begin(),
                             snapshot.popularity->items.end()));
  EXPECT_EQ(ReadMetric(metrics_, "neumf_load_progress_ratio"), 1);
}

TEST_F(CheckpointLoaderTest, AnswersLikeTheReference) {
  Manifest manifest;
  manifest.probes = ProbesOf(1);
  folder_.Publish(1, manifest);
  LoadOk(1);
}

TEST_F(CheckpointLoaderTest, RefusesACheckpointThatMissesAProbe) {
  Manifest manifest;
  manifest.probes = ProbesOf(1);
  folder_.Publish(2, manifest);
  ExpectRefused(Load(2), ReloadResult::kProbeFailed, "probe of user \"u0\"");
}

TEST_F(CheckpointLoaderTest, DamagedBytesAreCorrupt) {
  folder_.Publish(1);
  folder_.FlipLastByte(1);
  ExpectRefused(Load(1), ReloadResult::kCorrupt, "");
  folder_.Overwrite(1, "junk");
  ExpectRefused(Load(1), ReloadResult::kCorrupt, "");
}

TEST_F(CheckpointLoaderTest, FeaturesFromTheFutureAreIncompatible) {
  folder_.Publish(1);
  std::string bytes = folder_.Bytes(1);
  // A manifest of another version, and no digest that would say it is damaged.
  for (const std::string& known : {std::string(R"(\"format_version\":1)"),
                                   std::string("neumf.manifest.sha256")}) {
    const size_t at = bytes.find(known);
    ASSERT_NE(at, std::string::npos) << known;
    bytes[at + known.size() - 1] = '9';
  }
  folder_.Overwrite(1, bytes);
  ExpectRefused(Load(1), ReloadResult::kIncompatible, "");
}

TEST_F(CheckpointLoaderTest, MissingFilesAndFailingReadsAreIoErrors) {
  ExpectRefused(Load(1), ReloadResult::kIoError, "");
  folder_.Publish(1);
  for (int call = 2;; ++call) {  // the first looks at the file only
    files_.FailCall(call, absl::UnavailableError("the disk is gone"));
    const LoadOutcome outcome = Load(1);
    if (outcome.result == ReloadResult::kOk) break;
    ExpectRefused(outcome, ReloadResult::kIoError, "the disk is gone");
  }
}

TEST_F(CheckpointLoaderTest, MemoryThatCannotBeHadIsARefusedCheckpoint) {
  folder_.Publish(1);
  ThrowingFileSystem<std::bad_alloc> files(posix_.get());
  ExpectRefused(LoadFrom(files, 1), ReloadResult::kNoMemory, "memory");
  files_.FailCall(2, absl::ResourceExhaustedError("no memory"));
  ExpectRefused(Load(1), ReloadResult::kNoMemory, "no memory");
}

TEST_F(CheckpointLoaderTest, WhatDoesNotFitIntoMemoryIsRefusedBeforeItIsRead) {
  folder_.Publish(1);
  folder_.FlipLastByte(1);  // reading it would find that first
  options_.available_memory = [] {
    return AvailableMemory{1 << 20, "memory.max of /b"};
  };
  ExpectRefused(Load(1), ReloadResult::kNoMemory,
                "of the 1048576 that memory.max of /b leaves, 943719 may be");
}

TEST_F(CheckpointLoaderTest, RoomIsMadeOnceAndOnlyWhenMemoryIsShort) {
  folder_.Publish(1);
  uint64_t available = 1 << 20;
  bool has_standby = true;
  int asked = 0;
  const auto make_room = [&] {
    ++asked;
    if (has_standby) available = 1 << 30;
    return std::exchange(has_standby, false);
  };
  options_.available_memory = [&] { return AvailableMemory{available, "it"}; };
  ScoringDevice device({}, /*uses_gpu=*/false, &metrics_, [] {});
  const CheckpointLoader loader(&files_, options_, &device, &metrics_);
  const auto load = [&] {
    return loader.Load(
        folder_.File(1), nullptr, [] { return false; }, make_room);
  };
  EXPECT_EQ(load().result, ReloadResult::kOk);
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(load().result, ReloadResult::kOk);
  EXPECT_EQ(asked, 1);
  available = 1 << 20;  // and nothing is kept any more
  ExpectRefused(load(), ReloadResult::kNoMemory, "1048576");
  EXPECT_EQ(asked, 2);
}

TEST_F(CheckpointLoaderTest, RoomIsMadeOnTheGpuToo) {
  UseGpu(DeviceFlag::kCuda);
  folder_.Publish(1);
  gpu_.SetVerdict(absl::ResourceExhaustedError("needs 2 bytes, 1 is free"));
  const auto make_room = [&] {
    gpu_.SetVerdict(absl::OkStatus());
    return true;
  };
  ScoringDevice device(device_, uses_gpu_, &metrics_, [] {});
  const CheckpointLoader loader(&files_, options_, &device, &metrics_);
  const LoadOutcome outcome = loader.Load(
      folder_.File(1), nullptr, [] { return false; }, make_room);
  EXPECT_EQ(outcome.result, ReloadResult::kOk) << outcome.reason;
}

TEST_F(CheckpointLoaderTest, AGpuTakesWhatItCan) {
  UseGpu(DeviceFlag::kCuda);
  Manifest manifest;
  manifest.probes = ProbesOf(1);
  folder_.Publish(1, manifest);
  const std::unique_ptr<Snapshot> snapshot = LoadOk(1);
  EXPECT_THAT(snapshot->scorer->name(), testing::StartsWith("cuda"));
  EXPECT_EQ(snapshot->device_life, 0U);
}

TEST_F(CheckpointLoaderTest, WhatAGpuCannotTakeIsRefusedWithItsReason) {
  UseGpu(DeviceFlag::kCuda);
  folder_.Publish(1);
  gpu_.SetVerdict(absl::UnimplementedError("only ReLU"));
  ExpectRefused(Load(1), ReloadResult::kIncompatible, "only ReLU");
  gpu_.SetVerdict(absl::ResourceExhaustedError("needs 2 bytes, 1 is free"));
  ExpectRefused(Load(1), ReloadResult::kNoMemory,
                folder_.File(1).path + ": needs 2 bytes, 1 is free");
}

TEST_F(CheckpointLoaderTest, TheCpuTakesWhatTheGpuDoesNotWhenItMayBeEither) {
  UseGpu(DeviceFlag::kAuto);
  folder_.Publish(1);
  gpu_.SetVerdict(absl::UnimplementedError("only ReLU"));
  const std::unique_ptr<Snapshot> snapshot = LoadOk(1);
  EXPECT_THAT(snapshot->scorer->name(), testing::StartsWith("cpu"));
  EXPECT_EQ(snapshot->device_life, std::nullopt);
}

TEST_F(CheckpointLoaderTest, TheCpuTakesWhatTheGpuFindsNoMemoryForMeanwhile) {
  folder_.Publish(1);
  const absl::Status full = absl::ResourceExhaustedError("none is left");
  for (const auto fail : {&FakeGpu::FailNextAdd, &FakeGpu::FailNextBuild}) {
    UseGpu(DeviceFlag::kAuto);
    (gpu_.*fail)(full);
    const std::unique_ptr<Snapshot> snapshot = LoadOk(1);
    EXPECT_THAT(snapshot->scorer->name(), testing::StartsWith("cpu"));
    EXPECT_EQ(snapshot->device_life, std::nullopt);
    UseGpu(DeviceFlag::kCuda);
    (gpu_.*fail)(full);
    ExpectRefused(Load(1), ReloadResult::kNoMemory, "none is left");
  }
}

TEST_F(CheckpointLoaderTest, AGpuThatFailsMeanwhileIsLostAndSaysSo) {
  UseGpu(DeviceFlag::kAuto);
  folder_.Publish(1);
  gpu_.BreakNextBuild();
  ExpectRefused(Load(1), ReloadResult::kDeviceError,
                "the GPU failed: an illegal memory access");
  ExpectRefused(Load(1), ReloadResult::kDeviceError, "the GPU failed");
  EXPECT_EQ(ReadMetric(metrics_, "neumf_device_errors_total"), 2);
}

TEST_F(CheckpointLoaderTest, OtherExceptionsEndInARefusalToo) {
  folder_.Publish(1);
  ThrowingFileSystem<TestFailure> files(posix_.get());
  ExpectRefused(LoadFrom(files, 1), ReloadResult::kCorrupt, "something else");
}

TEST_F(CheckpointLoaderTest, EndsWithoutASnapshotWheneverItIsCancelled) {
  Manifest manifest;
  manifest.probes = ProbesOf(1);
  folder_.Publish(1, manifest);
  ScoringDevice device({}, /*uses_gpu=*/false, &metrics_, [] {});
  const CheckpointLoader loader(&files_, options_, &device, &metrics_);
  int patience = 0;
  for (;; ++patience) {
    int asked = 0;
    const auto cancelled = [&] { return asked++ == patience; };
    const LoadOutcome outcome =
        loader.Load(folder_.File(1), nullptr, cancelled);
    if (asked <= patience) break;  // it was never told to end
    EXPECT_EQ(outcome.snapshot, nullptr) << "asked " << asked << " times";
    EXPECT_EQ(asked, patience + 1) << "it went on";
  }
  // The header, a dozen tensors, and the steps after them.
  EXPECT_GT(patience, 15);
}

TEST_F(CheckpointLoaderTest, ReportsTheFileThatItRefused) {
  folder_.Publish(1);
  folder_.FlipLastByte(1);
  const FileInfo info = *posix_->Stat(folder_.File(1).path);
  EXPECT_EQ(Load(1).file, info);
}

TEST_F(CheckpointLoaderTest, TheScorersThreadsKeepTheirPriority) {
  options_.scorer.num_threads = 3;
  folder_.Publish(1);
  const std::unique_ptr<Snapshot> snapshot = LoadOk(1);
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/self/task")) {
    const auto id = static_cast<id_t>(std::stoul(task.path().filename()));
    EXPECT_EQ(getpriority(PRIO_PROCESS, id), getpriority(PRIO_PROCESS, 0));
  }
}

}  // namespace
}  // namespace neumf
