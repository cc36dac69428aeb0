#pragma once

// What the tests of the checkpoint loader share: a folder of checkpoints, a
// file system that fails when it is told to, and what loads from them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/checkpoint_loader.h"
#include "tests/server/test_checkpoint.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/probes.h"

namespace neumf {

// What the reference answers to every user of the model that CheckpointFolder
// publishes under `version`.
inline std::vector<Probe> ProbesOf(uint64_t version) {
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
  static void ExpectRefused(const LoadOutcome& outcome, ReloadResult result,
                            const std::string& reason) {
    EXPECT_STREQ(ReloadResultName(outcome.result), ReloadResultName(result));
    EXPECT_THAT(outcome.reason, testing::HasSubstr(reason));
    EXPECT_EQ(outcome.snapshot, nullptr);
  }

  CheckpointFolder folder_;
  const std::unique_ptr<FileSystem> posix_ = MakePosixFileSystem();
  FaultyFileSystem files_{posix_.get()};
  CheckpointLoader::Options options_;
  DeviceOptions device_;
  bool uses_gpu_ = false;
  ServerMetrics metrics_;
};

}  // namespace neumf
