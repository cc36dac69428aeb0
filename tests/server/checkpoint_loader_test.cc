#include "server/checkpoint_loader.h"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "checkpoint/checkpoint_writer.h"
#include "tests/checkpoint/checkpoint_image.h"
#include "tests/server/fake_gpu.h"
#include "tests/server/metric_reader.h"
#include "tests/server/test_checkpoint.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/probes.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

using testing::HasSubstr;
using testing::Not;

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
    return loader.Load({folder_.File(version)});
  }
  // The snapshot of a valid checkpoint.
  std::unique_ptr<Snapshot> LoadOk(uint64_t version) {
    LoadOutcome outcome = Load(version);
    EXPECT_EQ(outcome.result, ReloadResult::kOk) << outcome.reason;
    return std::move(outcome.snapshot);
  }
  // Adds tensors that no feature names: "history.0", "history.1", ...
  void AddUnknownTensors(uint64_t version, int count,
                         const std::vector<std::string>& features = {}) {
    CheckpointImage image = CheckpointImage::Parse(folder_.Bytes(version));
    for (int i = 0; i < count; ++i) {
      image.tensors.push_back(
          {absl::StrCat("history.", i), "U8", {3}, "abc", std::nullopt});
    }
    image.manifest["required_features"] = features;
    folder_.Overwrite(version, image.Bytes());
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

TEST_F(CheckpointLoaderTest, TensorsOfNoKnownFeatureAreLoggedAndCounted) {
  folder_.Publish(1);
  testing::internal::CaptureStderr();
  LoadOk(1);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              Not(HasSubstr("checkpoint_tensors_skipped")));
  EXPECT_EQ(ReadMetric(metrics_, "neumf_skipped_tensors_total"), 0);

  AddUnknownTensors(1, 7);
  testing::internal::CaptureStderr();
  LoadOk(1);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("event=checkpoint_tensors_skipped version=1 count=7 "
                        "names=\"history.0, history.1, history.2, history.3, "
                        "history.4\""));
  EXPECT_EQ(ReadMetric(metrics_, "neumf_skipped_tensors_total"), 7);
}

TEST_F(CheckpointLoaderTest, UnknownTensorsThatMustBeKnownAreIncompatible) {
  folder_.Publish(1);
  AddUnknownTensors(1, 1, {"history"});
  ExpectRefused(Load(1), ReloadResult::kIncompatible,
                "required features unknown here: history");
  EXPECT_EQ(ReadMetric(metrics_, "neumf_skipped_tensors_total"), 0);
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
    LoadRequest request{folder_.File(1)};
    request.make_room = make_room;
    return loader.Load(request);
  };
  EXPECT_EQ(load().result, ReloadResult::kOk);
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(load().result, ReloadResult::kOk);
  EXPECT_EQ(asked, 1);
  available = 1 << 20;  // and nothing is kept any more
  ExpectRefused(load(), ReloadResult::kNoMemory, "1048576");
  EXPECT_EQ(asked, 2);
}

TEST_F(CheckpointLoaderTest, SaysWhetherThereWereRoomWithoutWhatIsServed) {
  folder_.Publish(1);
  uint64_t available = std::numeric_limits<uint64_t>::max();
  options_.available_memory = [&] { return AvailableMemory{available, "it"}; };
  ScoringDevice device({}, /*uses_gpu=*/false, &metrics_, [] {});
  const CheckpointLoader loader(&files_, options_, &device, &metrics_);
  const LoadOutcome served = loader.Load({folder_.File(1)});
  ASSERT_NE(served.snapshot, nullptr);
  EXPECT_FALSE(served.fits_alone);  // which nobody has asked
  folder_.Publish(2);
  // A version takes most of a megabyte, threads and buffers included.
  available = 1000;
  served.snapshot->resident_bytes = 100 << 20;
  LoadOutcome outcome = loader.Load({folder_.File(2), served.snapshot.get()});
  EXPECT_EQ(outcome.result, ReloadResult::kNoMemory);
  EXPECT_TRUE(outcome.fits_alone);
  served.snapshot->resident_bytes = 1000;
  outcome = loader.Load({folder_.File(2), served.snapshot.get()});
  EXPECT_EQ(outcome.result, ReloadResult::kNoMemory);
  EXPECT_FALSE(outcome.fits_alone);
}

TEST_F(CheckpointLoaderTest, SaysWhetherTheGpuHadRoomWithoutWhatIsServed) {
  UseGpu(DeviceFlag::kCuda);
  folder_.Publish(1);
  folder_.Publish(2);
  gpu_.SetBytesNeeded(FakeGpu::kFreeBytes);  // as many as are free beside it
  ScoringDevice device(device_, uses_gpu_, &metrics_, [] {});
  const CheckpointLoader loader(&files_, options_, &device, &metrics_);
  const LoadOutcome served = loader.Load({folder_.File(1)});
  ASSERT_NE(served.snapshot, nullptr);
  const auto fits_alone = [&](uint64_t bytes, const absl::Status& verdict) {
    gpu_.SetBytesNeeded(bytes);
    gpu_.SetVerdict(verdict);
    const LoadOutcome outcome =
        loader.Load({folder_.File(2), served.snapshot.get()});
    EXPECT_EQ(outcome.snapshot, nullptr);
    return outcome.fits_alone;
  };
  const absl::Status full = absl::ResourceExhaustedError("no room");
  EXPECT_TRUE(fits_alone(2 * FakeGpu::kFreeBytes, full));
  EXPECT_FALSE(fits_alone(2 * FakeGpu::kFreeBytes + 1, full));
  EXPECT_FALSE(fits_alone(1, absl::UnimplementedError("only ReLU")));
  gpu_.SetFound(absl::UnavailableError("gone"));
  EXPECT_FALSE(fits_alone(1, full));
  device.ReportError(device.life(), absl::UnavailableError("gone"));
  EXPECT_FALSE(fits_alone(1, full));
}

TEST_F(CheckpointLoaderTest, WhatLiesOnTheGpuIsNoMemoryOfTheHost) {
  folder_.Publish(1);
  folder_.Publish(2);
  uint64_t available = std::numeric_limits<uint64_t>::max();
  options_.available_memory = [&] { return AvailableMemory{available, "it"}; };
  ScoringDevice device({}, /*uses_gpu=*/false, &metrics_, [] {});
  const CheckpointLoader loader(&files_, options_, &device, &metrics_);
  const LoadOutcome served = loader.Load({folder_.File(1)});
  ASSERT_NE(served.snapshot, nullptr);
  const uint64_t scorer_bytes = served.snapshot->scorer->resident_bytes();
  available = 0;
  // What is freed, from which on version 2 fits.
  uint64_t few = 0;
  uint64_t enough = 100 << 20;
  const auto fits_alone = [&](uint64_t bytes) {
    served.snapshot->resident_bytes = bytes;
    return loader.Load({folder_.File(2), served.snapshot.get()}).fits_alone;
  };
  ASSERT_TRUE(fits_alone(enough));
  while (enough - few > 1) {
    const uint64_t middle = few + (enough - few) / 2;
    (fits_alone(middle) ? enough : few) = middle;
  }
  served.snapshot->device_life = device.life();
  EXPECT_FALSE(fits_alone(enough + scorer_bytes - 1));
  EXPECT_TRUE(fits_alone(enough + scorer_bytes));
}

// Every user has chosen what no version can miss, and a new version has to be
// twice as good.
TEST_F(CheckpointLoaderTest, TheGateRefusesWhatNobodyAskedForByName) {
  folder_.Publish(1);
  folder_.Publish(2);
  std::string choices;
  for (int user = 0; user < 7; ++user) {
    for (int item = 0; item < 33; ++item) {
      absl::StrAppend(&choices, "u", user, "\ti", item, "\n");
    }
  }
  const TempDirectory scratch;
  QualityGate::Options gate_options;
  gate_options.file = JoinPath(scratch.path(), "choices");
  gate_options.metric = *GateMetric::Parse("hit@33");
  gate_options.min_share = 2;
  gate_options.min_users = 7;
  NEUMF_ASSERT_OK(WriteFileAtomically(*posix_, gate_options.file, choices));
  QualityGate gate(gate_options, posix_.get(), &metrics_);
  NEUMF_ASSERT_OK(gate.Load());
  options_.gate = &gate;
  const std::unique_ptr<Snapshot> first = LoadOk(1);

  ScoringDevice device({}, /*uses_gpu=*/false, &metrics_, [] {});
  const CheckpointLoader loader(&files_, options_, &device, &metrics_);
  LoadRequest request{folder_.File(2), first.get()};
  ExpectRefused(loader.Load(request), ReloadResult::kGateFailed,
                "hit@33 over 7 held-out users is 1; the served version 1 has "
                "1, and a share of 2");
  request.is_judged = false;
  EXPECT_EQ(loader.Load(request).result, ReloadResult::kOk);
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
  LoadRequest request{folder_.File(1)};
  request.make_room = make_room;
  const LoadOutcome outcome = loader.Load(request);
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

// Loads versions of a model, each beside the one before.
class SharedPartsTest : public CheckpointLoaderTest {
 protected:
  // A checkpoint of `tiny_` with probes that the reference answered.
  void Publish(uint64_t version) {
    const std::unique_ptr<Scorer> scorer = MakeReferenceScorer(tiny_);
    Manifest manifest;
    manifest.probes.push_back(
        MakeProbe(MakeProbedModel(tiny_, *scorer), "u0", 20));
    const std::string path = folder_.File(version).path;
    ASSERT_THAT(posix_->CreateDirectories(folder_.path()), IsOk());
    ASSERT_THAT(
        WriteCheckpointFile(*posix_, path, tiny_.model, tiny_.items, manifest),
        IsOk());
  }
  LoadOutcome LoadBeside(const Snapshot* served, uint64_t version) {
    ScoringDevice device({}, /*uses_gpu=*/false, &metrics_, [] {});
    const CheckpointLoader loader(&files_, options_, &device, &metrics_);
    return loader.Load({folder_.File(version), served});
  }
  // Version 2, beside version 1.
  LoadOutcome LoadSecond() { return LoadBeside(first_.get(), 2); }
  void LoadFirst() {
    Publish(1);
    first_ = LoadBeside(nullptr, 1).snapshot;
    ASSERT_NE(first_, nullptr);
    EXPECT_EQ(first_->shared_bytes, 0U);
  }

  TinyModel tiny_ = MakeTinyModel({});
  std::unique_ptr<Snapshot> first_;
};

// The parts that differ, as names.
std::vector<std::string> NewParts(const Snapshot& a, const Snapshot& b) {
  std::vector<std::string> names;
  if (a.scorer != b.scorer) names.push_back("scorer");
  if (a.users != b.users) names.push_back("users");
  if (a.user_ids != b.user_ids) names.push_back("user_ids");
  if (a.item_ids != b.item_ids) names.push_back("item_ids");
  if (a.seen != b.seen) names.push_back("seen");
  if (a.popularity != b.popularity) names.push_back("popularity");
  return names;
}

TEST_F(SharedPartsTest, WhatDidNotChangeIsSharedAndTheRestIsLoaded) {
  LoadFirst();
  struct Change {
    std::string part;
    std::function<void()> make;
  };
  const std::vector<Change> changes = {
      {"users", [&] { tiny_.model.users.gmf.data()[0] += 1; }},
      {"scorer", [&] { tiny_.items.gmf.data()[0] += 1; }},
      {"scorer", [&] { tiny_.model.network.head_bias += 1; }},
      {"scorer", [&] { tiny_.model.network.activation = Activation::kTanh; }},
      {"user_ids",
       [&] {
         tiny_.model.user_ids = *IdTable::FromIds(
             std::vector<std::string>{"u0", "v", "w", "x", "y", "z", "ab"});
       }},
      {"popularity", [&] { tiny_.model.popularity[0] += 1; }},
      {"seen",
       [&] {
         const std::vector<uint64_t> offsets(tiny_.model.shape.num_users + 1);
         tiny_.model.seen = *SeenSets::FromRows(offsets, {}, 33);
       }},
  };
  for (const Change& change : changes) {
    tiny_ = MakeTinyModel({});
    change.make();
    folder_.Remove(1);  // what is kept is not read from there either
    Publish(2);
    const LoadOutcome outcome = LoadSecond();
    ASSERT_EQ(outcome.result, ReloadResult::kOk) << outcome.reason;
    EXPECT_THAT(NewParts(*first_, *outcome.snapshot),
                testing::ElementsAre(change.part));
    EXPECT_LT(outcome.snapshot->shared_bytes, outcome.snapshot->resident_bytes);
    EXPECT_GT(outcome.snapshot->shared_bytes, 0U);
    folder_.Remove(2);
    Publish(1);
  }
}

TEST_F(SharedPartsTest, AnUnchangedModelIsSharedAsAWhole) {
  LoadFirst();
  Publish(2);
  const LoadOutcome outcome = LoadSecond();
  ASSERT_EQ(outcome.result, ReloadResult::kOk) << outcome.reason;
  EXPECT_THAT(NewParts(*first_, *outcome.snapshot), testing::IsEmpty());
  EXPECT_EQ(outcome.snapshot->resident_bytes, first_->resident_bytes);
  EXPECT_EQ(outcome.snapshot->shared_bytes, first_->resident_bytes);
}

TEST_F(SharedPartsTest, APartThatWouldBeSharedIsVerifiedAllTheSame) {
  LoadFirst();
  Publish(2);
  folder_.FlipLastByte(2);
  EXPECT_EQ(LoadSecond().result, ReloadResult::kCorrupt);
}

// Counts threads that read, whenever a file is read.
class WatchedFile : public ReadableFile {
 public:
  WatchedFile(std::unique_ptr<ReadableFile> file, std::atomic<size_t>* most)
      : file_(std::move(file)), most_(most) {}
  const FileInfo& info() const override { return file_->info(); }
  absl::StatusOr<size_t> ReadAt(uint64_t offset,
                                absl::Span<char> buffer) override {
    size_t count = 0;
    for (const auto& task :
         std::filesystem::directory_iterator("/proc/self/task")) {
      std::ifstream file(task.path() / "comm");
      std::string name;
      count += file >> name && name == "ckpt-reader" ? 1 : 0;
    }
    size_t most = *most_;
    while (count > most && !most_->compare_exchange_weak(most, count)) {
    }
    return file_->ReadAt(offset, buffer);
  }

 private:
  const std::unique_ptr<ReadableFile> file_;
  std::atomic<size_t>* const most_;
};

class WatchedFileSystem : public FaultyFileSystem {
 public:
  using FaultyFileSystem::FaultyFileSystem;
  absl::StatusOr<std::unique_ptr<ReadableFile>> OpenForRead(
      absl::string_view path) override {
    auto file = FaultyFileSystem::OpenForRead(path);
    if (!file.ok()) return file;
    return std::make_unique<WatchedFile>(*std::move(file), &most_readers);
  }

  std::atomic<size_t> most_readers{0};  // beside the one that loads
};

TEST_F(SharedPartsTest, AQuarterOfTheThreadsLoadsWhileSomethingIsServed) {
  options_.scorer.num_threads = 8;
  WatchedFileSystem files(posix_.get());
  ScoringDevice device({}, /*uses_gpu=*/false, &metrics_, [] {});
  const CheckpointLoader loader(&files, options_, &device, &metrics_);
  const auto load = [&](const Snapshot* served, uint64_t version) {
    folder_.Publish(version);
    LoadOutcome outcome = loader.Load({folder_.File(version), served});
    EXPECT_EQ(outcome.result, ReloadResult::kOk) << outcome.reason;
    return std::move(outcome.snapshot);
  };
  const std::unique_ptr<Snapshot> first = load(nullptr, 1);
  files.most_readers = 0;
  load(first.get(), 2);
  EXPECT_LE(files.most_readers, 1U);
}

TEST_F(SharedPartsTest, ReadsKeepToTheirPaceWhileSomethingIsServed) {
  options_.io_mbps = 1;
  LoadFirst();
  folder_.Publish(2);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(LoadSecond().result, ReloadResult::kOk);
  const std::chrono::duration<double> took =
      std::chrono::steady_clock::now() - start;
  // Half of the file: what is shared is not read.
  const auto bytes = static_cast<double>(folder_.Bytes(2).size());
  EXPECT_GE(took.count(), bytes / 2 / 1e6);
}

TEST_F(SharedPartsTest, ItOutlivesTheVersionThatItCameFrom) {
  LoadFirst();
  Publish(2);
  LoadOutcome second = LoadSecond();
  ASSERT_NE(second.snapshot, nullptr);
  first_.reset();
  Publish(3);  // its probe is answered from what versions 1 and 2 shared
  const LoadOutcome third = LoadBeside(second.snapshot.get(), 3);
  EXPECT_EQ(third.result, ReloadResult::kOk) << third.reason;
}

TEST_F(SharedPartsTest, ScoresThatOverflowWithWhatIsKeptAreRefused) {
  constexpr float kHuge = 1e20F;
  LoadFirst();
  // As if the users, and then the items, of version 1 had been so large.
  ScoreBound huge_users(tiny_.model.shape);
  ScoreBound huge_items(tiny_.model.shape);
  TinyModel huge = MakeTinyModel({});
  huge.model.users.gmf.data()[0] = kHuge;
  huge_users.AddUsers(huge.model.users);
  const float row[] = {kHuge, 0, 0, 0};
  huge_items.AddItems({ItemTable::kGmf, 0, 1, row});

  tiny_.items.gmf.data()[0] = kHuge;
  Publish(2);
  EXPECT_EQ(LoadSecond().result, ReloadResult::kOk);
  first_->bound = std::make_shared<const ScoreBound>(huge_users);
  ExpectRefused(LoadSecond(), ReloadResult::kCorrupt, "scores may reach");

  tiny_ = MakeTinyModel({});
  tiny_.model.users.gmf.data()[0] = kHuge;
  folder_.Remove(2);
  Publish(2);
  first_->bound = std::make_shared<const ScoreBound>(huge_items);
  ExpectRefused(LoadSecond(), ReloadResult::kCorrupt, "scores may reach");
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
        loader.Load({folder_.File(1), nullptr, cancelled});
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
