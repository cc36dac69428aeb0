#pragma once

// Makes a snapshot of a checkpoint file: read, verify, pack, probe, warm up.
//
// It is the fence for what is thrown meanwhile: memory that cannot be had is a
// refused checkpoint, never the end of the daemon. Since Linux promises memory
// that it does not have, and kills whoever uses it, a file larger than what is
// available is refused before its data is read. So is, before that, what does
// not fit the GPU that shall score it, beside the version that is served.
// Reading and packing, which take nearly all of the time, are done by threads
// of low priority, as many as may score, so that requests come first.
//
// One thread at a time may use a loader.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/available_memory.h"
#include "base/file_system.h"
#include "checkpoint/checkpoint_directory.h"
#include "checkpoint/checkpoint_reader.h"
#include "scoring/scorer.h"
#include "server/scoring_device.h"
#include "server/server_metrics.h"
#include "server/snapshot.h"

namespace neumf {

// One try to load a file. `snapshot` is set when, and only when, result is kOk.
struct LoadOutcome {
  ReloadResult result = ReloadResult::kIoError;
  std::string reason;  // why not, for logs and operators
  std::string digest;  // of the header; empty when it could not be read
  FileInfo file;       // as it was when it was opened
  std::unique_ptr<Snapshot> snapshot;
};

class CheckpointLoader {
 public:
  struct Options {
    Backend backend = Backend::kCpu;
    ScorerOptions scorer;
    // How much memory a checkpoint may take, asked before each load: a file with
    // more bytes, less those that go to a GPU, is refused before its data is
    // read. Default: what the machine and the limits of the process leave.
    std::function<uint64_t()> available_memory_bytes = [] {
      return AvailableMemoryBytes();
    };
  };

  // `files`, `device` and `metrics` must outlive this.
  CheckpointLoader(FileSystem* files, Options options, ScoringDevice* device,
                   ServerMetrics* metrics);

  // `served` is what keeps its memory meanwhile, null without one. `cancelled`
  // is asked before each step and each piece of the file, by this
  // thread and those that read: once it says true, the load soon ends
  // without a snapshot, and its reason says nothing about the file.
  LoadOutcome Load(const CheckpointFile& file, const Snapshot* served,
                   const std::function<bool()>& cancelled) const;

 private:
  // Where a model's scorer is made.
  struct Place {
    std::unique_ptr<ScorerBuilder> builder;
    std::optional<uint64_t> device_life;  // as in Snapshot
    bool is_full = false;  // the builder found no memory after all
  };

  void LoadInto(const CheckpointFile& file, const Snapshot* served,
                const std::function<bool()>& cancelled, bool may_use_gpu,
                LoadOutcome* outcome) const;
  // Asks for the memory of all that will be loaded.
  absl::StatusOr<Place> FindPlace(uint64_t version,
                                  const CheckpointReader& reader,
                                  const Snapshot* served,
                                  bool may_use_gpu) const;
  // Not yet probed.
  absl::StatusOr<std::unique_ptr<Snapshot>> BuildSnapshot(
      uint64_t version, Place& place, CheckpointReader& reader,
      const std::function<bool()>& cancelled) const;
  // All but the item tables, which go to the builder.
  absl::StatusOr<ServingModel> ReadAtLowPriority(CheckpointReader& reader,
                                                 Place& place) const;
  // What a builder or scorer said, after a report of what means that the GPU it
  // works on is lost. That becomes ABORTED: UNAVAILABLE is what disks are.
  absl::Status OfScorer(const absl::Status& status,
                        std::optional<uint64_t> device_life) const;
  // The same of the builder in `place`.
  absl::Status OfBuilder(const absl::Status& status, Place& place) const;

  FileSystem* const files_;
  const Options options_;
  ScoringDevice* const device_;
  ServerMetrics* const metrics_;
};

}  // namespace neumf
