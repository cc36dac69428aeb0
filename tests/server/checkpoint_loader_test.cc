#include "server/checkpoint_loader.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/thread_scheduling.h"
#include "tests/checkpoint/checkpoint_image.h"
#include "tests/server/checkpoint_loader_fixture.h"
#include "tests/server/metric_reader.h"
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

// Adds tensors that no feature names: "history.0", "history.1", ...
void AddUnknownTensors(CheckpointFolder* folder, uint64_t version, int count,
                       const std::vector<std::string>& features = {}) {
  CheckpointImage image = CheckpointImage::Parse(folder->Bytes(version));
  for (int i = 0; i < count; ++i) {
    image.tensors.push_back(
        {absl::StrCat("history.", i), "U8", {3}, "abc", std::nullopt});
  }
  image.manifest["required_features"] = features;
  folder->Overwrite(version, image.Bytes());
}

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

  AddUnknownTensors(&folder_, 1, 7);
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
  AddUnknownTensors(&folder_, 1, 1, {"history"});
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

TEST_F(CheckpointLoaderTest, TakesLeftoversUntilThereAreNone) {
  if (!FindProcessorTime()) GTEST_SKIP() << "the kernel counts no waits";
  folder_.Publish(1);
  folder_.Publish(2);
  ScoringDevice device({}, /*uses_gpu=*/false, &metrics_, [] {});
  const CheckpointLoader loader(&files_, options_, &device, &metrics_);
  std::string reads;  // L: with leftovers
  const auto watch = [&] {
    const bool on_leftovers = TakesOnlyLeftovers();
    reads += on_leftovers ? 'L' : '.';
    return false;
  };
  const LoadOutcome first = loader.Load({folder_.File(1), nullptr, watch});
  ASSERT_NE(first.snapshot, nullptr) << first.reason;
  EXPECT_THAT(reads, testing::Not(testing::HasSubstr("L"))) << "nobody waits";

  reads.clear();
  const auto starve = [&] {
    watch();
    if (reads.back() == 'L') {
      files_.FailCall(1, absl::DeadlineExceededError("it starves"));
    }
    return false;
  };
  const LoadOutcome next =
      loader.Load({folder_.File(2), first.snapshot.get(), starve});
  EXPECT_EQ(next.result, ReloadResult::kOk) << next.reason;
  EXPECT_EQ(std::count(reads.begin(), reads.end(), 'L'), 1) << reads;
  EXPECT_EQ(reads.back(), '.');
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
