// What a version keeps of the served one instead of loading it again, and how a
// load makes way for what is served.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/checkpoint_writer.h"
#include "tests/server/checkpoint_loader_fixture.h"
#include "tests/support/status_matchers.h"

namespace neumf {
namespace {

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

}  // namespace
}  // namespace neumf
