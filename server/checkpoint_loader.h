#pragma once

// Makes a snapshot of a checkpoint file: read, verify, pack, probe, warm up.
//
// It is the fence for what is thrown meanwhile: memory that cannot be had is a
// refused checkpoint, never the end of the daemon. Since Linux promises memory
// that it does not have, and kills whoever uses it, a file that would take more
// than what is available (load_memory.h) is refused before its data is read. So
// is, before that, what does not fit the GPU that shall score it, beside the
// version that is served.
// Reading and packing, which take nearly all of the time, are done by threads
// of low priority, so that requests come first: by as many as may score before
// anything is served, by a quarter of them after that.
//
// The last steps ask the new version itself: for its exporter's answers
// (probes), for users that no version may learn from (quality_gate.h), and for
// what callers asked for last (warm_up.h).
//
// Parts that the file has in common with the served version, by the digests of
// their tensors, are shared with it: verified in the file, but not in memory
// twice.
//
// One thread at a time may use a loader.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/available_memory.h"
#include "base/ed25519.h"
#include "base/file_system.h"
#include "checkpoint/checkpoint_directory.h"
#include "checkpoint/checkpoint_reader.h"
#include "scoring/scorer.h"
#include "server/crash_guard.h"
#include "server/quality_gate.h"
#include "server/recent_queries.h"
#include "server/scoring_device.h"
#include "server/server_metrics.h"
#include "server/snapshot.h"
#include "server/takedowns.h"

namespace neumf {

// How a load of certain content ended before.
struct KnownRefusal {
  ReloadResult result = ReloadResult::kProbeFailed;
  std::string reason;
};

// One try to load a file. `snapshot` is set when, and only when, result is kOk.
struct LoadOutcome {
  ReloadResult result = ReloadResult::kIoError;
  std::string reason;      // why not, for logs and operators
  std::string digest;      // of the header; empty when it could not be read
  FileInfo file;           // as it was when it was opened
  bool was_known = false;  // of LoadRequest::known_refusal
  // Of kNoMemory: whether there were enough, where it is to be scored, too,
  // without what is served.
  bool fits_alone = false;
  std::unique_ptr<Snapshot> snapshot;
};

struct LoadRequest {
  CheckpointFile file;
  // Keeps its memory meanwhile; null without one.
  const Snapshot* served = nullptr;
  // Asked before each step and each piece of the file, by several threads: once
  // it says true, the load soon ends without a snapshot, and its reason says
  // nothing about the file.
  std::function<bool()> cancelled = [] { return false; };
  // Called once at most in each try, when there is too little memory of the
  // host or the GPU: lets go of what is kept but not served, waits until that
  // is freed, and says whether there was something. The budget is looked at
  // again then. Null: nothing is kept.
  std::function<bool()> make_room = nullptr;
  // Asked before any data is read, by the digest of the header: content that is
  // known is not loaded again. By the thread that loads. Null: nothing is.
  std::function<std::optional<KnownRefusal>(absl::string_view digest)>
      known_refusal = nullptr;
  // Whether the quality gate may refuse it, if `served` can be asked. Who asks
  // for a version by name has judged it.
  bool is_judged = true;
};

class CheckpointLoader {
 public:
  struct Options {
    Backend backend = Backend::kCpu;
    ScorerOptions scorer;
    // Most megabytes that are read in a second while a version is served. Less
    // spares the disk, and makes reloads longer. Default, 0: no limit.
    uint64_t io_mbps = 0;
    // Whether more calls wait than are scored next: then a load beside a served
    // version rests for longer. By any thread. Default: nobody is asked.
    std::function<bool()> calls_pile_up;
    // How much memory there is, asked before each load. Default: what the
    // machine and the limits of the process leave.
    std::function<AvailableMemory()> available_memory = [] {
      return FindAvailableMemory();
    };
    // Who may have signed what is loaded. Default: nobody needs to.
    std::vector<Ed25519PublicKey> public_keys;
    // What no snapshot may answer with. Default: nothing of the kind.
    Takedowns* takedowns = nullptr;
    // Knows what must not be loaded since it ended this process before. By the
    // thread that loads. Default: nothing of the kind.
    CrashGuard* crash_guard = nullptr;
    // Refuses what recommends worse than what is served. Default: nothing.
    QualityGate* gate = nullptr;
    // What a new version is asked before it serves. Default: a few users.
    const RecentQueries* recent = nullptr;
  };

  // `files`, `device` and `metrics` must outlive this.
  CheckpointLoader(FileSystem* files, Options options, ScoringDevice* device,
                   ServerMetrics* metrics);

  LoadOutcome Load(const LoadRequest& request) const;

 private:
  // Where a model's scorer is made.
  struct Place {
    std::unique_ptr<ScorerBuilder> builder;  // null: the scorer is kept
    // As in Snapshot. It is there as soon as the place is chosen, also when
    // that turns out to be too small.
    std::optional<uint64_t> device_life;
    bool is_full = false;  // the builder found no memory after all
    absl::StatusOr<std::unique_ptr<Scorer>> scorer = nullptr;  // of the builder
  };

  // How a load is tried, first as it stands here.
  struct Attempt {
    bool may_use_gpu = true;
    // Reads with what others leave of the processors, beside a served version.
    bool on_leftovers = true;
  };

  void LoadInto(const LoadRequest& request, const Attempt& attempt,
                LoadOutcome* outcome) const;
  // False with the outcome of content that was refused before.
  static bool IsNew(const LoadRequest& request, LoadOutcome* outcome);
  // Leaves the outcome as it is when one of the keys signed the file, or there
  // are none.
  bool IsSigned(const CheckpointFile& file, const CheckpointInfo& info,
                LoadOutcome* outcome) const;
  // Asks for the memory of all that will be loaded, and makes room once.
  absl::Status FindPlace(const LoadRequest& request,
                         const CheckpointReader& reader, const KeptParts& kept,
                         bool may_use_gpu, Place* place) const;
  absl::Status TryPlace(const LoadRequest& request,
                        const CheckpointReader& reader, const KeptParts& kept,
                        bool may_use_gpu, Place* place) const;
  // Whether there were enough memory without `request.served`, of the GPU, too,
  // if that shall score.
  bool FitsAlone(const LoadRequest& request, const CheckpointReader& reader,
                 bool on_gpu) const;
  // What a checkpoint has in common with `served`.
  KeptParts KeptOf(const Snapshot* served, const CheckpointInfo& info) const;
  // Of the host. RESOURCE_EXHAUSTED with the figures.
  absl::Status CheckMemory(const CheckpointReader& reader,
                           const ModelParts& kept, bool on_gpu,
                           const AvailableMemory& available) const;
  // Asks the new version before it serves.
  void Examine(const LoadRequest& request, const CheckpointInfo& info,
               const Snapshot& snapshot, LoadOutcome* outcome) const;
  // Not yet examined.
  absl::StatusOr<std::unique_ptr<Snapshot>> BuildSnapshot(
      const LoadRequest& request, const KeptParts& kept, bool on_leftovers,
      Place& place, CheckpointReader& reader) const;
  // All but what is kept and the item tables, which go to the builder.
  // DEADLINE_EXCEEDED: there are no leftovers.
  absl::StatusOr<ServingModel> ReadAtLowPriority(CheckpointReader& reader,
                                                 const KeptParts& kept,
                                                 bool on_leftovers,
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
