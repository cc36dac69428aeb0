#include "server/load_memory.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/logging.h"
#include "checkpoint/checkpoint_writer.h"
#include "model/user_vectors.h"
#include "server/checkpoint_loader.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_directory.h"
#include "tests/support/tiny_model.h"

namespace neumf {
namespace {

TEST(CheckBudgetTest, KeepsATenthFree) {
  const AvailableMemory available = {1000, "memory.max of /b"};
  EXPECT_THAT(CheckBudget({700, 900}, available), IsOk());
  EXPECT_THAT(CheckBudget({700, 901}, available),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       "needs 901 bytes of memory while it is loaded and 700 "
                       "after that; of the 1000 that memory.max of /b leaves, "
                       "900 may be taken"));
}

TEST(CheckBudgetTest, IsNoLimitWhereNothingTells) {
  EXPECT_THAT(CheckBudget({700, ~uint64_t{0} / 2}, {~uint64_t{0}, ""}), IsOk());
}

// "VmRSS:" or "VmHWM:", the most there was, of this process.
uint64_t StatusBytes(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    uint64_t kibibytes = 0;
    if (word == key && status >> kibibytes) return kibibytes << 10;
  }
  return 0;
}

TinyModelOptions Model(uint64_t num_users, uint64_t num_items,
                       std::vector<uint32_t> tower_widths,
                       uint64_t seen_per_user) {
  TinyModelOptions options;
  options.num_users = num_users;
  options.num_items = num_items;
  options.gmf_width = 8;
  options.tower_widths = std::move(tower_widths);
  options.seen_per_user = seen_per_user;
  return options;
}

void Publish(const TinyModel& tiny, const std::string& path) {
  NEUMF_CHECK(WriteCheckpointFile(*MakePosixFileSystem(), path, tiny.model,
                                  tiny.items, {})
                  .ok());
}

void Publish(const TinyModelOptions& options, const std::string& path) {
  Publish(MakeTinyModel(options), path);
}

struct Measured {
  LoadMemory predicted;
  LoadMemory found;
  uint64_t told_bytes = 0;  // Snapshot::resident_bytes
};

Measured Load(const std::string& path, size_t num_threads) {
  const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
  ServerMetrics metrics;
  ScoringDevice device({}, /*uses_gpu=*/false, &metrics, [] {});
  CheckpointLoader::Options options;
  options.scorer.num_threads = num_threads;
  const CheckpointLoader loader(files.get(), options, &device, &metrics);
  Measured measured;
  {
    const auto reader = *CheckpointReader::Open(*files, path, {});
    const ScorerMemory scorer =
        PredictScorerMemory(options.backend, reader->info().shape,
                            reader->network(), options.scorer);
    measured.predicted = PredictLoadMemory(*reader, scorer, num_threads);
  }
  const uint64_t before = StatusBytes("VmRSS:");
  const LoadOutcome outcome = loader.Load({{1, path}});
  NEUMF_CHECK(outcome.snapshot != nullptr);
  measured.found.resident_bytes = StatusBytes("VmRSS:") - before;
  measured.found.peak_bytes = StatusBytes("VmHWM:") - before;
  measured.told_bytes = outcome.snapshot->resident_bytes;
  return measured;
}

// What `work` says, from a process of its own: its memory is nobody else's.
Measured InChild(const std::function<Measured()>& work) {
  int ends[2];
  NEUMF_CHECK(pipe(ends) == 0);
  const pid_t child = fork();
  NEUMF_CHECK(child >= 0);
  if (child == 0) {
    const Measured measured = work();
    const bool written =
        write(ends[1], &measured, sizeof(measured)) == sizeof(measured);
    _exit(written ? 0 : 1);
  }
  Measured measured;
  int status = 0;
  close(ends[1]);
  NEUMF_CHECK(read(ends[0], &measured, sizeof(measured)) == sizeof(measured));
  NEUMF_CHECK(waitpid(child, &status, 0) == child && status == 0);
  close(ends[0]);
  return measured;
}

class LoadMemoryTest : public testing::TestWithParam<TinyModelOptions> {};

TEST_P(LoadMemoryTest, IsSlightlyMoreThanWhatALoadTakes) {
  const TempDirectory directory;
  const std::string path = directory.Path("1.safetensors");
  InChild([&] {
    Publish(GetParam(), path);
    return Measured();
  });
  for (const size_t num_threads : {1, 3}) {
    const Measured measured = InChild([&] { return Load(path, num_threads); });
    const LoadMemory& predicted = measured.predicted;
    const auto peak_bytes = static_cast<double>(measured.found.peak_bytes);
    EXPECT_GE(predicted.peak_bytes, measured.found.peak_bytes);
    EXPECT_LE(static_cast<double>(predicted.peak_bytes), 1.1 * peak_bytes);
    EXPECT_GE(predicted.resident_bytes, measured.found.resident_bytes);
    EXPECT_GE(predicted.resident_bytes, measured.told_bytes);
  }
}

TEST_P(LoadMemoryTest, OfUsersInFloat16IsPredictedAsWell) {
  const TempDirectory directory;
  const std::string path = directory.Path("1.safetensors");
  InChild([&] {
    TinyModel tiny = MakeTinyModel(GetParam());
    tiny.model.users = RoundToFloat16(tiny.model.users).value();
    Publish(tiny, path);
    return Measured();
  });
  const Measured measured = InChild([&] { return Load(path, 1); });
  const auto peak_bytes = static_cast<double>(measured.found.peak_bytes);
  EXPECT_GE(measured.predicted.peak_bytes, measured.found.peak_bytes);
  EXPECT_LE(static_cast<double>(measured.predicted.peak_bytes),
            1.1 * peak_bytes);
}

TEST(KeptPartsTest, TakeNoMemoryTwice) {
  const TempDirectory directory;
  const std::string path = directory.Path("1.safetensors");
  InChild([&] {
    Publish(Model(1000, 200'000, {32, 4}, 0), path);
    return Measured();
  });
  const Measured measured = InChild([&] {
    const std::unique_ptr<FileSystem> files = MakePosixFileSystem();
    ServerMetrics metrics;
    ScoringDevice device({}, /*uses_gpu=*/false, &metrics, [] {});
    const CheckpointLoader loader(files.get(), {}, &device, &metrics);
    const auto load = [&](const Snapshot* served) {
      return loader.Load({{1, path}, served}).snapshot;
    };
    const std::unique_ptr<Snapshot> first = load(nullptr);
    NEUMF_CHECK(first != nullptr);
    const uint64_t before = StatusBytes("VmRSS:");
    const std::unique_ptr<Snapshot> second = load(first.get());
    NEUMF_CHECK(second != nullptr);
    Measured found;
    found.told_bytes = second->resident_bytes;
    const uint64_t after = StatusBytes("VmRSS:");
    found.found.resident_bytes = after - std::min(before, after);
    return found;
  });
  EXPECT_GT(measured.told_bytes, 30U << 20);
  // Blocks that were read may stay with the allocator.
  EXPECT_LT(measured.found.resident_bytes, 10U << 20);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, LoadMemoryTest,
    testing::Values(Model(100, 600'000, {32, 16, 8}, 3),  // a first pass
                    Model(2'000'000, 100, {}, 10),        // dot products
                    Model(600'000, 200, {32, 4}, 50)));

}  // namespace
}  // namespace neumf
